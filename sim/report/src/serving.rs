//! What a service came to: its numbers, and one screen of them.

use serde::Serialize;

use crate::format::{count, gib, large, percent, seconds, significant};
use crate::shares::evidence;
use crate::summary::Common;
use crate::table::{Column, Row, Table};

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
    /// Units.
    pub units: u32,
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
    /// US dollars per million tokens that requests got (per million tokens of prompts, where they got one each): on rented devices.
    pub usd_per_million_tokens: f64,
    /// The same on a machine of one's own.
    pub owned_usd_per_million_tokens: f64,
    /// Joules per such token, of machine and building at full load.
    pub joules_per_token: f64,
    /// An iteration that decodes as many requests of such length as there were on average.
    pub decode_iteration: Option<IterationRow>,
    /// An iteration of a prompt of mean length, or of as much of it as is computed at a time.
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

/// Parts that the screen shows of an iteration.
const N_PARTS: usize = 6;

/// Latencies, throughput, cost, memory, and what a typical iteration is made of.
pub(crate) fn screen(common: &Common, result: &ServiceResult) -> String {
    let numbers = &result.serving;
    let mut text = format!(
        "{} tokens/s   {} per GPU   {} requests in {} on {} GPUs ({} x {}, {})\n\n{}\n",
        large(numbers.output_tokens_per_second),
        large(numbers.output_tokens_per_second_per_gpu),
        count(numbers.requests),
        seconds(numbers.seconds),
        count(numbers.gpus),
        numbers.units,
        numbers.gpus / u64::from(numbers.units.max(1)),
        result.framework,
        latencies(numbers)
    );
    let [low, high] = numbers.interval;
    text += &format!("times may be off by a factor of {} to {} (5 to 95 %)\n", significant(low, 3), significant(high, 3));
    text += &format!(
        "cost: ${} per million tokens rented, ${} owned; {} J per token\n\n",
        significant(numbers.usd_per_million_tokens, 3),
        significant(numbers.owned_usd_per_million_tokens, 3),
        significant(numbers.joules_per_token, 3)
    );
    text += &admission(common, numbers);
    for (name, row) in [("decode", &numbers.decode_iteration), ("prefill", &numbers.prefill_iteration)] {
        if let Some(row) = row {
            text += &iteration(name, row);
        }
    }
    text += &format!("\nevidence: {}\n", evidence(&common.basis_shares));
    common.notes.iter().for_each(|note| text += &format!("note: {note}\n"));
    text
}

fn latencies(numbers: &ServingNumbers) -> Table {
    let heads = ["", "p50", "p90", "p99", "mean"];
    let columns = heads.map(|name| Column { name: name.to_owned(), numeric: !name.is_empty() });
    let rows = [
        ("time to first token", Some(numbers.ttft)),
        ("time per output token", numbers.tpot),
        ("between tokens", numbers.itl),
        ("end to end", Some(numbers.e2e)),
    ];
    let row = |(name, values): (&str, Option<Percentiles>)| {
        let Percentiles { p50, p90, p99, mean } = values?;
        let cells = [p50, p90, p99, mean].map(seconds);
        Some(Row { cells: [name.to_owned()].into_iter().chain(cells).collect(), strong: false })
    };
    Table { columns: columns.into(), rows: rows.into_iter().filter_map(row).collect() }
}

/// What fits, and how full it was.
fn admission(common: &Common, numbers: &ServingNumbers) -> String {
    let memory = common.memory_by_rank.first();
    let held = memory.map_or_else(String::new, |row| {
        let items = row.items.iter().filter(|(_, bytes)| *bytes > 0.0).map(|(name, bytes)| format!("{name} {}", gib(*bytes)));
        format!("memory of a device, GiB: {} of {}\n", items.collect::<Vec<_>>().join(", "), gib(row.capacity))
    });
    format!(
        "{held}admission: a unit holds {} requests of mean length (limited by {}), {} tokens of cache; decoded at a time: {} on average, {} at most\n\
         cache in use: {} on average, {} at most; waiting: {} at most; driven out: {}\n",
        count(numbers.admitted_max),
        numbers.admitted_by,
        count(numbers.kv_tokens_max),
        significant(numbers.decoded_mean, 3),
        count(numbers.decoded_max),
        percent(numbers.kv_share_mean),
        percent(numbers.kv_share_max),
        count(numbers.waiting_max),
        count(numbers.driven_out)
    )
}

fn iteration(name: &str, row: &IterationRow) -> String {
    let parts = row.parts.iter().take(N_PARTS).map(|(part, time)| format!("{part} {}", percent(time / row.seconds)));
    format!(
        "{name}: {} for {} tokens that see {} keys, bound by {}; {}\n",
        seconds(row.seconds),
        count(row.tokens),
        count(row.context.round() as u64),
        row.binding,
        parts.collect::<Vec<_>>().join(", ")
    )
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
