//! Simulated against published, on logarithmic axes.

use super::Figure;
use super::canvas::{Anchor, Area, Canvas, TEXT, WIDTH, draw};
use super::chart::{AXIS, legend, legend_height};
use super::palette::{Paint, kind};
use crate::error::ReportError;
use crate::timeline::SpanKind;
use crate::validation::{Case, Validation};

const LEFT: f64 = 86.0;
const SIDE: f64 = 620.0;
/// Half the side of a mark.
const MARK: f64 = 3.5;
/// Lines beside the diagonal: simulated over published.
const BANDS: [f64; 4] = [0.5, 0.9, 1.1, 2.0];
/// Colors of groups in the order in which they appear.
const GROUPS: [Paint; 5] = [
    kind(SpanKind::Tensor),
    kind(SpanKind::Transfer),
    kind(SpanKind::Overlapped),
    kind(SpanKind::WeightGradient),
    kind(SpanKind::Backward),
];

/// Every case as a mark: published to the right, simulated upward, each in the unit it was published in; used ones are
/// hollow.
///
/// # Errors
/// [`ReportError::NotFinite`], or that of the library that draws.
pub fn parity(validation: &Validation) -> Result<Figure, ReportError> {
    crate::validation::check(validation)?;
    let title = "Simulated against published".to_owned();
    let groups: Vec<&str> = validation.groups().into_iter().map(|(name, _)| name).collect();
    let keys: Vec<(String, Paint)> =
        groups.iter().enumerate().map(|(index, name)| ((*name).to_owned(), paint(index))).collect();
    let shown: Vec<&Case> = validation.cases.iter().filter(|case| is_shown(case)).collect();
    let top = legend_height(LEFT, &keys);
    let square = Square { top, decades: decades(&shown) };
    let svg = draw(&title, top + SIDE + AXIS, |canvas| {
        legend(canvas, (LEFT, 0.0), &keys)?;
        square.grid(canvas)?;
        for case in &shown {
            let group = groups.iter().position(|name| *name == validation.group(case)).unwrap_or(0);
            square.mark(canvas, case, paint(group))?;
        }
        Ok(())
    })?;
    Ok(Figure {
        name: "parity".to_owned(),
        caption: "Each mark is one published figure in its own unit; on the diagonal ours is equal. The lines beside it are 10 % and \
                  a factor of two. Hollow marks are facts used as inputs, which judge nothing."
            .into(),
        svg,
        narrow: None,
        title,
    })
}

fn paint(group: usize) -> Paint {
    GROUPS[group % GROUPS.len()]
}

/// A logarithm needs something above nothing.
fn is_shown(case: &Case) -> bool {
    case.row.published > 0.0 && case.row.simulated > 0.0
}

/// The whole decades that hold all figures.
fn decades(shown: &[&Case]) -> (f64, f64) {
    let logs = shown.iter().flat_map(|case| [case.row.published.log10(), case.row.simulated.log10()]);
    let (low, high) = logs.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), log| (low.min(log), high.max(log)));
    if low > high { (0.0, 1.0) } else { (low.floor(), high.ceil().max(low.floor() + 1.0)) }
}

/// A square with the same logarithmic scale both ways.
struct Square {
    top: f64,
    decades: (f64, f64),
}

impl Square {
    /// Pixels from the lower left corner.
    fn reach(&self, log: f64) -> f64 {
        let (low, high) = self.decades;
        SIDE * (log - low) / (high - low)
    }

    fn place(&self, x: f64, y: f64) -> (f64, f64) {
        (LEFT + self.reach(x), self.top + SIDE - self.reach(y))
    }

    fn grid(&self, canvas: &mut Canvas<'_>) -> Result<(), ReportError> {
        let (low, high) = self.decades;
        let frame = Area { left: LEFT, top: self.top, width: SIDE, height: SIDE };
        canvas.outline(frame, Paint::GRID, 1.0)?;
        for decade in low as i32..=high as i32 {
            let log = f64::from(decade);
            canvas.line(self.place(log, low), self.place(log, high), Paint::GRID, 1.0)?;
            canvas.line(self.place(low, log), self.place(high, log), Paint::GRID, 1.0)?;
            let label = label(decade);
            let (x, bottom) = self.place(log, low);
            canvas.text((x, bottom + 16.0), Anchor::Middle, TEXT, Paint::MUTED, &label)?;
            let (left, y) = self.place(low, log);
            canvas.text((left - 8.0, y), Anchor::End, TEXT, Paint::MUTED, &label)?;
        }
        let below = self.top + SIDE + 38.0;
        canvas.text((LEFT + SIDE / 2.0, below), Anchor::Middle, TEXT, Paint::MUTED, "published, in its own unit")?;
        canvas.text((WIDTH - 8.0, self.top + 14.0), Anchor::End, TEXT, Paint::MUTED, "simulated, upward")?;
        for band in BANDS {
            self.band(canvas, band, Paint::GRID, 1.0)?;
        }
        self.band(canvas, 1.0, Paint::MUTED, 1.5)
    }

    /// The line on which simulated is `ratio` times published, within the square.
    fn band(&self, canvas: &mut Canvas<'_>, ratio: f64, paint: Paint, width: f64) -> Result<(), ReportError> {
        let ((low, high), shift) = (self.decades, ratio.log10());
        let (from, to) = (low.max(low - shift), high.min(high - shift));
        canvas.line(self.place(from, from + shift), self.place(to, to + shift), paint, width)
    }

    fn mark(&self, canvas: &mut Canvas<'_>, case: &Case, paint: Paint) -> Result<(), ReportError> {
        let (x, y) = self.place(case.row.published.log10(), case.row.simulated.log10());
        let area = Area { left: x - MARK, top: y - MARK, width: 2.0 * MARK, height: 2.0 * MARK };
        if case.row.used { canvas.outline(area, paint, 1.0) } else { canvas.fill(area, paint) }
    }
}

fn label(decade: i32) -> String {
    match decade {
        0..=4 => format!("{:.0}", 10_f64.powi(decade)),
        -3..=-1 => format!("{}", 10_f64.powi(decade)),
        _ => format!("1e{decade}"),
    }
}
