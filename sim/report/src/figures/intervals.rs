//! Proposals by what they save, each with its interval and what was expected.

use super::Figure;
use super::canvas::{Anchor, Area, Canvas, TEXT};
use super::chart::{AXIS, Range, legend_height_on, legend_on};
use super::palette::{LESS, MORE, Paint, change as paint_of};
use super::rows::{Sheet, percent_tick};
use crate::error::{ReportError, finite};
use crate::format::change;
use crate::measure::Measure;
use crate::study::{ProposalResult, ProposalRow, ProposalRun};

/// What a person expects by hand.
const HAND: Paint = Paint::Ink(0.13);
const WIDE: Sheet = Sheet::wide(240.0, 296.0);

/// Changes of the measure, percent: bars with whiskers from 5 to 95 %, hollow where they are undecided, on a band that is
/// the hand calculation.
///
/// # Errors
/// [`ReportError::NotFinite`].
pub fn intervals(rows: &[ProposalRow], measure: &Measure) -> Result<Figure, ReportError> {
    finite("proposals", &rows)?;
    let title = format!("Change of the {} per proposal", measure.noun);
    Ok(Figure {
        name: "intervals".into(),
        caption: "A bar is the change with the estimates as they stand, to the left of zero there is less; \
                  a whisker is where 90 of 100 draws of what is not known lie. A hollow bar is undecided: its whisker \
                  touches or crosses zero. The band behind is the hand calculation of the proposal; a mark at the edge \
                  says that it goes on."
            .into(),
        svg: paint(&WIDE, (&title, measure), rows)?,
        narrow: Some(paint(&Sheet::NARROW, (&title, measure), rows)?),
        title,
    })
}

fn paint(sheet: &Sheet, (title, measure): (&str, &Measure), rows: &[ProposalRow]) -> Result<String, ReportError> {
    let keys = keys(rows);
    let (min, max) = extent(rows);
    let range = sheet.range(min, max);
    let top = legend_height_on(sheet.width, 6.0, &keys);
    let bottom = top + sheet.pitch * rows.len().max(1) as f64;
    sheet.draw(title, bottom + AXIS, |canvas| {
        legend_on(sheet.width, canvas, (6.0, 0.0), &keys)?;
        let tops = sheet.tops(top, rows.len());
        sheet.axis(canvas, range, (&tops, bottom), &format!("change of the {}", measure.noun), &percent_tick)?;
        rows.iter().zip(tops).try_for_each(|(row, top)| self::row(canvas, sheet, range, top, row))
    })
}

fn keys(rows: &[ProposalRow]) -> Vec<(String, Paint)> {
    let ran = || rows.iter().filter_map(ran);
    let mut keys = Vec::new();
    for (word, paint, is_there) in [
        ("less", LESS, ran().any(|ran| ran.change <= 0.0)),
        ("more", MORE, ran().any(|ran| ran.change > 0.0)),
        ("by hand", HAND, !rows.is_empty()),
    ] {
        if is_there {
            keys.push((word.to_owned(), paint));
        }
    }
    keys
}

fn ran(row: &ProposalRow) -> Option<&ProposalRun> {
    match &row.result {
        ProposalResult::Ran(ran) => Some(ran),
        ProposalResult::Failed(_) => None,
    }
}

/// All results with their whiskers; hand calculations as far as half as much again, as a bold hope would dwarf what came out.
fn extent(rows: &[ProposalRow]) -> (f64, f64) {
    let results = rows.iter().filter_map(ran);
    let ends = results.flat_map(|ran| ran.interval.into_iter().flatten().chain([ran.change]));
    let (low, high) = ends.fold((0.0_f64, 0.0_f64), |(low, high), end| (low.min(end), high.max(end)));
    let hands = rows.iter().map(|row| (row.hand.low, row.hand.high));
    let (hand_low, hand_high) = hands.fold((0.0_f64, 0.0_f64), |(a, b), (low, high)| (a.min(low), b.max(high)));
    let room = (high - low) * 0.5;
    let (min, max) = if room > 0.0 {
        (hand_low.clamp(low - room, low), hand_high.clamp(high, high + room))
    } else {
        (hand_low, hand_high)
    };
    let margin = (max - min).max(0.01) * 0.04;
    (min - margin, max + margin)
}

fn row(canvas: &mut Canvas<'_>, sheet: &Sheet, range: Range, top: f64, row: &ProposalRow) -> Result<(), ReportError> {
    let (y, height) = sheet.plot(top);
    hand(canvas, range, (y, height), row)?;
    let ProposalResult::Ran(ran) = &row.result else {
        return sheet.name(canvas, top, &row.name, "no result", false);
    };
    let words = match (ran.interval, sheet.is_stacked) {
        (Some([low, high]), false) => {
            let verdict = if ran.decided == Some(false) { ", undecided" } else { "" };
            format!("{}, {} to {}{verdict}", change(ran.change), signed(low), signed(high))
        }
        (Some(_), true) if ran.decided == Some(false) => format!("{}, undecided", change(ran.change)),
        _ => change(ran.change),
    };
    sheet.name(canvas, top, &row.name, &words, false)?;
    let (zero, end, middle) = (range.x(0.0), range.x(ran.change), y + height / 2.0);
    let paint = paint_of(ran.change);
    let thickness = (height * 0.44).min(12.0);
    let bar = Area { left: zero.min(end), top: middle - thickness / 2.0, width: (end - zero).abs(), height: thickness };
    if ran.decided == Some(false) {
        canvas.outline(bar, paint, 1.75)?;
    } else {
        canvas.fill(bar, paint)?;
    }
    whisker(canvas, range, middle, ran)
}

fn signed(share: f64) -> String {
    change(share).replace(" %", "")
}

/// The hand calculation as a band, with a mark where it is cut.
fn hand(canvas: &mut Canvas<'_>, range: Range, (y, height): (f64, f64), row: &ProposalRow) -> Result<(), ReportError> {
    let (left, right) = (range.x(row.hand.low), range.x(row.hand.high));
    // A hand calculation of nothing at all is still something that was said.
    let width = (right - left).max(3.0);
    let left = left.min(range.left + range.width - width);
    canvas.fill(Area { left, top: y + 2.0, width, height: height - 4.0 }, HAND)?;
    let middle = y + height / 2.0;
    if row.hand.low < range.min {
        canvas.text((range.left + 3.0, middle), Anchor::Start, TEXT, Paint::MUTED, "‹")?;
    }
    if row.hand.high > range.max {
        canvas.text((range.left + range.width - 3.0, middle), Anchor::End, TEXT, Paint::MUTED, "›")?;
    }
    Ok(())
}

fn whisker(canvas: &mut Canvas<'_>, range: Range, middle: f64, ran: &ProposalRun) -> Result<(), ReportError> {
    let Some([low, high]) = ran.interval else { return Ok(()) };
    let (left, right) = (range.x(low), range.x(high));
    canvas.line((left, middle), (right, middle), Paint::TEXT, 1.5)?;
    for x in [left, right] {
        canvas.line((x, middle - 5.0), (x, middle + 5.0), Paint::TEXT, 1.5)?;
    }
    Ok(())
}
