//! Which keys a query sees.

/// Which keys a query of an attention sees. Queries are the last of the positions that keys stand for.
///
/// All that depends on it is here: a pattern is one variant, its count of pairs and what its tiles walk over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// Every key.
    All,
    /// The keys up to its own.
    Causal,
}

impl Seen {
    /// Pairs of a query and a key that it sees, of one head: under the causal mask the last query sees all keys, the first all
    /// but those of the others.
    #[must_use]
    pub fn pairs(self, queries: u64, keys: u64) -> f64 {
        let masked = match self {
            Self::All => 0.0,
            Self::Causal => queries as f64 / 2.0,
        };
        queries as f64 * (keys as f64 - masked).max(0.0)
    }

    /// Mean number of keys that a tile of `rows` queries multiplies with. Tiles on the diagonal are whole: the i-th tile
    /// walks over the keys before the first query, over i - 1 tiles of keys and its own.
    #[must_use]
    pub fn walked(self, queries: u64, keys: u64, rows: f64) -> f64 {
        match self {
            Self::All => keys as f64,
            Self::Causal => {
                let n_tiles = (queries as f64 / rows).ceil();
                let before = (keys as f64 - queries as f64).max(0.0);
                (before + rows * (n_tiles + 1.0) / 2.0).min(keys as f64)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_of_one_query_walk_over_the_pairs_and_the_diagonal() {
        for (queries, keys) in [(1, 1), (8, 8), (100, 4096), (4096, 4096)] {
            assert_eq!(Seen::All.pairs(queries, keys), (queries * keys) as f64);
            assert_eq!(Seen::All.walked(queries, keys, 1.0), keys as f64);
            // Half of the diagonal counts as a pair, a tile has all of it.
            let walked = queries as f64 * Seen::Causal.walked(queries, keys, 1.0);
            assert_eq!(walked, Seen::Causal.pairs(queries, keys) + queries as f64 / 2.0, "{queries} of {keys}");
        }
    }

    #[test]
    fn coarser_tiles_walk_over_more_and_never_over_all_keys_twice() {
        let walked = [1.0, 64.0, 128.0, 4096.0].map(|rows| Seen::Causal.walked(4096, 8192, rows));
        assert!(walked.is_sorted() && walked[3] <= 8192.0, "{walked:?}");
    }
}
