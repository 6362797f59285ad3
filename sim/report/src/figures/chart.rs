//! What charts share: an axis with round ticks, a legend, a scale.

use super::canvas::{Anchor, Area, Canvas, TEXT, WIDTH, text_width};
use super::palette::Paint;
use crate::error::ReportError;

/// Height of one line of a legend.
const LEGEND_LINE: f64 = 26.0;
/// Height of an axis with its name.
pub(super) const AXIS: f64 = 52.0;

/// A horizontal scale: zero at the left edge of the plot, `max` at its right.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale {
    pub(super) left: f64,
    pub(super) width: f64,
    pub(super) max: f64,
}

impl Scale {
    /// The x of a value; everything at the left edge where there is nothing to show.
    pub(super) fn x(self, value: f64) -> f64 {
        if self.max > 0.0 { self.left + self.width * value / self.max } else { self.left }
    }
}

/// A horizontal scale between two values.
#[derive(Clone, Copy, Debug)]
pub(super) struct Range {
    pub(super) left: f64,
    pub(super) width: f64,
    pub(super) min: f64,
    pub(super) max: f64,
}

impl Range {
    /// The x of a value, at the edge where it lies beyond.
    pub(super) fn x(self, value: f64) -> f64 {
        let share = (value - self.min) / (self.max - self.min);
        self.left + self.width * if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.0 }
    }

    /// Round values within, about `n` of them, with the decimals that tell them apart.
    pub(super) fn ticks(self, n: usize) -> (Vec<f64>, usize) {
        let extent = self.max - self.min;
        if !(extent > 0.0 && extent.is_finite()) {
            return (vec![self.min], 0);
        }
        let (step, decimals) = round_step(extent / n as f64);
        let first = (self.min / step - 1e-9).ceil();
        let n_ticks = ((self.max / step + 1e-9).floor() - first).max(0.0) as usize;
        // Adding zero takes the sign off a negative one.
        ((0..=n_ticks).map(|index| (first + index as f64) * step + 0.0).collect(), decimals)
    }
}

/// The smallest round number that is no smaller, and the decimals that write it.
fn round_step(rough: f64) -> (f64, usize) {
    let power = 10.0_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 2.5, 5.0, 10.0].map(|factor| factor * power).into_iter().find(|step| *step >= rough);
    let step = step.unwrap_or(rough);
    let coarse = if (step / power - 2.5).abs() < 0.1 { step / 10.0 } else { step };
    (step, (-coarse.log10().floor()).clamp(0.0, 9.0) as usize)
}

/// Vertical grid lines from `top` to `bottom`, tick labels and the axis' name below.
pub(super) fn axis(
    canvas: &mut Canvas<'_>,
    scale: Scale,
    (top, bottom): (f64, f64),
    name: &str,
) -> Result<(), ReportError> {
    for (value, label) in ticks(scale.max) {
        let x = scale.x(value);
        canvas.line((x, top), (x, bottom + 5.0), Paint::GRID, 1.0)?;
        canvas.text((x, bottom + 16.0), Anchor::Middle, TEXT, Paint::MUTED, &label)?;
    }
    let middle = scale.left + scale.width / 2.0;
    canvas.text((middle, bottom + 38.0), Anchor::Middle, TEXT, Paint::MUTED, name)
}

/// Round values from zero to `max`, four to ten of them, with labels of equal precision.
pub(super) fn ticks(max: f64) -> Vec<(f64, String)> {
    if !(max > 0.0 && max.is_finite()) {
        return vec![(0.0, "0".to_owned())];
    }
    let (step, decimals) = round_step(max / 9.0);
    let n_ticks = (max / step + 1e-9).floor() as usize;
    (0..=n_ticks).map(|index| index as f64 * step).map(|value| (value, format!("{value:.decimals$}"))).collect()
}

/// Height that a legend of these names takes from `left`.
pub(super) fn legend_height(left: f64, names: &[(String, Paint)]) -> f64 {
    legend_height_on(WIDTH, left, names)
}

/// The same on a sheet of another width.
pub(super) fn legend_height_on(width: f64, left: f64, names: &[(String, Paint)]) -> f64 {
    let lines = placed(width, left, names).last().map_or(0.0, |(_, line, ..)| line + 1.0);
    lines * LEGEND_LINE + 8.0
}

/// Swatches and names from left to right, as many lines as needed.
pub(super) fn legend(canvas: &mut Canvas<'_>, place: (f64, f64), names: &[(String, Paint)]) -> Result<(), ReportError> {
    legend_on(WIDTH, canvas, place, names)
}

/// The same on a sheet of another width.
pub(super) fn legend_on(
    width: f64,
    canvas: &mut Canvas<'_>,
    (left, top): (f64, f64),
    names: &[(String, Paint)],
) -> Result<(), ReportError> {
    for (x, line, name, paint) in placed(width, left, names) {
        let y = top + line * LEGEND_LINE + LEGEND_LINE / 2.0;
        let swatch = Area { left: x, top: y - 7.0, width: 14.0, height: 14.0 };
        canvas.fill(swatch, paint)?;
        canvas.outline(swatch, Paint::Ink(0.25), 0.5)?;
        canvas.text((x + 21.0, y), Anchor::Start, TEXT, Paint::TEXT, name)?;
    }
    Ok(())
}

fn placed(sheet: f64, left: f64, names: &[(String, Paint)]) -> Vec<(f64, f64, &str, Paint)> {
    let (mut x, mut line) = (left, 0.0);
    let mut places = Vec::with_capacity(names.len());
    for (name, paint) in names {
        let width = 21.0 + text_width(name, TEXT) + 22.0;
        if x + width > sheet && x > left {
            (x, line) = (left, line + 1.0);
        }
        places.push((x, line, name.as_str(), *paint));
        x += width;
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_within() {
        for max in [1e-6, 0.019, 0.129, 1.0, 21.743, 80.0, 999.0] {
            let ticks = ticks(max);
            assert!((4..=10).contains(&ticks.len()), "{max}: {ticks:?}");
            assert!(ticks.iter().all(|(value, _)| *value <= max * (1.0 + 1e-9)));
            let mut labels: Vec<&String> = ticks.iter().map(|(_, label)| label).collect();
            labels.dedup();
            assert_eq!(labels.len(), ticks.len(), "labels that read the same: {ticks:?}");
        }
        assert_eq!(ticks(0.0).len(), 1);
        assert_eq!(ticks(f64::NAN).len(), 1);
    }

    #[test]
    fn ticks_between_two_values_are_round_and_within() {
        for (min, max) in [(-0.137, 0.012), (17.3, 18.6), (-0.9, -0.1), (61.2, 75.0), (0.0, 1e-6)] {
            let range = Range { left: 0.0, width: 100.0, min, max };
            let (ticks, decimals) = range.ticks(8);
            assert!((4..=9).contains(&ticks.len()), "{min} to {max}: {ticks:?}");
            assert!(ticks.iter().all(|value| *value >= min - 1e-9 && *value <= max + 1e-9), "{ticks:?}");
            let mut labels: Vec<String> = ticks.iter().map(|value| format!("{value:.decimals$}")).collect();
            labels.dedup();
            assert_eq!(labels.len(), ticks.len(), "labels that read the same: {ticks:?}");
        }
        let nothing = Range { left: 0.0, width: 100.0, min: 1.0, max: 1.0 };
        assert_eq!((nothing.ticks(8).0, nothing.x(1.0)), (vec![1.0], 0.0));
    }
}
