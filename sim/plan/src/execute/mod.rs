//! Running gangs of ranks; running a program: columns apart, then the end of the step together.

mod calls;
mod driver;
mod ending;
mod gang;
mod meet;
mod outcome;
mod routines;
mod sequencer;
mod state;
mod tag;
mod tasks;
mod train;

use std::sync::atomic::{AtomicU64, Ordering};

use rayon::prelude::*;

use crate::program::Program;
use crate::{PlanError, Recording};

pub use driver::run_gangs;
pub use gang::{Address, Call, CallId, Gang, GangId, Lane, Next, PooledPorts, Tabulated};
pub use outcome::{
    Beside, ChunkSpan, ExchangeTotal, GangsOutcome, OpTotal, Outcome, OverlappedTotals, Ports, Ran, RankTotals,
    StreamSpan,
};
pub use routines::Routines;
pub use sequencer::{CallPart, Commands, Event, Sequencer};

/// What to keep of a run besides totals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keep {
    /// Ranks whose chunks are kept as intervals.
    pub ranks: Recording,
    /// Whether their kernels and exchanges are kept too.
    pub streams: bool,
}

/// How far a run is; may be read from another thread while it goes on.
#[derive(Debug, Default)]
pub struct Progress(AtomicU64);

impl Progress {
    /// Slots ended, of [`Program::n_slots`].
    #[must_use]
    pub fn done(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn step(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Runs a program.
///
/// # Errors
/// A fault of the simulator: the engine stuck, or a law broken.
pub fn run(program: &Program, keep: Keep, progress: &Progress) -> Result<Outcome, PlanError> {
    let columns: Vec<u32> = (0..program.n_columns).collect();
    let columns: Result<Vec<_>, PlanError> =
        columns.into_par_iter().map(|column| train::run(program, column, keep, progress)).collect();
    let mut outcome = outcome::merge(program, columns?);
    ending::run(program, &mut outcome)?;
    Ok(outcome)
}
