//! Tables: cells as text, printed with [`std::fmt::Display`] or laid out by the page.

use std::fmt;

use comfy_table::{Cell, CellAlignment, ContentArrangement, presets};

use crate::format::{count, gib, percent, percent_signed, seconds, significant, words};
use crate::phases::{Phase, Phases};
use crate::summary::{Common, Comparison, LinkRow, MemoryRow, OpRow, Summary, Variant, VariantResult};

/// A table of text; printing it gives aligned columns without borders.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    /// Headings.
    pub columns: Vec<Column>,
    /// Rows, each with at most as many cells as there are columns.
    pub rows: Vec<Row>,
}

/// A heading.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    /// Its text, with the unit of the column where all its cells share one.
    pub name: String,
    /// Numbers stand at the right.
    pub numeric: bool,
}

/// A row.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Its cells.
    pub cells: Vec<String>,
    /// A mean, a total, the heading of a group, or the one row that matters.
    pub strong: bool,
}

impl Table {
    pub(crate) fn new(text: &[&str], numbers: &[&str], more_text: &[&str]) -> Self {
        let of = |numeric| move |name: &&str| Column { name: (*name).to_owned(), numeric };
        let columns = text.iter().map(of(false)).chain(numbers.iter().map(of(true)));
        Self { columns: columns.chain(more_text.iter().map(of(false))).collect(), rows: Vec::new() }
    }

    pub(crate) fn push(&mut self, strong: bool, cells: Vec<String>) {
        self.rows.push(Row { cells, strong });
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut printed = comfy_table::Table::new();
        printed.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
        printed.set_header(self.columns.iter().map(heading));
        for row in &self.rows {
            let cells = if row.is_group() { &[][..] } else { &row.cells };
            printed.add_row(cells.iter().zip(&self.columns).map(|(cell, column)| aligned(&one_line(cell), column)));
        }
        let lines: Vec<String> = printed.lines().collect();
        let n_head = lines.len().saturating_sub(self.rows.len());
        for (index, line) in lines.iter().enumerate() {
            let row = index.checked_sub(n_head).and_then(|row| self.rows.get(row));
            // A group's name stands across the columns instead of widening the first.
            let line = row.filter(|row| row.is_group()).map_or(line.clone(), |row| one_line(&row.cells[0]));
            let separator = if index == 0 { "" } else { "\n" };
            write!(f, "{separator}{}", line.trim_end())?;
        }
        Ok(())
    }
}

impl Row {
    /// Whether this is the name of the rows below it and nothing else.
    #[must_use]
    pub fn is_group(&self) -> bool {
        self.cells.len() == 1
    }
}

/// Headings of numbers break at blanks, so that columns stay as narrow as their numbers.
fn heading(column: &Column) -> Cell {
    let name = one_line(&column.name);
    aligned(&if column.numeric { name.replace(' ', "\n") } else { name }, column)
}

/// A text without line breaks and other control characters, which would break lines apart or steer a terminal.
pub(crate) fn one_line(text: &str) -> String {
    text.replace(char::is_control, " ")
}

fn aligned(text: &str, column: &Column) -> Cell {
    let alignment = if column.numeric { CellAlignment::Right } else { CellAlignment::Left };
    Cell::new(text).set_alignment(alignment)
}

/// Where a step goes, a row for each pipeline rank and one for their mean; seconds.
#[must_use]
pub fn phases_table(common: &Common) -> Table {
    let names = phase_names(&common.phases);
    let numbers: Vec<&str> = names.iter().map(String::as_str).chain(["sum"]).collect();
    let mut table = Table::new(&["rank"], &numbers, &[]);
    for (rank, phases) in common.phases_by_rank.iter().enumerate() {
        table.push(false, phase_cells(rank.to_string(), phases));
    }
    table.push(true, phase_cells("mean".into(), &common.phases));
    table
}

fn phase_names(phases: &Phases) -> Vec<String> {
    phases.0.iter().map(|phase| words(phase.name)).collect()
}

