//! The pipeline timeline: every recorded pipeline rank over a step.

use super::Figure;
use super::canvas::{Anchor, Area, Canvas, TEXT, WIDTH, draw, fitted};
use super::chart::{AXIS, Scale, axis, legend, legend_height};
use super::palette::{Paint, kind};
use crate::error::ReportError;
use crate::timeline::{Span, SpanKind, Timeline, Track};

/// Lanes shown; of more, evenly spaced ones.
const N_LANES: usize = 64;
/// Rectangles in one picture, which keeps its file below 2 MB.
const N_RECTANGLES: usize = 14_000;
const LEFT: f64 = 180.0;
const RIGHT: f64 = 24.0;

/// One lane a pipeline rank (the lanes of thread `chunks`), chunks by kind, seconds.
///
/// What is thinner than a pixel is merged with its neighbors into one rectangle of the kind that takes most of it;
/// with very many intervals, what is thinner than two, four, ... pixels.
///
/// # Errors
/// Those of [`Timeline::check`].
pub fn pipeline(timeline: &Timeline) -> Result<Figure, ReportError> {
    pipeline_called("pipeline", "The pipeline over one step", timeline, 0.0)
}

/// The same under another name, with room for `seconds` at least, so that two of them have one scale.
pub(super) fn pipeline_called(
    name: &str,
    title: &str,
    timeline: &Timeline,
    seconds: f64,
) -> Result<Figure, ReportError> {
    timeline.check()?;
    let all: Vec<&Track> = timeline.lanes.iter().filter(|lane| lane.thread == "chunks").collect();
    let stride = all.len().div_ceil(N_LANES).max(1);
    let lanes: Vec<&Track> = all.iter().step_by(stride).copied().collect();
    let end = all.iter().flat_map(|lane| &lane.spans).map(|span| span.end).fold(seconds, f64::max);
    let scale = Scale { left: LEFT, width: WIDTH - LEFT - RIGHT, max: end };
    let bars = merged(&lanes, end / scale.width);
    let title = title.to_owned();
    let mut caption = String::from(
        "One lane for each pipeline rank, time to the right. A colored block is one chunk, one stage's work on one \
         micro-batch; where the plain ground shows, the rank idles.",
    );
    if stride > 1 {
        caption.push_str(&format!(" Of {} recorded ranks, one in {stride} is shown.", all.len()));
    }
    Ok(Figure { name: name.to_owned(), narrow: None, svg: paint(&title, &lanes, &bars, scale)?, caption, title })
}

/// A stretch of a lane in one color.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Bar {
    kind: SpanKind,
    start: f64,
    end: f64,
}

/// Bars of every lane, at the finest resolution (`pixel` seconds or a multiple) that keeps their number down.
fn merged(lanes: &[&Track], pixel: f64) -> Vec<Vec<Bar>> {
    let mut resolution = pixel;
    loop {
        let bars: Vec<Vec<Bar>> = lanes.iter().map(|lane| thinned(&lane.spans, resolution)).collect();
        if bars.iter().map(Vec::len).sum::<usize>() <= N_RECTANGLES || resolution <= 0.0 {
            return bars;
        }
        resolution *= 2.0;
    }
}

/// Joins runs of intervals thinner than `resolution` until they are as thick; a gap as thick ends a run.
fn thinned(spans: &[Span], resolution: f64) -> Vec<Bar> {
    let mut bars = Vec::new();
    let mut run: Vec<&Span> = Vec::new();
    for span in spans.iter().filter(|span| span.end > span.start) {
        if let (Some(first), Some(last)) = (run.first(), run.last()) {
            let is_full = last.end - first.start >= resolution;
            let is_apart = span.start - last.end >= resolution;
            if is_full || is_apart || span.end - span.start >= resolution {
                bars.push(joined(&run));
                run.clear();
            }
        }
        if span.end - span.start >= resolution {
            bars.push(Bar { kind: span.kind, start: span.start, end: span.end });
        } else {
            run.push(span);
        }
    }
    if !run.is_empty() {
        bars.push(joined(&run));
    }
    bars
}

/// One bar over a run, of the kind that takes most of it; of equal ones, the first in the order of kinds.
fn joined(run: &[&Span]) -> Bar {
    let mut kind = run[0].kind;
    let mut most = f64::NEG_INFINITY;
    for candidate in SpanKind::ALL {
        let spans = run.iter().filter(|span| span.kind == candidate);
        let time: f64 = spans.map(|span| span.end - span.start).sum();
        if time > most && time > 0.0 {
            (kind, most) = (candidate, time);
        }
    }
    Bar { kind, start: run[0].start, end: run[run.len() - 1].end }
}

