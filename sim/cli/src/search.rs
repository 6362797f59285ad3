//! `search`: the best layouts of a job, and why the others are out.

mod args;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use report::format::{count, gib, percent_signed, words};
use report::{Column, Measure, Row, Table};
use study::{Limit, RejectedBy, Search, SearchAnswer, SearchPoint, StudyError, StudyProgress};
use tunnel::search::Values;
use tunnel::{Simulator, search as space, studies};

use crate::exit::Failure;
use crate::panics;
use crate::study::{unless_faulty, while_running};

pub(crate) use args::{AFTER, SearchArgs};

/// Reasons of rejection that a screen shows.
const N_REASONS: usize = 8;

/// Searches: a screen or JSON; with `--write` a scenario.
pub(crate) fn search(args: &SearchArgs) -> Result<String, Failure> {
    panics::told(|| args.threads.install(|| searched(args))?)
}

fn searched(args: &SearchArgs) -> Result<String, Failure> {
    let library = args.layers.library()?;
    if let Some(there) = args.write.as_ref().filter(|path| path.exists()) {
        return Err(Failure::usage(format!(
            "`--write {}`: there is such a file\nhint: name a new one",
            there.display()
        )));
    }
    let limits: Vec<Limit> = args.meet.iter().map(|text| space::limit(text)).collect::<Result<_, _>>()?;
    let values: Values = args.over.iter().map(|text| space::values(text)).collect::<Result<_, _>>()?;
    let objective = args.judged.objective.as_deref();
    let measure = objective.map(|name| studies::measure("--objective", name)).transpose()?;
    let tunnel = Simulator::new(&library, &args.scenario).under(&args.layers.sets).judging(measure.as_ref());
    let base = tunnel.base(&[])?;
    let dimensions = space::dimensions(&base, &values, args.only)?;
    let asked = Search { dimensions, limits, top: usize::from(args.top) };
    let progress = StudyProgress::default();
    let found = while_running(&progress, args.quiet, || study::search(&tunnel, &asked, &progress))?;
    if let (Some(path), Some(best)) = (&args.write, found.points.first()) {
        write(path, &tunnel, best)?;
    }
    let result = if args.json { found.json()? } else { screen(&found, &asked) };
    unless_faulty(result, found.n_faults(), "candidates")
}

/// The scenario of a candidate, every value as it was written.
fn write(path: &Path, tunnel: &Simulator<'_>, best: &SearchPoint) -> Result<(), Failure> {
    let text = studies::base_toml(&tunnel.base(&best.changes())?);
    std::fs::write(path, text).map_err(|error| {
        StudyError::Store(format!(
            "`{}` cannot be written: {error}\nhint: name a file in a folder that is there",
            path.display()
        ))
        .into()
    })
}

fn screen(found: &SearchAnswer, asked: &Search) -> String {
    let measure = Measure::of(&found.objective).unwrap_or_default();
    let names: Vec<&str> = asked.dimensions.iter().map(|dimension| dimension.name.as_str()).collect();
    let mut text = format!(
        "{}: {} candidates over {}; {} simulated, {} rejected\n",
        found.name,
        count(found.n_candidates as u64),
        names.join(", "),
        count(found.n_simulated as u64),
        count(found.rejected.len() as u64)
    );
    if let Some(base) = found.base {
        let _ = writeln!(text, "as it is: {} {}", measure.write(base), measure.per);
    }
    if found.points.is_empty() {
        text.push_str("\nno candidate is left\n");
    } else {
        let _ = writeln!(text, "\n{}", table(found, &measure));
    }
    text + &reasons(found)
}

fn table(found: &SearchAnswer, measure: &Measure) -> Table {
    let column = |name: &str, numeric| Column { name: name.to_owned(), numeric };
    let columns = vec![
        column(&measure.column, true),
        column("change", true),
        column("memory GiB", true),
        column("bound by", false),
        column("patch", false),
    ];
    let patch = |point: &SearchPoint| {
        if point.patch.is_empty() { "as it is".to_owned() } else { point.sets().join(" ") }
    };
    let row = |point: &SearchPoint| Row {
        cells: vec![
            measure.write(point.objective),
            found.base.map(|base| percent_signed(point.objective / base - 1.0)).unwrap_or_default(),
            point.memory_bytes_max.map(gib).unwrap_or_default(),
            words(&point.binding),
            patch(point),
        ],
        strong: false,
    };
    Table { columns, rows: found.points.iter().map(row).collect() }
}

/// Why candidates are out, reasons that differ in numbers alone as one.
fn reasons(found: &SearchAnswer) -> String {
    let mut kinds: BTreeMap<(RejectedBy, String), (usize, &str)> = BTreeMap::new();
    for row in &found.rejected {
        let alike: String = row.reason.chars().filter(|letter| !letter.is_ascii_digit()).collect();
        kinds.entry((row.by, alike)).or_insert((0, &row.reason)).0 += 1;
    }
    let mut kinds: Vec<_> = kinds.into_iter().collect();
    kinds.sort_by(|a, b| b.1.0.cmp(&a.1.0).then_with(|| a.0.cmp(&b.0)));
    let mut text = String::new();
    for ((by, _), (n, reason)) in kinds.iter().take(N_REASONS) {
        let what = match by {
            RejectedBy::Plan => "no plan",
            RejectedBy::Run => "cannot run",
            RejectedBy::Bound => "no better",
            RejectedBy::Limit => "miss a limit",
        };
        let example = if *n > 1 { ", for example" } else { "" };
        let _ = writeln!(text, "{} {what}{example}: {}", count(*n as u64), first_sentence(reason));
    }
    let rest: usize = kinds.iter().skip(N_REASONS).map(|(_, (n, _))| n).sum();
    if rest > 0 {
        let _ = writeln!(text, "{} more for other reasons; `--json` has them all", count(rest as u64));
    }
    text
}

/// A reason up to its way out.
fn first_sentence(reason: &str) -> &str {
    reason.split(['\n', ';']).next().unwrap_or(reason)
}
