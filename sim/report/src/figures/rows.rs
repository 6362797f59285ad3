//! Rows of bars with a name each, on a wide sheet or on one as narrow as a phone.

use super::canvas::{Anchor, Canvas, TEXT, WIDTH, draw_on, fitted, text_width};
use super::chart::Range;
use super::palette::Paint;
use crate::error::ReportError;

/// How rows are laid out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sheet {
    /// Width of the whole, pixels.
    pub(super) width: f64,
    /// Where plots begin.
    pub(super) left: f64,
    /// Width kept at the right for words.
    pub(super) right: f64,
    /// Height of a row.
    pub(super) pitch: f64,
    /// Whether names and words stand above their bar instead of beside it.
    pub(super) is_stacked: bool,
}

/// Height of names above a bar.
const NAMES: f64 = 22.0;

impl Sheet {
    /// For screens and paper, with so much room for names and words.
    pub(super) const fn wide(left: f64, right: f64) -> Self {
        Self { width: WIDTH, left, right, pitch: 30.0, is_stacked: false }
    }

    /// For phones: pixels are as large as theirs.
    pub(super) const NARROW: Self = Self { width: 380.0, left: 6.0, right: 6.0, pitch: 46.0, is_stacked: true };

    /// Draws on the sheet.
    pub(super) fn draw(
        &self,
        title: &str,
        height: f64,
        paint: impl FnOnce(&mut Canvas<'_>) -> Result<(), ReportError>,
    ) -> Result<String, ReportError> {
        draw_on((self.width, height), title, paint)
    }

    /// The scale of its plots.
    pub(super) fn range(&self, min: f64, max: f64) -> Range {
        Range { left: self.left, width: self.width - self.left - self.right, min, max }
    }

    /// Ticks that leave their labels room.
    pub(super) fn n_ticks(&self) -> usize {
        if self.width < WIDTH { 4 } else { 8 }
    }

    /// Upper edge and height of the plot of a row that begins at `top`.
    pub(super) fn plot(&self, top: f64) -> (f64, f64) {
        let names = if self.is_stacked { NAMES } else { 0.0 };
        (top + names, self.pitch - names)
    }

    /// The name of a row, and words at its end.
    pub(super) fn name(
        &self,
        canvas: &mut Canvas<'_>,
        top: f64,
        name: &str,
        words: &str,
        is_strong: bool,
    ) -> Result<(), ReportError> {
        let (at, anchor, room) = if self.is_stacked {
            let room = self.width - self.right - self.left - text_width(words, TEXT) - 10.0;
            ((self.left, top + NAMES / 2.0 + 2.0), Anchor::Start, room)
        } else {
            ((self.left - 12.0, top + self.pitch / 2.0), Anchor::End, self.left - 16.0)
        };
        let name = fitted(name, TEXT, room);
        if is_strong {
            canvas.bold(at, anchor, TEXT, &name)?;
        } else {
            canvas.text(at, anchor, TEXT, Paint::TEXT, &name)?;
        }
        let (at, anchor) = if self.is_stacked {
            ((self.width - self.right, top + NAMES / 2.0 + 2.0), Anchor::End)
        } else {
            ((self.width - self.right + 14.0, top + self.pitch / 2.0), Anchor::Start)
        };
        canvas.text(at, anchor, TEXT, Paint::MUTED, words)
    }

    /// Upper edges of `n` rows from `top` on.
    pub(super) fn tops(&self, top: f64, n: usize) -> Vec<f64> {
        (0..n).map(|index| top + self.pitch * index as f64).collect()
    }

    /// Grid lines of a range behind the rows that begin at `tops`, down to `bottom`; labels and the axis' name below. `label`
    /// spells a tick. No line runs through names that stand above bars.
    pub(super) fn axis(
        &self,
        canvas: &mut Canvas<'_>,
        range: Range,
        (tops, bottom): (&[f64], f64),
        name: &str,
        label: &dyn Fn(f64, usize) -> String,
    ) -> Result<(), ReportError> {
        let (ticks, decimals) = range.ticks(self.n_ticks());
        for value in ticks {
            let x = range.x(value);
            let (paint, width) = if value == 0.0 { (Paint::Ink(0.6), 1.5) } else { (Paint::GRID, 1.0) };
            for stretch in self.stretches(tops, bottom) {
                canvas.line((x, stretch.0), (x, stretch.1), paint, width)?;
            }
            let (anchor, at) = if x < range.left + 20.0 && self.is_stacked {
                (Anchor::Start, range.left)
            } else if x > self.width - 20.0 && self.is_stacked {
                (Anchor::End, self.width)
            } else {
                (Anchor::Middle, x)
            };
            canvas.text((at, bottom + 16.0), anchor, TEXT - 1.0, Paint::MUTED, &label(value, decimals))?;
        }
        let middle = range.left + range.width / 2.0;
        canvas.text((middle, bottom + 38.0), Anchor::Middle, TEXT - 1.0, Paint::MUTED, name)
    }

    /// Where grid lines run.
    fn stretches(&self, tops: &[f64], bottom: f64) -> Vec<(f64, f64)> {
        if !self.is_stacked {
            return tops.first().map(|top| (*top, bottom + 5.0)).into_iter().collect();
        }
        let plots = tops.iter().map(|top| self.plot(*top)).map(|(top, height)| (top, top + height));
        plots.chain([(bottom, bottom + 5.0)]).collect()
    }
}

/// A share as percent with its sign, as axes write it.
pub(super) fn percent_tick(value: f64, decimals: usize) -> String {
    if value == 0.0 {
        return "0 %".to_owned();
    }
    let decimals = decimals.saturating_sub(2);
    format!("{:+.decimals$} %", value * 100.0)
}
