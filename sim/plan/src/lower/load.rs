//! Where experts lie, and what each rank of a sampled batch computes on.

use calibrate::CannotRun;
use platform::Delivery;
use units::Seconds;
use workloads::op::OpKind;
use workloads::step::{self, LayerKind, Load};
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
/// the rank that is nearest the group's mean; what it waits for the fullest is [`late`].
pub(super) fn loads(context: &Context<'_>) -> Vec<Load> {
    let Some(pool) = &context.pool else {
        return Vec::new();
    };
    let mut loads = Vec::new();
    for batch in pool.batches() {
        if context.folded() {
            loads.push(of(context, batch, middle(batch)));
        } else {
            loads.extend((0..context.n_members).map(|member| of(context, batch, member % context.layout.ep)));
        }
    }
    loads
}

fn of(context: &Context<'_>, batch: &Picks, rank: u32) -> Load {
    // A direct exchange brings a token once for each pick, and takes each result back alone.
    let received = match context.plan.job.policy.exchange {
        Delivery::Forwarded => batch.tokens_received(rank),
        Delivery::Direct | Delivery::Library => batch.rows_total(rank),
    };
    let rows = batch.rows(rank).iter().copied().map(u64::from).collect();
    Load { received: u64::from(received), rows }
}

/// The rank whose rows are nearest the mean, of several the first.
fn middle(batch: &Picks) -> u32 {
    let n_ranks = u64::from(batch.n_ranks());
    let all: u64 = (0..batch.n_ranks()).map(|rank| u64::from(batch.rows_total(rank))).sum();
    let off = |rank: &u32| (u64::from(batch.rows_total(*rank)) * n_ranks).abs_diff(all);
    (0..batch.n_ranks()).min_by_key(off).unwrap_or(0)
}

fn fullest(batch: &Picks) -> u32 {
    (0..batch.n_ranks()).max_by_key(|&rank| (batch.rows_total(rank), std::cmp::Reverse(rank))).unwrap_or(0)
}

/// How much later than a rank of mean load the fullest of its group brings its results to the combine of each batch: what its experts take longer, the
/// mean of the forward and the backward pass, beside communication. Without folding every rank comes when it comes, and nothing is late.
///
/// # Errors
/// As for the kernels of a step.
pub(super) fn late(context: &Context<'_>) -> Result<Vec<Seconds>, CannotRun> {
    let Some(pool) = context.pool.as_ref().filter(|_| context.folded()) else { return Ok(Vec::new()) };
    let sms = context.plan.site.machine.device.sms.saturating_sub(context.comm_sms()).max(1);
    let memory = context.platform.memory_together();
    let seconds = |load: &Load| -> Result<f64, CannotRun> {
        let passes = step::mlp(&context.plan.job.model, &context.shape, LayerKind::Moe, load);
        let ops = passes.forward.iter().chain(&passes.input_gradient);
        let kernels = ops.filter(|op| !matches!(op.kind, OpKind::Collective { .. }));
        let mut sum = 0.0;
        for op in kernels {
            let kernel = context.platform.kernel(op, sms)?;
            sum += kernel.latency.seconds() + kernel.shortest.max(kernel.memory / memory);
        }
        Ok(sum / 2.0)
    };
    let of_batch = |batch: &Picks| -> Result<Seconds, CannotRun> {
        let [most, mean] = [fullest(batch), middle(batch)].map(|rank| of(context, batch, rank));
        Ok(Seconds::new((seconds(&most)? - seconds(&mean)?).max(0.0)))
    };
    pool.batches().iter().map(of_batch).collect()
}
