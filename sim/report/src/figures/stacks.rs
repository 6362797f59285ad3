//! Stacked horizontal bars, one a pipeline rank: where a step's time goes, what takes memory.

use super::Figure;
use super::canvas::{Anchor, Area, Canvas, TEXT, WIDTH, draw, fitted, text_width};
use super::chart::{AXIS, Scale, axis, legend, legend_height};
use super::palette::{MEMORY, Paint, phase};
use crate::error::{ReportError, finite};
use crate::format::{gib, words};
use crate::phases::{Phase, Phases};
use crate::summary::{Common, MemoryRow};
use crate::table::memory_items;

/// Where a step's time goes: a bar for the mean and one for each pipeline rank, seconds.
///
/// # Errors
/// [`ReportError::NotFinite`].
pub fn phases(common: &Common) -> Result<Figure, ReportError> {
    finite("phases_by_rank", &common.phases_by_rank)?;
    finite("phases", &common.phases)?;
    let parts = |phases: &Phases| phases.0.iter().map(|phase| phase.seconds).collect();
    let mean = Bar { label: "mean".into(), parts: parts(&common.phases), is_strong: true };
    let ranks = common.phases_by_rank.iter().enumerate().map(|(rank, phases)| Bar {
        label: format!("rank {rank}"),
        parts: parts(phases),
        is_strong: false,
    });
    let key = |part: &Phase| (format!("{} {:.2} s", words(part.name), part.seconds), phase(part));
    let title = "Where a step's time goes".to_owned();
    let chart = Stacks {
        bars: std::iter::once(mean).chain(ranks).collect(),
        keys: common.phases.0.iter().map(key).collect(),
        axis: "seconds of one step",
        limits: Vec::new(),
        number: |value| format!("{value:.2}"),
    };
    Ok(Figure {
        name: "phases".into(),
        narrow: None,
        caption: "Each bar is one pipeline rank's step, the first their mean, whose seconds stand in the legend. \
                  Bubble is all time that no chunk and no optimizer work fills; a pair counts as overlapped even \
                  while one of its streams waits."
            .into(),
        svg: chart.draw(&title)?,
        title,
    })
}

/// What takes memory on each pipeline rank, GiB, with a line at what the device has.
///
/// # Errors
/// [`ReportError::NotFinite`].
pub fn memory(rows: &[MemoryRow]) -> Result<Figure, ReportError> {
    finite("memory_by_rank", &rows)?;
    let title = "What takes memory".to_owned();
    Ok(Figure {
        name: "memory".into(),
        narrow: None,
        caption: "Each bar is the memory of one pipeline rank when it is fullest; the line at the right is what the \
                  device has. A bar past the line does not fit."
            .into(),
        svg: memory_stacks(rows).draw(&title)?,
        title,
    })
}

fn memory_stacks(rows: &[MemoryRow]) -> Stacks {
    let items = memory_items(rows);
    // The last color is for all items that have none of their own.
    let n_own = if items.len() > MEMORY.len() { MEMORY.len() - 1 } else { items.len() };
    let (own, others) = items.split_at(n_own);
    let gibibytes = |bytes: f64| bytes / (1_u64 << 30) as f64;
    let bars = rows.iter().map(|row| {
        let mut parts: Vec<f64> = own.iter().map(|item| gibibytes(row.item(item))).collect();
        parts.push(gibibytes(others.iter().map(|item| row.item(item)).sum()));
        Bar { label: format!("rank {}", row.rank), parts, is_strong: false }
    });
    let mut keys: Vec<(String, Paint)> = own.iter().cloned().zip(MEMORY).collect();
    if !others.is_empty() {
        keys.push((format!("{} others", others.len()), MEMORY[MEMORY.len() - 1]));
    }
    let mut limits: Vec<f64> = rows.iter().map(|row| row.capacity).collect();
    limits.sort_by(f64::total_cmp);
    limits.dedup();
    let limits = limits.into_iter().map(|limit| (gibibytes(limit), format!("capacity {} GiB", gib(limit))));
    Stacks {
        bars: bars.collect(),
        keys,
        axis: "GiB at the fullest moment of the step",
        limits: limits.collect(),
        number: |value| format!("{value:.1}"),
    }
}

struct Stacks {
    bars: Vec<Bar>,
    keys: Vec<(String, Paint)>,
    axis: &'static str,
    limits: Vec<(f64, String)>,
    number: fn(f64) -> String,
}

struct Bar {
    label: String,
    parts: Vec<f64>,
    is_strong: bool,
}

const LEFT: f64 = 76.0;
const RIGHT: f64 = 24.0;
const PITCH: f64 = 26.0;

impl Stacks {
    fn draw(&self, title: &str) -> Result<String, ReportError> {
        let longest = self.bars.iter().map(|bar| bar.parts.iter().sum()).fold(0.0, f64::max);
        let largest = self.limits.iter().map(|(limit, _)| *limit).fold(longest, f64::max);
        let scale = Scale { left: LEFT, width: WIDTH - LEFT - RIGHT, max: largest * 1.005 };
        let limit_line = if self.limits.is_empty() { 0.0 } else { 22.0 };
        let top = legend_height(LEFT, &self.keys) + limit_line;
        let bottom = top + PITCH * self.bars.len().max(1) as f64;
        draw(title, bottom + AXIS, |canvas| {
            legend(canvas, (LEFT, 0.0), &self.keys)?;
            axis(canvas, scale, (top, bottom), self.axis)?;
            for (index, bar) in self.bars.iter().enumerate() {
                self.bar(canvas, scale, top + PITCH * index as f64, bar)?;
            }
            for (limit, name) in &self.limits {
                let x = scale.x(*limit);
                canvas.line((x, top - 4.0), (x, bottom), Paint::TEXT, 2.0)?;
                canvas.text((x, top - 14.0), Anchor::End, TEXT, Paint::TEXT, name)?;
            }
            Ok(())
        })
    }

    fn bar(&self, canvas: &mut Canvas<'_>, scale: Scale, top: f64, bar: &Bar) -> Result<(), ReportError> {
        let middle = top + PITCH / 2.0;
        let label = fitted(&bar.label, TEXT, LEFT - 12.0);
        if bar.is_strong {
            canvas.bold((LEFT - 10.0, middle), Anchor::End, TEXT, &label)?;
        } else {
            canvas.text((LEFT - 10.0, middle), Anchor::End, TEXT, Paint::TEXT, &label)?;
        }
        let mut from = 0.0;
        for (&value, (_, paint)) in bar.parts.iter().zip(&self.keys) {
            let (x, end) = (scale.x(from), scale.x(from + value));
            from += value;
            let width = (end - x - 0.5).max(0.0);
            canvas.fill(Area { left: x, top: top + 3.0, width, height: PITCH - 6.0 }, *paint)?;
            let number = (self.number)(value);
            if text_width(&number, TEXT - 1.0) + 6.0 < width {
                let at = (x + width / 2.0, middle);
                canvas.text(at, Anchor::Middle, TEXT - 1.0, paint.text_on(), &number)?;
            }
        }
        Ok(())
    }
}
