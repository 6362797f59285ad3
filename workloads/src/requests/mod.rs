//! Requests to a service: when they arrive, how long their prompts are, and how many tokens they get.
//!
//! ```
//! use workloads::requests::{Arrivals, Lengths, RequestsSpec};
//!
//! let spec = RequestsSpec {
//!     arrivals: Arrivals::Open { rate: 2.0, variation: 1.0 },
//!     count: 1000,
//!     input: Lengths { mean: 1024, spread: 0.0 },
//!     output: Lengths { mean: 128, spread: 0.5 },
//!     seed: 1,
//! };
//! let requests = spec.requests();
//! assert!(requests.windows(2).all(|pair| pair[0].arrival <= pair[1].arrival));
//! assert!(requests.iter().all(|request| request.input == 1024 && request.output >= 1));
//! ```
//!
//! Draws depend on the seed and the number of a request alone, so that a longer list begins as a shorter one does. Lengths are log-normal around
//! their mean; gaps between arrivals are of a gamma distribution (with a variation of 1, a Poisson process).

mod trace;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Gamma, LogNormal};

pub use trace::{TraceError, TraceErrorKind, parse_trace};

/// One request.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Request {
    /// When it arrives, seconds; of a closed loop it is not known before it happens.
    pub arrival: f64,
    /// Tokens of its prompt.
    pub input: u64,
    /// Tokens it gets.
    pub output: u64,
}

/// When requests arrive.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Arrivals {
    /// As many at a time, from the start on: the next when one has ended.
    Closed {
        /// Requests at a time.
        concurrency: u64,
    },
    /// Whether or not earlier ones have ended.
    Open {
        /// Requests per second.
        rate: f64,
        /// Deviation of the gaps over their mean: 1 is a Poisson process, 0 a clock.
        variation: f64,
    },
}

/// Lengths of prompts or answers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lengths {
    /// Their mean, tokens.
    pub mean: u64,
    /// Their deviation over the mean; zero: all alike.
    pub spread: f64,
}

/// Requests that are drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RequestsSpec {
    /// When they arrive.
    pub arrivals: Arrivals,
    /// How many.
    pub count: u64,
    /// Tokens of their prompts.
    pub input: Lengths,
    /// Tokens they get.
    pub output: Lengths,
    /// Seed of every draw.
    pub seed: u64,
}

impl RequestsSpec {
    /// All of them in the order of their arrival; of a closed loop with arrivals of zero.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        let [mut gaps, mut inputs, mut outputs] = [1, 2, 3].map(|stream| {
            let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
            rng.set_stream(stream);
            rng
        });
        let mut now = 0.0;
        (0..self.count)
            .map(|_| {
                now += self.arrivals.gap(&mut gaps);
                Request { arrival: now, input: self.input.drawn(&mut inputs), output: self.output.drawn(&mut outputs) }
            })
            .collect()
    }
}

impl Arrivals {
    fn gap(&self, rng: &mut ChaCha8Rng) -> f64 {
        let Self::Open { rate, variation } = *self else { return 0.0 };
        let shape = 1.0 / variation.powi(2);
        match Gamma::new(shape, 1.0 / (rate * shape)) {
            Ok(gamma) if variation > 0.0 => gamma.sample(rng),
            _ => 1.0 / rate,
        }
    }
}

impl Lengths {
    fn drawn(&self, rng: &mut ChaCha8Rng) -> u64 {
        let variance = (1.0 + self.spread.powi(2)).ln();
        let middle = (self.mean as f64).ln() - variance / 2.0;
        match LogNormal::new(middle, variance.sqrt()) {
            Ok(normal) if self.spread > 0.0 => normal.sample(rng).round().max(1.0) as u64,
            _ => self.mean,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(arrivals: Arrivals, count: u64) -> RequestsSpec {
        let lengths = |mean, spread| Lengths { mean, spread };
        RequestsSpec { arrivals, count, input: lengths(2000, 1.0), output: lengths(200, 0.5), seed: 7 }
    }

    #[test]
    fn means_and_variations_are_those_asked() {
        for variation in [0.0, 0.5, 1.0, 3.0] {
            let requests = spec(Arrivals::Open { rate: 5.0, variation }, 40_000).requests();
            let gaps: Vec<f64> = requests.windows(2).map(|pair| pair[1].arrival - pair[0].arrival).collect();
            let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
            let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
            assert!((mean * 5.0 - 1.0).abs() < 0.06, "{variation}: {mean}");
            assert!((variance.sqrt() / mean - variation).abs() < 0.1 * variation.max(0.1), "{variation}");
            let input = requests.iter().map(|request| request.input as f64).sum::<f64>() / 40_000.0;
            assert!((input / 2000.0 - 1.0).abs() < 0.05, "{input}");
        }
    }

    #[test]
    fn a_longer_list_begins_as_a_shorter_one() {
        let arrivals = Arrivals::Open { rate: 1.0, variation: 1.0 };
        let (short, long) = (spec(arrivals, 10).requests(), spec(arrivals, 100).requests());
        assert_eq!(short, long[..10]);
    }
}
