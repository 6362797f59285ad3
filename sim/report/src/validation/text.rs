//! A validation as text: for the terminal, and as Markdown for a report.

use super::{Case, Coverage, Score, Uncovered, Validation};
use crate::format::{percent, percent_signed, significant};
use crate::table::{Column, Row, Table};

/// Cases that are named as the worst.
const N_WORST: usize = 12;

/// The tables of a validation, one below the other; `with_cases` adds every case.
#[must_use]
pub fn validation_text(validation: &Validation, with_cases: bool) -> String {
    let mut parts = vec![heading(validation, "\n"), scores_table(validation).to_string()];
    if with_cases {
        parts.push(cases_table(validation, &validation.cases, false).to_string());
        if !validation.repeats.is_empty() {
            parts.push(format!(
                "The same measurements in other units, which count in no median\n\n{}",
                cases_table(validation, &validation.repeats, false)
            ));
        }
    } else {
        parts.push(format!("Largest errors\n\n{}", worst_table(validation)));
    }
    if !validation.uncovered.is_empty() {
        parts.push(format!("Not compared\n\n{}", uncovered_table(&validation.uncovered)));
    }
    parts.join("\n\n") + "\n"
}

/// The same as a page of Markdown, every case with the command that makes it again.
#[must_use]
pub fn validation_markdown(validation: &Validation, command: &str) -> String {
    let table = |table: &Table| markdown(table);
    format!(
        "# Every case, as `{command}` writes it\n\n{}.\n\nErrors are simulated less published, over published. *Used* facts are named as a source by an input of their \
         own prediction: agreement there proves nothing, and no count or median has them.\n\n{}\n\n![Simulated against published](parity.svg)\n\n## Farthest off\n\n{}\n\n## Not compared\n\n{}\n\n## \
         Cases\n\n{}\n\n## The same measurements in other units, counted nowhere\n\n{}\n",
        heading(validation, ". "),
        table(&scores_table(validation)),
        table(&worst_table(validation)),
        table(&uncovered_table(&validation.uncovered)),
        table(&cases_table(validation, &validation.cases, true)),
        table(&cases_table(validation, &validation.repeats, true)),
    )
}

/// Errors and intervals of all cases together, with `between` the two.
pub(super) fn heading(validation: &Validation, between: &str) -> String {
    let of_intervals = coverage(&validation.score().coverage);
    let all: Vec<String> = [Some(headline(validation)), of_intervals].into_iter().flatten().collect();
    all.join(between)
}

/// None where no answer has an interval.
fn coverage(coverage: &Coverage) -> Option<String> {
    let (inside, half_width) = (coverage.share?, coverage.median_half_width?);
    Some(format!(
        "{} of our figures have an interval from 5 to 95 %: the published figure lies inside {} of them, median half-width {}",
        coverage.n_with_interval,
        percent(inside),
        percent(half_width)
    ))
}

fn headline(validation: &Validation) -> String {
    let score = validation.score();
    format!(
        "{} published figures beside ours, {} more used as inputs: median |error| {}, 90th percentile {}, bias {}",
        score.n,
        score.n_used,
        spelled(score.median_absolute_error, percent),
        spelled(score.p90_absolute_error, percent),
        spelled(score.bias, percent_signed)
    )
}

/// Errors by family and by group.
pub(super) fn scores_table(validation: &Validation) -> Table {
    let numbers = ["n", "used", "median |error|", "90th percentile", "bias", "inside", "half-width"];
    let mut table = columns(&["family"], &numbers, &["farthest off"]);
    let groups = validation.groups();
    for (group, score) in &groups {
        let families = validation.scores().filter(|(family, _)| family.group == *group);
        push(&mut table, true, vec![(*group).to_owned()]);
        for (family, score) in families {
            push(&mut table, false, score_cells(&family.name, &score));
        }
        push(&mut table, true, score_cells(&format!("{group}, together"), score));
    }
    if groups.len() > 1 {
        push(&mut table, true, score_cells("all", &validation.score()));
    }
    table
}

