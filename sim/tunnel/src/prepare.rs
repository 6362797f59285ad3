//! From a scenario's name to a program that fits, and to what it left.

use plan::{Folding, Keep, Outcome, Plan, PlanError, Program, Progress, RankMemory};
use scenario::{Library, Loaded};

use crate::error::TunnelError;
use crate::summarize::FinishedRun;

/// A scenario, and who it is.
#[derive(Debug)]
pub struct Prepared {
    /// The plan, and every value that made it.
    pub loaded: Loaded,
    /// Identity of the plan.
    pub digest: String,
}

impl Prepared {
    /// A preset's name or a file, with patches over it.
    ///
    /// # Errors
    /// All mistakes of files and patches together.
    pub fn load(scenario: &str, sets: &[String], library: &Library) -> Result<Self, TunnelError> {
        let loaded = scenario::load(scenario, sets, library)?;
        let digest = scenario::digest(&loaded);
        Ok(Self { loaded, digest })
    }

    /// The plan.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.loaded.plan
    }
}

/// A program that fits, before it runs.
#[derive(Debug)]
pub struct Lowered {
    /// What will run.
    pub program: Program,
    /// What its ranks hold at their fullest.
    pub memory: Vec<RankMemory>,
}

impl Lowered {
    /// Runs the program; `progress` counts its slots meanwhile.
    ///
    /// # Errors
    /// A run that is stuck or breaks a law, which is a fault of the program.
    pub fn run(self, keep: Keep, progress: &Progress) -> Result<Simulated, TunnelError> {
        let Self { program, memory } = self;
        let outcome = plan::run(&program, keep, progress)?;
        Ok(Simulated { program, memory, outcome })
    }
}

/// What a run left, and what it was.
#[derive(Debug)]
pub struct Simulated {
    /// What ran.
    pub program: Program,
    /// What its ranks held at their fullest.
    pub memory: Vec<RankMemory>,
    /// What happened.
    pub outcome: Outcome,
}

impl Simulated {
    /// The same together with the plan it was made of.
    ///
    /// # Errors
    /// When that plan is not of a training job, so that this was not made of it.
    pub fn finished<'a>(&'a self, prepared: &'a Prepared) -> Result<FinishedRun<'a>, PlanError> {
        let Self { program, memory, outcome } = self;
        Ok(FinishedRun { plan: prepared.plan().train()?, digest: &prepared.digest, program, memory, outcome })
    }
}

/// A program, and what its ranks hold at their fullest: memory is checked before anything runs.
///
/// # Errors
/// A plan that cannot run.
pub fn lower(plan: &Plan) -> Result<Lowered, PlanError> {
    let plan = plan.train()?;
    let program = plan::lower(plan)?;
    let memory = plan::check_memory(plan, program.pool.as_ref())?;
    Ok(Lowered { program, memory })
}

/// Everything that can be wrong with a plan, at the price of its folded form; what its ranks hold at their fullest.
///
/// # Errors
/// A plan that cannot run.
pub fn check(plan: &Plan) -> Result<Vec<RankMemory>, PlanError> {
    let mut folded = plan.clone();
    folded.simulation.folding = Folding::Auto;
    lower(&folded).map(|lowered| lowered.memory)
}
