//! Collectives of a library inside a node.
//!
//! A rank that sends `x` bytes and copies `y` to itself takes, of two protocols, the quicker:
//!
//! - for small sizes `l + x / (g P)`,
//! - for large ones `l + (sqrt(t) + sqrt(h))^2` with `t = max(x / (f P), (x + y) / c, (x + y) / (SMs r))`,
//!
//! with `P` the rate of the scale-up port, `l` a latency that grows with every rank beyond two, `g` and `f` the shares of the port
//! that each protocol reaches, `c` what the library's kernel moves on the SMs it takes and `r` on one. A message that is passed on in
//! pieces, each with a cost `h`, waits for the first piece: few pieces fill the pipe late, many cost much, and the best number
//! between leaves the square. Sizes are as nccl-tests has them, the bytes those of rings (all-to-all: of pairs). Source of the form: the protocols of
//! NCCL. Assumed: NVLS off; ranks start together; nothing else on the ports. Breaks where a tree or NVLS is chosen.

use units::{Bytes, BytesPerSec, Seconds};
use workloads::op::Collective;

use super::Estimator;
use crate::EstimateKey;

impl Estimator<'_> {
    /// The time of one collective of `n_ranks` of a node, and the estimate that sets it. `sms` bounds what the library may take.
    #[must_use]
    pub fn collective(&self, what: Collective, n_ranks: u32, bytes: Bytes, sms: Option<u32>) -> (Seconds, EstimateKey) {
        let keys = CollectiveKeys::of(what);
        let value = |key| self.profile.value(key);
        let latency = self.collective_latency(what, n_ranks);
        if n_ranks < 2 {
            return (latency, keys.latency);
        }
        let (sent, kept) = traffic(what, n_ranks, bytes);
        let port = self.device.scale_up_rate();
        let moved = sent + kept;
        let mut bounds = vec![
            (sent / (port * value(keys.fraction)), keys.fraction),
            (moved / BytesPerSec::new(value(keys.copy)), keys.copy),
        ];
        if let Some(sms) = sms {
            let rate = BytesPerSec::new(value(EstimateKey::CollectiveRatePerSm)) * f64::from(sms);
            bounds.push((moved / rate, EstimateKey::CollectiveRatePerSm));
        }
        let slowest = bounds.into_iter().fold((Seconds::ZERO, keys.fraction), |a, b| if b.0 > a.0 { b } else { a });
        let piped = (slowest.0.get().sqrt() + value(keys.piece).sqrt()).powi(2);
        let large = (latency + Seconds::new(piped), slowest.1);
        let small = (latency + sent / (port * value(keys.small)), keys.small);
        let (time, limit) = if small.0 <= large.0 { small } else { large };
        (time, if time < latency * 2.0 { keys.latency } else { limit })
    }

    /// The time of a collective that moves nothing.
    #[must_use]
    pub fn collective_latency(&self, what: Collective, n_ranks: u32) -> Seconds {
        let keys = CollectiveKeys::of(what);
        let more = f64::from(n_ranks.saturating_sub(2));
        Seconds::new(self.profile.value(keys.latency) + more * self.profile.value(keys.rank_latency))
    }
}

/// Bytes a rank sends, and those it copies to itself: the shares nccl-tests moves out of place.
fn traffic(what: Collective, n_ranks: u32, bytes: Bytes) -> (Bytes, Bytes) {
    let n = f64::from(n_ranks);
    let share = bytes / n;
    match what {
        Collective::AllReduce => (share * (2.0 * (n - 1.0)), Bytes::ZERO),
        Collective::AllGather | Collective::ReduceScatter | Collective::AllToAll => (share * (n - 1.0), share),
        Collective::SendRecv => (bytes, Bytes::ZERO),
    }
}

/// The estimates of one collective, by name.
#[derive(Clone, Copy, Debug)]
pub struct CollectiveKeys {
    /// Two ranks, nothing moved.
    pub latency: EstimateKey,
    /// Each rank more.
    pub rank_latency: EstimateKey,
    /// Share of the port, small sizes.
    pub small: EstimateKey,
    /// Cost of a piece of a message.
    pub piece: EstimateKey,
    /// Share of the port, large sizes.
    pub fraction: EstimateKey,
    /// Bytes sent or kept, on the library's SMs.
    pub copy: EstimateKey,
}

impl CollectiveKeys {
    /// Of a collective.
    #[must_use]
    pub fn of(what: Collective) -> Self {
        match what {
            Collective::AllReduce => Self {
                latency: EstimateKey::AllReduceLatency,
                rank_latency: EstimateKey::AllReduceRankLatency,
                small: EstimateKey::AllReduceSmallFraction,
                piece: EstimateKey::AllReducePiece,
                fraction: EstimateKey::AllReduceFraction,
                copy: EstimateKey::AllReduceCopyRate,
            },
            Collective::AllGather => Self {
                latency: EstimateKey::AllGatherLatency,
                rank_latency: EstimateKey::AllGatherRankLatency,
                small: EstimateKey::AllGatherSmallFraction,
                piece: EstimateKey::AllGatherPiece,
                fraction: EstimateKey::AllGatherFraction,
                copy: EstimateKey::AllGatherCopyRate,
            },
            Collective::ReduceScatter => Self {
                latency: EstimateKey::ReduceScatterLatency,
                rank_latency: EstimateKey::ReduceScatterRankLatency,
                small: EstimateKey::ReduceScatterSmallFraction,
                piece: EstimateKey::ReduceScatterPiece,
                fraction: EstimateKey::ReduceScatterFraction,
                copy: EstimateKey::ReduceScatterCopyRate,
            },
            Collective::AllToAll => Self {
                latency: EstimateKey::AllToAllLatency,
                rank_latency: EstimateKey::AllToAllRankLatency,
                small: EstimateKey::AllToAllSmallFraction,
                piece: EstimateKey::AllToAllPiece,
                fraction: EstimateKey::AllToAllFraction,
                copy: EstimateKey::AllToAllCopyRate,
            },
            Collective::SendRecv => Self {
                latency: EstimateKey::SendRecvLatency,
                rank_latency: EstimateKey::SendRecvRankLatency,
                small: EstimateKey::SendRecvSmallFraction,
                piece: EstimateKey::SendRecvPiece,
                fraction: EstimateKey::SendRecvFraction,
                copy: EstimateKey::SendRecvCopyRate,
            },
        }
    }
}
