//! Which token goes to which rank, and where it lies there.

use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use crate::bench::BenchError;

/// Most ranks of one exchange: a warp holds one rank a lane.
pub(crate) const N_RANKS_MAX: u32 = 32;

/// The rows of an exchange: one for each token and each rank that holds one of its experts.
///
/// A rank's rows are ordered by the rank they come from, then by token, so that each source writes one dense range.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    n_ranks: usize,
    /// By source rank, `[token][rank]`: the row on that rank, or -1.
    slots: Vec<Vec<i32>>,
    /// Rows by source and target rank.
    copies: Vec<Vec<usize>>,
}

impl Layout {
    /// Every rank's tokens pick `top_k` different experts each, at random but so that the experts of a rank's picks are
    /// used equally often (a deck of all experts is dealt to the end before it is shuffled anew).
    ///
    /// # Errors
    /// [`BenchError::Unsupported`] if the experts do not divide over the ranks, or the numbers make no exchange.
    pub(crate) fn balanced(n_ranks: u32, tokens: u64, experts: u32, top_k: u32, seed: u64) -> Result<Self, BenchError> {
        check(n_ranks, tokens, experts, top_k)?;
        let (ranks, experts_per_rank) = (n_ranks as usize, experts / n_ranks);
        let targets: Vec<Vec<bool>> = (0..n_ranks)
            .map(|rank| {
                let mut rng = ChaCha8Rng::seed_from_u64(seed);
                rng.set_stream(u64::from(rank));
                let mut wanted = vec![false; tokens as usize * ranks];
                let mut deck = Vec::new();
                for row in wanted.chunks_mut(ranks) {
                    for expert in deal(&mut deck, experts, top_k, &mut rng) {
                        row[(expert / experts_per_rank) as usize] = true;
                    }
                }
                wanted
            })
            .collect();
        Ok(Self::of(ranks, &targets))
    }

    /// By source rank, `[token][rank]`: whether the token goes there.
    fn of(n_ranks: usize, targets: &[Vec<bool>]) -> Self {
        let copies: Vec<Vec<usize>> = targets
            .iter()
            .map(|wanted| (0..n_ranks).map(|to| wanted.chunks(n_ranks).filter(|row| row[to]).count()).collect())
            .collect();
        let mut next = vec![0_i32; n_ranks];
        let slots = targets
            .iter()
            .map(|wanted| {
                let mut row_of = |(at, &goes): (usize, &bool)| {
                    let row = if goes { next[at % n_ranks] } else { -1 };
                    next[at % n_ranks] += i32::from(goes);
                    row
                };
                wanted.iter().enumerate().map(&mut row_of).collect()
            })
            .collect();
        Self { n_ranks, slots, copies }
    }

    /// `[token][rank]` of a source: the row on that rank, or -1.
    pub(crate) fn slots(&self, source: usize) -> &[i32] {
        &self.slots[source]
    }

    /// Rows that a rank holds after a dispatch.
    pub(crate) fn rows(&self, rank: usize) -> usize {
        self.copies.iter().map(|of_source| of_source[rank]).sum()
    }

    /// The most rows that a rank holds.
    pub(crate) fn rows_max(&self) -> usize {
        (0..self.n_ranks).map(|rank| self.rows(rank)).max().unwrap_or(0)
    }

    /// Rows that a rank's tokens have on others.
    pub(crate) fn rows_out(&self, rank: usize) -> usize {
        (0..self.n_ranks).filter(|&to| to != rank).map(|to| self.copies[rank][to]).sum()
    }

    /// Rows of others' tokens on a rank.
    pub(crate) fn rows_in(&self, rank: usize) -> usize {
        self.rows(rank) - self.copies[rank][rank]
    }
}

