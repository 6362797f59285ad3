//! The JSON of chrome://tracing, which PyTorch's tools read too.

use serde::Serialize;

use super::nanoseconds;
use crate::error::ReportError;
use crate::timeline::{SpanKind, Timeline, Track};

/// A `trace.json`: complete events in microseconds with nanosecond digits, one process a rank and one thread a
/// stream. Categories are those of PyTorch's profiler (`kernel`, `gpu_user_annotation`), so that scripts written for
/// it find them; the kind stands in `args`.
///
/// # Errors
/// Those of [`Timeline::check`].
pub fn chrome(timeline: &Timeline) -> Result<String, ReportError> {
    timeline.check()?;
    let mut events = Vec::new();
    let mut processes = Vec::<&str>::new();
    for (thread, lane) in timeline.lanes.iter().enumerate() {
        let process = processes.iter().position(|name| *name == lane.process).unwrap_or_else(|| {
            processes.push(&lane.process);
            let process = processes.len() - 1;
            events.push(Event::metadata("process_name", process, 0, Args::named(&lane.process)));
            events.push(Event::metadata("process_sort_index", process, 0, Args::sorted(process)));
            process
        });
        events.push(Event::metadata("thread_name", process, thread, Args::named(&lane.thread)));
        events.push(Event::metadata("thread_sort_index", process, thread, Args::sorted(thread)));
        push_spans(&mut events, process, thread, lane);
    }
    let trace = Trace { display_time_unit: "ms", trace_events: events };
    serde_json::to_string(&trace).map_err(ReportError::library)
}

fn push_spans<'a>(events: &mut Vec<Event<'a>>, process: usize, thread: usize, lane: &'a Track) {
    for span in &lane.spans {
        let (start, end) = (nanoseconds(span.start), nanoseconds(span.end));
        events.push(Event {
            name: &span.name,
            category: Some(category(span.kind)),
            phase: "X",
            process,
            thread,
            start: Some(microseconds(start)),
            duration: Some(microseconds(end - start)),
            args: Args { kind: Some(span.kind.label()), ..Args::default() },
        });
    }
}

fn microseconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e3
}

const fn category(kind: SpanKind) -> &'static str {
    match kind {
        SpanKind::Forward
        | SpanKind::Backward
        | SpanKind::WeightGradient
        | SpanKind::Overlapped
        | SpanKind::Optimizer => "gpu_user_annotation",
        SpanKind::Tensor | SpanKind::Memory | SpanKind::Transfer | SpanKind::Wait => "kernel",
    }
}

#[derive(Serialize)]
struct Trace<'a> {
    #[serde(rename = "displayTimeUnit")]
    display_time_unit: &'static str,
    #[serde(rename = "traceEvents")]
    trace_events: Vec<Event<'a>>,
}

#[derive(Serialize)]
struct Event<'a> {
    name: &'a str,
    #[serde(rename = "cat", skip_serializing_if = "Option::is_none")]
    category: Option<&'static str>,
    #[serde(rename = "ph")]
    phase: &'static str,
    #[serde(rename = "pid")]
    process: usize,
    #[serde(rename = "tid")]
    thread: usize,
    #[serde(rename = "ts", skip_serializing_if = "Option::is_none")]
    start: Option<f64>,
    #[serde(rename = "dur", skip_serializing_if = "Option::is_none")]
    duration: Option<f64>,
    args: Args<'a>,
}

impl<'a> Event<'a> {
    const fn metadata(name: &'static str, process: usize, thread: usize, args: Args<'a>) -> Self {
        Self { name, category: None, phase: "M", process, thread, start: None, duration: None, args }
    }
}

#[derive(Default, Serialize)]
struct Args<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sort_index: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
}

impl<'a> Args<'a> {
    fn named(name: &'a str) -> Self {
        Self { name: Some(name), ..Self::default() }
    }

    fn sorted(index: usize) -> Self {
        Self { sort_index: Some(index), ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::timeline::Span;

    #[test]
    fn spans_become_complete_events_in_microseconds() {
        let span = Span { name: "a \"quoted\" name".into(), kind: SpanKind::Tensor, start: 0.5, end: 0.500_001_5 };
        let lane = Track { process: "rank 0".into(), thread: "compute".into(), spans: vec![span] };
        let text = chrome(&Timeline { lanes: vec![lane] }).expect("valid");
        let value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        let event = value["traceEvents"].as_array().expect("events").last().expect("one").clone();
        assert_eq!(event["ph"], "X");
        assert_eq!(event["ts"], 500_000.0);
        assert_eq!(event["dur"], 1.5);
        assert_eq!(event["name"], "a \"quoted\" name");
        assert_eq!(event["cat"], "kernel");
    }

    #[test]
    fn an_empty_timeline_is_an_empty_trace() {
        assert_eq!(chrome(&Timeline::default()).expect("valid"), r#"{"displayTimeUnit":"ms","traceEvents":[]}"#);
    }
}
