//! What each of several proposals adds.

use super::Figure;
use super::canvas::{Area, Canvas};
use super::chart::{AXIS, Range, legend_height_on, legend_on};
use super::palette::{LESS, MORE, Paint, change};
use super::rows::{Sheet, percent_tick};
use crate::error::{ReportError, finite};
use crate::format::percent_signed;
use crate::measure::Measure;
use crate::study::{TogetherSummary, WorthRow};
use crate::table::ratio;

const WIDE: Sheet = Sheet::wide(246.0, 110.0);

/// Shapley shares as bars, with what each proposal is worth alone and beside all others; shares of the base's value.
///
/// # Errors
/// [`ReportError::NotFinite`].
pub fn shapley(together: &TogetherSummary, base: f64, measure: &Measure) -> Result<Figure, ReportError> {
    finite("together", together)?;
    let title = "What each adds when all come".to_owned();
    Ok(Figure {
        name: "shapley".into(),
        caption: "A bar is a proposal's Shapley share: its part of what all of them save, the mean over all orders in which \
                  they could come. The open mark is what it saves alone, the full one what it saves as the last, beside \
                  all others. Where the two lie apart, its worth depends on its company."
            .into(),
        svg: paint(&WIDE, (&title, measure), together, base)?,
        narrow: Some(paint(&Sheet::NARROW, (&title, measure), together, base)?),
        title,
    })
}

fn paint(
    sheet: &Sheet,
    (title, measure): (&str, &Measure),
    together: &TogetherSummary,
    base: f64,
) -> Result<String, ReportError> {
    let rows: Vec<[Option<f64>; 3]> = together.shares.iter().map(|row| changes(row, base)).collect();
    let ends = rows.iter().flatten().flatten();
    let (min, max) = ends.fold((0.0_f64, 0.0_f64), |(low, high), end| (low.min(*end), high.max(*end)));
    let margin = (max - min).max(0.001) * 0.05;
    let range = sheet.range(min - margin, max + margin);
    let keys = [("less".to_owned(), LESS), ("more".to_owned(), MORE)];
    let keys = &keys[..if max > 0.0 { 2 } else { 1 }];
    let top = legend_height_on(sheet.width, 6.0, keys);
    let bottom = top + sheet.pitch * rows.len().max(1) as f64;
    sheet.draw(title, bottom + AXIS, |canvas| {
        legend_on(sheet.width, canvas, (6.0, 0.0), keys)?;
        let tops = sheet.tops(top, rows.len());
        sheet.axis(canvas, range, (&tops, bottom), &format!("change of the {}", measure.noun), &percent_tick)?;
        for ((row, changes), top) in together.shares.iter().zip(&rows).zip(tops) {
            let share = changes[0].unwrap_or_default();
            sheet.name(canvas, top, &row.proposal, &percent_signed(share), false)?;
            marks(canvas, range, sheet.plot(top), changes)?;
        }
        Ok(())
    })
}

/// Shapley share, alone, last, as changes.
fn changes(row: &WorthRow, base: f64) -> [Option<f64>; 3] {
    let change = |worth: f64| -ratio(worth, base);
    [Some(change(row.shapley)), Some(change(row.alone)), row.last.map(change)]
}

fn marks(
    canvas: &mut Canvas<'_>,
    range: Range,
    (top, height): (f64, f64),
    changes: &[Option<f64>; 3],
) -> Result<(), ReportError> {
    let middle = top + height / 2.0;
    let share = changes[0].unwrap_or_default();
    let (zero, end) = (range.x(0.0), range.x(share));
    let thickness = (height * 0.44).min(12.0);
    let bar = Area { left: zero.min(end), top: middle - thickness / 2.0, width: (end - zero).abs(), height: thickness };
    canvas.fill(bar, change(share))?;
    if let [_, Some(alone), Some(last)] = changes {
        canvas.line((range.x(*alone), middle), (range.x(*last), middle), Paint::Ink(0.5), 1.0)?;
    }
    for (value, is_hollow) in [(changes[1], true), (changes[2], false)] {
        if let Some(value) = value {
            canvas.dot((range.x(value), middle), 4.5, Paint::TEXT, is_hollow)?;
        }
    }
    Ok(())
}