fn check(n_ranks: u32, tokens: u64, experts: u32, top_k: u32) -> Result<(), BenchError> {
    let fault = if !(2..=N_RANKS_MAX).contains(&n_ranks) {
        format!("an exchange of {n_ranks} ranks; ask for 2 to {N_RANKS_MAX}")
    } else if experts == 0 || !experts.is_multiple_of(n_ranks) {
        format!("{experts} experts do not divide over {n_ranks} ranks; take a multiple")
    } else if top_k == 0 || top_k > experts {
        format!("a token that picks {top_k} of {experts} experts; ask for 1 to {experts}")
    } else if tokens == 0 || tokens > (i32::MAX as u64) / u64::from(n_ranks) {
        format!("{tokens} tokens a rank; ask for 1 to {}", i32::MAX as u64 / u64::from(n_ranks))
    } else {
        return Ok(());
    };
    Err(BenchError::Unsupported(fault))
}

/// The first `top_k` different experts of the deck, which is filled up with all of them, shuffled, when it runs out.
fn deal(deck: &mut Vec<u32>, experts: u32, top_k: u32, rng: &mut ChaCha8Rng) -> Vec<u32> {
    let mut hand = Vec::with_capacity(top_k as usize);
    while hand.len() < top_k as usize {
        match deck.iter().rposition(|expert| !hand.contains(expert)) {
            Some(at) => hand.push(deck.remove(at)),
            None => {
                let mut fresh: Vec<u32> = (0..experts).collect();
                fresh.shuffle(rng);
                // What is left of the old deck is dealt first.
                fresh.append(deck);
                *deck = fresh;
            }
        }
    }
    hand
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_of_a_rank_is_used_once() {
        let layout = Layout::balanced(4, 300, 64, 6, 1).expect("a layout");
        for rank in 0..4 {
            let mut rows: Vec<i32> = (0..4)
                .flat_map(|source| layout.slots(source).iter().skip(rank).step_by(4).copied())
                .filter(|&row| row >= 0)
                .collect();
            // Sources in order and tokens in order within them: the rows come out counted up.
            assert!(rows.is_sorted(), "rank {rank}: rows out of order");
            rows.dedup();
            assert_eq!(rows, (0..layout.rows(rank) as i32).collect::<Vec<_>>(), "rank {rank}");
        }
    }

    #[test]
    fn what_goes_out_comes_in() {
        let layout = Layout::balanced(8, 256, 256, 8, 7).expect("a layout");
        let out: usize = (0..8).map(|rank| layout.rows_out(rank)).sum();
        let into: usize = (0..8).map(|rank| layout.rows_in(rank)).sum();
        assert_eq!(out, into);
        for source in 0..8 {
            for token in layout.slots(source).chunks(8) {
                let n = token.iter().filter(|&&row| row >= 0).count();
                assert!((1..=8).contains(&n), "a token on {n} ranks");
            }
        }
    }

    #[test]
    fn picks_are_different_and_balanced() {
        let (experts, top_k, tokens) = (60, 7, 600);
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let (mut deck, mut load) = (Vec::new(), vec![0; experts as usize]);
        for _ in 0..tokens {
            let hand = deal(&mut deck, experts, top_k, &mut rng);
            for (at, expert) in hand.iter().enumerate() {
                assert!(!hand[..at].contains(expert), "{expert} picked twice in {hand:?}");
                load[*expert as usize] += 1;
            }
        }
        // 70 whole decks.
        assert!(load.iter().all(|&n| n == tokens * top_k / experts), "{load:?}");
    }

    #[test]
    fn every_expert_on_one_rank_needs_every_rank_when_all_are_picked() {
        let layout = Layout::balanced(2, 10, 4, 4, 0).expect("a layout");
        assert_eq!((layout.rows(0), layout.rows(1), layout.rows_out(0), layout.rows_in(1)), (20, 20, 10, 10));
        assert_eq!(layout.rows_max(), 20);
    }

    #[test]
    fn numbers_that_make_no_exchange_are_refused() {
        for (ranks, tokens, experts, top_k, says) in [
            (1, 8, 8, 2, "1 ranks"),
            (3, 8, 8, 2, "8 experts do not divide over 3 ranks"),
            (2, 8, 8, 9, "picks 9 of 8"),
            (2, 0, 8, 2, "0 tokens"),
        ] {
            let error = Layout::balanced(ranks, tokens, experts, top_k, 0).expect_err(says).to_string();
            assert!(error.contains(says), "{error}");
        }
    }
}
