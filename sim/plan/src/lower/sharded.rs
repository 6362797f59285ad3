//! Weights and gradients that are spread over replicas within chunks (`parallel.sharding` of `zero-2` and `zero-3`).
//!
//! A unit is a layer, or what a stage holds besides: embedding, head and the last norm together, which is how PyTorch's `fully_shard` groups a
//! decoder. Before a unit is used its weights are gathered and copied to where they are read, while the unit before computes; they are
//! dropped behind it and come again for the backward pass, but for the ends', which stay. Gradients of a unit are copied together and
//! summed while the next unit computes, and the chunk ends with the last of them. So a step of `m` micro-batches gathers `2 m` times and
//! sums `m` times.
//!
//! Rings of replicas are a rank's own here: replicas are alike, and none waits for another. They hold SMs as other collectives of the library do
//! (`profile.collective.sms`): kernels have fewer for the share of a layer's time in which its rings run.

use calibrate::{CannotRun, CollectiveCall, EstimateKey};
use units::{Bytes, SimSpan};
use workloads::kernel::StreamKernel;
use workloads::model::LayerKind;
use workloads::op::{Axis, Collective, Op, OpKind, Pass};
use workloads::parallel::Stage;
use workloads::step::{self, ReduceClass, Weights};

use super::beside::RingsBeside;
use super::ending::shard_reduce;
use super::groups::Communicator;
use super::kernels::{Kernels, Placed, launch_unit, ring};
use super::{Context, hidden};
use crate::program::Ring;
use crate::routine::Instruction;

/// Before which weights come.
const PASSES: [Pass; 2] = [Pass::Forward, Pass::InputGradient];

/// What a unit runs besides its kernels.
#[derive(Clone, Debug, Default)]
pub(super) struct Unit {
    /// Rings that bring its weights, forward and backward.
    pub(super) gathers: [Vec<Instruction>; 2],
    /// Copies of what came to where it is read, likewise.
    pub(super) copies: [Vec<Placed>; 2],
    /// Copies of its gradients to where they are sent from.
    pub(super) packs: Vec<Placed>,
    /// Rings that sum its gradients.
    pub(super) reduces: Vec<Instruction>,
}

/// Units of a job.
#[derive(Debug)]
pub(super) struct Sharded {
    pub(super) dense: Unit,
    pub(super) moe: Unit,
    /// By stage.
    pub(super) ends: Vec<Unit>,
}

/// The units of a job whose weights or gradients are spread; none where nothing is, or nobody holds the same.
pub(super) fn sharded(context: &Context<'_>, kernels: &mut Kernels) -> Result<Option<Sharded>, CannotRun> {
    if !context.plan.job.parallel.sharding.spreads_gradients() {
        return Ok(None);
    }
    let layer = |kind| Stage { embedding: false, layers: vec![kind], mtp: 0, heads: 0 };
    let mut has = |kind| -> Result<Unit, CannotRun> {
        let is_there = context.stages.iter().any(|stage| stage.layers.contains(&kind));
        if is_there { unit(context, kernels, &layer(kind)) } else { Ok(Unit::default()) }
    };
    let (dense, moe) = (has(LayerKind::Dense)?, has(LayerKind::Moe)?);
    let ends =
        context.stages.iter().map(|stage| unit(context, kernels, &Stage { layers: Vec::new(), ..stage.clone() }));
    Ok(Some(Sharded { dense, moe, ends: ends.collect::<Result<_, _>>()? }))
}

/// What one stage of its own would gather and sum.
fn unit(context: &Context<'_>, kernels: &mut Kernels, of: &Stage) -> Result<Unit, CannotRun> {
    let mut unit = Unit::default();
    let sharding = context.plan.job.parallel.sharding;
    for class in classes(context, of) {
        if sharding.spreads_weights() && class.shards > 1 {
            let copied = class.weight_bytes();
            for (index, pass) in PASSES.into_iter().enumerate() {
                unit.gathers[index].push(gather(context, kernels, &class, pass));
                unit.copies[index].extend(copy(context, kernels, ("weight-unpack", pass), copied)?);
            }
        }
        if class.trained == 0 {
            continue;
        }
        let bytes = class.gradient_bytes(context.shape.gradients);
        unit.packs.extend(copy(context, kernels, ("gradient-pack", Pass::WeightGradient), bytes)?);
        unit.reduces.extend(reduces(context, kernels, &class));
    }
    for (index, pass) in PASSES.into_iter().enumerate().filter(|_| !unit.gathers[0].is_empty()) {
        unit.copies[index].extend(casts(context, kernels, of, pass)?);
    }
    Ok(unit)
}

