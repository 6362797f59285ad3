//! Ring collectives: every rank sends to its next, all rings of a group together.
//!
//! A collective of `n` ranks over `S` bytes (the convention of nccl-tests) sends `S (n-1)/n` a rank for all-gather and
//! reduce-scatter, twice that for all-reduce. With `d` members a node, rings run through the scale-up ports of all of
//! them and leave a node through all their NICs, so a port carries all of it and a NIC a `d`-th. The latency is
//! paid once. Source: the ring algorithms of NCCL; bandwidth-optimal (Patarasuk and Yuan 2009). Assumed: small messages
//! (where NCCL would choose a tree) do not matter. Breaks below about 1 MiB a rank.

use calibrate::{CollectiveKeys, EstimateKey, Estimator, Profile};
use units::{Bytes, SimSpan};
use workloads::op::{Axis, Collective};

use super::Context;
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
    let estimator = Estimator::new(&context.plan.machine.device, &context.plan.profile);
    let per_node = context.layout.per_node(n, stride);
    let Occupied { up, out, latency } = occupied(&context.plan.profile, estimator, what, bytes, n, per_node);
    Ring { op, up_limit: CollectiveKeys::of(what).fraction, span: n * stride, stride, up, out, latency }
}

/// What a collective takes of a rank's ports.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Occupied {
    /// Of the scale-up port: bytes over the share of the rate it reaches.
    pub(crate) up: f64,
    /// Of the NIC.
    pub(crate) out: f64,
    /// Before bytes move.
    pub(crate) latency: SimSpan,
}

/// What a collective of `n` ranks, `per_node` of them on each node, takes of the ports of each.
pub(crate) fn occupied(
    profile: &Profile,
    estimator: Estimator<'_>,
    what: Collective,
    bytes: Bytes,
    n: u32,
    per_node: u32,
) -> Occupied {
    let sent = ring_bytes(what, bytes, n, per_node);
    Occupied {
        up: sent.up / profile.value(CollectiveKeys::of(what).fraction),
        out: sent.out / profile.value(EstimateKey::CollectiveScaleOutFraction),
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
