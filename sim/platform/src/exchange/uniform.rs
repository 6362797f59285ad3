//! An exchange of tokens that pick experts alike, as what it asks of a rank: means in place of sampled picks and messages.
//!
//! A token that picks `k` experts at random reaches `m (1 - (1 - 1/m)^k)` of `m` nodes, at most as many as its router may, and likewise of `m`
//! ranks. A direct exchange sends a copy for each pick; a forwarded one sends a copy to each other node, which hands it on to each rank
//! there. The rank that receives most sets the time. What engines, NICs and switches take off SMs and ports is what they take off sampled
//! messages. The network between ports is taken to slow nobody.

use calibrate::{Algorithm, CollectiveDemand, EstimateKey, Profile};
use topology::Machine;
use units::{Bytes, Seconds};

use super::ExpertSpread;
use super::hands::{End, Hands, Relay};
use super::policy::{Delivery, ExchangeCopies};
use super::template::ExchangeKind;

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
    /// The dispatch and the combine of a rank of such a group, which begin to move bytes after `latency`.
    pub(crate) fn demands(
        &self,
        (machine, profile): (&Machine, &Profile),
        spread: &ExpertSpread,
        latency: Seconds,
    ) -> [CollectiveDemand; 2] {
        let copies = self.copies(spread);
        KINDS.map(|kind| {
            let ends = self.ends(machine, spread, kind);
            CollectiveDemand { latency, ..demand((machine, profile), self, kind, (copies, ends)) }
        })
    }

    /// Ranks and nodes that a token reaches.
    fn reached(&self, spread: &ExpertSpread) -> [f64; 2] {
        let reached = |of: f64| of * (1.0 - (1.0 - 1.0 / of).powf(self.top_k));
        [reached(f64::from(spread.n_ranks)), reached(f64::from(spread.n_nodes)).min(self.node_limit)]
    }

    /// Copies of a token that cross the scale-up port and the NIC of a rank.
    fn copies(&self, spread: &ExpertSpread) -> [f64; 2] {
        let [ranks, nodes, devices] = [spread.n_ranks, spread.n_nodes, spread.devices].map(f64::from);
        match self.delivery {
            Delivery::Direct | Delivery::Library => {
                [self.top_k * (devices - 1.0) / ranks, self.top_k * (ranks - devices) / ranks]
            }
            Delivery::Forwarded => {
                let [n_ranks, n_nodes] = self.reached(spread);
                [n_ranks * (devices - 1.0) / devices, n_nodes * (nodes - 1.0) / nodes]
            }
        }
    }

    /// What a copy asks of its two ends, over the scale-up fabric and over the network.
    fn ends(&self, machine: &Machine, spread: &ExpertSpread, kind: ExchangeKind) -> [[End; 2]; 2] {
        let hands = Hands::of(machine, ExchangeCopies::Buffered);
        match self.delivery {
            Delivery::Direct => [hands.direct_ends(kind); 2],
            Delivery::Library => [hands.library_ends(); 2],
            Delivery::Forwarded => {
                let relay = Relay::reaching(self.reached(spread), spread);
                [true, false].map(|up| hands.ends(kind, up, &relay))
            }
        }
    }
}

const KINDS: [ExchangeKind; 2] = [ExchangeKind::Dispatch, ExchangeKind::Combine];

fn demand(
    (machine, profile): (&Machine, &Profile),
    call: &UniformExchange,
    kind: ExchangeKind,
    ([up, out], [up_ends, out_ends]): ([f64; 2], [[End; 2]; 2]),
) -> CollectiveDemand {
    let index = kind as usize;
    let held = call.tokens * call.fullest * call.sizes[index].get();
    let [up_key, out_key] = call.delivery.fractions().map(|keys| keys[index]);
    let squeeze = if kind == ExchangeKind::Combine { machine.node.nic.compression.ratio() } else { 1.0 };
    let occupied = |copies: f64, key: EstimateKey, ends: &[End; 2]| {
        let bytes = copies * held / profile.value(key);
        [bytes * ends[0].port, bytes * ends[1].port]
    };
    let (occupied_up, occupied_out) = (occupied(up, up_key, &up_ends), occupied(out * squeeze, out_key, &out_ends));
    let rate = |bytes: f64, rate: f64| if bytes > 0.0 { bytes / rate } else { 0.0 };
    let fuller = |ends: [f64; 2]| f64::max(ends[0], ends[1]);
    let copy_key = call.delivery.rate_per_sm(ExchangeCopies::Buffered);
    let sms = |copies: f64, ends: &[End; 2]| copies * held * ends.iter().map(|end| end.sms).sum::<f64>();
    let by_sms = sms(up, &up_ends) + sms(out, &out_ends);
    let bounds: [(f64, EstimateKey); 3] = [
        (rate(fuller(occupied_up), machine.device.scale_up_rate().get()), up_key),
        (rate(fuller(occupied_out), machine.nic_rate_per_device().get()), out_key),
        (rate(by_sms, profile.value(copy_key) * f64::from(call.sms.max(1))), copy_key),
    ];
    let longest = bounds.into_iter().fold(bounds[0], |a, b| if b.0 > a.0 { b } else { a });
    CollectiveDemand {
        algorithm: Algorithm::Pairwise,
        up: occupied_up,
        out: occupied_out,
        shortest: Seconds::new(longest.0),
        latency: Seconds::ZERO,
        limit: longest.1,
    }
}
