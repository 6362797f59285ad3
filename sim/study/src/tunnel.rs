//! What a study asks of the rest of the program: load a point, run its plan.

use plan::Plan;
use scenario::{Loaded, Mistakes};

use crate::point::Results;
use crate::refusal::Refusal;

/// Where points are put into the wind. The binary gives one that lowers, runs and sums up; a test gives a formula.
pub trait Tunnel: Sync {
    /// The base scenario with `sets` (`dotted.key=value`) laid over it.
    ///
    /// # Errors
    /// Every mistake in files and patches.
    fn load(&self, sets: &[String]) -> Result<Loaded, Mistakes>;

    /// What a plan comes to. Must be a function of the plan alone, on any thread.
    ///
    /// # Errors
    /// Why it cannot run, in one line with its numbers and the way out.
    fn run(&self, plan: &Plan) -> Result<Results, Refusal>;

    /// What the objective of a plan cannot be below, at a lower price than a run; none where nothing is known.
    ///
    /// # Errors
    /// As [`Tunnel::run`], as far as it is known without a run.
    fn bound(&self, plan: &Plan) -> Result<Option<f64>, Refusal> {
        let _ = plan;
        Ok(None)
    }
}
