//! A validation as one HTML page that opens without a network.

use askama::Template;

use super::text::{cases_table, heading, scores_table, uncovered_table, worst_table};
use super::{Validation, check};
use crate::error::ReportError;
use crate::figures;
use crate::page::{Shown, shown};
use crate::table::Table;

/// The page of a validation; `command` is the line that makes it again.
///
/// # Errors
/// [`ReportError::NotFinite`] with the path of a number that is none.
pub fn validation_page(validation: &Validation, command: &str) -> Result<String, ReportError> {
    check(validation)?;
    let page = Page {
        headline: heading(validation, ". "),
        command,
        parity: shown(figures::parity(validation)?),
        scores: scores_table(validation),
        worst: worst_table(validation),
        cases: cases_table(validation, &validation.cases, true),
        repeats: cases_table(validation, &validation.repeats, true),
        uncovered: uncovered_table(&validation.uncovered),
    };
    page.render().map_err(ReportError::library)
}

#[derive(Template)]
#[template(path = "validation.html")]
struct Page<'a> {
    headline: String,
    command: &'a str,
    parity: Shown,
    scores: Table,
    worst: Table,
    cases: Table,
    repeats: Table,
    uncovered: Table,
}
