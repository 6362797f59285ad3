//! What an algorithm makes a rank send, receive and copy.

use topology::InNetwork;
use workloads::op::Collective;

use super::{Algorithm, CollectiveCall, Spread};

/// Bytes of one rank, sent and received.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Traffic {
    /// Through its scale-up port.
    pub up: [f64; 2],
    /// Through its NIC.
    pub out: [f64; 2],
    /// Copied to itself.
    pub kept: f64,
}

impl Traffic {
    fn both(up: f64, out: f64, kept: f64) -> Self {
        Self { up: [up; 2], out: [out; 2], kept }
    }

    pub(super) fn up_most(&self) -> f64 {
        self.up[0].max(self.up[1])
    }

    pub(super) fn out_most(&self) -> f64 {
        self.out[0].max(self.out[1])
    }

    /// What the library's kernel moves: it sends, and keeps. The bytes of a ring that leave a node were counted on their way to
    /// the NIC.
    pub(super) fn moved(&self) -> f64 {
        self.up[0].max(self.out[0]) + self.kept
    }
}

/// The traffic of a collective of `S` bytes over `n` ranks, `d` on each of `k` nodes, under an algorithm; `None` where the algorithm is not of this
/// collective, or needs switches that do not sum (`scale_up` are those of a node).
///
/// | algorithm | scale-up port | NIC |
/// |---|---|---|
/// | ring | `S (n-1)/n`, an all-reduce twice that | a `d`-th of it |
/// | tree | `2 S` | `2 S / d` |
/// | in-network, all-reduce | `S (1 + 1/d)`; `2 S (d-1)/d` where only the network sums | `2 S / d`; `S / d` where it sums |
/// | in-network, gather | `S / n` sent, `S` received; a scatter the other way round | - |
/// | pairwise | `S (d-1)/n` | `S (n-d)/n` |
/// | one-shot, two-shot | `S (n-1)`, `2 S (n-1)/n` | - |
///
/// A port that no ring or tree needs, for one rank per node or one node, carries nothing.
#[must_use]
pub fn traffic(algorithm: Algorithm, call: &CollectiveCall, spread: &Spread, scale_up: InNetwork) -> Option<Traffic> {
    let size = call.bytes.get();
    let (n, d) = (f64::from(spread.n_ranks.max(1)), f64::from(spread.per_node.max(1)));
    let (one_node, alone) = (d >= n, d <= 1.0);
    let split = |up: f64, out: f64, kept: f64| {
        Traffic::both(if alone { 0.0 } else { up }, if one_node { 0.0 } else { out }, kept)
    };
    let share = size / n;
    let around = share * (n - 1.0);
    match (algorithm, call.what) {
        (Algorithm::Ring, Collective::AllReduce) => Some(split(2.0 * around, 2.0 * around / d, 0.0)),
        (Algorithm::Ring, Collective::AllGather | Collective::ReduceScatter) => Some(split(around, around / d, share)),
        (Algorithm::Tree, Collective::AllReduce) => Some(split(2.0 * size, 2.0 * size / d, 0.0)),
        (Algorithm::InNetwork, what) => in_network(what, size, spread, scale_up),
        (Algorithm::Pairwise, Collective::AllToAll) => Some(split(share * (d.min(n) - 1.0), share * (n - d), share)),
        (Algorithm::Pairwise, Collective::SendRecv) => {
            Some(if one_node { Traffic::both(size, 0.0, 0.0) } else { Traffic::both(0.0, size, 0.0) })
        }
        (Algorithm::OneShot, Collective::AllReduce) if one_node => Some(Traffic::both(size * (n - 1.0), 0.0, 0.0)),
        (Algorithm::TwoShot, Collective::AllReduce) if one_node => Some(Traffic::both(2.0 * around, 0.0, 0.0)),
        (
            Algorithm::Ring | Algorithm::Tree | Algorithm::Pairwise | Algorithm::OneShot | Algorithm::TwoShot,
            Collective::AllReduce
            | Collective::AllGather
            | Collective::ReduceScatter
            | Collective::AllToAll
            | Collective::SendRecv,
        ) => None,
    }
}

