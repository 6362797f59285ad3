//! What follows the last chunk: gradients are reduced, weights updated and gathered.
//!
//! One stream a rank (collectives of one communicator after the other, as NCCL runs them): reduce-scatter of every class of
//! parameters over its replicas, a barrier for the norm of all gradients, the update of the rank's shard, all-gather of
//! every class, what is done to all it holds. Source: arXiv:2412.19437 section 3.2 (ZeRO-1); assumed: nothing of it hides
//! under the last chunks, and the copy of the moving average to the host hides under the next step.

use workloads::op::{Collective, Op, OpKind, Pass};
use workloads::parallel::Stage;
use workloads::step::{self, ReduceClass};

use super::kernels::Kernels;
use super::{Context, ring};
use crate::program::{Ending, Instruction};

/// The end of a step on every pipeline rank.
pub(super) fn ending(context: &Context<'_>, kernels: &mut Kernels<'_>) -> Vec<Vec<Ending>> {
    (0..context.layout.pp).map(|rank| of_rank(context, kernels, rank)).collect()
}

fn of_rank(context: &Context<'_>, kernels: &mut Kernels<'_>, rank: u32) -> Vec<Ending> {
    let plan = context.plan;
    let schedule = plan.policy.schedule;
    let held: Vec<Stage> =
        schedule.held(plan.parallel.pp, rank).iter().map(|&stage| context.stages[stage as usize].clone()).collect();
    let copies = schedule.n_weight_copies();
    let update = step::update(&plan.model, &plan.parallel, context.shape.linear, plan.policy.moments, &held, copies);
    let all = plan.machine.device.sms;
    let mut ending = Vec::new();
    for class in &update.classes {
        reduce(context, kernels, class, Collective::ReduceScatter, class.reduce_scatter(), &mut ending);
    }
    ending.push(Ending::Barrier);
    ending.extend(run(context, kernels, &update.sharded, all));
    for class in &update.classes {
        reduce(context, kernels, class, Collective::AllGather, class.all_gather(), &mut ending);
    }
    ending.extend(run(context, kernels, &update.whole, all));
    ending
}

fn reduce(
    context: &Context<'_>,
    kernels: &mut Kernels<'_>,
    class: &ReduceClass,
    what: Collective,
    bytes: units::Bytes,
    ending: &mut Vec<Ending>,
) {
    if class.replicas <= 1 {
        return;
    }
    let name = match (class.name, what) {
        ("expert", Collective::ReduceScatter) => "expert-gradient-reduce",
        ("expert", _) => "expert-weight-gather",
        (_, Collective::ReduceScatter) => "gradient-reduce",
        (_, _) => "weight-gather",
    };
    let stride = if class.name == "expert" { context.layout.ep } else { context.layout.tp };
    let op = Op::new(name, Pass::Update, OpKind::Collective { axis: workloads::op::Axis::Dp, what, bytes });
    let op = kernels.op(&op);
    ending.push(Ending::Ring(ring::over(context, op, what, bytes, class.replicas, stride)));
}

fn run(context: &Context<'_>, kernels: &mut Kernels<'_>, ops: &[Op], sms: u32) -> Vec<Ending> {
    let kernel = |instruction| match instruction {
        Instruction::Kernel(kernel) => Some(Ending::Kernel(kernel)),
        _ => None,
    };
    kernels.fixed(context, ops, sms).into_iter().filter_map(kernel).collect()
}
