//! Which estimates are of which collective.

use workloads::op::Collective;

use crate::EstimateKey;

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
