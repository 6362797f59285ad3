//! An exchange of tokens that pick experts alike, as two legs: means in place of sampled picks and messages.
//!
//! A token that picks `k` experts at random reaches `m (1 - (1 - 1/m)^k)` of `m` nodes, at most as many as its router may, and likewise of `m`
//! ranks. A direct exchange sends a copy for each pick; a forwarded one sends a copy to each other node, which hands it on to each rank
//! there. The rank that receives most sets the time. The network between ports is taken to slow nobody.

use calibrate::{Algorithm, EstimateKey};
use topology::CommEngine;
use units::{Bytes, SimSpan};

use super::{Delivery, ExchangeCopies, ExpertSpread, direct};
use crate::{Leg, Platform, PlatformError};

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

/// The dispatch and the combine of a rank.
pub(crate) fn legs(
    platform: &Platform<'_>,
    spread: &ExpertSpread,
    call: &UniformExchange,
) -> Result<[Leg; 2], PlatformError> {
    direct::refuse_planes_of(platform, spread, call.delivery)?;
    let latency = match call.delivery {
        Delivery::Direct => direct::latency(platform, spread)?,
        Delivery::Forwarded | Delivery::Library => {
            SimSpan::from(units::Seconds::new(platform.profile.value(call.delivery.latency())))
        }
    };
    let copies = copies(spread, call);
    Ok([0, 1].map(|kind| leg(platform, call, kind, (copies, latency))))
}

/// Copies of a token that cross the scale-up port and the NIC of a rank.
fn copies(spread: &ExpertSpread, call: &UniformExchange) -> [f64; 2] {
    let (ranks, nodes, devices) = (f64::from(spread.n_ranks), f64::from(spread.n_nodes), f64::from(spread.devices));
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

fn leg(
    platform: &Platform<'_>,
    call: &UniformExchange,
    kind: usize,
    ([up, out], latency): ([f64; 2], SimSpan),
) -> Leg {
    let (device, profile) = (&platform.machine.device, platform.profile);
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
        (rate(occupied_out, platform.machine.nic_rate_per_device().get()), out_key),
        (rate(by_sms, profile.value(copy_key) * f64::from(call.sms.max(1))), copy_key),
    ];
    let longest = bounds.into_iter().fold(bounds[0], |a, b| if b.0 > a.0 { b } else { a });
    Leg {
        algorithm: Algorithm::Pairwise,
        up: [occupied_up; 2],
        out: [occupied_out; 2],
        shortest: longest.0,
        latency,
        limit: longest.1,
    }
}
