//! How much of their own rate links carry.

use super::Figure;
use super::canvas::{Anchor, Area, Canvas, TEXT, WIDTH, draw, fitted};
use super::chart::{AXIS, Scale, axis, legend, legend_height};
use super::palette::{Paint, kind};
use crate::error::{ReportError, finite};
use crate::format::{bytes, percent, words as shown};
use crate::summary::LinkRow;
use crate::timeline::SpanKind;

const LEFT: f64 = 190.0;
const RIGHT: f64 = 250.0;
const PITCH: f64 = 38.0;
const MEAN: Paint = kind(SpanKind::Transfer);

/// Link utilization by kind: the mean as a bar, the busiest link as a line past it; percent of the link's own rate.
///
/// # Errors
/// [`ReportError::NotFinite`].
pub fn links(rows: &[LinkRow]) -> Result<Figure, ReportError> {
    finite("links", &rows)?;
    let title = "How busy the links are".to_owned();
    let keys = [("mean over links".to_owned(), MEAN), ("busiest link".to_owned(), Paint::TEXT)];
    let largest = rows.iter().map(|row| row.utilization_max.max(row.utilization_mean)).fold(0.0, f64::max);
    // To the next tenth, so that a chart of nearly idle links does not look busy.
    let max = ((largest * 10.0).ceil() / 10.0).max(0.1) * 100.0;
    let scale = Scale { left: LEFT, width: WIDTH - LEFT - RIGHT, max };
    let top = legend_height(LEFT, &keys);
    let bottom = top + PITCH * rows.len().max(1) as f64;
    let svg = draw(&title, bottom + AXIS, |canvas| {
        legend(canvas, (LEFT, 0.0), &keys)?;
        axis(canvas, scale, (top, bottom), "percent of the links' own rate, mean over the step")?;
        for (index, row) in rows.iter().enumerate() {
            bar(canvas, scale, top + PITCH * index as f64, row)?;
        }
        Ok(())
    })?;
    Ok(Figure {
        name: "links".into(),
        narrow: None,
        caption: "The bar is the share of their own rate that links of a kind carry, averaged over links and over \
                  the whole step; the mark is the busiest link. A link can be full at times and have a low mean."
            .into(),
        svg,
        title,
    })
}

fn bar(canvas: &mut Canvas<'_>, scale: Scale, top: f64, row: &LinkRow) -> Result<(), ReportError> {
    let middle = top + PITCH / 2.0;
    let name = fitted(&shown(&row.kind), TEXT, LEFT - 14.0);
    canvas.text((LEFT - 10.0, middle), Anchor::End, TEXT, Paint::TEXT, &name)?;
    let end = scale.x(row.utilization_mean * 100.0);
    let height = PITCH - 14.0;
    let area = Area { left: LEFT, top: top + 7.0, width: end - LEFT, height };
    canvas.fill(area, MEAN)?;
    let busiest = scale.x(row.utilization_max * 100.0);
    canvas.line((end, middle), (busiest, middle), Paint::Ink(0.5), 1.5)?;
    canvas.line((busiest, area.top), (busiest, area.top + height), Paint::TEXT, 2.5)?;
    let (mean, max) = (percent(row.utilization_mean), percent(row.utilization_max));
    let words = format!("{mean}, busiest {max}; {}", bytes(row.bytes));
    let place = (WIDTH - RIGHT + 14.0, middle);
    canvas.text(place, Anchor::Start, TEXT, Paint::MUTED, &words)
}
