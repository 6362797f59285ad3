//! What came out: tables, figures, traces and pages, from plain data and nothing else.
//!
//! A run hands over a [`Summary`] (numbers) and a [`Timeline`] (intervals), a study a [`StudySummary`]; every function here
//! is pure and turns them into text or bytes, the same ones each time.
//!
//! ```
//! use report::{Common, JobResult, Track, Phase, Phases, Span, SpanKind, StepResult, Summary, Timeline};
//!
//! let forward = Phase { name: "forward", kind: Some(SpanKind::Forward), seconds: 4.0 };
//! let bubble = Phase { name: "bubble", kind: None, seconds: 0.5 };
//! let common = Common { phases: Phases(vec![forward, bubble]), ..Common::default() };
//! let result = JobResult::Step(StepResult { step_seconds: 4.5, ..StepResult::default() });
//! let summary = Summary { common, result, ..Summary::default() };
//! let chunk = Span { name: "F 0".into(), kind: SpanKind::Forward, start: 0.0, end: 1.0 };
//! let lane = Track { process: "rank 0".into(), thread: "chunks".into(), spans: vec![chunk] };
//! let timeline = Timeline { lanes: vec![lane] };
//!
//! assert!(report::terminal(&summary, &[], false).contains("4.500 s"));
//! assert!(report::figures::pipeline(&timeline)?.svg.starts_with("<svg"));
//! assert!(!report::trace::perfetto("toy", &timeline)?.is_empty());
//! # Ok::<(), report::ReportError>(())
//! ```
//!
//! - [`terminal()`]: what a newcomer reads in one screen; [`table`]: every table, as text or cells.
//! - [`figures`]: SVG pictures; no fonts needed, readable on light and dark pages and by color-blind eyes.
//! - [`trace`]: Perfetto and Chrome traces; [`summary_json`].
//! - [`page()`], [`study_page`], [`sensitivity_page`]: one self-contained HTML file each.
//! - [`Validation`]: many published figures beside ours; its scores, page and picture.
//!
//! This crate does not know how a plan is made, what the model of a machine is, or where files go: a report never
//! computes a result, it only shows one.

mod error;
pub mod figures;
pub mod format;
mod imported;
mod json;
pub mod measure;
mod nearest;
mod numbers;
pub mod page;
mod phases;
mod service_screen;
mod serving;
mod shares;
pub mod study;
pub mod summary;
pub mod table;
pub mod terminal;
mod timeline;
pub mod trace;
mod validation;

pub use error::ReportError;
pub use json::summary_json;
pub use measure::Measure;
pub use numbers::Objective;
pub use page::{PageInput, page};
pub use phases::{Phase, Phases};
pub use serving::{IterationRow, Percentiles, ServiceResult, ServingNumbers};
pub use study::{
    BeforeAfter, SensitivitySummary, StudyInput, StudySummary, sensitivity_page, study_figures, study_page,
};
pub use summary::*;
pub use table::{Column, Row, Table};
pub use terminal::terminal;
pub use timeline::{Span, SpanKind, Timeline, Track};
pub use validation::{
    Case, Coverage, FamilyOf, Score, Uncovered, Validation, Worst, validation_json, validation_markdown,
    validation_page, validation_text,
};
