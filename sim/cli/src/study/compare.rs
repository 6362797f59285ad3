//! `study compare`: answers side by side.

use std::fmt::Write;
use std::path::Path;

use report::format::{change, words};
use report::{Column, Measure, Row, Table};
use scenario::disk::{self, Content};
use study::{ComparedChange, ComparedOutcome, SideBySide, StudyError, Verdict};

use super::args::CompareArgs;
use crate::exit::Failure;

/// The file of a folder that holds the answer.
const ANSWER: &str = "study.json";

pub(super) fn compared(args: &CompareArgs) -> Result<String, Failure> {
    let studies: Vec<(String, String)> = args.folders.iter().map(|folder| read(folder)).collect::<Result<_, _>>()?;
    let comparison = SideBySide::of(&studies)?;
    if args.json {
        return Ok(comparison.json()?);
    }
    Ok(if args.markdown { markdown(&comparison) } else { screen(&comparison) })
}

/// A folder of a study, or its `study.json`; it is called as its folder.
fn read(path: &Path) -> Result<(String, String), StudyError> {
    let file = if path.is_dir() { path.join(ANSWER) } else { path.to_owned() };
    let folder = if path.is_dir() { Some(path) } else { path.parent() };
    let name = folder
        .and_then(Path::file_name)
        .map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned());
    let text = disk::read_text(&file, Content::Results).map_err(|error| {
        StudyError::Store(format!(
            "`{}` cannot be read: {error}\nhint: name folders that `windtunnel study NAME --out FOLDER` wrote",
            file.display()
        ))
    })?;
    Ok((name, text))
}

fn screen(comparison: &SideBySide) -> String {
    let mut text = bases(comparison, "");
    let table = Table {
        columns: headings(comparison),
        rows: rows(comparison).into_iter().map(|cells| Row { cells, strong: false }).collect(),
    };
    let _ = writeln!(text, "\n{table}\n\n{}", LEGEND);
    text + &failures(comparison)
}

/// The same for a page of text.
fn markdown(comparison: &SideBySide) -> String {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let headings = headings(comparison);
    let names: Vec<String> = headings.iter().map(|column| column.name.clone()).collect();
    let rule: Vec<String> =
        headings.iter().map(|column| if column.numeric { "--:" } else { "---" }.to_owned()).collect();
    let mut text = bases(comparison, "- ");
    text.push('\n');
    text.push_str(&line(&names));
    text.push_str(&line(&rule));
    rows(comparison).iter().for_each(|cells| text.push_str(&line(cells)));
    let _ = writeln!(text, "\n{LEGEND}");
    text + &failures(comparison)
}

const LEGEND: &str = "Each change is a share of its own base, with its 5 % to 95 % interval over draws of the estimates; below zero is better. `?` marks a change whose sign the draws leave open.";

fn bases(comparison: &SideBySide, mark: &str) -> String {
    let line = |study: &study::ComparedStudy| {
        let measure = Measure::of(&study.objective).unwrap_or_default();
        format!("{mark}{}: {}, {} {}\n", study.name, study.base, measure.write(study.value), measure.per)
    };
    comparison.studies.iter().map(line).collect()
}

fn headings(comparison: &SideBySide) -> Vec<Column> {
    let first = Column { name: "proposal".to_owned(), numeric: false };
    let of = |study: &study::ComparedStudy| Column { name: study.name.clone(), numeric: true };
    std::iter::once(first).chain(comparison.studies.iter().map(of)).collect()
}

fn rows(comparison: &SideBySide) -> Vec<Vec<String>> {
    let row = |row: &study::ComparedProposal| {
        std::iter::once(row.proposal.clone()).chain(row.outcomes.iter().map(cell)).collect()
    };
    comparison.proposals.iter().map(row).collect()
}

fn cell(outcome: &ComparedOutcome) -> String {
    let ran = |ComparedChange { share, interval, verdict, .. }: &ComparedChange| {
        let bare = |share: f64| change(share).replace(" %", "");
        let interval = interval.map(|[low, high]| format!(" ({} to {})", bare(low), bare(high)));
        let open = if *verdict == Some(Verdict::Undecided) { " ?" } else { "" };
        format!("{}{}{open}", change(*share), interval.filter(|_| *share != 0.0).unwrap_or_default())
    };
    match outcome {
        ComparedOutcome::Absent => String::new(),
        ComparedOutcome::Failed(_) => "no result".to_owned(),
        ComparedOutcome::Ran(change) => ran(change),
    }
}

/// Why some have no result.
fn failures(comparison: &SideBySide) -> String {
    let mut text = String::new();
    for row in &comparison.proposals {
        for (study, outcome) in comparison.studies.iter().zip(&row.outcomes) {
            if let ComparedOutcome::Failed(why) = outcome {
                let _ = writeln!(text, "{} in {}: {}", row.proposal, study.name, words(why));
            }
        }
    }
    text
}
