//! Ring collectives: every rank sends to its next, all rings of a group together.
//!
//! A collective of `n` ranks over `S` bytes (the convention of nccl-tests) sends `S (n-1)/n` a rank for all-gather and
//! reduce-scatter, twice that for all-reduce. With `d` members a node, rings run through the scale-up ports of all of
//! them and leave a node through all their NICs, so a port carries all of it and a NIC a `d`-th. The latency is
//! paid once, and no collective is faster than the routes between its nodes let it be ([`super::groups`]). Source: the ring algorithms of NCCL; bandwidth-optimal (Patarasuk and Yuan 2009). Assumed: small messages
//! (where NCCL would choose a tree) do not matter. Breaks below about 1 MiB a rank.

use calibrate::{CollectiveKeys, EstimateKey, Estimator, Profile};
use units::{Bytes, SimSpan};
use workloads::op::{Axis, Collective};

use super::Context;
use super::groups::Shape;
use crate::program::Ring;

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

/// A collective inside a chunk, over the tensor- or context-parallel group.
pub(super) fn inside(context: &Context<'_>, op: u16, axis: Axis, what: Collective, bytes: Bytes) -> Ring {
    let layout = &context.layout;
    let (n, stride) = match axis {
        Axis::Cp => (layout.cp, layout.tp),
        Axis::Tp | Axis::Dp | Axis::Ep | Axis::Pp => (layout.tp, 1),
    };
    over(context, op, what, bytes, n, stride)
}

/// A collective over `n` ranks that are `stride` apart.
pub(super) fn over(context: &Context<'_>, op: u16, what: Collective, bytes: Bytes, n: u32, stride: u32) -> Ring {
    let plan = context.plan;
    let estimator = Estimator::new(&plan.machine.device, &plan.profile);
    let spread = Spread {
        n,
        per_node: context.layout.per_node(n, stride),
        way: context.ways.get(Shape { n, stride }),
        nic: plan.machine.nic_rate_per_device().get(),
    };
    let Occupied { up, out, shortest, latency } = occupied(&plan.profile, estimator, what, bytes, &spread);
    Ring { op, up_limit: CollectiveKeys::of(what).fraction, span: n * stride, stride, up, out, shortest, latency }
}

/// How a group lies on the machine.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    /// Its ranks.
    pub(crate) n: u32,
    /// Those of them on each of its nodes.
    pub(crate) per_node: u32,
    /// Seconds per byte that the network leaves its messages between nodes.
    pub(crate) way: f64,
    /// Rate of a rank's NIC.
    pub(crate) nic: f64,
}

/// What a collective takes of a rank's ports.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Occupied {
    /// Of the scale-up port: bytes over the share of the rate it reaches.
    pub(crate) up: f64,
    /// Of the NIC.
    pub(crate) out: f64,
    /// The shortest time the routes between its nodes leave it, seconds; zero where the NIC is no faster.
    pub(crate) shortest: f64,
    /// Before bytes move.
    pub(crate) latency: SimSpan,
}

/// What a collective of a group takes of the ports of each rank.
pub(crate) fn occupied(
    profile: &Profile,
    estimator: Estimator<'_>,
    what: Collective,
    bytes: Bytes,
    spread: &Spread,
) -> Occupied {
    let Spread { n, per_node, way, nic } = *spread;
    let sent = ring_bytes(what, bytes, n, per_node);
    let out = sent.out / profile.value(EstimateKey::CollectiveScaleOutFraction);
    let on_way = sent.out * way;
    Occupied {
        up: sent.up / profile.value(CollectiveKeys::of(what).fraction),
        out,
        shortest: if on_way * nic > out { on_way } else { 0.0 },
        latency: SimSpan::from(estimator.collective_latency(what, n)),
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
