//! A service through the model: memory first, then its requests, then what a typical iteration is made of.

mod typical;

use calibrate::{EstimateKey, Profile};
use plan::{IterationTime, Plan, PlanError, Serve, ServePlan, ServingBooks, UnitMemory, UnitPart};

pub(crate) use typical::{Typical, prompt_of};

use crate::interval::interval;

/// What a service did, and what it was.
#[derive(Debug)]
pub struct FinishedService<'a> {
    /// What was to run.
    pub plan: ServePlan<'a>,
    /// What a device of a unit of each kind holds, in the order in which a request passes them.
    pub memory: Vec<UnitMemory>,
    /// What happened.
    pub books: ServingBooks,
    /// Iterations as they were on average: decoding alone, and with prompts.
    pub(crate) typical: Typical,
}

/// Runs the requests of a service.
///
/// # Errors
/// A plan that is no service or cannot run, and a service to which nothing comes.
pub fn serve(plan: &Plan) -> Result<FinishedService<'_>, PlanError> {
    let plan = plan.serving()?;
    let kinds = plan.job.kinds();
    let parts = parts(plan, &kinds)?;
    if plan.job.requests.is_none() {
        return Err(plan::Contradiction::NoRequests.into());
    }
    let books = plan::serve(&parts)?;
    let typical = Typical::of(&parts, &books)?;
    // Requests end in the last kind of units, whose memory admits them.
    let memory = parts.into_iter().map(|part| part.memory).collect();
    Ok(FinishedService { plan, memory, books, typical })
}

/// The kinds of units of a service, ready to run.
///
/// # Errors
/// Where a model leaves no room for a cache, or the machine cannot be wired.
pub fn parts<'a>(plan: ServePlan<'a>, kinds: &'a [Serve]) -> Result<Vec<UnitPart<'a>>, PlanError> {
    kinds.iter().map(|job| UnitPart::new(ServePlan { job, ..plan })).collect()
}

impl FinishedService<'_> {
    /// The units in which requests end.
    #[must_use]
    pub fn last(&self) -> &UnitMemory {
        &self.memory[self.memory.len() - 1]
    }
}

/// The interval of a time that rests on estimates, 5 to 95 %: first order, as that of a training step.
pub(crate) fn time_interval(plan: ServePlan<'_>, time: &IterationTime) -> [f64; 2] {
    interval(time.seconds, deviation(plan, time.evidence.iter().map(|(key, seconds)| (*key, *seconds))))
}

/// Standard deviation of the logarithm of a time, by the seconds that rest on each estimate.
pub(crate) fn deviation(plan: ServePlan<'_>, evidence: impl Iterator<Item = (EstimateKey, f64)> + Clone) -> f64 {
    let profile: &Profile = &plan.site.profile;
    let all: f64 = evidence.clone().map(|(_, seconds)| seconds).sum();
    let parts = evidence.map(|(key, seconds)| if all > 0.0 { seconds / all * profile.spread(key) } else { 0.0 });
    let untimed = if plan.job.stack.is_timed { 0.0 } else { profile.value(EstimateKey::UntimedSpread) };
    let [stack, specimen] = [EstimateKey::StackSpread, EstimateKey::SpecimenSpread].map(|key| profile.value(key));
    parts.fold(stack.hypot(untimed).hypot(specimen), f64::hypot)
}
