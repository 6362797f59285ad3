//! What is asked of the machine: models, ops, schedules, traffic.
pub mod model;
pub mod op;
pub mod parallel;
pub mod schedule;
pub mod traffic;
