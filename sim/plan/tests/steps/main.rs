//! Whole steps: what moves them and which way, what must be equal to the bit, what follows from a closed form.

mod closed_forms;
mod copies;
mod direct;
mod directions;
mod dispatchers;
mod flight;
mod folding;
mod machines;
mod oversubscription;
mod random;
mod replicas;
mod ring;
mod routes;
mod sharding;
mod shared;
mod similarity;
mod tensor;
mod twins;
