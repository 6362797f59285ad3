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
use workloads::traffic::Picks;

use super::{ExpertSpread, Flow};
use crate::{Placement, Platform, PlatformError};

/// The kernel's own latency and the longest way of a message; over the network, where a fence keeps a flag behind its
/// data, that way once more.
pub(super) fn latency(platform: &Platform<'_>, spread: &ExpertSpread) -> Result<SimSpan, PlatformError> {
    let own = Seconds::new(platform.profile.value(EstimateKey::DirectLatency));
    let device = |rank| platform.placement.device(rank);
    let mut longest = Seconds::ZERO;
    for rank in 1..spread.n_ranks {
        let way = platform.network.path(device(0), device(rank), platform.routing)?.latency;
        let flagged = match platform.machine.node.nic.ordering {
            Ordering::Fence if rank >= spread.devices => way + way,
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
pub(super) fn mean_copies(batch: &Picks, far: impl Fn(u32, u32) -> bool) -> f64 {
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
pub(super) fn pairs(placement: Placement, spread: &ExpertSpread, n_ranks_job: u32) -> Vec<(DeviceId, DeviceId)> {
    let ExpertSpread { n_ranks, devices, .. } = *spread;
    let mut pairs = Vec::new();
    for first in (0..n_ranks_job).step_by(n_ranks as usize) {
        let device = |index| placement.device(first + index);
        for rank in 0..n_ranks {
            let others = (0..n_ranks).filter(|other| other / devices != rank / devices);
            pairs.extend(others.map(|other| (device(rank), device(other))));
        }
    }
    pairs
}

/// No NIC reaches another plane: a message there would need a relay, which a direct exchange has not.
pub(super) fn refuse_planes(platform: &Platform<'_>, spread: &ExpertSpread) -> Result<(), PlatformError> {
    if spread.n_nodes < 2 {
        return Ok(());
    }
    let Platform { network, placement, machine, .. } = platform;
    let plane = |rank| network.plane_of(placement.device(rank));
    let Some(other) = (1..spread.devices).find(|&rank| plane(rank) != plane(0)) else {
        return Ok(());
    };
    let name = |rank| network.name(placement.device(rank));
    Err(PlatformError::Planes {
        first: name(0),
        other: name(other),
        planes: machine.fabric.planes,
        devices: placement.devices(),
    })
}
