//! Terms of a collective of a library, which every collective has a value of.

use workloads::op::Collective;

use super::{Terms, terms};
use crate::subject::Subject;

terms! {
    /// What a collective is estimated by.
    CollectiveTerm:
    /// Time of {it} of two ranks that moves nothing.
    Latency = "latency", Seconds;
    /// What each rank beyond two adds to it.
    RankLatency = "rank-latency", Seconds;
    /// Share of the scale-up port rate that {it} reaches in its protocol for small sizes.
    SmallFraction = "small-fraction", Fraction;
    /// What each piece costs of a message that its protocol for large sizes passes on piece by piece.
    Piece = "piece-latency", Seconds;
    /// Share of the scale-up port rate that {it} reaches in its protocol for large sizes.
    Fraction = "scale-up-fraction", Fraction;
    /// Bytes per second that a rank sends or copies to itself in {it}, on all the SMs the library takes.
    CopyRate = "copy-rate", BytesPerSec;
    /// The same bytes per second on one SM of {it}.
    RatePerSm = "rate-per-sm", BytesPerSec;
}

impl Terms<CollectiveTerm> for Collective {
    fn name(self, term: CollectiveTerm) -> String {
        format!("collective.{}.{}", Collective::name(self), term.leaf())
    }

    fn subject(self, term: CollectiveTerm) -> Subject {
        match term {
            CollectiveTerm::CopyRate | CollectiveTerm::RatePerSm => Subject::CollectiveCopies,
            CollectiveTerm::Latency
            | CollectiveTerm::RankLatency
            | CollectiveTerm::SmallFraction
            | CollectiveTerm::Piece
            | CollectiveTerm::Fraction => Subject::CollectiveUp,
        }
    }

    fn doc(self, term: CollectiveTerm) -> String {
        let it = match self {
            Self::AllReduce => "an all-reduce",
            Self::AllGather => "an all-gather",
            Self::ReduceScatter => "a reduce-scatter",
            Self::AllToAll => "an all-to-all of a collective library",
            Self::SendRecv => "a message to the next rank",
        };
        term.meaning().replace("{it}", it)
    }
}
