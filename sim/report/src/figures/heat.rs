//! Maps of a sweep: what two knobs do to the measure.

use super::Figure;
use super::canvas::{Anchor, Area, Canvas, TEXT, WIDTH, draw_on, fitted, text_width};
use super::palette::{Paint, ramp};
use super::rows::Sheet;
use crate::error::{ReportError, finite};
use crate::format::percent_signed;
use crate::measure::Measure;
use crate::study::{HeatMap, SweepSummary};

use super::front::capital;

/// How panels are laid out.
struct Grid {
    width: f64,
    n_columns: usize,
    /// Room for the values upward.
    left: f64,
}

const WIDE: Grid = Grid { width: WIDTH, n_columns: 2, left: 96.0 };
const NARROW: Grid = Grid { width: Sheet::NARROW.width, n_columns: 1, left: 72.0 };
const GAP: f64 = 48.0;
const CELL: f64 = 34.0;
/// Heading of a panel, and its axis below.
const HEAD: f64 = 40.0;
const FOOT: f64 = 40.0;
const KEY: f64 = 40.0;

/// Panels of all pairs of knobs of a sweep: every cell is the least over all values of the other knobs, colored by
/// its change. `number` tells the figures of several sweeps apart.
///
/// # Errors
/// [`ReportError::NotFinite`].
pub fn heat(sweep: &SweepSummary, number: usize, measure: &Measure) -> Result<Figure, ReportError> {
    finite("sweep", sweep)?;
    let title = format!("{} over two parameters: {}", capital(&measure.noun), sweep.name);
    let values = sweep.maps.iter().flat_map(|map| map.values.iter().flatten());
    let unit = measure.axis(values.fold(0.0, |most, value| most.max(*value)));
    let others = if sweep.maps.iter().all(|map| map.others.is_empty()) {
        format!("The number is the {}, in {}.", measure.noun, unit.1)
    } else {
        format!(
            "The number is the least {}, in {}, over all values of the other knobs of the sweep.",
            measure.noun, unit.1
        )
    };
    Ok(Figure {
        name: format!("sweep-{number}"),
        caption: format!(
            "{others} The color is its change: pale as the base, the one hue less, the other more. Where colors \
             change along one side alone, the other knob does not matter."
        ),
        svg: paint(&WIDE, &title, (&sweep.maps, unit.0))?,
        narrow: Some(paint(&NARROW, &title, (&sweep.maps, unit.0))?),
        title,
    })
}

fn paint(grid: &Grid, title: &str, (maps, unit): (&[HeatMap], f64)) -> Result<String, ReportError> {
    let most =
        maps.iter().flat_map(|map| map.changes.iter().flatten()).fold(0.0_f64, |most, change| most.max(change.abs()));
    let width = (grid.width - GAP * (grid.n_columns - 1) as f64) / grid.n_columns as f64;
    let mut tops = Vec::new();
    let mut height = KEY;
    for row in maps.chunks(grid.n_columns) {
        tops.push(height);
        let n_rows = row.iter().map(|map| map.y.values.len()).max().unwrap_or_default();
        height += HEAD + CELL * n_rows as f64 + FOOT;
    }
    draw_on((grid.width, height), title, |canvas| {
        key(canvas, most)?;
        for (row, top) in maps.chunks(grid.n_columns).zip(tops) {
            for (index, map) in row.iter().enumerate() {
                let place = Place { left: (width + GAP) * index as f64, top, width, values: grid.left };
                panel(canvas, place, map, (most, unit))?;
            }
        }
        Ok(())
    })
}

/// What colors mean, from the least to the most.
fn key(canvas: &mut Canvas<'_>, most: f64) -> Result<(), ReportError> {
    const N: usize = 9;
    const WIDTH: f64 = 18.0;
    let left = 142.0;
    for index in 0..N {
        let part = index as f64 / (N - 1) as f64 * 2.0 - 1.0;
        let area = Area { left: left + WIDTH * index as f64, top: 4.0, width: WIDTH, height: 16.0 };
        canvas.fill(area, ramp(part))?;
    }
    let (low, high) = (percent_signed(-most), percent_signed(most));
    canvas.text((left - 10.0, 12.0), Anchor::End, TEXT, Paint::TEXT, &low)?;
    canvas.text((left + WIDTH * N as f64 + 10.0, 12.0), Anchor::Start, TEXT, Paint::TEXT, &high)
}

/// Where a panel stands, and how much of it values upward take.
#[derive(Clone, Copy)]
struct Place {
    left: f64,
    top: f64,
    width: f64,
    values: f64,
}

fn panel(canvas: &mut Canvas<'_>, place: Place, map: &HeatMap, (most, unit): (f64, f64)) -> Result<(), ReportError> {
    let (n_x, n_y) = (map.x.values.len().max(1), map.y.values.len());
    let cell = (place.width - place.values) / n_x as f64;
    let heading = format!("↑ {},  → {}", map.y.key, map.x.key);
    let size = [TEXT, TEXT - 1.5, TEXT - 3.0].into_iter().find(|size| text_width(&heading, *size) <= place.width);
    let size = size.unwrap_or(TEXT - 3.0);
    let at = (place.left, place.top + HEAD / 2.0);
    canvas.bold(at, Anchor::Start, size, &fitted(&heading, size, place.width))?;
    let (left, top) = (place.left + place.values, place.top + HEAD);
    // The first value stands at the bottom, as on any axis.
    for (index, value) in map.y.values.iter().enumerate() {
        let y = top + CELL * (n_y - index) as f64 - CELL / 2.0;
        canvas.text(
            (left - 10.0, y),
            Anchor::End,
            TEXT - 1.0,
            Paint::MUTED,
            &fitted(value, TEXT - 1.0, place.values - 10.0),
        )?;
        for column in 0..n_x {
            let at = |rows: &[Vec<f64>]| rows.get(index).and_then(|row| row.get(column)).copied();
            let (Some(step), Some(change)) = (at(&map.values), at(&map.changes)) else { continue };
            let area =
                Area { left: left + cell * column as f64, top: y - CELL / 2.0, width: cell - 1.5, height: CELL - 1.5 };
            let paint = ramp(if most > 0.0 { change / most } else { 0.0 });
            canvas.fill(area, paint)?;
            let number = [3, 2, 1].map(|decimals| format!("{:.decimals$}", step / unit));
            let number = number.iter().find(|number| text_width(number, TEXT - 1.0) + 6.0 < cell && number.len() <= 5);
            if let Some(number) = number {
                let middle = (area.left + area.width / 2.0, y);
                canvas.text(middle, Anchor::Middle, TEXT - 1.0, paint.text_on(), number)?;
            }
        }
    }
    for (index, value) in map.x.values.iter().enumerate() {
        let middle = (left + cell * (index as f64 + 0.5), top + CELL * n_y as f64 + 13.0);
        let size = if text_width(value, TEXT - 1.0) > cell { TEXT - 3.5 } else { TEXT - 1.0 };
        canvas.text(middle, Anchor::Middle, size, Paint::MUTED, &fitted(value, size, cell))?;
    }
    Ok(())
}