fn paint(title: &str, lanes: &[&Track], bars: &[Vec<Bar>], scale: Scale) -> Result<String, ReportError> {
    let shown = |kind: &SpanKind| bars.iter().flatten().any(|bar| bar.kind == *kind);
    let kinds = SpanKind::ALL.into_iter().filter(shown);
    let mut keys: Vec<(String, Paint)> = kinds.map(|shown| (shown.label().to_owned(), kind(shown))).collect();
    keys.push(("idle".to_owned(), Paint::IDLE));
    let pitch = if lanes.len() <= 24 { 28.0 } else { 16.0 };
    let top = legend_height(LEFT, &keys);
    let bottom = top + pitch * lanes.len().max(1) as f64;
    draw(title, bottom + AXIS, |canvas| {
        legend(canvas, (LEFT, 0.0), &keys)?;
        axis(canvas, scale, (top, bottom), "seconds since the step began")?;
        for (index, (lane, bars)) in lanes.iter().zip(bars).enumerate() {
            self::lane(canvas, scale, (top + pitch * index as f64, pitch), lane, bars)?;
        }
        Ok(())
    })
}

fn lane(
    canvas: &mut Canvas<'_>,
    scale: Scale,
    (top, pitch): (f64, f64),
    lane: &Track,
    bars: &[Bar],
) -> Result<(), ReportError> {
    let size = TEXT.min(pitch - 2.0);
    let name = fitted(&lane.process, size, LEFT - 14.0);
    canvas.text((LEFT - 10.0, top + pitch / 2.0), Anchor::End, size, Paint::TEXT, &name)?;
    let margin = pitch / 14.0;
    let height = pitch - 2.0 * margin;
    canvas.fill(Area { left: LEFT, top: top + margin, width: scale.width, height }, Paint::IDLE)?;
    for bar in bars {
        let (x, end) = (scale.x(bar.start), scale.x(bar.end));
        // A hair between neighbors keeps equal chunks apart without hiding thin ones.
        let width = (end - x - 0.375).max((end - x) * 0.6);
        canvas.fill(Area { left: x, top: top + margin, width, height }, kind(bar.kind))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(kind: SpanKind, start: f64, end: f64) -> Span {
        Span { name: String::new(), kind, start, end }
    }

    #[test]
    fn thin_intervals_join_into_the_kind_that_takes_most() {
        use SpanKind::{Backward, Forward};
        let spans =
            [span(Forward, 0.0, 0.2), span(Backward, 0.2, 0.9), span(Forward, 0.9, 1.1), span(Forward, 1.1, 5.0)];
        let bars = thinned(&spans, 1.0);
        let expected = [Bar { kind: Backward, start: 0.0, end: 1.1 }, Bar { kind: Forward, start: 1.1, end: 5.0 }];
        assert_eq!(bars, expected);
    }

    #[test]
    fn a_gap_stays_a_gap() {
        let spans = [span(SpanKind::Forward, 0.0, 0.5), span(SpanKind::Forward, 3.0, 3.5)];
        assert_eq!(thinned(&spans, 1.0).len(), 2);
    }

    #[test]
    fn what_is_wide_enough_is_kept_as_it_is() {
        let spans: Vec<Span> = (0..10).map(|i| span(SpanKind::Overlapped, f64::from(i), f64::from(i + 1))).collect();
        let bars = thinned(&spans, 0.5);
        assert_eq!(bars.len(), 10);
        assert!(bars.iter().zip(&spans).all(|(bar, span)| bar.start == span.start && bar.end == span.end));
    }

    #[test]
    fn a_hundred_thousand_intervals_stay_below_two_megabytes() {
        let lanes = (0..100).map(|rank| Track {
            process: format!("rank {rank}"),
            thread: "chunks".into(),
            spans: (0..1000).map(|i| span(SpanKind::ALL[i % 5], i as f64 / 100.0, (i + 1) as f64 / 100.0)).collect(),
        });
        let figure = pipeline(&Timeline { lanes: lanes.collect() }).expect("valid");
        assert!(figure.svg.len() < 2 << 20, "{} bytes", figure.svg.len());
        assert!(figure.caption.contains("Of 100 recorded ranks, one in 2"));
    }
}
