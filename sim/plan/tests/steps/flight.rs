//! A scenario with patches, loaded, lowered and run.

use plan::{
    CostTerms, Job, Keep, Outcome, PhaseSpans, Plan, PlanError, Program, Recording, Simulation, Site, Train, TrainPlan,
};
use scenario::Library;
use units::SimSpan;

/// 2,048 H800s, folded, every expert the same load: the quickest whole step of the main job.
pub(crate) const V3: &str = "deepseek-v3-2048";
/// 64 H800s.
pub(crate) const TINY: &str = "tiny-moe";
/// No spread between ranks, so nothing is sampled.
pub(crate) const BALANCED: &str = "traffic.router=balanced";

/// The plan of a training job, to change at will.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Training {
    pub(crate) name: String,
    pub(crate) site: Site,
    pub(crate) job: Train,
    pub(crate) simulation: Simulation,
    pub(crate) cost: CostTerms,
}

impl Training {
    pub(crate) fn of(plan: Plan) -> Self {
        let Plan { name, site, job, simulation, cost } = plan;
        let Job::Train(job) = job else { panic!("{name} is no training") };
        Self { name, site, job: *job, simulation, cost }
    }

    pub(crate) fn view(&self) -> TrainPlan<'_> {
        let Self { name, site, job, simulation, cost } = self;
        TrainPlan { name, site, job, simulation, cost }
    }
}

/// A step that ran.
pub(crate) struct Flight {
    pub(crate) plan: Training,
    pub(crate) program: Program,
    pub(crate) outcome: Outcome,
}

/// The plan of a scenario with patches.
pub(crate) fn plan(scenario: &str, sets: &[&str]) -> Training {
    let sets: Vec<String> = sets.iter().map(|&set| set.to_owned()).collect();
    let loaded = scenario::load(scenario, &sets, &Library::built_in());
    Training::of(loaded.unwrap_or_else(|mistakes| panic!("{mistakes}")).plan)
}

/// Flies a scenario with patches.
pub(crate) fn fly(scenario: &str, sets: &[&str]) -> Flight {
    run(plan(scenario, sets)).unwrap_or_else(|error| panic!("{error}"))
}

/// Lowers and runs a plan.
pub(crate) fn run(plan: Training) -> Result<Flight, PlanError> {
    let program = plan::lower(plan.view())?;
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
