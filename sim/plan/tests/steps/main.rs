//! Whole steps: what moves them, what must be equal, what follows from a closed form.

mod flight;
mod probe;
