//! The wind tunnel as a library: load a scenario, check it, run it, ask it, and study it; typed in, typed out.
//!
//! ```
//! use plan::{Keep, Progress, Recording};
//! use scenario::Library;
//! use tunnel::Prepared;
//!
//! let library = Library::built_in();
//! let prepared = Prepared::load("tiny-moe", &["gpu.sms=144".to_owned()], &library)?;
//! tunnel::check(prepared.plan())?;
//!
//! let keep = Keep { ranks: Recording::None, streams: false };
//! let run = tunnel::lower(prepared.plan())?.run(keep, &Progress::default())?;
//! let summary = tunnel::summary(&run.finished(&prepared)?)?;
//! assert_eq!(summary.objective().name, "step_seconds");
//! assert!(summary.objective().value > 0.0);
//! # Ok::<(), tunnel::TunnelError>(())
//! ```
//!
//! The way of a run, each step a type: [`Prepared`] (a plan and its digest), [`Lowered`] (a program that fits in memory),
//! [`Simulated`] (what happened), [`FinishedRun`] (all of it together), from which [`summary`] makes a `report::Summary` and
//! [`timeline`] the intervals of pictures and traces.
//!
//! - [`ask`] answers one question ([`ask::Query`] in, [`ask::Reply`] out), [`networks`] sets networks side by side.
//! - [`validate`] holds the model against what was published: facts ask the same questions.
//! - [`nearest`] names the published steps that a run resembles most, and how far off the model was there.
//! - [`fit`] makes the text of a profile of samples.
//! - [`replay`] runs a job that another tool wrote.
//! - [`ways_out`] says what would make a job fit that does not.
//! - [`variants`] runs the same job with its layers on other stages, [`fabric`] notes what a reader must know of a network.
//! - [`search`] says what may change of a job in a search for its best layout.
//! - [`Simulator`] is the model as a study asks it: many points over one base, which share sampled traffic; [`studies`] finds a
//!   study by name and makes its page.
//! - Every mistake is a [`TunnelError`].
//!
//! This crate does not know arguments, exit codes, progress bars or standard output, and it reads files through
//! `scenario::Sources` alone. It has no rule of the model: it loads, runs and adds up.

pub mod ask;
mod error;
pub mod fabric;
pub mod fit;
mod interval;
pub mod nearest;
pub mod networks;
pub mod panics;
mod prepare;
pub mod replay;
pub mod search;
pub mod service;
mod simulator;
mod sourced;
pub mod studies;
pub mod summarize;
#[cfg(test)]
mod tests;
mod traffic;
pub mod validate;
pub mod variants;
pub mod ways_out;

pub use error::TunnelError;
pub use prepare::{Lowered, Prepared, Simulated, check, lower};
pub use simulator::Simulator;
pub use sourced::Sourced;
pub use summarize::{FinishedRun, Recorded, memory_rows, summary, timeline};
