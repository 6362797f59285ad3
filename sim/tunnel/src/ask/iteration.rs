//! One iteration of a unit that serves a model.

use plan::{IterationPart, IterationPricer, ServePlan, UnitLoad};
use scenario::Library;
use serde_json::{Value, json};
use workloads::iteration::{Decoding, PromptPart, RankBatch};

use super::ScenarioQuery;
use crate::error::TunnelError;
use crate::prepare::Prepared;
use crate::service::{prompt_of, time_interval};
use crate::sourced::{Sourced, sources};

/// One iteration of a unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IterationQuery {
    /// The service.
    pub scenario: ScenarioQuery,
    /// What every attention rank computes.
    pub asked: IterationAsked,
}

/// What every attention rank of a unit computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IterationAsked {
    /// Prompts.
    Prefill {
        /// Prompts of an attention rank.
        batch: u64,
        /// Tokens of one that are computed.
        tokens: u64,
        /// Tokens before them whose keys and values are cached.
        context: u64,
    },
    /// The last tokens of requests.
    Decode {
        /// Requests of an attention rank.
        batch: u64,
        /// Tokens of each that are cached.
        context: u64,
        /// Tokens of each that are computed.
        queries: u64,
    },
}

/// What an iteration takes.
#[derive(Clone, Debug, PartialEq)]
pub struct IterationReply {
    /// Seconds.
    pub seconds: f64,
    /// Fifth and ninety-fifth percentile over the spreads.
    pub interval: [f64; 2],
    /// What it is made of; parts that overlap are longer together.
    pub parts: Vec<IterationPart>,
    /// What bounds most of it.
    pub binding: &'static str,
}

/// Most of anything that an iteration is asked for.
const ASKED_MAX: u64 = 1 << 24;

impl IterationAsked {
    fn check(&self) -> Result<(), TunnelError> {
        let sizes = match *self {
            Self::Prefill { batch, tokens, context } => {
                [("batch", batch), ("tokens", tokens), ("context", context + 1)]
            }
            Self::Decode { batch, context, queries } => {
                [("batch", batch), ("queries", queries), ("context", context + 1)]
            }
        };
        for (name, size) in sizes {
            if size == 0 || size > ASKED_MAX {
                return Err(TunnelError::value(name, size, format!("is no size from 1 to {ASKED_MAX}")));
            }
        }
        Ok(())
    }
}

/// What an iteration takes.
///
/// # Errors
/// Mistakes in the scenario, sizes of nothing, a device that cannot run an op.
pub fn iteration(query: &IterationQuery, library: &Library) -> Result<Sourced<IterationReply>, TunnelError> {
    query.asked.check()?;
    let ScenarioQuery { scenario, sets } = &query.scenario;
    let prepared = Prepared::load(scenario, sets, library)?;
    let plan = prepared.plan().serving()?;
    // Prompts are of the units that compute them.
    let kinds = plan.job.kinds();
    let kind = match query.asked {
        IterationAsked::Prefill { .. } => kinds.first(),
        IterationAsked::Decode { .. } => kinds.last(),
    };
    let plan = ServePlan { job: kind.unwrap_or(plan.job), ..plan };
    let time = IterationPricer::new(plan)?.iteration(&load(plan, &query.asked))?;
    let interval = time_interval(plan, &time);
    let binding = time.binding().map_or("", plan::BoundBy::name);
    let reply = IterationReply { seconds: time.seconds, interval, parts: time.parts, binding };
    Ok(Sourced { reply, sources: sources(&prepared.loaded.leaves) })
}

/// The load of an iteration that is asked for: every attention rank alike.
fn load(plan: ServePlan<'_>, asked: &IterationAsked) -> UnitLoad {
    match *asked {
        IterationAsked::Prefill { tokens, context, batch } => {
            let mut load = prompt_of(plan, tokens, context);
            load.fullest.prompts = vec![PromptPart { tokens, cached: context }; batch as usize];
            load.rows *= batch;
            load
        }
        IterationAsked::Decode { batch, context, queries } => {
            let requests = batch;
            // The computed tokens are keys too.
            let decoding = Decoding { requests, queries, context: requests * (context + queries) };
            UnitLoad {
                rows: requests * queries * plan.job.layout.dp,
                fullest: RankBatch { prompts: Vec::new(), decoding },
            }
        }
    }
}

impl IterationReply {
    /// By the names that files and facts use.
    #[must_use]
    pub fn json(&self) -> Value {
        let part = |part: &IterationPart| json!({ "name": part.name, "seconds": part.seconds });
        json!({
            "seconds": self.seconds,
            "low": self.interval[0],
            "high": self.interval[1],
            "parts": self.parts.iter().map(part).collect::<Vec<_>>(),
            "binding": self.binding,
        })
    }
}
