//! The page of a study: what was found, as plain data for the report.
//!
//! All of it is a function of manifest, finished points and the base as a file, so that a study and a merge write the same
//! bytes. What needs a further run (timelines, sensitivity) is made from that file.

mod front;
mod near;
mod rows;
mod sweep;
mod together;

use report::study::{ArithmeticRow, EstimateRow, KnobRow, SensitivitySummary, StudySummary};
use report::{BeforeAfter, Measure, StudyInput};
use study::{Answer, Arithmetic, Manifest, Sensitivity, StudyProgress};

use crate::error::TunnelError;
use near::Near;

/// Files by name, with their contents.
pub type PageFiles = Vec<(String, Vec<u8>)>;

/// `report.html`, the figures, and where the study asks `sensitivity.json`. `base` is the path of the base as a file
/// ([`base_toml`](super::base_toml)), `build` the program that runs, and `progress` counts the runs that the page needs.
///
/// # Errors
/// A base that does not run, or figures that cannot be drawn, which is a fault of the program.
pub fn page(
    of: (&Manifest, &Answer),
    base: &str,
    build: &str,
    progress: &StudyProgress,
) -> Result<PageFiles, TunnelError> {
    let (manifest, answer) = of;
    let near = Near::new(of, base, build, progress)?;
    let summary = summary(manifest, answer, &near);
    let timelines = near.timelines.as_ref().map(|timelines| BeforeAfter {
        proposal: &timelines.proposal,
        before: &timelines.before,
        after: &timelines.after,
    });
    let command = format!("windtunnel study {} --out DIR", manifest.name);
    let input = StudyInput { summary: &summary, timelines, command: &command };
    let mut files = vec![("report.html".to_owned(), report::study_page(&input)?.into_bytes())];
    for figure in report::study_figures(&input)? {
        files.push((format!("figures/{}.svg", figure.name), figure.file().into_bytes()));
    }
    if let Some(found) = &near.sensitivity {
        files.push(("sensitivity.json".to_owned(), found.json()?.into_bytes()));
    }
    Ok(files)
}

/// `sensitivity.json`, the tornado and a page of one sensitivity; `command` makes it again.
///
/// # Errors
/// Figures that cannot be drawn, which is a fault of the program.
pub fn sensitivity_page(found: &Sensitivity, command: &str) -> Result<PageFiles, TunnelError> {
    let summary = knobs(found);
    let page = report::sensitivity_page(&summary, command)?;
    let mut files = vec![
        ("sensitivity.json".to_owned(), found.json()?.into_bytes()),
        ("report.html".to_owned(), page.into_bytes()),
    ];
    for figure in summary.figures()? {
        files.push((format!("{}.svg", figure.name), figure.file().into_bytes()));
    }
    Ok(files)
}

fn summary(manifest: &Manifest, answer: &Answer, near: &Near) -> StudySummary {
    let mut notes = near.notes.clone();
    let front = front::front(answer, &mut notes);
    if let Some(error) = &answer.together_error {
        notes.push(format!("proposals together have no answer: {error}"));
    }
    notes.extend(rows::reasons(answer));
    StudySummary {
        name: manifest.name.clone(),
        about: answer.about.clone(),
        measure: measured(&answer.criterion.name),
        draws: answer.draws,
        base: rows::base(answer),
        proposals: rows::proposals(answer),
        sweeps: sweep::sweeps(answer),
        together: answer.together.as_ref().map(together::together),
        front,
        sensitivity: near.sensitivity.as_ref().map(knobs),
        arithmetic: answer.arithmetic.iter().filter_map(arithmetic).collect(),
        notes,
    }
}

/// How people read a number that a tunnel judges by; every such number has words.
fn measured(name: &str) -> Measure {
    Measure::of(name).unwrap_or_default()
}

/// `None` without FP8 products, or without a value.
fn arithmetic(row: &Arithmetic) -> Option<ArithmeticRow> {
    Some(ArithmeticRow {
        proposal: row.name.clone(),
        change: row.change?,
        fraction_bits: row.fraction_bits,
        promotion: match (row.promote, row.scales_inside) {
            (Some(every), _) => format!("every {every} products"),
            (None, true) => "never".to_owned(),
            (None, false) => "where a scale changes".to_owned(),
        },
        error_median: row.relative_error_median?,
        error_worst: row.relative_error_worst?,
    })
}

fn knobs(found: &Sensitivity) -> SensitivitySummary {
    let knob = |knob: &study::Knob| KnobRow {
        key: knob.key.clone(),
        value: knob.value.trim_matches('"').to_owned(),
        elasticity: knob.elasticity,
        ends: knob.low.zip(knob.high).map(|(low, high)| [low, high]),
        estimate: knob.basis.clone().zip(knob.spread).map(|(basis, spread)| EstimateRow {
            basis,
            spread,
            unsure: knob.unsure.value,
        }),
        note: knob.note.clone(),
    };
    SensitivitySummary {
        name: found.name.clone(),
        digest: found.digest.clone(),
        measure: measured(&found.objective.name),
        value: found.objective.value,
        knobs: found.knobs.iter().map(knob).collect(),
    }
}
