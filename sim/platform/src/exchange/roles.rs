//! How kernels that copy through ring buffers divide their SMs: half for one role, half for the other.
//!
//! Between nodes (DeepEP, `csrc/kernels/legacy/internode.cu`) the SMs of a channel are two. In a dispatch one hands on what
//! has come to the relay, the other sends to the relays and takes what they hand on; in a combine one sends results to the
//! relay and takes sums from other relays, the other sums at the relay. Within one node (`intranode.cu`) one sends and
//! one takes. What a rank keeps goes the same ways through its own buffers, though no port sees it.
//!
//! The kernel ends with its busier half, so a rank's copies count as twice those of that half. Breaks where warps of one role
//! are the limit and not the SM they share.

use workloads::traffic::Picks;

use super::{ExchangeKind, Flow};

/// What one rank copies, in bytes.
#[derive(Clone, Copy, Debug, Default)]
struct Work {
    /// As a relay: handing on, or summing.
    relaying: f64,
    /// As the end of a message on the scale-up fabric: taking, or sending.
    ending: f64,
    /// As the end of a message on the network: sending tokens, or taking sums.
    network: f64,
    /// As the relay that sends sums over the network.
    returning: f64,
}

impl Work {
    /// With what the rank keeps: `kept` tokens that it relays to itself, `own` of its tokens that its own node wants.
    fn with_kept(self, batch: &Picks, rank: usize, devices: usize) -> Self {
        let (local, n_ranks) = (rank % devices, batch.received.len());
        let n_nodes = n_ranks / devices;
        let handed = &batch.forwarded[rank * devices..][..devices];
        let kept = f64::from(handed[local]);
        let sent = &batch.to_node[rank * n_nodes..][..n_nodes];
        let own = f64::from(sent[rank / devices]);
        let more = |kept: f64, all: f64| if all > kept { all / (all - kept) } else { 1.0 };
        let sum = |tokens: &[u32]| tokens.iter().copied().map(f64::from).sum::<f64>();
        Self {
            relaying: self.relaying * more(kept, sum(handed)),
            ending: self.ending * more(kept, f64::from(batch.received[rank])),
            network: self.network * more(own, sum(sent)),
            returning: self.returning * more(own, sum(sent)),
        }
    }

    fn sum(self) -> f64 {
        self.relaying + self.ending + self.network + self.returning
    }

    /// Twice the busier half.
    fn of_halves(self) -> f64 {
        2.0 * (self.relaying + self.returning).max(self.ending + self.network)
    }
}

/// Lets every rank copy as much as its busier half asks of all its SMs.
pub(super) fn divide(flows: &mut [Flow], kind: ExchangeKind, batch: &Picks, devices: u32) {
    let mut works = vec![Work::default(); batch.received.len()];
    for flow in &*flows {
        for (end, rank) in [flow.from, flow.to].into_iter().enumerate() {
            let work = &mut works[usize::from(rank)];
            // A token's relay is where a dispatch hands it on from, and where its results meet and go on from.
            let of = match (kind, flow.up, end) {
                (ExchangeKind::Dispatch, true, 0) | (ExchangeKind::Combine, true, 1) => &mut work.relaying,
                (_, true, _) => &mut work.ending,
                (ExchangeKind::Combine, false, 0) => &mut work.returning,
                (_, false, _) => &mut work.network,
            };
            *of += flow.copied[end] * f64::from(flow.copies);
        }
    }
    let more: Vec<f64> = works
        .into_iter()
        .enumerate()
        .map(|(rank, work)| {
            let halves = work.with_kept(batch, rank, devices as usize).of_halves();
            if work.sum() > 0.0 { halves / work.sum() } else { 1.0 }
        })
        .collect();
    for flow in flows {
        flow.copied[0] *= more[usize::from(flow.from)];
        flow.copied[1] *= more[usize::from(flow.to)];
    }
}
