//! What a job is judged by, against cost.

use super::Figure;
use super::canvas::{Anchor, Canvas, TEXT, text_width};
use super::chart::{AXIS, Range};
use super::palette::Paint;
use super::rows::Sheet;
use crate::error::{ReportError, finite};
use crate::measure::Measure;
use crate::study::{Front, FrontPoint};

const HEIGHT: f64 = 420.0;
const WIDE: Sheet = Sheet::wide(84.0, 40.0);
const NARROW: Sheet = Sheet { left: 62.0, right: 14.0, ..Sheet::NARROW };
/// Costs from here on are written in millions.
const MILLION: f64 = 1e6;

/// Every point by cost and value; those that no other beats in both are joined and named.
///
/// # Errors
/// [`ReportError::NotFinite`].
pub fn front(front: &Front, measure: &Measure) -> Result<Figure, ReportError> {
    finite("front", front)?;
    let title = format!("{} against cost", capital(&measure.noun));
    Ok(Figure {
        name: "front".into(),
        caption: "Down is less, left is cheaper. Full points are the Pareto front: no other point is as cheap and \
                  better, or as good and cheaper. Whatever is above and to the right of one of them is beaten. The \
                  ring is the base. A point that changes no price stands at the price of the base: what a wish would \
                  cost to build is not known."
            .into(),
        svg: paint(&WIDE, (&title, measure), front)?,
        narrow: Some(paint(&NARROW, (&title, measure), front)?),
        title,
    })
}

/// A noun at the head of a title.
pub(super) fn capital(noun: &str) -> String {
    let mut letters = noun.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

struct Plane {
    x: Range,
    y: Range,
    bottom: f64,
}

impl Plane {
    fn new(sheet: &Sheet, points: &[FrontPoint]) -> Self {
        let extent = |of: fn(&FrontPoint) -> f64| {
            let values = points.iter().map(of);
            let (min, max) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(v), b.max(v)));
            let (min, max) = if min <= max { (min, max) } else { (0.0, 1.0) };
            let margin = ((max - min) * 0.06).max(max.abs() * 1e-3).max(1e-9);
            (min - margin, max + margin)
        };
        let ((left, right), (low, high)) = (extent(|point| point.cost), extent(|point| point.value));
        let y = Range { left: 10.0, width: HEIGHT - 20.0, min: low, max: high };
        Self { x: sheet.range(left, right), y, bottom: HEIGHT }
    }

    fn at(&self, point: &FrontPoint) -> (f64, f64) {
        (self.x.x(point.cost), self.bottom - self.y.x(point.value))
    }
}

fn paint(sheet: &Sheet, (title, measure): (&str, &Measure), front: &Front) -> Result<String, ReportError> {
    let plane = Plane::new(sheet, &front.points);
    sheet.draw(title, HEIGHT + AXIS, |canvas| {
        axis(canvas, sheet, &plane, (&front.cost_name, measure))?;
        let mut best: Vec<&FrontPoint> = front.points.iter().filter(|point| point.on_front).collect();
        best.sort_by(|a, b| a.cost.total_cmp(&b.cost));
        steps(canvas, &plane, &best)?;
        for point in front.points.iter().filter(|point| !point.on_front) {
            canvas.dot(plane.at(point), 4.0, Paint::Ink(0.45), true)?;
        }
        for point in &best {
            canvas.dot(plane.at(point), 5.0, Paint::TEXT, false)?;
        }
        if let Some(base) = front.points.iter().find(|point| point.is_base) {
            canvas.dot(plane.at(base), 9.0, Paint::TEXT, true)?;
        }
        names(canvas, &plane, front, &best)
    })
}

/// Costs below, values at the left.
fn axis(
    canvas: &mut Canvas<'_>,
    sheet: &Sheet,
    plane: &Plane,
    (name, measure): (&str, &Measure),
) -> Result<(), ReportError> {
    let in_millions = plane.x.max >= MILLION;
    let (unit, name) = if in_millions { (MILLION, format!("{name}, millions")) } else { (1.0, name.to_owned()) };
    let scaled = Range { min: plane.x.min / unit, max: plane.x.max / unit, ..plane.x };
    let label = |value: f64, decimals: usize| format!("{value:.decimals$}");
    // One row as high as the plane.
    let whole = Sheet { is_stacked: false, ..*sheet };
    whole.axis(canvas, scaled, (&[0.0], HEIGHT), &name, &label)?;
    let (size, unit) = measure.axis(plane.y.max);
    let up = Range { min: plane.y.min / size, max: plane.y.max / size, ..plane.y };
    let (ticks, decimals) = up.ticks(7);
    for value in ticks {
        let y = HEIGHT - up.x(value);
        canvas.line((sheet.left, y), (sheet.width - sheet.right, y), Paint::GRID, 1.0)?;
        let words = format!("{value:.decimals$} {unit}");
        canvas.text((sheet.left - 10.0, y), Anchor::End, TEXT - 1.0, Paint::MUTED, &words)?;
    }
    Ok(())
}

/// The front as stairs: between two of its points nothing is better than the cheaper one.
fn steps(canvas: &mut Canvas<'_>, plane: &Plane, best: &[&FrontPoint]) -> Result<(), ReportError> {
    for pair in best.windows(2) {
        let ((x, y), (next_x, next_y)) = (plane.at(pair[0]), plane.at(pair[1]));
        canvas.line((x, y), (next_x, y), Paint::Ink(0.4), 1.5)?;
        canvas.line((next_x, y), (next_x, next_y), Paint::Ink(0.4), 1.5)?;
    }
    Ok(())
}

/// Names of the front and of the base, where they do not lie on each other; the table has them all.
fn names(canvas: &mut Canvas<'_>, plane: &Plane, front: &Front, best: &[&FrontPoint]) -> Result<(), ReportError> {
    let base = front.points.iter().find(|point| point.is_base && !point.on_front);
    let mut taken: Vec<(f64, f64, f64)> = Vec::new();
    for point in best.iter().copied().chain(base) {
        let (x, y) = plane.at(point);
        let width = text_width(&point.name, TEXT - 1.0);
        let places = [(12.0, -14.0), (12.0, 16.0), (-12.0 - width, 16.0), (-12.0 - width, -14.0)];
        let free = places.into_iter().map(|(dx, dy)| (x + dx, y + dy)).find(|(left, middle)| {
            let inside = *left > plane.x.left
                && left + width < plane.x.left + plane.x.width + 8.0
                && *middle > 8.0
                && *middle < HEIGHT - 8.0;
            inside
                && taken
                    .iter()
                    .all(|(other, end, at)| left + width < *other || left > end || (middle - at).abs() > 16.0)
        });
        if let Some((left, middle)) = free {
            taken.push((left, left + width, middle));
            canvas.text((left, middle), Anchor::Start, TEXT - 1.0, Paint::TEXT, &point.name)?;
        }
    }
    Ok(())
}
