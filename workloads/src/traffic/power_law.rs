//! Popularity that falls as a power of an expert's rank.

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::noise::EXPONENTIAL_MAX;

/// Popularity of experts whose weights are `rank^-exponent`, ranks from 1 in an order drawn at random: the logarithm of a
/// weight over the mean weight. What all experts share decides nothing: the mean weight and the unit of the exponential
/// draws are taken out so that winners have the odds at which the picker begins to look.
pub(super) fn popularity(exponent: f64, n_experts: usize, rng: &mut ChaCha8Rng) -> Vec<f64> {
    let keys: Vec<u64> = (0..n_experts).map(|_| rng.next_u64()).collect();
    let mut order: Vec<usize> = (0..n_experts).collect();
    order.sort_by_key(|&expert| (keys[expert], expert));
    let log_weight = |rank: usize| -exponent * (rank as f64).ln();
    let mean = (1..=n_experts).map(|rank| log_weight(rank).exp()).sum::<f64>() / n_experts as f64;
    let mut popularity = vec![0.0; n_experts];
    for (rank, expert) in (1..).zip(order) {
        popularity[expert] = log_weight(rank) - (mean * EXPONENTIAL_MAX).ln();
    }
    popularity
}
