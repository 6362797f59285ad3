//! One overlapped pair from near: what compute and communication of one rank do in it.

use super::Figure;
use super::canvas::{Anchor, Area, Canvas, TEXT, WIDTH, draw, fitted, text_width};
use super::chart::{AXIS, Scale, axis, legend, legend_height};
use super::palette::{Paint, kind};
use crate::error::ReportError;
use crate::format::{percent, seconds};
use crate::table::ratio;
use crate::timeline::{Span, SpanKind, Timeline, Track};

const LEFT: f64 = 130.0;
const RIGHT: f64 = 24.0;
const PITCH: f64 = 62.0;

/// The middle overlapped pair of the middle pipeline rank that has one, its two streams; milliseconds.
/// `None` where no rank has an overlapped pair and recorded streams.
///
/// # Errors
/// Those of [`Timeline::check`].
pub fn pair(timeline: &Timeline) -> Result<Option<Figure>, ReportError> {
    pair_called("pair", "One overlapped pair from near", timeline, 0.0)
}

/// How long the pair is that [`pair`] shows, seconds.
pub(super) fn pair_seconds(timeline: &Timeline) -> Option<f64> {
    choose(timeline).map(|chosen| chosen.window.end - chosen.window.start)
}

/// The same under another name, with room for `room` seconds at least, so that two of them have one scale.
pub(super) fn pair_called(
    name: &str,
    title: &str,
    timeline: &Timeline,
    room: f64,
) -> Result<Option<Figure>, ReportError> {
    timeline.check()?;
    let Some(chosen) = choose(timeline) else {
        return Ok(None);
    };
    let (start, end) = (chosen.window.start, chosen.window.end);
    let title = title.to_owned();
    let svg = paint(&title, &chosen, room)?;
    let busy = |lane: &Track| {
        let spans = lane.spans.iter().filter(|span| span.kind != SpanKind::Wait);
        let time: f64 = spans.map(|span| (span.end.min(end) - span.start.max(start)).max(0.0)).sum();
        percent(ratio(time, end - start))
    };
    let caption = format!(
        "`{}` on {}, {} from {:.3} s on: a forward and a backward chunk at once. Compute is busy {} of the time, \
         communication {}. Where compute idles, nothing hides the communication below it.",
        chosen.window.name,
        chosen.streams[0].process,
        seconds(end - start),
        start,
        busy(chosen.streams[0]),
        busy(chosen.streams[1]),
    );
    Ok(Some(Figure { name: name.to_owned(), narrow: None, svg, caption, title }))
}

struct Chosen<'a> {
    window: &'a Span,
    /// Compute, then communication.
    streams: [&'a Track; 2],
}

fn choose(timeline: &Timeline) -> Option<Chosen<'_>> {
    let stream = |process: &str, thread: &str| {
        timeline.lanes.iter().find(|lane| lane.process == process && lane.thread == thread && !lane.spans.is_empty())
    };
    let candidates: Vec<Chosen<'_>> = timeline
        .lanes
        .iter()
        .filter(|lane| lane.thread == "chunks")
        .filter_map(|lane| {
            let streams = [stream(&lane.process, "compute")?, stream(&lane.process, "communication")?];
            let is_pair = |span: &&Span| span.kind == SpanKind::Overlapped && span.end > span.start;
            let pairs: Vec<&Span> = lane.spans.iter().filter(is_pair).collect();
            let window = pairs.get(pairs.len() / 2).copied()?;
            Some(Chosen { window, streams })
        })
        .collect();
    let middle = candidates.len() / 2;
    candidates.into_iter().nth(middle)
}

fn paint(title: &str, chosen: &Chosen<'_>, room: f64) -> Result<String, ReportError> {
    let window = chosen.window;
    let is_visible = |span: &&Span| span.end > window.start && span.start < window.end;
    let visible = chosen.streams.map(|lane| lane.spans.iter().filter(is_visible).collect::<Vec<_>>());
    let keys = keys(&visible);
    let scale = Scale { left: LEFT, width: WIDTH - LEFT - RIGHT, max: (window.end - window.start).max(room) * 1e3 };
    let top = legend_height(LEFT, &keys);
    let bottom = top + PITCH * 2.0;
    draw(title, bottom + AXIS, |canvas| {
        legend(canvas, (LEFT, 0.0), &keys)?;
        axis(canvas, scale, (top, bottom), "milliseconds since the pair began")?;
        for (index, (lane, spans)) in chosen.streams.iter().zip(&visible).enumerate() {
            let y = top + PITCH * index as f64;
            let name = fitted(&lane.thread, TEXT, LEFT - 14.0);
            canvas.text((LEFT - 10.0, y + PITCH / 2.0), Anchor::End, TEXT, Paint::TEXT, &name)?;
            let width = scale.x((window.end - window.start) * 1e3) - LEFT;
            let ground = Area { left: LEFT, top: y + 5.0, width, height: PITCH - 10.0 };
            canvas.fill(ground, Paint::IDLE)?;
            spans.iter().try_for_each(|span| block(canvas, scale, ground, window, span))?;
        }
        Ok(())
    })
}

/// The kinds that are there, in the order of kinds, and idle time.
fn keys(visible: &[Vec<&Span>]) -> Vec<(String, Paint)> {
    let is_there = |kind: &SpanKind| visible.iter().flatten().any(|span| span.kind == *kind);
    let kinds = SpanKind::ALL.into_iter().filter(is_there);
    let mut keys: Vec<(String, Paint)> = kinds.map(|there| (there.label().to_owned(), kind(there))).collect();
    keys.push(("idle".to_owned(), Paint::IDLE));
    keys
}

/// One op, cut at the window, with as much of its name as fits.
fn block(canvas: &mut Canvas<'_>, scale: Scale, ground: Area, window: &Span, span: &Span) -> Result<(), ReportError> {
    let x = scale.x((span.start.max(window.start) - window.start) * 1e3);
    let end = scale.x((span.end.min(window.end) - window.start) * 1e3);
    let width = (end - x - 0.5).max((end - x) * 0.6);
    let paint = kind(span.kind);
    canvas.fill(Area { left: x, width, ..ground }, paint)?;
    let middle = (x + width / 2.0, ground.top + ground.height / 2.0);
    let whole = [TEXT - 2.0, TEXT - 4.0].into_iter().find(|size| text_width(&span.name, *size) + 3.0 <= width);
    match whole {
        Some(size) => canvas.text(middle, Anchor::Middle, size, paint.text_on(), &span.name),
        None if width > 60.0 => {
            let short = fitted(&span.name, TEXT - 2.0, width - 6.0);
            canvas.text(middle, Anchor::Middle, TEXT - 2.0, paint.text_on(), &short)
        }
        None => Ok(()),
    }
}