fn in_network(what: Collective, size: f64, spread: &Spread, scale_up: InNetwork) -> Option<Traffic> {
    let (n, d) = (f64::from(spread.n_ranks.max(1)), f64::from(spread.per_node.max(1)));
    let (one_node, sums, between) = (d >= n, scale_up == InNetwork::Reduce, spread.in_network == InNetwork::Reduce);
    match what {
        Collective::AllReduce if sums || (between && !one_node) => {
            let up = if sums { size * (1.0 + 1.0 / d) } else { 2.0 * size * (d - 1.0) / d };
            let out = if between { size / d } else { 2.0 * size / d };
            Some(Traffic::both(if d > 1.0 { up } else { 0.0 }, if one_node { 0.0 } else { out }, 0.0))
        }
        Collective::AllGather if one_node && scale_up.multicasts() => {
            Some(Traffic { up: [size / n, size], out: [0.0; 2], kept: 0.0 })
        }
        Collective::ReduceScatter if one_node && sums => {
            Some(Traffic { up: [size, size / n], out: [0.0; 2], kept: 0.0 })
        }
        Collective::AllReduce
        | Collective::AllGather
        | Collective::ReduceScatter
        | Collective::AllToAll
        | Collective::SendRecv => None,
    }
}

#[cfg(test)]
mod tests {
    use units::{Bytes, BytesPerSec, Seconds};

    use super::*;

    fn spread(n_ranks: u32, per_node: u32) -> Spread {
        let (nic, hop) = (BytesPerSec::new(50e9), Seconds::new(4e-6));
        Spread {
            n_ranks,
            per_node,
            n_nodes: n_ranks.div_ceil(per_node),
            nic,
            way: 0.0,
            hop,
            in_network: InNetwork::None,
        }
    }

    fn of(algorithm: Algorithm, what: Collective, n: u32, d: u32) -> Option<Traffic> {
        traffic(algorithm, &CollectiveCall::new(what, Bytes::new(256.0)), &spread(n, d), InNetwork::Reduce)
    }

    #[test]
    fn a_ring_over_nodes_splits_over_their_nics() {
        let ring = |what, n, d| of(Algorithm::Ring, what, n, d);
        assert_eq!(ring(Collective::AllReduce, 256, 8), Some(Traffic::both(510.0, 510.0 / 8.0, 0.0)));
        assert_eq!(ring(Collective::AllGather, 8, 8), Some(Traffic::both(224.0, 0.0, 32.0)));
        assert_eq!(ring(Collective::AllGather, 8, 1), Some(Traffic::both(0.0, 224.0, 32.0)));
    }

    #[test]
    fn no_algorithm_moves_less_than_its_collective_must() {
        // Every rank must send or have sent for it what it alone holds, and receive what it lacks.
        for (n, d) in [(2, 2), (8, 8), (16, 8), (64, 8), (32, 1)] {
            for what in [Collective::AllReduce, Collective::AllGather, Collective::ReduceScatter, Collective::AllToAll]
            {
                for algorithm in Algorithm::ALL {
                    let Some(Traffic { up, out, .. }) = of(algorithm, what, n, d) else { continue };
                    let n = f64::from(n);
                    let least = match what {
                        Collective::AllReduce | Collective::AllToAll => [256.0 * (n - 1.0) / n; 2],
                        Collective::AllGather | Collective::SendRecv => [256.0 / n, 256.0 * (n - 1.0) / n],
                        Collective::ReduceScatter => [256.0 * (n - 1.0) / n, 256.0 / n],
                    };
                    for ((up, out), least) in up.into_iter().zip(out).zip(least) {
                        let moved = up + out * f64::from(d);
                        assert!(moved >= least * (1.0 - 1e-12), "{algorithm:?} {what:?} of {n}: {moved} below {least}");
                    }
                }
            }
        }
    }
}
