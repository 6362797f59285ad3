//! Terms of the core of attention, which each direction has a value of.

use super::{Terms, terms};
use crate::question::Direction;
use crate::subject::Subject;

terms! {
    /// What the core of attention is estimated by.
    AttentionTerm:
    /// Share of the BF16 tensor peak of the SMs held that attention keeps in its main loop, {it}.
    Fraction = "peak-fraction", Fraction;
    /// Share of the BF16 tensor peak that attention would sustain within the power limit of the device, {it}.
    Sustained = "sustained-fraction", Fraction;
    /// Queries' and keys' worth of work that each tile row of attention costs at its start and end, {it}.
    Overhead = "key-overhead", Count;
    /// Queries of a tile of attention, {it}.
    Rows = "tile-queries", Tile;
    /// Widths of heads are computed on as multiples of this, {it}.
    Step = "width-step", Tile;
    /// Width's worth of work that the exponential of each score adds to its products, {it}.
    Scores = "score-width", Count;
    /// Widest values that attention computes at its full share, {it}.
    Narrow = "narrow-width", Tile;
    /// Times as long as attention takes for wider values, {it}.
    Wide = "wide-slowdown", CountFromOne;
    /// Share of the memory peak that attention reaches where memory binds it, {it}.
    Memory = "memory-fraction", Fraction;
    /// Time beyond that of every kernel before attention runs at full speed, and after, {it}.
    Latency = "latency", Seconds;
}

impl AttentionTerm {
    /// The value that stands where a profile leaves it out.
    pub(super) const fn neutral(self) -> Option<f64> {
        match self {
            Self::Sustained | Self::Step | Self::Narrow | Self::Wide => Some(1.0),
            Self::Scores => Some(0.0),
            Self::Fraction | Self::Overhead | Self::Rows | Self::Memory | Self::Latency => None,
        }
    }
}

impl Terms<AttentionTerm> for Direction {
    fn name(self, term: AttentionTerm) -> String {
        format!("attention.{}.{}", Direction::name(self), term.leaf())
    }

    fn subject(self, _: AttentionTerm) -> Subject {
        Subject::Attention
    }

    fn doc(self, term: AttentionTerm) -> String {
        term.meaning().replace("{it}", Direction::name(self))
    }
}
