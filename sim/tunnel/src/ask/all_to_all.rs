//! One dispatch and one combine with the machine to themselves.

use plan::{Folding, Layout, PlanError, Program, TrainPlan};
use platform::{Delivery, ExchangeKind, ExchangeTemplate};
use scenario::Library;
use serde_json::{Value, json};

use super::ScenarioQuery;
use crate::error::TunnelError;
use crate::sourced::{Sourced, sources};

/// One dispatch and one combine of a scenario's expert-parallel group.
#[derive(Clone, Debug, PartialEq)]
pub struct AllToAllReply {
    /// The scenario's name.
    pub name: String,
    /// Ranks of the group.
    pub n_ranks: u32,
    /// Tokens to their experts.
    pub dispatch: ExchangeReply,
    /// And back.
    pub combine: ExchangeReply,
}

/// What one of the two came to, mean over the sampled batches.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ExchangeReply {
    /// With counts and barriers.
    pub seconds: f64,
    /// Without.
    pub transfer_seconds: f64,
    /// Over the scale-up fabric, all ranks of one group.
    pub scale_up_bytes: f64,
    /// Over NICs, all ranks of one group.
    pub scale_out_bytes: f64,
    /// Tokens per rank x places that a token reaches x bytes per token / `seconds`, bytes per second and rank.
    pub algorithm_bandwidth: f64,
    /// The same over `transfer_seconds`.
    pub transfer_bandwidth: f64,
}

/// One dispatch and one combine of a scenario's expert-parallel group, message by message.
///
/// # Errors
/// Mistakes in its files, a plan that cannot run, or a scenario without an all-to-all.
pub fn all_to_all(query: &ScenarioQuery, library: &Library) -> Result<Sourced<AllToAllReply>, TunnelError> {
    let prepared = query.prepared(library)?;
    let sources = sources(&prepared.loaded.leaves);
    let mut plan = prepared.loaded.plan;
    // Folded messages are means; here each one is asked for.
    plan.simulation.folding = Folding::None;
    let plan = plan.train()?;
    let program = plan::lower(plan)?;
    let [dispatch, combine] = exchanges(plan, &program)?;
    let reply = AllToAllReply { n_ranks: plan.job.parallel.ep, name: plan.name.to_owned(), dispatch, combine };
    Ok(Sourced { reply, sources })
}

fn exchanges(plan: TrainPlan<'_>, program: &Program) -> Result<[ExchangeReply; 2], TunnelError> {
    let shape = plan::shape(plan);
    let sizes = workloads::step::exchange(&plan.job.model, &shape);
    let (Some(sizes), Some(pool)) = (sizes, &program.pool) else {
        return Err(TunnelError::NoExchange { scenario: plan.name.to_owned() });
    };
    let layout = Layout::new(&plan.job.parallel, &plan.site.machine, plan.job.policy.devices_per_node)?;
    // What bandwidths count of a token, the places it is already in included, as public tests do.
    let counted = match plan.job.policy.exchange {
        Delivery::Forwarded if layout.experts().n_nodes > 1 => pool.nodes_per_token().mean,
        Delivery::Forwarded => pool.ranks_per_token().mean,
        Delivery::Direct | Delivery::Library => f64::from(pool.layout().top_k),
    };
    let tokens = shape.tokens_sequence_parallel() as f64 * counted;
    let of = |kind: ExchangeKind, token_bytes: f64| {
        let mean = |of: fn(&ExchangeTemplate) -> f64| {
            let all = program.exchanges.iter().map(|batch| of(&batch[kind as usize]));
            all.sum::<f64>() / program.exchanges.len() as f64
        };
        let transfer_seconds = mean(|template| template.alone.get());
        let seconds = mean(|template| template.alone.get() + template.latency.seconds());
        ExchangeReply {
            seconds,
            transfer_seconds,
            scale_up_bytes: mean(|template| template.up_bytes),
            scale_out_bytes: mean(|template| template.out_bytes),
            algorithm_bandwidth: tokens * token_bytes / seconds,
            transfer_bandwidth: tokens * token_bytes / transfer_seconds,
        }
    };
    let both = [
        of(ExchangeKind::Dispatch, sizes.dispatch_bytes_per_token.get()),
        of(ExchangeKind::Combine, sizes.combine_bytes_per_token.get()),
    ];
    if both.iter().any(|one| !(one.seconds > 0.0 && one.seconds.is_finite())) {
        return Err(PlanError::Fault(format!("an all-to-all of {} s", both[0].seconds)).into());
    }
    Ok(both)
}

impl AllToAllReply {
    /// By the names that files and facts use; `seconds` is of both, one after the other.
    #[must_use]
    pub fn json(&self) -> Value {
        let seconds = self.dispatch.seconds + self.combine.seconds;
        json!({ "dispatch": self.dispatch.json(), "combine": self.combine.json(), "seconds": seconds })
    }
}

impl ExchangeReply {
    fn json(&self) -> Value {
        json!({
            "seconds": self.seconds,
            "transfer_seconds": self.transfer_seconds,
            "scale_up_bytes": self.scale_up_bytes,
            "scale_out_bytes": self.scale_out_bytes,
            "algorithm_bandwidth": self.algorithm_bandwidth,
            "transfer_bandwidth": self.transfer_bandwidth,
        })
    }
}
