//! What moves the measure that a job is judged by, and a small page of it.

use askama::Template;
use serde::Serialize;

use crate::error::{ReportError, finite};
use crate::figures::{self, Figure};
use crate::format::percent;
use crate::measure::Measure;
use crate::page::{Shown, printable, shown};
use crate::table::Table;

/// What moves the measure of a scenario.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct SensitivitySummary {
    /// The scenario's name.
    pub name: String,
    /// Digest of its plan.
    pub digest: String,
    /// What it is judged by.
    pub measure: Measure,
    /// Its value.
    pub value: f64,
    /// Knobs, the largest elasticity first.
    pub knobs: Vec<KnobRow>,
}

/// One knob.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct KnobRow {
    /// For example `gpu.memory.stacks`.
    pub key: String,
    /// Its value as written.
    pub value: String,
    /// Relative change of the measure over relative change of the knob; none where it cannot be turned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub elasticity: Option<f64>,
    /// The smaller and the larger of the elasticities toward less and toward more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ends: Option<[f64; 2]>,
    /// Of an estimate: what it rests on, and how unsure it alone makes the value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub estimate: Option<EstimateRow>,
    /// Why a way cannot be turned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// What an estimate adds to a knob.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct EstimateRow {
    /// What it rests on.
    pub basis: String,
    /// Its spread, a share of the value.
    pub spread: f64,
    /// How unsure it alone makes the value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unsure: Option<f64>,
}

/// A page of one sensitivity, self-contained as [`page`](crate::page()); `command` makes it again.
///
/// # Errors
/// [`ReportError::NotFinite`].
pub fn sensitivity_page(summary: &SensitivitySummary, command: &str) -> Result<String, ReportError> {
    finite("", summary)?;
    let page = Page {
        summary,
        command,
        value: summary.measure.write(summary.value),
        tornado: shown(figures::tornado(summary)?),
        knobs: knobs_table(summary),
    };
    page.render().map(|page| printable(&page)).map_err(ReportError::library)
}

impl SensitivitySummary {
    /// Its pictures.
    ///
    /// # Errors
    /// [`ReportError::NotFinite`].
    pub fn figures(&self) -> Result<Vec<Figure>, ReportError> {
        Ok(vec![figures::tornado(self)?])
    }
}

#[derive(Template)]
#[template(path = "sensitivity.html")]
struct Page<'a> {
    summary: &'a SensitivitySummary,
    command: &'a str,
    value: String,
    tornado: Shown,
    knobs: Table,
}

/// Every knob.
pub(super) fn knobs_table(summary: &SensitivitySummary) -> Table {
    let mut table =
        Table::new(&["knob"], &["value", "elasticity", "low", "high", "spread", "uncertainty"], &["basis", "note"]);
    let number = |number: Option<f64>| number.map_or_else(|| "-".to_owned(), |number| format!("{number:+.3}"));
    for knob in &summary.knobs {
        let [low, high] = [0, 1].map(|end| number(knob.ends.map(|ends| ends[end])));
        let estimate = knob.estimate.as_ref();
        table.push(
            false,
            vec![
                knob.key.clone(),
                knob.value.clone(),
                number(knob.elasticity),
                low,
                high,
                estimate.map(|estimate| percent(estimate.spread)).unwrap_or_default(),
                estimate
                    .and_then(|estimate| estimate.unsure)
                    .map(|unsure| summary.measure.write(unsure))
                    .unwrap_or_default(),
                estimate.map(|estimate| estimate.basis.clone()).unwrap_or_default(),
                knob.note.clone().unwrap_or_default(),
            ],
        );
    }
    table
}
