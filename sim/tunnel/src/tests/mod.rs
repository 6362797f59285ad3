//! Tests that need a run from file to summary.

mod edges;
mod intervals;
mod knobs;
mod measured;
mod page;
mod perturb;
mod presets;
mod scenes;
mod search;
mod ways_out;
