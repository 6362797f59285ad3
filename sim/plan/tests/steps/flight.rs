//! A scenario with patches, loaded, lowered and run.

use plan::{Keep, Outcome, PhaseSpans, Plan, PlanError, Program, Recording};
use scenario::Library;
use units::SimSpan;

/// 2,048 H800s, folded, every expert the same load: the quickest whole step of the main job.
pub(crate) const V3: &str = "deepseek-v3-2048";
/// 64 H800s.
pub(crate) const TINY: &str = "tiny-moe";
/// No spread between ranks, so nothing is sampled.
pub(crate) const BALANCED: &str = "traffic.router=balanced";

/// A step that ran.
pub(crate) struct Flight {
    pub(crate) plan: Plan,
    pub(crate) program: Program,
    pub(crate) outcome: Outcome,
}

/// The plan of a scenario with patches.
pub(crate) fn plan(scenario: &str, sets: &[&str]) -> Plan {
    let sets: Vec<String> = sets.iter().map(|&set| set.to_owned()).collect();
    let loaded = scenario::load(scenario, &sets, &Library::built_in());
    loaded.unwrap_or_else(|mistakes| panic!("{mistakes}")).plan
}

/// Flies a scenario with patches.
pub(crate) fn fly(scenario: &str, sets: &[&str]) -> Flight {
    run(plan(scenario, sets)).unwrap_or_else(|error| panic!("{error}"))
}

/// Lowers and runs a plan.
pub(crate) fn run(plan: Plan) -> Result<Flight, PlanError> {
    let program = plan::lower(&plan)?;
    let outcome =
        plan::run(&program, Keep { ranks: Recording::OnePerStage, streams: false }, &plan::Progress::default())?;
    Ok(Flight { plan, program, outcome })
}

impl Flight {
    /// The step, in seconds.
    pub(crate) fn seconds(&self) -> f64 {
        self.outcome.step.seconds()
    }

    /// Phases of every pipeline rank, summed over the ranks simulated of it.
    pub(crate) fn phases(&self) -> Vec<PhaseSpans> {
        self.outcome.ranks.iter().map(|rank| rank.phases.clone()).collect()
    }

    /// What `phase` takes of a rank, mean over all simulated, in seconds.
    pub(crate) fn mean(&self, phase: impl Fn(&PhaseSpans) -> SimSpan) -> f64 {
        let n = self.outcome.ranks.len() as f64 * f64::from(self.outcome.n_simulated);
        self.outcome.ranks.iter().map(|rank| phase(&rank.phases).seconds()).sum::<f64>() / n
    }

    /// Time of a rank in no chunk and not in the optimizer, mean over all, in seconds.
    pub(crate) fn bubble(&self) -> f64 {
        let busy = self.mean(PhaseSpans::sum);
        self.seconds() - busy
    }
}
