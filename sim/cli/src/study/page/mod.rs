//! The page of a study: what was found, as plain data for the report.
//!
//! All of it is a function of manifest, finished points and the base as a file, so that a study and a merge write the same
//! bytes. What needs a further run (timelines, sensitivity) is made from that file.

mod front;
mod near;
mod rows;
mod sweep;
mod together;

use std::path::Path;

use report::study::{ArithmeticRow, EstimateRow, KnobRow, SensitivitySummary, StudySummary};
use report::{BeforeAfter, StudyInput};
use scenario::Loaded;
use study::{Answer, Arithmetic, Manifest, Sensitivity};

use crate::exit::Failure;
use crate::out::Files;
use near::Near;

/// The base with every value as it was written: a scenario that needs no other file, and in which `"auto"` still means so.
pub(crate) fn base_toml(base: &Loaded) -> String {
    let leaves = base.leaves.iter().map(|leaf| format!("{} = {}\n", leaf.key, leaf.written));
    let name = toml::Value::String(base.plan.name.clone());
    format!("# The base of a study, every value as it was written.\nname = {name}\n{}", leaves.collect::<String>())
}

/// `report.html`, the figures, and where the study asks `sensitivity.json`; `base` is the file of [`base_toml`].
pub(crate) fn files(manifest: &Manifest, answer: &Answer, base: &Path, quiet: bool) -> Result<Files, Failure> {
    let near = Near::new(manifest, answer, base, quiet)?;
    let summary = summary(manifest, answer, &near);
    let timelines = near.timelines.as_ref().map(|timelines| BeforeAfter {
        proposal: &timelines.proposal,
        before: &timelines.before,
        after: &timelines.after,
    });
    let command = format!("windtunnel study {} --out DIR", manifest.name);
    let input = StudyInput { summary: &summary, timelines, command: &command };
    let mut files = Files::of([("report.html", report::study_page(&input)?)]);
    for figure in report::study_figures(&input)? {
        files.add(&format!("figures/{}.svg", figure.name), figure.file().into_bytes());
    }
    if let Some(found) = &near.sensitivity {
        files.add("sensitivity.json", found.json()?.into_bytes());
    }
    Ok(files)
}

/// `sensitivity.json`, the tornado and a page of one sensitivity.
pub(crate) fn of_sensitivity(found: &Sensitivity, command: &str) -> Result<Files, Failure> {
    let summary = knobs(found);
    let page = report::sensitivity_page(&summary, command)?;
    let mut files = Files::of([("sensitivity.json", found.json()?), ("report.html", page)]);
    for figure in summary.figures()? {
        files.add(&format!("{}.svg", figure.name), figure.file().into_bytes());
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

/// `None` without FP8 products, or without a step.
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
            unsure_seconds: knob.unsure_seconds,
        }),
        note: knob.note.clone(),
    };
    SensitivitySummary {
        name: found.name.clone(),
        digest: found.digest.clone(),
        step_seconds: found.step_seconds,
        knobs: found.knobs.iter().map(knob).collect(),
    }
}
