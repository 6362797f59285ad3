//! What binds a job, before and after.

use std::collections::BTreeMap;

use super::Figure;
use super::canvas::{Anchor, Area, Canvas, TEXT, text_width};
use super::chart::{AXIS, Range, legend_height_on, legend_on};
use super::palette::{Paint, binding as paint_of};
use super::rows::Sheet;
use crate::error::{ReportError, finite};
use crate::measure::Measure;
use crate::study::{ProposalResult, ProposalRow, StudySummary};

const WIDE: Sheet = Sheet::wide(246.0, 96.0);

/// The measure of the base and of each proposal, cut by what binds it.
///
/// # Errors
/// [`ReportError::NotFinite`].
pub fn binding(summary: &StudySummary) -> Result<Figure, ReportError> {
    finite("base", &summary.base)?;
    finite("proposals", &summary.proposals)?;
    let title = "Bottlenecks before and after".to_owned();
    let bars = bars(summary);
    Ok(Figure {
        name: "binding".into(),
        caption: format!(
            "Each bar is the {}, divided by the resource that binds it, mean over ranks. The first bar is the base. Where a \
             color shrinks the proposal takes it away, and what grows instead is the next thing to wish for.",
            summary.measure.noun
        ),
        svg: paint(&WIDE, (&title, &summary.measure), &bars)?,
        narrow: Some(paint(&Sheet::NARROW, (&title, &summary.measure), &bars)?),
        title,
    })
}

struct Bar<'a> {
    name: &'a str,
    value: f64,
    parts: &'a BTreeMap<String, f64>,
    is_base: bool,
}

fn bars(summary: &StudySummary) -> Vec<Bar<'_>> {
    let base = &summary.base;
    let first = Bar { name: "base", value: base.value, parts: &base.made_of.binding_parts, is_base: true };
    let others = summary.proposals.iter().filter_map(of_proposal);
    std::iter::once(first).chain(others).collect()
}

fn of_proposal(row: &ProposalRow) -> Option<Bar<'_>> {
    match &row.result {
        ProposalResult::Failed(_) => None,
        ProposalResult::Ran(ran) => {
            Some(Bar { name: &row.name, value: ran.value, parts: &ran.made_of.binding_parts, is_base: false })
        }
    }
}

/// What binds anywhere, by its largest part in any bar, idle time last.
fn names<'a>(bars: &[Bar<'a>]) -> Vec<&'a str> {
    let mut largest = BTreeMap::<&str, f64>::new();
    for (name, value) in bars.iter().flat_map(|bar| bar.parts) {
        let most = largest.entry(name).or_default();
        *most = most.max(*value);
    }
    let mut names: Vec<(&str, f64)> = largest.into_iter().filter(|(_, most)| *most > 0.0).collect();
    let is_idle = |name: &str| paint_of(name) == Paint::IDLE;
    names.sort_by(|a, b| is_idle(a.0).cmp(&is_idle(b.0)).then(b.1.total_cmp(&a.1)));
    names.into_iter().map(|(name, _)| name).collect()
}

fn paint(sheet: &Sheet, (title, measure): (&str, &Measure), bars: &[Bar<'_>]) -> Result<String, ReportError> {
    let names = names(bars);
    let keys: Vec<(String, Paint)> = names.iter().map(|name| ((*name).to_owned(), paint_of(name))).collect();
    let longest = bars.iter().map(|bar| bar.value.max(bar.parts.values().sum())).fold(0.0, f64::max);
    let (size, unit) = measure.axis(longest);
    let range = sheet.range(0.0, longest / size * 1.002);
    let top = legend_height_on(sheet.width, 6.0, &keys);
    let bottom = top + sheet.pitch * bars.len() as f64;
    sheet.draw(title, bottom + AXIS, |canvas| {
        legend_on(sheet.width, canvas, (6.0, 0.0), &keys)?;
        let label = |value: f64, decimals: usize| format!("{value:.decimals$}");
        let tops = sheet.tops(top, bars.len());
        sheet.axis(canvas, range, (&tops, bottom), &format!("{}, {unit}", measure.noun), &label)?;
        for (bar, top) in bars.iter().zip(tops) {
            sheet.name(canvas, top, bar.name, &measure.write(bar.value), bar.is_base)?;
            stack(canvas, range, sheet.plot(top), (bar, size), &names)?;
        }
        Ok(())
    })
}

fn stack(
    canvas: &mut Canvas<'_>,
    range: Range,
    (top, height): (f64, f64),
    (bar, size): (&Bar<'_>, f64),
    names: &[&str],
) -> Result<(), ReportError> {
    let mut from = 0.0;
    for name in names {
        let value = bar.parts.get(*name).copied().unwrap_or_default() / size;
        let (x, end) = (range.x(from), range.x(from + value));
        from += value;
        let (paint, width) = (paint_of(name), (end - x - 0.5).max(0.0));
        canvas.fill(Area { left: x, top: top + 3.0, width, height: height - 6.0 }, paint)?;
        let number = format!("{value:.2}");
        if text_width(&number, TEXT - 1.0) + 8.0 < width {
            let at = (x + width / 2.0, top + height / 2.0);
            canvas.text(at, Anchor::Middle, TEXT - 1.0, paint.text_on(), &number)?;
        }
    }
    Ok(())
}
