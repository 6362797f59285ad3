//! Who meets whom: communicators of a training job, and neighbors in the pipeline.

use platform::{Group, Platform};
use workloads::op::Axis;
use workloads::parallel::Parallelism;
use workloads::step::Weights;

use crate::layout::Layout;
use crate::{PlanError, TrainPlan};

/// A communicator: ranks of a pipeline rank that are `stride` apart, in all of them alike.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Communicator {
    /// Ranks from the first to behind the last.
    pub(crate) span: u32,
    /// From each to the next.
    pub(crate) stride: u32,
    /// How it lies on the machine.
    pub(crate) group: Group,
}

/// Ranks that hold the same weights.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Replicas {
    /// Over which they are spread, where they are.
    shard: Communicator,
    /// Of each such group one rank: those that hold the same shard.
    across: Communicator,
}

/// The communicators of a job.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Groups {
    tensor: Communicator,
    context: Communicator,
    /// Those that hold the same common weights.
    common: Replicas,
    /// Those that hold the same experts.
    experts: Replicas,
    /// Those that hold each other's experts.
    exchanging: Communicator,
    /// A rank of the first and one of the last pipeline rank.
    ends: Communicator,
}

impl Groups {
    pub(crate) fn new(plan: TrainPlan<'_>, layout: &Layout, platform: &Platform<'_>) -> Result<Self, PlanError> {
        let Parallelism { tp, cp, dp, ep, .. } = plan.job.parallel;
        let replicas = dp * cp * plan.job.policy.schedule.n_weight_copies();
        let communicator = |n: u32, stride: u32| -> Result<_, PlanError> {
            let group = platform.group(&ranks(layout, n, stride))?;
            Ok(Communicator { span: n * stride, stride, group })
        };
        let spread = |[n, shards]: [u32; 2], stride: u32| -> Result<_, PlanError> {
            let shards = shards.clamp(1, n.max(1));
            Ok(Replicas { shard: communicator(shards, stride)?, across: communicator(n / shards, shards * stride)? })
        };
        let parallel = &plan.job.parallel;
        let experts = replicas * tp / ep.max(1);
        let [shards, expert_shards] = match parallel.shard_ranks {
            Some(ranks) => [ranks, parallel.expert_shard_ranks(ranks).unwrap_or(1)],
            None => [replicas, experts],
        };
        Ok(Self {
            tensor: communicator(tp, 1)?,
            context: communicator(cp, tp)?,
            common: spread([replicas, shards], tp)?,
            experts: spread([experts, expert_shards], ep.max(1))?,
            exchanging: communicator(ep.max(1), 1)?,
            ends: ends(layout, platform)?,
        })
    }

    /// Who meets in a collective inside a chunk.
    pub(crate) fn inside(&self, axis: Axis) -> &Communicator {
        match axis {
            Axis::Cp => &self.context,
            Axis::Ep => &self.exchanging,
            Axis::Tp | Axis::Dp | Axis::Pp => &self.tensor,
        }
    }

    /// Who reduces the gradient of a table that the first and the last pipeline rank share.
    pub(crate) fn ends(&self) -> &Communicator {
        &self.ends
    }

    /// Who gathers some weights, and sums their gradients first.
    pub(crate) fn shard(&self, weights: Weights) -> &Communicator {
        &self.replicas(weights).shard
    }

    /// Who sums the shards of their gradients.
    pub(crate) fn across(&self, weights: Weights) -> &Communicator {
        &self.replicas(weights).across
    }

    fn replicas(&self, weights: Weights) -> &Replicas {
        match weights {
            Weights::Common => &self.common,
            Weights::Experts => &self.experts,
        }
    }
}

fn ends(layout: &Layout, platform: &Platform<'_>) -> Result<Communicator, PlanError> {
    let stride = (layout.pp - 1) * layout.per_stage;
    let pairs: Vec<Vec<u32>> = (0..layout.per_stage).map(|rank| vec![rank, rank + stride]).collect();
    // Of one pipeline rank there is no pair.
    let group = platform.group(if layout.pp > 1 { &pairs } else { &[] })?;
    Ok(Communicator { span: 2 * stride.max(1), stride: stride.max(1), group })
}

/// The ranks of all communicators of `n` ranks that are `stride` apart. One that is wider than a pipeline rank takes in the mirror
/// of that, which holds the same weights.
fn ranks(layout: &Layout, n: u32, stride: u32) -> Vec<Vec<u32>> {
    let span = (n * stride).clamp(1, layout.per_stage);
    let has_mirror = n * stride > layout.per_stage;
    let n_pipeline_ranks = if has_mirror { layout.pp.div_ceil(2) } else { layout.pp };
    let mut groups = Vec::new();
    for pipeline_rank in 0..n_pipeline_ranks {
        for start in (0..layout.per_stage).step_by(span as usize) {
            for first in start..start + stride.min(span) {
                let members = |rank: u32| {
                    (first..start + span).step_by(stride as usize).map(move |index| rank * layout.per_stage + index)
                };
                let mirror = layout.pp - 1 - pipeline_rank;
                groups.push(match has_mirror {
                    true => members(pipeline_rank).chain(members(mirror)).collect(),
                    false => members(pipeline_rank).collect(),
                });
            }
        }
    }
    groups
}

/// Messages between all neighboring stages at once.
pub(super) fn stage_pairs(layout: &Layout) -> Vec<(u32, u32)> {
    let n = layout.per_stage;
    let hop = |p: u32, q: u32| (0..n).map(move |i| (p * n + i, q * n + i));
    (0..layout.pp.saturating_sub(1)).flat_map(|p| hop(p, p + 1).chain(hop(p + 1, p))).collect()
}