fn phase_cells(name: String, phases: &Phases) -> Vec<String> {
    let numbers = phases.0.iter().map(|phase| phase.seconds).chain([phases.sum()]);
    std::iter::once(name).chain(numbers.map(|value| format!("{value:.3}"))).collect()
}

/// What takes memory on each pipeline rank, GiB; the fullest rank is strong, and what is free is below zero where a
/// rank does not fit.
#[must_use]
pub fn memory_table(rows: &[MemoryRow]) -> Table {
    let items = memory_items(rows);
    let numbers: Vec<&str> = items.iter().map(String::as_str).chain(["total", "capacity", "free"]).collect();
    let mut table = Table::new(&["rank, GiB"], &numbers, &[]);
    let fullest = rows.iter().map(|row| row.total).fold(f64::NEG_INFINITY, f64::max);
    for row in rows {
        let mut cells = vec![row.rank.to_string()];
        cells.extend(items.iter().map(|item| gib(row.item(item))));
        cells.extend([gib(row.total), gib(row.capacity), gib(row.capacity - row.total)]);
        table.push(row.total >= fullest || row.total > row.capacity, cells);
    }
    table
}

/// Names of all items, the one that takes most over all ranks first, equal ones by name.
pub(crate) fn memory_items(rows: &[MemoryRow]) -> Vec<String> {
    let mut totals = std::collections::BTreeMap::<&str, f64>::new();
    for (name, bytes) in rows.iter().flat_map(|row| &row.items) {
        *totals.entry(name).or_default() += bytes;
    }
    let mut items: Vec<(&str, f64)> = totals.into_iter().collect();
    items.sort_by(|a, b| b.1.total_cmp(&a.1));
    items.into_iter().map(|(name, _)| name.to_owned()).collect()
}

/// Ops as given, largest first, at most `limit` and then a row for all the others; `step_seconds` is what their
/// share is of. Streams run beside each other, so shares may add up to more than one.
#[must_use]
pub fn ops_table(ops: &[OpRow], step_seconds: f64, limit: usize) -> Table {
    let mut table = Table::new(&["op", "pass"], &["runs", "each", "total", "of step"], &["bound by", "basis"]);
    for op in ops.iter().take(limit) {
        let cells = [op.op.clone(), op.pass.clone(), significant_count(op.count), seconds(op.seconds_each)];
        let times = [seconds(op.seconds), percent(ratio(op.seconds, step_seconds))];
        table.push(false, cells.into_iter().chain(times).chain([words(&op.binding), op.basis.clone()]).collect());
    }
    let rest = ops.get(limit..).unwrap_or_default();
    if !rest.is_empty() {
        let total: f64 = rest.iter().map(|op| op.seconds).sum();
        let name = format!("{} more", rest.len());
        let times = [seconds(total), percent(ratio(total, step_seconds))];
        let cells = [name, String::new(), String::new(), String::new()].into_iter().chain(times);
        table.push(false, cells.chain([String::new(), String::new()]).collect());
    }
    table
}

fn significant_count(value: f64) -> String {
    if value.fract() == 0.0 && value >= 0.0 { count(value as u64) } else { significant(value, 4) }
}

/// Use of links, by kind.
#[must_use]
pub fn links_table(links: &[LinkRow]) -> Table {
    let mut table = Table::new(&["links"], &["count", "bytes", "mean use", "busiest"], &[]);
    for link in links {
        let amounts = [count(link.count), crate::format::bytes(link.bytes)];
        let shares = [percent(link.utilization_mean), percent(link.utilization_max)];
        table.push(false, std::iter::once(words(&link.kind)).chain(amounts).chain(shares).collect());
    }
    table
}

