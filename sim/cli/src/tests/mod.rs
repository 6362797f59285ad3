//! Tests that need a run from file to summary, in the program itself.

mod knobs;
mod measured;
mod page;
mod perturb;
mod presets;
mod scenes;
