//! What a service came to, on one screen.

use crate::format::{count, gib, large, percent, seconds, significant};
use crate::serving::{IterationRow, Percentiles, ServiceResult, ServingNumbers};
use crate::shares::evidence;
use crate::summary::{Common, MemoryRow};
use crate::table::{Column, Row, Table};

/// Parts that the screen shows of an iteration.
const N_PARTS: usize = 6;

/// Latencies, throughput, cost, memory, and what a typical iteration is made of.
pub(crate) fn screen(common: &Common, result: &ServiceResult) -> String {
    let numbers = &result.serving;
    let mut text = format!(
        "{} output tokens/s, {} per GPU   {} input tokens/s, {} per GPU\n{} in {} on {} ({}, {})\n\n{}\n",
        large(numbers.output_tokens_per_second),
        large(numbers.output_tokens_per_second_per_gpu),
        large(numbers.input_tokens_per_second),
        large(numbers.input_tokens_per_second_per_gpu),
        counted(numbers.requests, "request"),
        seconds(numbers.seconds),
        counted(numbers.gpus, "GPU"),
        units(numbers),
        result.framework,
        latencies(numbers)
    );
    let [low, high] = numbers.interval;
    text +=
        &format!("times may be off by a factor of {} to {} (5 to 95 %)\n", significant(low, 3), significant(high, 3));
    let priced = &numbers.priced_tokens;
    text += &format!(
        "cost: ${} per million {priced} tokens rented, ${} owned; {} J per {priced} token\n\n",
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

fn units(numbers: &ServingNumbers) -> String {
    match (numbers.prefill_units, numbers.units) {
        (0, units) => format!("{units} x {}", numbers.gpus / u64::from(units.max(1))),
        (prefill, decode) => format!("{} for prefill, {decode} for decode", counted(prefill.into(), "unit")),
    }
}

/// A number of things, in words.
fn counted(n: u64, thing: &str) -> String {
    format!("{} {thing}{}", count(n), if n == 1 { "" } else { "s" })
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
    let kinds: &[&str] = if numbers.prefill_units > 0 { &["prefill device", "decode device"] } else { &["device"] };
    let held: String = kinds.iter().zip(&common.memory_by_rank).map(|(kind, row)| held(kind, row)).collect();
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

/// What a device holds, item by item.
fn held(kind: &str, row: &MemoryRow) -> String {
    let items = row.items.iter().filter(|(_, bytes)| *bytes > 0.0);
    let items: Vec<String> = items.map(|(name, bytes)| format!("{name} {}", gib(*bytes))).collect();
    format!("memory of a {kind}, GiB: {} of {}\n", items.join(", "), gib(row.capacity))
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
