//! What moves the measure: elasticities as a tornado.

use super::Figure;
use super::canvas::{Anchor, Area, Canvas, TEXT};
use super::chart::{AXIS, Range};
use super::palette::{Paint, change};
use super::rows::Sheet;
use crate::error::{ReportError, finite};
use crate::measure::Measure;
use crate::study::{KnobRow, SensitivitySummary};

/// Knobs of a kind that are shown; the table has all.
const N_KNOBS: usize = 16;
/// Elasticities below this move nothing that anybody could see.
const ELASTICITY_MIN: f64 = 0.000_5;
const WIDE: Sheet = Sheet { pitch: 26.0, ..Sheet::wide(352.0, 236.0) };
/// What keys of estimates begin with.
const ESTIMATES: &str = "profile.";
/// Height of a heading between the parts.
const HEADING: f64 = 40.0;

/// Elasticities, hardware first (what to build next), then estimates (what to measure next): a bar to the left says that
/// more of the knob is better; a thin line goes from the elasticity toward less to that toward more.
///
/// # Errors
/// [`ReportError::NotFinite`].
pub fn tornado(summary: &SensitivitySummary) -> Result<Figure, ReportError> {
    finite("sensitivity", summary)?;
    let (title, noun) = (format!("What moves the {}", summary.measure.noun), &summary.measure.noun);
    Ok(Figure {
        name: "tornado".into(),
        caption: format!(
            "The elasticity of the {noun} to each knob, the largest first: at -0.5, one percent more of the knob makes it \
             half a percent less. The thin line goes from the elasticity toward a tenth less to that toward a tenth more; \
             where it is long the knob stands at a knee. Beside an estimate: how unsure its spread alone makes the {noun}, \
             one standard deviation."
        ),
        svg: paint(&WIDE, &title, summary)?,
        narrow: Some(paint(&Sheet::NARROW, &title, summary)?),
        title,
    })
}

fn paint(sheet: &Sheet, title: &str, summary: &SensitivitySummary) -> Result<String, ReportError> {
    let moves = |knob: &&KnobRow| knob.elasticity.is_some_and(|size| size.abs() >= ELASTICITY_MIN);
    let part = |is_estimate: bool| -> Vec<&KnobRow> {
        let of_kind = summary.knobs.iter().filter(moves).filter(|knob| knob.estimate.is_some() == is_estimate);
        of_kind.take(N_KNOBS).collect()
    };
    let parts = [("Hardware: what to build next", part(false)), ("Estimates: what to measure next", part(true))];
    let parts: Vec<(&str, Vec<&KnobRow>)> = parts.into_iter().filter(|(_, knobs)| !knobs.is_empty()).collect();
    let shown = || parts.iter().flat_map(|(_, knobs)| knobs);
    let ends = shown().flat_map(|knob| knob.ends.into_iter().flatten().chain(knob.elasticity));
    let (min, max) = ends.fold((0.0_f64, 0.0_f64), |(low, high), end| (low.min(end), high.max(end)));
    let margin = (max - min).max(0.01) * 0.03;
    let range = sheet.range(min - margin, max + margin);
    let height = shown().count() as f64 * sheet.pitch + parts.len() as f64 * HEADING;
    sheet.draw(title, height.max(sheet.pitch) + AXIS, |canvas| {
        let label = |value: f64, decimals: usize| format!("{value:.decimals$}");
        let mut top = 0.0;
        let mut tops = Vec::new();
        for (heading, knobs) in &parts {
            canvas.bold((6.0, top + HEADING / 2.0 + 4.0), Anchor::Start, TEXT, heading)?;
            tops.extend(sheet.tops(top + HEADING, knobs.len()));
            top += HEADING + sheet.pitch * knobs.len() as f64;
        }
        sheet.axis(canvas, range, (&tops, height), &format!("elasticity of the {}", summary.measure.noun), &label)?;
        shown().zip(tops).try_for_each(|(knob, top)| row(canvas, sheet, (range, &summary.measure), top, knob))
    })
}

fn row(
    canvas: &mut Canvas<'_>,
    sheet: &Sheet,
    (range, measure): (Range, &Measure),
    top: f64,
    knob: &KnobRow,
) -> Result<(), ReportError> {
    let size = knob.elasticity.unwrap_or_default();
    let unsure = knob.estimate.as_ref().and_then(|estimate| estimate.unsure).filter(|unsure| *unsure > 0.0);
    let words = match (unsure, sheet.is_stacked) {
        (Some(unsure), false) => format!("{size:+.3}, unsure by {}", measure.write(unsure)),
        (Some(unsure), true) => format!("{size:+.2}, ±{}", measure.write(unsure)),
        (None, _) => format!("{size:+.3}"),
    };
    // On a narrow sheet the heading says that it is an estimate.
    let short = knob.key.strip_prefix(ESTIMATES).filter(|_| sheet.is_stacked);
    sheet.name(canvas, top, short.unwrap_or(&knob.key), &words, false)?;
    let (y, height) = sheet.plot(top);
    let (zero, end, middle) = (range.x(0.0), range.x(size), y + height / 2.0);
    let thickness = (height * 0.6).min(14.0);
    let bar = Area { left: zero.min(end), top: middle - thickness / 2.0, width: (end - zero).abs(), height: thickness };
    canvas.fill(bar, change(size))?;
    let Some([low, high]) = knob.ends else { return Ok(()) };
    let (left, right) = (range.x(low), range.x(high));
    // Ends that lie together are one line.
    canvas.line((left, middle), (right, middle), Paint::TEXT, 1.5)?;
    [left, right].into_iter().try_for_each(|x| canvas.line((x, middle - 4.0), (x, middle + 4.0), Paint::TEXT, 1.5))
}