/// What came in BF16 is cast where products read FP8, each time that it comes.
fn casts(context: &Context<'_>, kernels: &mut Kernels, of: &Stage, pass: Pass) -> Result<Vec<Placed>, CannotRun> {
    let shape = &context.shape;
    if !shape.fp8() {
        return Ok(Vec::new());
    }
    let job = context.plan.job;
    let linear = step::held_params(&job.model, &job.parallel, std::slice::from_ref(of)).linear;
    kernels.fixed(context, &step::weight_cast(shape, pass, linear), context.plan.site.machine.device.sms)
}

/// What several ranks hold of a stage.
fn classes(context: &Context<'_>, of: &Stage) -> Vec<ReduceClass> {
    let job = context.plan.job;
    let copies = job.policy.schedule.n_weight_copies();
    let held = std::slice::from_ref(of);
    let update = step::update(&job.model, &job.parallel, &context.shape, job.policy.optimizer, held, copies);
    update.classes.into_iter().filter(|class| class.replicas > 1).collect()
}

fn gather(context: &Context<'_>, kernels: &mut Kernels, class: &ReduceClass, pass: Pass) -> Instruction {
    let name = match class.weights {
        Weights::Common => "weight-gather",
        Weights::Experts => "expert-weight-gather",
    };
    let call = CollectiveCall::new(Collective::AllGather, class.weight_bytes());
    lone(context, kernels, context.groups.shard(class.weights), (name, pass, call))
}

/// Gradients are summed and scattered over the ranks that they are spread over, then their shards among those that hold the same.
fn reduces(context: &Context<'_>, kernels: &mut Kernels, class: &ReduceClass) -> Vec<Instruction> {
    let name = match class.weights {
        Weights::Common => "gradient-reduce",
        Weights::Experts => "expert-gradient-reduce",
    };
    let (gradients, groups) = (context.shape.gradients, context.groups);
    let mut reduces = Vec::new();
    let mut add = |among: &Communicator, what: Collective, name: &'static str, bytes: Bytes| {
        reduces.push(lone(context, kernels, among, (name, Pass::WeightGradient, CollectiveCall::new(what, bytes))));
    };
    if class.shards > 1 {
        add(groups.shard(class.weights), Collective::ReduceScatter, name, class.gradient_bytes(gradients));
    }
    if class.replicas > class.shards {
        let bytes = class.shard_bytes(gradients);
        add(groups.across(class.weights), Collective::AllReduce, shard_reduce(class.weights), bytes);
    }
    reduces
}

/// A ring of replicas that each rank runs for itself.
fn lone(
    context: &Context<'_>,
    kernels: &mut Kernels,
    among: &Communicator,
    (name, pass, call): (&'static str, Pass, CollectiveCall),
) -> Instruction {
    let CollectiveCall { what, bytes, .. } = call;
    let op = kernels.op(&Op::new(name, pass, OpKind::Collective { axis: Axis::Dp, what, bytes }));
    let ring = Ring { span: 1, stride: 1, launch: launch_unit(context), ..ring(context, op, among, &call, 1) };
    kernels.rings.push(ring);
    Instruction::Ring(kernels.rings.len() as u32 - 1)
}

fn copy(
    context: &Context<'_>,
    kernels: &mut Kernels,
    (name, pass): (&'static str, Pass),
    bytes: Bytes,
) -> Result<Vec<Placed>, CannotRun> {
    let kind = OpKind::Stream { kernel: StreamKernel::Copy, rows: 0, reads: bytes, writes: bytes };
    kernels.fixed(context, &[Op::new(name, pass, kind)], context.plan.site.machine.device.sms)
}

/// Shares of the time of forward and backward chunks in which rings run, and the SMs that those hold.
pub(super) fn beside(
    context: &Context<'_>,
    kernels: &Kernels,
    sharded: &Sharded,
) -> Result<Option<RingsBeside>, CannotRun> {
    let sms = context.plan.site.profile.value(EstimateKey::CollectiveSms).round() as u32;
    if sms == 0 {
        return Ok(None);
    }
    let of_layers = if context.plan.job.model.experts.is_some() { &sharded.moe } else { &sharded.dense };
    let seconds = |rings: &[Instruction]| rings.iter().map(|ring| took(kernels, *ring)).sum::<f64>();
    let [forward, backward] = [&of_layers.gathers[0], &of_layers.gathers[1]].map(|rings| seconds(rings));
    let rings = [forward, backward + seconds(&of_layers.reduces)];
    let layer = hidden::layer_seconds(context)?;
    let share = |index: usize| if layer[index] > 0.0 { (rings[index] / layer[index]).min(1.0) } else { 0.0 };
    Ok(Some(RingsBeside { sms, shares: [share(0), share(1)] }))
}

fn took(kernels: &Kernels, instruction: Instruction) -> f64 {
    let Instruction::Ring(ring) = instruction else { return 0.0 };
    let leg = &kernels.rings[ring as usize].leg;
    leg.shortest + SimSpan::seconds(leg.latency)
}
