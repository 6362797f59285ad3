//! One iteration as it was on average.

use plan::{IterationTime, PlanError, ServePlan, ServedPhase, ServingBooks, UnitLoad, UnitPart};
use workloads::iteration::{Decoding, PromptPart, RankBatch};

/// Iterations as they were on average.
#[derive(Debug, Default)]
pub(crate) struct Typical {
    /// One that decodes alone; none where none did.
    pub(crate) decoding: Option<(UnitLoad, IterationTime)>,
    /// One of a prompt of mean length; none of a unit that computes none.
    pub(crate) prompt: Option<(UnitLoad, IterationTime)>,
}

impl Typical {
    pub(super) fn of(parts: &[UnitPart<'_>], books: &ServingBooks) -> Result<Self, PlanError> {
        let (Some(first), Some(last)) = (parts.first(), parts.last()) else { return Ok(Self::default()) };
        let priced = |part: &UnitPart<'_>, load: UnitLoad| part.pricer.iteration(&load).map(|time| (load, time));
        let decodes = books.decoded_area > 0.0;
        let decoding = decodes.then(|| priced(last, decoded(last.plan, books))).transpose()?;
        let n = books.requests.len().max(1) as u64;
        let input = books.requests.iter().map(|request| request.input).sum::<u64>() / n;
        let tokens = input.min(first.plan.job.scheduler.tokens).max(1);
        let has_prompts = first.plan.job.phase != ServedPhase::Decode;
        let prompt = has_prompts.then(|| priced(first, prompt_of(first.plan, tokens, 0))).transpose()?;
        Ok(Self { decoding, prompt })
    }
}

/// As many requests as were decoded on average, of as many keys.
fn decoded(plan: ServePlan<'_>, books: &ServingBooks) -> UnitLoad {
    let (dp, queries) = (plan.job.layout.dp, plan.job.drafts.queries());
    let requests = (books.decoded_area / books.busy_decoding / dp as f64).round().max(1.0) as u64;
    let context = ((books.context_area / books.decoded_area).round() as u64 + queries) * requests;
    let fullest = RankBatch { prompts: Vec::new(), decoding: Decoding { requests, queries, context } };
    UnitLoad { rows: requests * queries * dp, fullest }
}

/// A prompt on every attention rank.
pub(crate) fn prompt_of(plan: ServePlan<'_>, tokens: u64, cached: u64) -> UnitLoad {
    let fullest = RankBatch { prompts: vec![PromptPart { tokens, cached }], decoding: Decoding::default() };
    UnitLoad { rows: tokens * plan.job.layout.dp, fullest }
}
