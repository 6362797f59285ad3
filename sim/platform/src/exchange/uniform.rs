//! An exchange of tokens that pick experts alike, as what it asks of a rank: means in place of sampled picks and messages.
//!
//! A token that picks `k` experts at random reaches `m (1 - (1 - 1/m)^k)` of `m` nodes, at most as many as its router may, and likewise of `m`
//! ranks. A direct exchange sends a copy for each pick; a forwarded one sends a copy to each other node, which hands it on to each rank
//! there. The rank that receives most sets the time. The network between ports is taken to slow nobody.

use calibrate::{Algorithm, CollectiveDemand, EstimateKey, Profile};
use topology::{CommEngine, Machine};
use units::{Bytes, Seconds};

use super::policy::{Delivery, ExchangeCopies};

/// Tokens of a rank and what they are in bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct UniformExchange {
    /// How they are delivered.
    pub delivery: Delivery,
    /// Tokens of a rank, the mean over ranks.
    pub tokens: f64,
    /// What the rank that receives most has over the mean.
    pub fullest: f64,
    /// Experts that a token picks.
    pub top_k: f64,
    /// Nodes that a token may reach.
    pub node_limit: f64,
    /// Bytes of a token: dispatched, combined.
    pub sizes: [Bytes; 2],
    /// SMs of the kernels.
    pub sms: u32,
}

impl UniformExchange {
    /// The dispatch and the combine of a rank of a group of so many ranks, nodes and ranks per node, which begin to move bytes after `latency`.
    pub(crate) fn demands(
        &self,
        (machine, profile): (&Machine, &Profile),
        group: [u32; 3],
        latency: Seconds,
    ) -> [CollectiveDemand; 2] {
        let copies = copies(group, self);
        [0, 1].map(|kind| CollectiveDemand { latency, ..demand((machine, profile), self, kind, copies) })
    }
}

/// Copies of a token that cross the scale-up port and the NIC of a rank.
fn copies(group: [u32; 3], call: &UniformExchange) -> [f64; 2] {
    let [ranks, nodes, devices] = group.map(f64::from);
    let reached = |of: f64| of * (1.0 - (1.0 - 1.0 / of).powf(call.top_k));
    match call.delivery {
        Delivery::Direct | Delivery::Library => {
            [call.top_k * (devices - 1.0) / ranks, call.top_k * (ranks - devices) / ranks]
        }
        Delivery::Forwarded => {
            let n_nodes = reached(nodes).min(call.node_limit);
            [reached(ranks) * (devices - 1.0) / devices, n_nodes * (nodes - 1.0) / nodes]
        }
    }
}

fn demand(
    (machine, profile): (&Machine, &Profile),
    call: &UniformExchange,
    kind: usize,
    [up, out]: [f64; 2],
) -> CollectiveDemand {
    let device = &machine.device;
    let bytes = call.tokens * call.fullest * call.sizes[kind].get();
    let [up_key, out_key] = call.delivery.fractions().map(|keys| keys[kind]);
    let moved = [up, out].map(|copies| copies * bytes);
    let (occupied_up, occupied_out) = (moved[0] / profile.value(up_key), moved[1] / profile.value(out_key));
    let rate = |bytes: f64, rate: f64| if bytes > 0.0 { bytes / rate } else { 0.0 };
    let copy_key = call.delivery.rate_per_sm(ExchangeCopies::Buffered);
    // What a rank sends, and what it receives over the scale-up fabric.
    let by_sms = match device.comm_engine {
        CommEngine::None => 2.0 * moved[0] + moved[1],
        CommEngine::Copy | CommEngine::Full => 0.0,
    };
    let bounds: [(f64, EstimateKey); 3] = [
        (rate(occupied_up, device.scale_up_rate().get()), up_key),
        (rate(occupied_out, machine.nic_rate_per_device().get()), out_key),
        (rate(by_sms, profile.value(copy_key) * f64::from(call.sms.max(1))), copy_key),
    ];
    let longest = bounds.into_iter().fold(bounds[0], |a, b| if b.0 > a.0 { b } else { a });
    CollectiveDemand {
        algorithm: Algorithm::Pairwise,
        up: [occupied_up; 2],
        out: [occupied_out; 2],
        shortest: Seconds::new(longest.0),
        latency: Seconds::ZERO,
        limit: longest.1,
    }
}
