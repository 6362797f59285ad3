//! From a scenario's name to a program that fits.

use plan::{Folding, Plan, Program, RankMemory};
use scenario::{Library, Loaded};

use crate::args::ScenarioArgs;
use crate::exit::Failure;

/// A scenario, and who it is.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) loaded: Loaded,
    pub(crate) digest: String,
}

impl Prepared {
    pub(crate) fn load(scenario: &str, sets: &[String], library: &Library) -> Result<Self, Failure> {
        let loaded = scenario::load(scenario, sets, library)?;
        let digest = scenario::digest(&loaded);
        Ok(Self { loaded, digest })
    }

    pub(crate) fn of(args: &ScenarioArgs) -> Result<Self, Failure> {
        Self::load(&args.scenario, &args.layers.sets, &args.layers.library()?)
    }

    pub(crate) fn plan(&self) -> &Plan {
        &self.loaded.plan
    }
}

/// A program, and what its ranks hold at their fullest: memory is checked before anything runs.
pub(crate) fn lower(plan: &Plan) -> Result<(Program, Vec<RankMemory>), Failure> {
    let program = plan::lower(plan)?;
    let memory = plan::check_memory(plan, program.pool.as_ref())?;
    Ok((program, memory))
}

/// Everything that can be wrong with a plan, at the price of its folded form.
pub(crate) fn check(plan: &Plan) -> Result<Vec<RankMemory>, Failure> {
    let mut folded = plan.clone();
    folded.policy.folding = Folding::Auto;
    lower(&folded).map(|(_, memory)| memory)
}
