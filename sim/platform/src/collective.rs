//! Ring collectives: every rank sends to its next, all rings of a group together.
//!
//! A collective of `n` ranks over `S` bytes (the convention of nccl-tests) sends `S (n-1)/n` per rank for all-gather and
//! reduce-scatter, twice that for all-reduce. With `d` members per node, rings run through the scale-up ports of all of
//! them and leave a node through all their NICs, so a port carries all of it and a NIC a `d`-th. The latency is
//! paid once, and no collective is faster than the routes between its nodes let it be ([`crate::Group`]). Source: the ring algorithms of
//! NCCL; bandwidth-optimal (Patarasuk and Yuan 2009). Assumed: small messages (where NCCL would choose a tree) do not matter. Breaks
//! below about 1 MiB per rank.

use calibrate::{CollectiveKeys, EstimateKey};
use engine::Task;
use units::{Bytes, SimSpan};
use workloads::op::Collective;

use crate::{Group, Platform, RankResources};

/// Bytes one rank sends over the scale-up fabric and over its NIC.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RingBytes {
    /// Scale-up port, one direction.
    pub up: f64,
    /// NIC, one direction.
    pub out: f64,
}

/// The bytes of a collective of `n` ranks, `per_node` of them on each node.
#[must_use]
pub fn ring_bytes(what: Collective, bytes: Bytes, n: u32, per_node: u32) -> RingBytes {
    let (n, d) = (f64::from(n.max(1)), f64::from(per_node.max(1)));
    let around = bytes.get() * (n - 1.0) / n;
    let (one_node, alone) = (d >= n, d <= 1.0);
    match what {
        Collective::AllToAll => RingBytes {
            up: bytes.get() / n * (d.min(n) - 1.0),
            out: if one_node { 0.0 } else { bytes.get() / n * (n - d) },
        },
        Collective::SendRecv => {
            if one_node {
                RingBytes { up: bytes.get(), out: 0.0 }
            } else {
                RingBytes { up: 0.0, out: bytes.get() }
            }
        }
        Collective::AllReduce | Collective::AllGather | Collective::ReduceScatter => {
            let sent = if what == Collective::AllReduce { 2.0 * around } else { around };
            RingBytes { up: if alone { 0.0 } else { sent }, out: if one_node { 0.0 } else { sent / d } }
        }
    }
}

/// The part of a collective that one rank of a group takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Leg {
    /// Occupancy of the scale-up port: bytes over the share of the rate it reaches.
    pub up: f64,
    /// Occupancy of the NIC.
    pub out: f64,
    /// The shortest time the routes between its nodes leave it, seconds; zero where its NIC is no faster.
    pub shortest: f64,
    /// Before bytes move.
    pub latency: SimSpan,
    /// The share of the scale-up port that it reaches, by name.
    pub up_limit: EstimateKey,
}

impl Leg {
    pub(crate) fn of(platform: &Platform<'_>, group: &Group, what: Collective, bytes: Bytes) -> Self {
        let profile = platform.profile;
        let up_limit = CollectiveKeys::of(what).fraction;
        let sent = ring_bytes(what, bytes, group.n_ranks, group.per_node);
        let out = sent.out / profile.value(EstimateKey::CollectiveScaleOutFraction);
        let on_way = sent.out * group.way;
        Self {
            up: sent.up / profile.value(up_limit),
            out,
            shortest: if on_way * platform.machine.nic_rate_per_device().get() > out { on_way } else { 0.0 },
            latency: SimSpan::from(platform.estimator().collective_latency(what, group.n_ranks)),
            up_limit,
        }
    }

    /// A share of its bytes, after as many latencies.
    #[must_use]
    pub fn part(&self, share: f64, latencies: u64) -> Self {
        Self {
            up: self.up * share,
            out: self.out * share,
            shortest: self.shortest * share,
            latency: self.latency * latencies,
            ..*self
        }
    }

    /// As a task of one rank.
    #[must_use]
    pub fn task<T>(&self, tag: T, on: &RankResources) -> Task<T> {
        Task::new(tag)
            .demand(on.up_send, self.up)
            .demand(on.up_receive, self.up)
            .demand(on.out_send, self.out)
            .demand(on.out_receive, self.out)
            .no_faster_than(self.shortest)
            .latency(self.latency)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_over_nodes_splits_over_their_nics() {
        let sent = ring_bytes(Collective::AllReduce, Bytes::new(256.0), 256, 8);
        assert_eq!(sent, RingBytes { up: 510.0, out: 510.0 / 8.0 });
        let sent = ring_bytes(Collective::AllGather, Bytes::new(8.0), 8, 8);
        assert_eq!(sent, RingBytes { up: 7.0, out: 0.0 });
    }
}
