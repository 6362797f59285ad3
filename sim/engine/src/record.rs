//! What happened, and whether the laws held.

use units::SimTime;

/// What a run did. Intervals and totals by tag are the driver's to keep: it sees every end.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Record {
    /// When the last task ended.
    pub end: SimTime,
    /// Tasks that ran, bundles of equal tasks counted once.
    pub n_tasks: u64,
    /// Tasks that ran, each copy counted.
    pub n_copies: u64,
    /// Solves of the sharing problem.
    pub n_solves: u64,
    /// Units drawn from each capacity.
    pub served: Vec<f64>,
    /// What the laws' checks saw.
    pub laws: Laws,
}

/// Evidence for the laws, gathered while running.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Laws {
    /// Largest use of a capacity over its rate, minus one; zero or less is lawful.
    pub overload_max: f64,
    /// Largest share of a task's work left, or done twice, at its end.
    pub residue_max: f64,
    /// Tasks submitted that never ended.
    pub n_unfinished: u64,
    /// Things claimed above the count of a pool, at worst.
    pub overclaim_max: u32,
}

impl Laws {
    /// Tolerance of real arithmetic: far above rounding, far below anything that matters.
    const TOLERANCE: f64 = 1e-6;

    /// Whether every law held: no capacity above its rate, work done is work asked, every task once, no claim above
    /// its pool. Time going back is impossible by construction and asserted while running.
    #[must_use]
    pub fn hold(&self) -> bool {
        self.overload_max <= Self::TOLERANCE
            && self.residue_max <= Self::TOLERANCE
            && self.n_unfinished == 0
            && self.overclaim_max == 0
    }
}
