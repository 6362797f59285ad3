//! `probe`: one question to one part of the model. Each file makes a question of its arguments, and prints the reply.

pub(crate) mod accumulate;
mod all_to_all;
mod collective;
pub(crate) mod iteration;
pub(crate) mod kernel;
mod model;
mod schedule;

pub(crate) use all_to_all::all_to_all;
pub(crate) use collective::collective;
pub(crate) use iteration::iteration;
pub(crate) use model::model;
pub(crate) use schedule::schedule;