fn score_cells(name: &str, score: &Score) -> Vec<String> {
    let Coverage { n_with_interval, share, median_half_width } = score.coverage;
    let worst = score.worst.as_ref().map(|worst| format!("{} {}", percent_signed(worst.error), worst.id));
    vec![
        name.to_owned(),
        score.n.to_string(),
        score.n_used.to_string(),
        spelled(score.median_absolute_error, percent),
        spelled(score.p90_absolute_error, percent),
        spelled(score.bias, percent_signed),
        share.map_or_else(|| "-".to_owned(), |share| format!("{} of {n_with_interval}", percent(share))),
        spelled(median_half_width, percent),
        worst.unwrap_or_default(),
    ]
}

fn spelled(value: Option<f64>, spell: fn(f64) -> String) -> String {
    value.map_or_else(|| "-".to_owned(), spell)
}

/// The cases that are farthest off.
pub(super) fn worst_table(validation: &Validation) -> Table {
    let mut judged: Vec<&Case> = validation.cases.iter().filter(|case| case.judges()).collect();
    let size = |case: &Case| case.error.map_or(0.0, f64::abs);
    judged.sort_by(|a, b| size(b).total_cmp(&size(a)));
    let mut table = case_columns(false);
    for case in judged.iter().take(N_WORST) {
        push(&mut table, false, case_cells(case, false));
    }
    table
}

/// Every case, family by family.
pub(super) fn cases_table(validation: &Validation, cases: &[Case], with_commands: bool) -> Table {
    let mut table = case_columns(with_commands);
    for family in &validation.families {
        let mut rows = cases.iter().filter(|case| case.row.family == family.name).peekable();
        if rows.peek().is_some() {
            push(&mut table, true, vec![format!("{}: {}", family.name, family.about)]);
        }
        for case in rows {
            push(&mut table, false, case_cells(case, with_commands));
        }
    }
    table
}

fn case_columns(with_commands: bool) -> Table {
    let commands: &[&str] = if with_commands { &["unit", "command"] } else { &["unit"] };
    columns(&["fact", "quantity"], &["published", "simulated", "error"], commands)
}

fn case_cells(case: &Case, with_commands: bool) -> Vec<String> {
    let row = &case.row;
    let mark = if row.used { " (used)" } else { "" };
    let mut cells = vec![
        format!("{}{mark}", row.id),
        row.quantity.clone(),
        significant(row.published, 4),
        significant(row.simulated, 4),
        case.error.map_or_else(|| "-".to_owned(), percent_signed),
        row.unit.clone(),
    ];
    if with_commands {
        let commands: Vec<String> = case.commands.iter().map(|command| format!("`{command}`")).collect();
        cells.push(commands.join(" + "));
    }
    cells
}

/// What is not compared, and why.
pub(super) fn uncovered_table(uncovered: &[Uncovered]) -> Table {
    let mut table = columns(&["family"], &["facts"], &["why not"]);
    for row in uncovered {
        push(&mut table, false, vec![row.family.clone(), row.n.to_string(), row.reason.clone()]);
    }
    table
}

fn columns(text: &[&str], numbers: &[&str], more: &[&str]) -> Table {
    let of = |numeric: bool| move |name: &&str| Column { name: (*name).to_owned(), numeric };
    let columns = text.iter().map(of(false)).chain(numbers.iter().map(of(true)));
    Table { columns: columns.chain(more.iter().map(of(false))).collect(), rows: Vec::new() }
}

fn push(table: &mut Table, strong: bool, cells: Vec<String>) {
    table.rows.push(Row { cells, strong });
}

/// A table as Markdown.
fn markdown(table: &Table) -> String {
    let line = |cells: Vec<String>| format!("| {} |", cells.join(" | "));
    let mut lines = vec![
        line(table.columns.iter().map(|column| cell(&column.name)).collect()),
        line(table.columns.iter().map(|column| if column.numeric { "---:" } else { "---" }.to_owned()).collect()),
    ];
    for row in &table.rows {
        let strong = |text: &String| {
            let text = cell(text);
            if row.strong && !text.is_empty() { format!("**{text}**") } else { text }
        };
        let mut cells: Vec<String> = row.cells.iter().map(strong).collect();
        cells.resize(table.columns.len(), String::new());
        lines.push(line(cells));
    }
    lines.join("\n")
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}
