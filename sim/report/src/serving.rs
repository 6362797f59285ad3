//! What a service came to, as numbers.

use serde::Serialize;

/// What a service came to.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ServiceResult {
    /// The software stack that ran (`use.framework`).
    pub framework: String,
    /// Its numbers.
    pub serving: ServingNumbers,
}

/// Numbers of a service, in seconds, tokens and counts.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ServingNumbers {
    /// From arrival to the first token, the queue included.
    pub ttft: Percentiles,
    /// Per token after the first: (end - first token) / (tokens - 1); none where no request got more than one.
    pub tpot: Option<Percentiles>,
    /// Between two tokens of a request that is decoded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub itl: Option<Percentiles>,
    /// From arrival to the last token.
    pub e2e: Percentiles,
    /// Tokens that requests got, over the time of the run.
    pub output_tokens_per_second: f64,
    /// The same over the devices of the units.
    pub output_tokens_per_second_per_gpu: f64,
    /// Tokens of prompts, over the time of the run.
    pub input_tokens_per_second: f64,
    /// The same over the devices of the units.
    pub input_tokens_per_second_per_gpu: f64,
    /// Time of the devices of all units over the tokens that are priced.
    pub gpu_seconds_per_token: f64,
    /// Requests that ended, over the time of the run.
    pub requests_per_second: f64,
    /// By what factor times may be off, 5 to 95 %, by the spreads of the estimates that bind typical iterations.
    pub interval: [f64; 2],
    /// Requests of mean length that a unit holds at a time, by memory and slots.
    pub admitted_max: u64,
    /// What limits them: `memory` or `slots`.
    pub admitted_by: String,
    /// Tokens that the caches of a unit hold.
    pub kv_tokens_max: u64,
    /// Units in which requests end.
    pub units: u32,
    /// Units that compute prompts for them; zero where the same do.
    pub prefill_units: u32,
    /// What a cache takes from one to the other, the mean over requests, seconds.
    pub transfer: f64,
    /// Devices of all units.
    pub gpus: u64,
    /// Requests that ended.
    pub requests: u64,
    /// From the start to the last end.
    pub seconds: f64,
    /// Iterations of all units.
    pub iterations: u64,
    /// Requests that a unit decoded at a time, the mean over iterations.
    pub decoded_mean: f64,
    /// The most.
    pub decoded_max: u64,
    /// Share of the caches in use, the mean over iterations.
    pub kv_share_mean: f64,
    /// The largest of a rank.
    pub kv_share_max: f64,
    /// Most requests that waited for a place in a unit at a time.
    pub waiting_max: u64,
    /// Requests that were driven out of a cache and computed again.
    pub driven_out: u64,
    /// Which tokens cost and energy are counted by: `output`, or `input` of units that compute prompts alone.
    pub priced_tokens: String,
    /// US dollars per million such tokens: on rented devices.
    pub usd_per_million_tokens: f64,
    /// The same on a machine of one's own.
    pub owned_usd_per_million_tokens: f64,
    /// Joules per such token, of machine and building at full load.
    pub joules_per_token: f64,
    /// An iteration that decodes as many requests of such length as there were on average.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decode_iteration: Option<IterationRow>,
    /// An iteration of a prompt of mean length, or of as much of it as is computed at a time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefill_iteration: Option<IterationRow>,
    /// Corners of the table of iterations that were priced; zero where each iteration was.
    pub table_cells: u64,
}

/// A distribution by nearest rank, and its mean.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Percentiles {
    /// Median.
    pub p50: f64,
    /// Ninetieth percentile.
    pub p90: f64,
    /// Ninety-ninth.
    pub p99: f64,
    /// Mean.
    pub mean: f64,
}

/// A typical iteration.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct IterationRow {
    /// Tokens of the fullest attention rank.
    pub tokens: u64,
    /// Mean keys that a token sees.
    pub context: f64,
    /// Seconds.
    pub seconds: f64,
    /// What bounds most of it.
    pub binding: String,
    /// What it is made of, seconds, largest first.
    pub parts: Vec<(String, f64)>,
}

impl Percentiles {
    /// By nearest rank: the smallest value that at least such a share lies at or below. None of none.
    #[must_use]
    pub fn of(mut values: Vec<f64>) -> Option<Self> {
        if values.is_empty() {
            return None;
        }
        values.sort_by(f64::total_cmp);
        let at = |share: f64| values[((share * values.len() as f64).ceil() as usize).clamp(1, values.len()) - 1];
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        Some(Self { p50: at(0.5), p90: at(0.9), p99: at(0.99), mean })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_by_nearest_rank() {
        let of = Percentiles::of((1..=100).rev().map(f64::from).collect()).expect("some");
        assert_eq!((of.p50, of.p90, of.p99, of.mean), (50.0, 90.0, 99.0, 50.5));
        let one = Percentiles::of(vec![3.0]).expect("one");
        assert_eq!((one.p50, one.p99), (3.0, 3.0));
        assert_eq!(Percentiles::of(Vec::new()), None);
    }
}
