//! What a direct exchange has of its own: who sends to whom, over which planes, after what latency.
//!
//! Kernels for few tokens (DeepEP's low-latency ones, and those of Perplexity, TensorRT-LLM and UCCL) send a copy of a
//! token for each expert it picked straight to that expert's device, into a slot kept for it: over the scale-up fabric
//! within the node, over the network from NIC to NIC else. Results come back the same ways and are summed at the
//! source. Slots are of fixed size, so no counts go ahead; what a kernel's start, flags and end take is one latency.
//! All messages start together; a rank's kernel ends when its own have left and those to it have come.
//!
//! Assumed: messages of all ranks share ports as those of a forwarded exchange do, and a copy for the rank itself
//! crosses none. Breaks where a NIC's rate of messages binds before its rate of bytes, and for kernels that send a
//! token once to a rank that it wants twice.

use calibrate::EstimateKey;
use topology::{DeviceId, Ordering};
use units::{Seconds, SimSpan};
use workloads::traffic::Batch;

use super::Context;
use crate::PlanError;
use crate::layout::Layout;
use crate::program::Flow;

/// The kernel's own latency and the longest way of a message; over the network, where a fence keeps a flag behind its
/// data, that way once more.
pub(super) fn latency(context: &Context<'_>) -> Result<SimSpan, PlanError> {
    let (plan, layout) = (context.plan, &context.layout);
    let own = Seconds::new(plan.profile.value(EstimateKey::DirectLatency));
    let mut longest = Seconds::ZERO;
    for index in 1..layout.ep {
        let way = context.network.path(layout.device(0, 0), layout.device(0, index), plan.policy.routing)?.latency;
        let flagged = match plan.machine.node.nic.ordering {
            Ordering::Fence if index >= layout.expert_devices() => way + way,
            Ordering::Fence | Ordering::Native => way,
        };
        longest = if flagged > longest { flagged } else { longest };
    }
    Ok(SimSpan::from(own + longest))
}

/// How long the messages take with the machine to themselves: what the fullest port, or the SMs of the busiest rank,
/// need for all of theirs. Rates are of scale-up port, NIC and SMs; SMs that copy nothing have none.
///
/// A group has as many messages as pairs of ranks, of which 256 ranks have 65,280 in all sizes: shares solved one by
/// one take minutes. They keep the fullest port busy nearly always, so that the engine's end is the same within a
/// hundredth.
pub(super) fn alone(flows: &[Flow], n_members: usize, [up, out, copy]: [f64; 3]) -> Seconds {
    let mut ends = vec![[0.0_f64; 5]; n_members];
    let mut longest = 0.0_f64;
    for flow in flows {
        let copies = f64::from(flow.copies);
        let (from, to) = (usize::from(flow.from), usize::from(flow.to));
        let (send, receive) = if flow.up { (0, 1) } else { (2, 3) };
        ends[from][send] += copies * flow.occupied[0];
        ends[to][receive] += copies * flow.occupied[1];
        ends[from][4] += copies * flow.copied[0];
        ends[to][4] += copies * flow.copied[1];
        longest = longest.max(flow.shortest);
    }
    for (rate, at) in [(up, [0, 1]), (out, [2, 3]), (copy, [4, 4])] {
        let fullest = ends.iter().flat_map(|ends| at.map(|at| ends[at])).fold(0.0, f64::max);
        if fullest > 0.0 && rate > 0.0 {
            longest = longest.max(fullest / rate);
        }
    }
    Seconds::new(longest)
}

/// Copies of the mean message between ranks that `far` holds of, those that come to nothing counted: messages are of a
/// few copies each, and a crowded link carries many, so what it leaves one of them follows from all.
pub(super) fn mean_copies(batch: &Batch, far: impl Fn(u32, u32) -> bool) -> f64 {
    let n_ranks = batch.n_ranks();
    let pairs = (0..n_ranks).flat_map(|rank| (0..n_ranks).map(move |other| (rank, other)));
    let (mut n_pairs, mut copies) = (0.0, 0.0);
    for ((rank, other), &count) in pairs.zip(&batch.copies) {
        if far(rank, other) {
            n_pairs += 1.0;
            copies += f64::from(count);
        }
    }
    copies / f64::max(n_pairs, 1.0)
}

/// Messages over the network of all expert-parallel groups at once: from every rank to every rank of other nodes.
pub(super) fn group_pairs(layout: &Layout) -> Vec<(DeviceId, DeviceId)> {
    let devices = layout.expert_devices();
    let mut pairs = Vec::new();
    for first in (0..layout.pp * layout.per_stage).step_by(layout.ep as usize) {
        let device = |index| layout.device(0, first + index);
        for rank in 0..layout.ep {
            let others = (0..layout.ep).filter(|other| other / devices != rank / devices);
            pairs.extend(others.map(|other| (device(rank), device(other))));
        }
    }
    pairs
}

/// No NIC reaches another plane: a message there would need a relay, which a direct exchange has not.
pub(super) fn refuse_planes(context: &Context<'_>) -> Result<(), PlanError> {
    let layout = &context.layout;
    if layout.expert_nodes() < 2 {
        return Ok(());
    }
    let plane = |index| context.network.plane_of(layout.device(0, index));
    let Some(other) = (1..layout.expert_devices()).find(|&index| plane(index) != plane(0)) else {
        return Ok(());
    };
    let place = |index| context.network.name(layout.device(0, index));
    Err(PlanError::Contradiction(format!(
        "`policy.exchange` is `direct`, but {} and {} stand in different planes of the network (`fabric.planes` = {}), so that copies between \
         their nodes need a relay; take one plane (`use.fabric=rail-ft2`), one device of a node (`policy.devices-per-node=1`), a group \
         within a node (`parallel.ep` of {} at most), or `policy.exchange=forwarded`",
        place(0),
        place(other),
        context.plan.machine.fabric.planes,
        layout.devices
    )))
}
