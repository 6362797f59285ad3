//! Tests that need a run from file to summary, in the program itself.

mod knobs;
mod page;
mod perturb;
mod presets;
mod scenes;
