//! What follows the last chunk: gradients are reduced, weights updated and gathered.
//!
//! One stream per rank (collectives of one communicator after the other, as NCCL runs them): reduce-scatter of every class of
//! parameters over its replicas, a barrier for the norm of all gradients, the update of the rank's shard, all-gather of
//! every class, what is done to all it holds. Source: arXiv:2412.19437 section 3.2 (`zero-1`); assumed: the copy of the
//! moving average to the host hides under the next step. Without sharding gradients are all-reduced, and nothing is gathered; what chunks
//! reduce or gather themselves ([`super::sharded`]) is not done again.
//!
//! Where `policy.data-parallel` is `hidden`, rings run layer by layer beside chunks ([`Hiding`]): gradients are reduced from
//! when the first layer's are complete, weights gathered until the next step has used every layer, and one layer of each
//! runs beside nothing. Breaks where the chunks' own messages need the ports that the rings then take, and where a table is more
//! than a layer: it is complete last and needed first, and is billed as a layer here.

use calibrate::{CannotRun, CollectiveCall};
use units::Bytes;
use workloads::op::{Collective, Op, OpKind, Pass};
use workloads::parallel::{Sharding, Stage};
use workloads::step::{self, ReduceClass, Weights};

use super::Context;
use super::kernels::{Kernels, Placed, ring};
use crate::Train;
use crate::program::Ending;
use crate::routine::Instruction;

/// Layers of some stages: what is reduced and gathered one after the other.
pub(super) fn n_layers<'a>(held: impl Iterator<Item = &'a Stage>) -> u32 {
    held.map(|stage| stage.layers.len() as u32).sum::<u32>().max(1)
}

/// The end of a step on every pipeline rank.
pub(super) fn ending(context: &Context<'_>, kernels: &mut Kernels) -> Result<Vec<Vec<Ending>>, CannotRun> {
    (0..context.layout.pp).map(|rank| of_rank(context, kernels, rank)).collect()
}

fn of_rank(context: &Context<'_>, kernels: &mut Kernels, rank: u32) -> Result<Vec<Ending>, CannotRun> {
    let plan = context.plan;
    let schedule = plan.job.policy.schedule;
    let held: Vec<Stage> =
        schedule.held(plan.job.parallel.pp, rank).iter().map(|&stage| context.stages[stage as usize].clone()).collect();
    let copies = schedule.n_weight_copies();
    let Train { model, parallel, policy, .. } = plan.job;
    let update = step::update(model, parallel, &context.shape, policy.optimizer, &held, copies);
    let all = plan.site.machine.device.sms;
    let n_layers = n_layers(held.iter());
    let mut ending = Vec::new();
    let (summed, gathered) = match parallel.sharding {
        Sharding::None => (Some(Collective::AllReduce), false),
        Sharding::Zero1 => (Some(Collective::ReduceScatter), true),
        // Chunks have summed them.
        Sharding::Zero2 => (None, true),
        // Chunks gather what they use.
        Sharding::Zero3 => (None, false),
    };
    for (what, class) in summed.iter().flat_map(|what| update.classes.iter().map(|class| (*what, class))) {
        let call = CollectiveCall::new(what, class.gradient_bytes(context.shape.gradients));
        ending.extend(reduce(context, kernels, class, &call, n_layers));
        ending.extend(reduce_shards(context, kernels, class, n_layers));
    }
    ending.extend(shared_table(context, kernels, &held));
    ending.push(Ending::Barrier);
    ending.extend(kernels_of(context, kernels, &update.sharded, all)?);
    for class in update.classes.iter().filter(|_| gathered) {
        let call = CollectiveCall::new(Collective::AllGather, class.trained_bytes());
        ending.extend(reduce(context, kernels, class, &call, n_layers));
    }
    ending.extend(kernels_of(context, kernels, &update.whole, all)?);
    Ok(ending)
}

/// A collective of a class over its replicas; none where there is one.
fn reduce(
    context: &Context<'_>,
    kernels: &mut Kernels,
    class: &ReduceClass,
    call: &CollectiveCall,
    n_layers: u32,
) -> Option<Ending> {
    if class.shards <= 1 || class.trained == 0 {
        return None;
    }
    let name = match (class.weights, call.what) {
        (Weights::Experts, Collective::AllGather) => "expert-weight-gather",
        (Weights::Experts, _) => "expert-gradient-reduce",
        (Weights::Common, Collective::AllGather) => "weight-gather",
        (Weights::Common, _) => "gradient-reduce",
    };
    let CollectiveCall { what, bytes, .. } = *call;
    let op = Op::new(name, Pass::Update, OpKind::Collective { axis: workloads::op::Axis::Dp, what, bytes });
    let op = kernels.op(&op);
    let among = context.groups.shard(class.weights);
    Some(Ending::Ring(ring(context, op, among, call, n_layers)))
}

/// Shards of gradients summed over those that hold the same; none where nobody does.
fn reduce_shards(context: &Context<'_>, kernels: &mut Kernels, class: &ReduceClass, n_layers: u32) -> Option<Ending> {
    if class.replicas <= class.shards || class.trained == 0 {
        return None;
    }
    let call = CollectiveCall::new(Collective::AllReduce, class.shard_bytes(context.shape.gradients));
    let CollectiveCall { what, bytes, .. } = call;
    let kind = OpKind::Collective { axis: workloads::op::Axis::Dp, what, bytes };
    let op = kernels.op(&Op::new(shard_reduce(class.weights), Pass::Update, kind));
    Some(Ending::Ring(ring(context, op, context.groups.across(class.weights), &call, n_layers)))
}

/// The name of a sum of shards.
pub(super) fn shard_reduce(weights: Weights) -> &'static str {
    match weights {
        Weights::Common => "shard-reduce",
        Weights::Experts => "expert-shard-reduce",
    }
}

/// The gradient of the table that embedding and head share, summed over the two pipeline ranks that hold one of them each; none where it is
/// frozen. The table is complete last, so nothing hides it.
fn shared_table(context: &Context<'_>, kernels: &mut Kernels, held: &[Stage]) -> Option<Ending> {
    let Train { model, parallel, lora, .. } = context.plan.job;
    let embeds = held.iter().any(|stage| stage.embedding || stage.mtp > 0);
    let heads = held.iter().any(|stage| stage.heads > 0);
    if !model.tied || lora.is_some() || parallel.pp == 1 || embeds == heads {
        return None;
    }
    let params = model.table_params() / u64::from(parallel.tp.max(1));
    let bytes = Bytes::new(params as f64 * context.shape.gradients.width());
    let what = Collective::AllReduce;
    let kind = OpKind::Collective { axis: workloads::op::Axis::Pp, what, bytes };
    let op = kernels.op(&Op::new("table-gradient-reduce", Pass::Update, kind));
    Some(Ending::Ring(ring(context, op, context.groups.ends(), &CollectiveCall::new(what, bytes), 0)))
}

fn kernels_of(context: &Context<'_>, kernels: &mut Kernels, ops: &[Op], sms: u32) -> Result<Vec<Ending>, CannotRun> {
    let kernel = |placed: Placed| match placed.instruction {
        Instruction::Kernel(kernel) => Some(Ending::Kernel(kernel)),
        _ => None,
    };
    Ok(kernels.fixed(context, ops, sms)?.into_iter().filter_map(kernel).collect())
}
