//! Timelines of two runs, on one scale.

use super::Figure;
use super::pair::{pair_called, pair_seconds};
use super::pipeline::pipeline_called;
use crate::error::ReportError;
use crate::timeline::Timeline;

/// The pair and the pipeline of the base and of `name`, each two on one scale, in the order before, after; a pair only where
/// both have one.
///
/// # Errors
/// Those of [`Timeline::check`].
pub fn before_after(before: &Timeline, after: &Timeline, name: &str) -> Result<Vec<Figure>, ReportError> {
    let mut figures = Vec::new();
    if let (Some(a), Some(b)) = (pair_seconds(before), pair_seconds(after)) {
        let room = a.max(b);
        figures.extend(pair_called("pair-before", "One overlapped pair, before", before, room)?);
        figures.extend(pair_called("pair-after", &format!("One overlapped pair with {name}"), after, room)?);
    }
    let end = before.end().max(after.end());
    figures.push(pipeline_called("pipeline-before", "The pipeline over one step, before", before, end)?);
    figures.push(pipeline_called("pipeline-after", &format!("The pipeline over one step with {name}"), after, end)?);
    Ok(figures)
}
