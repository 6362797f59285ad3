//! `probe`: one question to one part of the model.

mod all_to_all;
mod collective;
mod schedule;

pub(crate) use all_to_all::all_to_all;
pub(crate) use collective::collective;
pub(crate) use schedule::schedule;
