//! Terms of attention over caches, which grouped and latent attention have a value of each ([`crate::Estimator`] has the formula).

use super::{Terms, terms};
use crate::subject::Subject;

terms! {
    /// What attention over caches is estimated by.
    CachedTerm:
    /// Share of the memory peak at which {it} reads its cache where memory binds it.
    Memory = "memory-fraction", Fraction;
    /// Share of the BF16 tensor peak that {it} keeps on whole tiles.
    Fraction = "peak-fraction", Fraction;
    /// Time beyond that of every kernel that {it} takes, with the kernel that merges its parts.
    Latency = "latency", Seconds;
    /// Time that a block of {it} takes for a tile of keys, however few others there are.
    Tile = "tile-latency", Seconds;
    /// What each row of its tile of queries adds to it.
    Row = "row-latency", Seconds;
    /// What the kernel that merges the parts of {it} takes for each part of a request.
    Merge = "merge-latency", Seconds;
    /// Most queries of a tile of {it}.
    Rows = "tile-queries", Tile;
    /// Keys of a tile of {it}.
    Keys = "tile-keys", Tile;
    /// Blocks per SM that {it} splits its keys for.
    Blocks = "blocks-per-sm", Tile;
}

/// Whose cache attention reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CacheKind {
    /// Keys and values of key-value heads.
    Grouped,
    /// A latent that is key and value of all heads.
    Latent,
}

impl CacheKind {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Grouped, Self::Latent];

    /// The kind of an op.
    #[must_use]
    pub const fn of(is_latent: bool) -> Self {
        if is_latent { Self::Latent } else { Self::Grouped }
    }

    /// Its spelling in files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Grouped => "grouped",
            Self::Latent => "latent",
        }
    }
}

impl Terms<CachedTerm> for CacheKind {
    fn name(self, term: CachedTerm) -> String {
        format!("decode-attention.{}.{}", CacheKind::name(self), term.leaf())
    }

    fn subject(self, _: CachedTerm) -> Subject {
        Subject::Attention
    }

    fn doc(self, term: CachedTerm) -> String {
        term.meaning().replace("{it}", &format!("attention over {} caches", CacheKind::name(self)))
    }
}