/// Published figures beside simulated ones, grouped by source in order of first appearance, each group with the
/// median of its absolute errors and, with several groups, one for all. The error is (simulated - published) over
/// |published|; a published zero has none. Facts that an estimate rests on are marked and not in the medians; those of one name in one group have their ids.
#[must_use]
pub fn comparison_table(comparisons: &[Comparison]) -> Table {
    let mut table = Table::new(&["quantity"], &["published", "simulated"], &["unit"]);
    table.columns.insert(3, Column { name: "error".into(), numeric: true });
    let sources = sources(comparisons);
    for source in &sources {
        let rows: Vec<&Comparison> = comparisons.iter().filter(|row| row.source == *source).collect();
        table.push(true, vec![(*source).to_owned()]);
        for row in &rows {
            let numbers = [significant(row.published, 4), significant(row.simulated, 4)];
            let error = row.error().map_or_else(|| "-".to_owned(), percent_signed);
            let is_twin = rows.iter().filter(|other| other.quantity == row.quantity).count() > 1;
            let id = if is_twin { format!(", {}", row.id) } else { String::new() };
            let mark = if row.used { " (used)" } else { "" };
            let cells = std::iter::once(format!("{}{id}{mark}", row.quantity)).chain(numbers);
            table.push(false, cells.chain([error, row.unit.clone()]).collect());
        }
        push_median(&mut table, "median |error|", &rows);
    }
    if sources.len() > 1 {
        push_median(&mut table, "median |error|, all", &comparisons.iter().collect::<Vec<_>>());
    }
    table
}

fn sources(comparisons: &[Comparison]) -> Vec<&str> {
    let mut sources: Vec<&str> = Vec::new();
    for comparison in comparisons {
        if !sources.contains(&comparison.source.as_str()) {
            sources.push(&comparison.source);
        }
    }
    sources
}

fn push_median(table: &mut Table, name: &str, rows: &[&Comparison]) {
    if let Some(median) = Comparison::median_error(rows.iter().copied()) {
        table.push(true, vec![name.to_owned(), String::new(), String::new(), percent(median), String::new()]);
    }
}

/// This run and its variants: step, change against this run, phases in seconds, and the shares of those in which nothing runs.
#[must_use]
pub fn variants_table(summary: &Summary, variants: &[Variant]) -> Table {
    let (base, phases) = (summary.seconds(), &summary.common.phases);
    let mut numbers = phase_names(phases);
    numbers.extend(phases.idle().map(|phase| format!("{} share", words(phase.name))));
    let numbers: Vec<&str> = ["step", "change"].into_iter().chain(numbers.iter().map(String::as_str)).collect();
    let mut table = Table::new(&["variant"], &numbers, &[]);
    table.push(true, variant_cells("this run", base, phases, String::new()));
    for variant in variants {
        let cells = match &variant.result {
            VariantResult::Ran { step_seconds, phases } => {
                variant_cells(&variant.name, *step_seconds, phases, percent_signed(ratio(step_seconds - base, base)))
            }
            // The reason stands below the table.
            VariantResult::Failed(_) => {
                let none = std::iter::repeat_n("-".to_owned(), table.columns.len() - 1);
                std::iter::once(variant.name.clone()).chain(none).collect()
            }
        };
        table.push(false, cells);
    }
    table
}

/// Why variants have no result, one line each.
#[must_use]
pub fn variants_reasons(variants: &[Variant]) -> Vec<String> {
    let reason = |variant: &Variant| match &variant.result {
        VariantResult::Ran { .. } => None,
        VariantResult::Failed(reason) => Some(format!("{}: {reason}", variant.name)),
    };
    variants.iter().filter_map(reason).collect()
}

fn variant_cells(name: &str, step: f64, phases: &Phases, change: String) -> Vec<String> {
    let mut cells = vec![name.to_owned(), format!("{step:.3}"), change];
    cells.extend(phases.0.iter().map(|Phase { seconds, .. }| format!("{seconds:.3}")));
    cells.extend(phases.idle().map(|phase| percent(ratio(phase.seconds, step))));
    cells
}

/// A part over a whole, zero where there is no whole: the share of nothing.
pub(crate) fn ratio(part: f64, whole: f64) -> f64 {
    if whole == 0.0 { 0.0 } else { part / whole }
}
