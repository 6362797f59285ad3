//! One iteration as it was on average.

use plan::{IterationPricer, IterationTime, PlanError, ServePlan, ServedPhase, ServingBooks, UnitLoad};
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
    pub(super) fn of(
        pricer: &IterationPricer<'_>,
        plan: ServePlan<'_>,
        books: &ServingBooks,
    ) -> Result<Self, PlanError> {
        let priced =
            |load: Option<UnitLoad>| load.map(|load| pricer.iteration(&load).map(|time| (load, time))).transpose();
        let (dp, queries) = (plan.job.layout.dp, plan.job.drafts.queries());
        let mean = if books.busy > 0.0 { books.decoded_area / books.busy / dp as f64 } else { 0.0 };
        let requests = mean.round().max(1.0) as u64;
        let context = if books.decoded_area > 0.0 { books.context_area / books.decoded_area } else { 0.0 };
        let keys = (context.round() as u64 + queries) * requests;
        let decoding = Decoding { requests, queries, context: keys };
        let decodes = (books.decoded_area > 0.0)
            .then(|| UnitLoad { rows: requests * queries * dp, fullest: RankBatch { prompts: Vec::new(), decoding } });
        let n = books.requests.len().max(1) as u64;
        let mean_input = books.requests.iter().map(|request| request.input).sum::<u64>() / n;
        let tokens = mean_input.min(plan.job.scheduler.tokens).max(1);
        let prompt = (plan.job.phase != ServedPhase::Decode).then(|| prompt_of(plan, tokens, 0));
        Ok(Self { decoding: priced(decodes)?, prompt: priced(prompt)? })
    }
}

/// A prompt on every attention rank.
pub(crate) fn prompt_of(plan: ServePlan<'_>, tokens: u64, cached: u64) -> UnitLoad {
    let fullest = RankBatch { prompts: vec![PromptPart { tokens, cached }], decoding: Decoding::default() };
    UnitLoad { rows: tokens * plan.job.layout.dp, fullest }
}
