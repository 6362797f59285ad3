//! `diff`: two jobs side by side.

use std::fmt::Write;

use clap::Args;
use report::format::{percent_signed, significant, words};
use report::{Column, Measure, Row, Table};
use study::{JobDiff, KeyDiff, NumberDiff, WordDiff};
use tunnel::Simulator;

use crate::exit::Failure;
use crate::layers::Layers;
use crate::panics;
use crate::progress::{Extent, during};

pub(crate) const AFTER: &str = "\
Both run. A scenario is a preset's name, a file, or the `plan.toml` that `run --out` has kept. Without a second one, the first is compared with itself under `--set`.

Examples:
  windtunnel diff deepseek-v3-2048 deepseek-v3-h100-1024
  windtunnel diff deepseek-v3-2048 --set parallel.ep=32
  windtunnel diff out/before/plan.toml out/after/plan.toml --json";

/// Rows that a screen shows of what differs.
const N_ROWS: usize = 24;

#[derive(Debug, Args)]
pub(crate) struct DiffArgs {
    /// A preset's name or a file
    pub(crate) first: String,
    /// Another one, over which `--set` is laid [default: the first]
    pub(crate) second: Option<String>,
    #[command(flatten)]
    pub(crate) layers: Layers,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Show no progress
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

/// Which keys of two jobs differ, and what differs for it: tables, or JSON.
pub(crate) fn diff(args: &DiffArgs) -> Result<String, Failure> {
    panics::told(|| compared(args))
}

fn compared(args: &DiffArgs) -> Result<String, Failure> {
    let library = args.layers.library()?;
    let second = args.second.as_ref().unwrap_or(&args.first);
    if args.second.is_none() && args.layers.sets.is_empty() {
        let hint = "name a second scenario, or give `--set KEY=VALUE`";
        return Err(Failure::usage(format!("there is nothing to compare `{}` with\nhint: {hint}", args.first)));
    }
    let tunnel = Simulator::new(&library, &args.first);
    let jobs = [tunnel.base(&[])?, Simulator::new(&library, second).under(&args.layers.sets).base(&[])?];
    let run = || JobDiff::of(&tunnel, [&jobs[0], &jobs[1]]);
    let found = during("running both", Extent::Unknown, args.quiet, run)?;
    Ok(if args.json { found.json()? } else { screen(&found) })
}

fn screen(found: &JobDiff) -> String {
    let mut text = String::new();
    let objectives =
        found.numbers.iter().find(|row| row.name == found.objectives[0] && row.name == found.objectives[1]);
    match objectives {
        Some(NumberDiff { name, values: [Some(first), Some(second)], change }) => {
            let measure = Measure::of(name).unwrap_or_default();
            let change = change.map(percent_signed).unwrap_or_default();
            let _ =
                writeln!(text, "{}: {} -> {} ({change})", measure.noun, measure.write(*first), measure.write(*second));
        }
        _ if found.objectives[0] == found.objectives[1] => text.push_str("both come to the same\n"),
        _ => text.push_str("the two are jobs of different kinds, which nothing judges alike\n"),
    }
    let _ = writeln!(text, "{}", words_of(&found.words));
    let names =
        if found.names[0] == found.names[1] { ["first", "second"].map(str::to_owned) } else { found.names.clone() };
    let _ = writeln!(text, "{}\n", table("key", &names, found.keys.iter().map(of_key)));
    let numbers = table("number", &names, found.numbers.iter().map(of_number));
    let _ = writeln!(text, "{numbers}");
    let rest = found.keys.len().saturating_sub(N_ROWS) + found.numbers.len().saturating_sub(N_ROWS);
    if rest > 0 {
        let _ = writeln!(text, "\n{rest} more rows differ; `--json` has them all");
    }
    text
}

fn words_of(rows: &[WordDiff]) -> String {
    let word = |word: &Option<String>| word.as_deref().map_or_else(|| "-".to_owned(), words);
    rows.iter().map(|row| format!("{}: {} -> {}\n", row.name, word(&row.values[0]), word(&row.values[1]))).collect()
}

fn of_key(row: &KeyDiff) -> [String; 4] {
    let [first, second] = [0, 1].map(|index| row.values[index].clone().unwrap_or_else(|| "-".to_owned()));
    [row.key.clone(), first, second, String::new()]
}

fn of_number(row: &NumberDiff) -> [String; 4] {
    let [first, second] = row.values.map(|value| value.map_or_else(|| "-".to_owned(), |value| significant(value, 4)));
    [row.name.clone(), first, second, row.change.map(percent_signed).unwrap_or_default()]
}

fn table(what: &str, names: &[String; 2], rows: impl Iterator<Item = [String; 4]>) -> Table {
    let rows: Vec<Row> = rows.take(N_ROWS).map(|cells| Row { cells: cells.to_vec(), strong: false }).collect();
    let has_changes = rows.iter().any(|row| row.cells.last().is_some_and(|cell| !cell.is_empty()));
    let columns = [(what, false), (names[0].as_str(), true), (names[1].as_str(), true), ("change", true)];
    let n = if has_changes { 4 } else { 3 };
    let columns = columns[..n].iter().map(|(name, numeric)| Column { name: (*name).to_owned(), numeric: *numeric });
    Table {
        columns: columns.collect(),
        rows: rows.into_iter().map(|row| Row { cells: row.cells[..n].to_vec(), ..row }).collect(),
    }
}
