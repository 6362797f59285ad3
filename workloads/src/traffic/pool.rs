//! A pool of sampled batches, and how far it can be trusted.

use rand::Rng;

use super::batch::{Picks, Sampler};
use super::noise::{Purpose, stream};
use super::{ExpertLayout, TrafficError, TrafficSpec};

/// Sampled batches that every layer and micro-batch draws from.
#[derive(Clone, Debug, PartialEq)]
pub struct PicksPool {
    layout: ExpertLayout,
    batches: Vec<Picks>,
    /// Odd numbers of the seed that mix the coordinates of a draw.
    keys: [u64; 4],
}

/// A mean over the batches of a pool.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Statistic {
    /// The mean.
    pub mean: f64,
    /// Standard error of the mean over the mean, from the spread between batches; zero for a pool of one, which cannot
    /// know, and where all are equal.
    pub relative_error: f64,
}

impl PicksPool {
    /// Samples the batches of `spec` one after the other, on the caller's thread. Each depends on its index alone, so a caller that
    /// has threads shares them out ([`Sampler::batch`], [`PicksPool::from_batches`]) and gets the same pool.
    ///
    /// # Errors
    /// As [`TrafficSpec::check`].
    pub fn sample(spec: &TrafficSpec, layout: &ExpertLayout) -> Result<Self, TrafficError> {
        let sampler = Sampler::new(spec, layout)?;
        Self::from_batches(spec.seed, layout, (0..sampler.n_batches()).map(|index| sampler.batch(index)).collect())
    }

    /// A pool of batches sampled elsewhere, by [`Sampler::batch`] or from a trace.
    ///
    /// # Errors
    /// [`TrafficError::Zero`] without a batch, else as [`ExpertLayout::check`].
    pub fn from_batches(seed: u64, layout: &ExpertLayout, batches: Vec<Picks>) -> Result<Self, TrafficError> {
        layout.check()?;
        if batches.is_empty() {
            return Err(TrafficError::Zero { name: "batches" });
        }
        let mut rng = stream(seed, Purpose::Pool);
        Ok(Self { layout: layout.clone(), batches, keys: std::array::from_fn(|_| rng.next_u64() | 1) })
    }

    /// The batches.
    #[must_use]
    pub fn batches(&self) -> &[Picks] {
        &self.batches
    }

    /// The layout they were sampled for.
    #[must_use]
    pub fn layout(&self) -> &ExpertLayout {
        &self.layout
    }

    /// Which batch `layer` of `micro_batch` in expert-parallel group `group` takes: an index into [`PicksPool::batches`],
    /// always the same for the same seed, each batch equally likely.
    #[must_use]
    pub fn draw(&self, layer: u32, micro_batch: u32, group: u32) -> usize {
        let mut hash = self.keys[0];
        for (coordinate, key) in [layer, micro_batch, group].into_iter().zip(&self.keys[1..]) {
            hash = (hash ^ u64::from(coordinate)).wrapping_mul(*key);
            hash ^= hash >> 32;
            hash = hash.wrapping_mul(self.keys[0]);
            hash ^= hash >> 29;
        }
        ((u128::from(hash) * self.batches.len() as u128) >> 64) as usize
    }

    /// Spread of the ranks' rows within a batch: standard deviation over mean.
    #[must_use]
    pub fn load_cv(&self) -> Statistic {
        self.statistic(|batch| {
            let rows = loads(batch);
            let mean = mean(&rows);
            mean_of(rows.iter().map(|row| (row - mean).powi(2))).sqrt() / mean
        })
    }

    /// Rows of the most loaded rank of a batch over the mean: what every other rank waits for.
    #[must_use]
    pub fn max_over_mean(&self) -> Statistic {
        self.statistic(|batch| {
            let rows = loads(batch);
            rows.iter().copied().fold(0.0, f64::max) / mean(&rows)
        })
    }

    /// Distinct nodes a token reaches, its own included.
    #[must_use]
    pub fn nodes_per_token(&self) -> Statistic {
        self.statistic(|batch| self.per_token(&batch.to_node))
    }

    /// Distinct ranks a token reaches, its own included.
    #[must_use]
    pub fn ranks_per_token(&self) -> Statistic {
        self.statistic(|batch| self.per_token(&batch.received))
    }

    fn per_token(&self, counts: &[u32]) -> f64 {
        let tokens = f64::from(self.layout.n_ranks) * f64::from(self.layout.tokens);
        counts.iter().map(|&count| f64::from(count)).sum::<f64>() / tokens
    }

    fn statistic(&self, of: impl Fn(&Picks) -> f64) -> Statistic {
        let values: Vec<f64> = self.batches.iter().map(of).collect();
        let (n, mean) = (values.len() as f64, mean(&values));
        if values.len() < 2 || mean == 0.0 {
            return Statistic { mean, relative_error: 0.0 };
        }
        let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1.0);
        Statistic { mean, relative_error: (variance / n).sqrt() / mean }
    }
}

fn loads(batch: &Picks) -> Vec<f64> {
    (0..batch.n_ranks()).map(|rank| f64::from(batch.rows_total(rank))).collect()
}

fn mean(values: &[f64]) -> f64 {
    mean_of(values.iter().copied())
}

fn mean_of(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let n = values.len() as f64;
    values.sum::<f64>() / n
}
