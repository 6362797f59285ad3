//! What a service did: each request's times, and sums over iterations.

use std::collections::BTreeMap;

/// Times by bins of a thousandth, so that their memory does not grow with their number.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TimeHistogram {
    /// Weight by bin: the bin of a time is its logarithm in thousandths.
    bins: BTreeMap<i32, u64>,
    sum: f64,
    n: u64,
}

impl TimeHistogram {
    const BINS_PER_E: f64 = 1000.0;

    pub(super) fn add(&mut self, seconds: f64, weight: u64) {
        if weight > 0 && seconds > 0.0 {
            *self.bins.entry((seconds.ln() * Self::BINS_PER_E).round() as i32).or_default() += weight;
            self.sum += seconds * weight as f64;
            self.n += weight;
        }
    }

    /// Times that such shares lie at or below, to a thousandth, and the mean; none of none.
    #[must_use]
    pub fn percentiles<const N: usize>(&self, shares: [f64; N]) -> Option<([f64; N], f64)> {
        (self.n > 0).then(|| (shares.map(|share| self.at(share)), self.sum / self.n as f64))
    }

    fn at(&self, share: f64) -> f64 {
        let wanted = (share * self.n as f64).ceil().max(1.0) as u64;
        let mut below = 0;
        let bin = self.bins.iter().find(|(_, weight)| {
            below += **weight;
            below >= wanted
        });
        bin.map_or(0.0, |(bin, _)| (f64::from(*bin) / Self::BINS_PER_E).exp())
    }
}

/// One request's times, in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RequestRecord {
    /// When it arrived.
    pub arrival: f64,
    /// Tokens of its prompt.
    pub input: u64,
    /// Tokens it got.
    pub output: u64,
    /// When it had its first token.
    pub first_token: f64,
    /// When it had its last.
    pub end: f64,
}

impl RequestRecord {
    /// From its arrival to its first token.
    #[must_use]
    pub fn ttft(&self) -> f64 {
        self.first_token - self.arrival
    }

    /// Per token after the first; none of one token.
    #[must_use]
    pub fn tpot(&self) -> Option<f64> {
        (self.output > 1).then(|| (self.end - self.first_token) / (self.output - 1) as f64)
    }
}

/// What a service did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ServingBooks {
    /// Every request, in the order of arrival.
    pub requests: Vec<RequestRecord>,
    /// Times between two tokens of a request.
    pub between_tokens: TimeHistogram,
    /// Iterations of all units.
    pub n_iterations: u64,
    /// Of those, with parts of prompts.
    pub n_with_prompts: u64,
    /// Seconds of iterations, all units together.
    pub busy: f64,
    /// Seconds of iterations with parts of prompts.
    pub busy_with_prompts: f64,
    /// Seconds of iterations that decode.
    pub busy_decoding: f64,
    /// Requests that were driven out of a cache.
    pub n_driven_out: u64,
    /// Most requests that a unit decoded at a time.
    pub decoded_max: u64,
    /// Seconds x requests that were decoded, over iterations that decode, all units together.
    pub decoded_area: f64,
    /// Seconds x keys of all requests that were decoded.
    pub context_area: f64,
    /// Largest share of a rank's cache that was in use.
    pub cache_share_max: f64,
    /// Seconds x mean share of the caches in use.
    pub cache_area: f64,
    /// Most requests that waited for a place at a time, in all units.
    pub waiting_max: u64,
    /// Seconds x requests in the system.
    pub system_area: f64,
    /// Seconds that caches took from one unit to another, all requests together.
    pub transfer: f64,
    /// Tokens that all requests got.
    pub tokens: u64,
    /// Corners of the table that were priced; zero where each iteration was.
    pub n_cells: u64,
}

impl ServingBooks {
    /// When the last request ended, seconds.
    #[must_use]
    pub fn end(&self) -> f64 {
        self.requests.iter().map(|request| request.end).fold(0.0, f64::max)
    }
}
