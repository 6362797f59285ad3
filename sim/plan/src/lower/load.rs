//! Where experts lie, and what each rank of a sampled batch computes on.

use platform::Delivery;
use workloads::step::Load;
use workloads::traffic::{ExpertLayout, Picks};

use super::Context;
use crate::TrainPlan;
use crate::layout::Layout;

/// How experts lie on ranks; `None` for a dense model.
#[must_use]
pub fn expert_layout(plan: TrainPlan<'_>, layout: &Layout) -> Option<ExpertLayout> {
    let experts = plan.job.model.experts.as_ref()?;
    let spread = layout.experts();
    let tokens = super::shape(plan).tokens_sequence_parallel();
    Some(ExpertLayout {
        n_ranks: spread.n_ranks,
        n_nodes: spread.n_nodes,
        devices: spread.devices,
        experts: experts.routed,
        top_k: experts.top_k,
        groups: experts.groups,
        node_limit: experts.node_limit,
        gate: experts.gate,
        group_score: experts.group_score,
        tokens: u32::try_from(tokens).unwrap_or(u32::MAX),
    })
}

/// What each simulated member of each batch computes on: `[batch x n_members + member]`. A folded member has the load of
/// the group's fullest rank.
pub(super) fn loads(context: &Context<'_>) -> Vec<Load> {
    let Some(pool) = &context.pool else {
        return Vec::new();
    };
    // A direct exchange brings a token once for each pick, and takes each result back alone.
    let received = |batch: &Picks, rank: u32| match context.plan.job.policy.exchange {
        Delivery::Forwarded => batch.tokens_received(rank),
        Delivery::Direct => batch.rows_total(rank),
    };
    let of = |batch: &Picks, rank: u32| Load {
        received: u64::from(received(batch, rank)),
        rows: batch.rows(rank).iter().copied().map(u64::from).collect(),
    };
    let mut loads = Vec::new();
    for batch in pool.batches() {
        if context.folded() {
            let fullest = (0..batch.n_ranks()).max_by_key(|&rank| (batch.rows_total(rank), std::cmp::Reverse(rank)));
            loads.push(of(batch, fullest.unwrap_or(0)));
        } else {
            loads.extend((0..context.n_members).map(|member| of(batch, member % context.layout.ep)));
        }
    }
    loads
}
