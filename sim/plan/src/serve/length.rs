//! How many iterations a run of a service has, known before it runs.

use super::job::{Iterations, RequestList, Serve, ServedPhase};
use super::scheduler::SchedulerKind;
use crate::Contradiction;

/// Iterations of a run whose times come from a table, which are some microseconds of this program each.
const TABULATED_MAX: u64 = 1 << 28;
/// Iterations of a run each of which is computed from its ops.
const DETAILED_MAX: u64 = 1 << 21;

/// Refuses a run that would not end.
pub(super) fn check_length(job: &Serve, list: &RequestList) -> Result<(), Contradiction> {
    let most = match job.iterations {
        Iterations::Detailed => DETAILED_MAX,
        Iterations::Tabulated => TABULATED_MAX,
    };
    let least = job.least_iterations(list);
    if least > most { Err(Contradiction::LongService { least, most }) } else { Ok(()) }
}

impl Serve {
    /// Iterations of all units that requests need at least: every attention rank is always full.
    fn least_iterations(&self, list: &RequestList) -> u64 {
        let dp = self.layout.dp.max(1);
        let [mut of_prompts, mut of_answers] = [0, 0];
        if self.phase != ServedPhase::Decode && self.scheduler.kind != SchedulerKind::PrefillFirst {
            of_prompts = sum(list.requests.iter().map(|request| request.input)) / self.scheduler.tokens / dp;
        }
        if self.phase != ServedPhase::Prefill {
            let decoded = self.scheduler.slots.saturating_mul(dp).min(list.concurrency.unwrap_or(u64::MAX));
            let tokens = sum(list.requests.iter().map(|request| request.output));
            of_answers = tokens / decoded / self.drafts.queries();
        }
        of_prompts.max(of_answers)
    }

    /// Iterations that requests need at most where none is driven out: one request runs at a time.
    #[must_use]
    pub fn most_iterations(&self) -> u64 {
        let Some(list) = &self.requests else { return 0 };
        let parts = list.requests.iter().map(|request| request.input.div_ceil(self.scheduler.tokens));
        sum(parts.chain(list.requests.iter().map(|request| request.output)))
    }
}

fn sum(tokens: impl Iterator<Item = u64>) -> u64 {
    tokens.fold(0, u64::saturating_add)
}
