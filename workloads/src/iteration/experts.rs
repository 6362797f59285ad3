//! Which experts are hit, and by how many rows, on the rank that has most.
//!
//! A token picks `k` of `E` experts, expert `e` with the chance `q_e`, and tokens pick apart. Of `T` tokens an expert gets `T q_e` rows on
//! average and none with the chance `(1 - q_e)^T`. A rank's rows vary by the root of their number, and the fullest of `n` ranks lies above the
//! mean by as many deviations as the largest of `n` normal numbers. All of it is expected values: nothing is drawn but the
//! popularity of experts, whose logarithm is normal with deviation `skew`.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::model::Experts;

/// How often experts are picked.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Popularity {
    /// Deviation of the logarithm of an expert's popularity; zero: all alike.
    pub skew: f64,
    /// Seed of the draw.
    pub seed: u64,
}

/// Rows of the local experts of a rank.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExpertRows {
    /// Of each that is hit.
    pub rows: Vec<u64>,
}

impl ExpertRows {
    /// Rows of all.
    #[must_use]
    pub fn n_rows(&self) -> u64 {
        self.rows.iter().sum()
    }

    /// Of the fullest of `ep` ranks, over which the experts and `redundant` copies of the most popular lie, where the unit has `tokens`.
    #[must_use]
    pub fn fullest(experts: &Experts, [ep, redundant]: [u64; 2], tokens: u64, popularity: Popularity) -> Self {
        if tokens == 0 {
            return Self::default();
        }
        let ranks = placed(chances(experts, popularity), ep.max(1) as usize, redundant as usize);
        let tokens = tokens as f64;
        let rows_of = |rank: &Vec<f64>| tokens * rank.iter().sum::<f64>();
        let fullest = ranks.iter().max_by(|a, b| rows_of(a).total_cmp(&rows_of(b)));
        let Some(fullest) = fullest else { return Self::default() };
        let mean = rows_of(fullest);
        let spread: f64 = fullest.iter().map(|chance| tokens * chance * (1.0 - chance)).sum();
        let above = largest_of(ranks.len() as f64) * spread.sqrt();
        let most = tokens * fullest.len().min(experts.top_k as usize) as f64;
        let hit: f64 = fullest.iter().map(|chance| 1.0 - (1.0 - chance).powf(tokens)).sum();
        Self { rows: shared_out((mean + above).min(most), hit, fullest) }
    }
}

/// The chance that a token picks an expert: its popularity over all, `k` times, one at most.
fn chances(experts: &Experts, popularity: Popularity) -> Vec<f64> {
    let n = experts.routed as usize;
    let mut rng = ChaCha8Rng::seed_from_u64(popularity.seed);
    let weights: Vec<f64> = (0..n).map(|_| (popularity.skew * normal(&mut rng)).exp()).collect();
    let all: f64 = weights.iter().sum();
    let top_k = f64::from(experts.top_k);
    weights.iter().map(|weight| (top_k * weight / all).min(1.0)).collect()
}

/// Box and Muller's.
fn normal(rng: &mut ChaCha8Rng) -> f64 {
    use rand::Rng;
    let uniform = |rng: &mut ChaCha8Rng| (rng.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
    let (radius, angle) = (1.0 - uniform(rng), uniform(rng));
    (-2.0 * radius.ln()).sqrt() * (std::f64::consts::TAU * angle).cos()
}

/// The chances of the experts of each rank. Of those that are copied, the next one is always the most popular for each of its copies; the
/// fullest copy goes to the rank that has least of those with room.
fn placed(chances: Vec<f64>, n_ranks: usize, redundant: usize) -> Vec<Vec<f64>> {
    let mut copies = vec![1_u32; chances.len()];
    for _ in 0..redundant {
        let each = |expert: &usize| chances[*expert] / f64::from(copies[*expert]);
        if let Some(fullest) = (0..chances.len()).max_by(|a, b| each(a).total_cmp(&each(b))) {
            copies[fullest] += 1;
        }
    }
    let mut slots: Vec<f64> = Vec::with_capacity(chances.len() + redundant);
    for (chance, n) in chances.iter().zip(&copies) {
        slots.extend((0..*n).map(|_| chance / f64::from(*n)));
    }
    let room = slots.len().div_ceil(n_ranks);
    if redundant > 0 {
        slots.sort_by(|a, b| b.total_cmp(a));
        let mut ranks: Vec<(f64, Vec<f64>)> = vec![(0.0, Vec::new()); n_ranks];
        for slot in slots {
            let open = ranks.iter_mut().filter(|rank| rank.1.len() < room);
            if let Some(rank) = open.min_by(|a, b| a.0.total_cmp(&b.0)) {
                rank.0 += slot;
                rank.1.push(slot);
            }
        }
        return ranks.into_iter().map(|rank| rank.1).collect();
    }
    slots.chunks(room).map(<[f64]>::to_vec).collect()
}

/// By how many deviations the largest of `n` normal numbers lies above their mean (Cramer's asymptotic form; nothing of one).
fn largest_of(n: f64) -> f64 {
    if n < 2.0 {
        return 0.0;
    }
    let root = (2.0 * n.ln()).sqrt();
    (root - (n.ln().ln() + (4.0 * std::f64::consts::PI).ln()) / (2.0 * root)).max(0.0)
}

/// Whole rows for as many experts as are hit, the most popular of them, in proportion to their chances.
fn shared_out(rows: f64, hit: f64, chances: &[f64]) -> Vec<u64> {
    let total = rows.round().max(1.0) as u64;
    let n_hit = (hit.round().max(1.0) as usize).min(total as usize).min(chances.len());
    let mut popular = chances.to_vec();
    popular.sort_by(|a, b| b.total_cmp(a));
    popular.truncate(n_hit);
    let all: f64 = popular.iter().sum();
    let mut shared: Vec<u64> = Vec::with_capacity(n_hit);
    let mut before = 0.0;
    let mut given = 0;
    for (index, chance) in popular.iter().enumerate() {
        before += chance;
        // One at least for each that follows.
        let after = (n_hit - index - 1) as u64;
        let until = ((before / all * total as f64).round() as u64).clamp(given + 1, (total - after).max(given + 1));
        shared.push(until - given);
        given = until;
    }
    shared
}
