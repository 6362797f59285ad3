//! The Perfetto protobuf: the few messages a timeline needs, by the tags of `perfetto_trace.proto`.

use std::collections::BTreeMap;

use prost::Message;

use super::nanoseconds;
use crate::error::ReportError;
use crate::timeline::{Timeline, Track};

/// A `.pftrace` file: one track for the run, under it one per process (a rank), under it one per thread (a stream),
/// in the order of the timeline; names are interned. Times are whole nanoseconds since the step began.
///
/// # Errors
/// Those of [`Timeline::check`].
pub fn perfetto(run: &str, timeline: &Timeline) -> Result<Vec<u8>, ReportError> {
    timeline.check()?;
    let mut writer = Writer::default();
    writer.track(ROOT, None, run, 0);
    let mut processes = Vec::<(&str, u64, i32)>::new();
    for (index, lane) in timeline.lanes.iter().enumerate() {
        let process = match processes.iter_mut().find(|(name, ..)| *name == lane.process) {
            Some((_, uuid, threads)) => {
                *threads += 1;
                (*uuid, *threads)
            }
            None => {
                // Processes take even numbers and threads odd ones, so no two tracks share one.
                let uuid = ROOT + 1 + 2 * index as u64;
                writer.track(uuid, Some(ROOT), &lane.process, processes.len() as i32);
                processes.push((&lane.process, uuid, 0));
                (uuid, 0)
            }
        };
        let uuid = ROOT + 2 + 2 * index as u64;
        writer.track(uuid, Some(process.0), &lane.thread, process.1);
        writer.spans(uuid, lane);
    }
    Ok(writer.bytes)
}

const ROOT: u64 = 1;
/// One writer, so one sequence.
const SEQUENCE: u32 = 1;
/// `SEQ_INCREMENTAL_STATE_CLEARED`: interning starts here.
const STATE_CLEARED: u32 = 1;
/// `SEQ_NEEDS_INCREMENTAL_STATE`: this packet uses interned names.
const STATE_NEEDED: u32 = 2;
/// Children stand by their `sibling_order_rank`; by name, rank 10 would stand before rank 2.
const ORDER_EXPLICIT: i32 = 3;
const BEGIN: i32 = 1;
const END: i32 = 2;

#[derive(Default)]
struct Writer {
    bytes: Vec<u8>,
    names: BTreeMap<String, u64>,
}

impl Writer {
    /// Encodes a packet at once, as a trace of its own: protobuf messages one after the other are one message, so a
    /// long step never stands in memory as packets.
    fn push(&mut self, packet: TracePacket) {
        let flags = if self.bytes.is_empty() { STATE_CLEARED } else { STATE_NEEDED };
        let packet = TracePacket { sequence: Some(SEQUENCE), flags: Some(flags), ..packet };
        self.bytes.extend(Trace { packet: vec![packet] }.encode_to_vec());
    }

    fn track(&mut self, uuid: u64, parent: Option<u64>, name: &str, order: i32) {
        let descriptor = TrackDescriptor {
            uuid: Some(uuid),
            name: Some(name.to_owned()),
            parent_uuid: parent,
            child_ordering: Some(ORDER_EXPLICIT),
            sibling_order_rank: Some(order),
        };
        self.push(TracePacket { track_descriptor: Some(descriptor), ..TracePacket::default() });
    }

    fn spans(&mut self, track: u64, lane: &Track) {
        for span in &lane.spans {
            let (name, interned) = self.intern(&span.name);
            let begin = TrackEvent { kind: Some(BEGIN), name: Some(name), track: Some(track) };
            let end = TrackEvent { kind: Some(END), name: None, track: Some(track) };
            let timed = |seconds, event, interned| TracePacket {
                timestamp: Some(nanoseconds(seconds)),
                track_event: Some(event),
                interned,
                ..TracePacket::default()
            };
            self.push(timed(span.start, begin, interned));
            self.push(timed(span.end, end, None));
        }
    }

    /// The number of a name, and the entry that announces it the first time.
    fn intern(&mut self, name: &str) -> (u64, Option<InternedData>) {
        if let Some(&number) = self.names.get(name) {
            return (number, None);
        }
        let number = self.names.len() as u64 + 1;
        self.names.insert(name.to_owned(), number);
        let entry = EventName { number: Some(number), name: Some(name.to_owned()) };
        (number, Some(InternedData { names: vec![entry] }))
    }
}

#[derive(Clone, PartialEq, Message)]
struct Trace {
    #[prost(message, repeated, tag = "1")]
    packet: Vec<TracePacket>,
}

#[derive(Clone, PartialEq, Message)]
struct TracePacket {
    #[prost(uint64, optional, tag = "8")]
    timestamp: Option<u64>,
    #[prost(uint32, optional, tag = "10")]
    sequence: Option<u32>,
    #[prost(message, optional, tag = "11")]
    track_event: Option<TrackEvent>,
    #[prost(message, optional, tag = "12")]
    interned: Option<InternedData>,
    #[prost(uint32, optional, tag = "13")]
    flags: Option<u32>,
    #[prost(message, optional, tag = "60")]
    track_descriptor: Option<TrackDescriptor>,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct TrackEvent {
    #[prost(int32, optional, tag = "9")]
    kind: Option<i32>,
    #[prost(uint64, optional, tag = "10")]
    name: Option<u64>,
    #[prost(uint64, optional, tag = "11")]
    track: Option<u64>,
}

#[derive(Clone, PartialEq, Message)]
struct TrackDescriptor {
    #[prost(uint64, optional, tag = "1")]
    uuid: Option<u64>,
    #[prost(string, optional, tag = "2")]
    name: Option<String>,
    #[prost(uint64, optional, tag = "5")]
    parent_uuid: Option<u64>,
    #[prost(int32, optional, tag = "11")]
    child_ordering: Option<i32>,
    #[prost(int32, optional, tag = "12")]
    sibling_order_rank: Option<i32>,
}

#[derive(Clone, PartialEq, Message)]
struct InternedData {
    #[prost(message, repeated, tag = "2")]
    names: Vec<EventName>,
}

#[derive(Clone, PartialEq, Message)]
struct EventName {
    #[prost(uint64, optional, tag = "1")]
    number: Option<u64>,
    #[prost(string, optional, tag = "2")]
    name: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::timeline::{Span, SpanKind};

    fn span(name: &str, start: f64, end: f64) -> Span {
        Span { name: name.into(), kind: SpanKind::Forward, start, end }
    }

    fn timeline() -> Timeline {
        let lanes = (0..4).map(|index| Track {
            process: format!("rank {}", index / 2),
            thread: ["chunks", "compute"][index % 2].into(),
            // Zero-length, back to back, and a gap.
            spans: vec![
                span("F 0", 0.0, 0.25),
                span("B 0", 0.25, 0.25),
                span("F 0", 0.25, 0.5),
                span("W 0", 0.75, 1.0),
            ],
        });
        Timeline { lanes: lanes.collect() }
    }

    #[test]
    fn every_begin_has_its_end_and_time_never_goes_back_on_a_track() {
        let trace = Trace::decode(perfetto("run", &timeline()).expect("valid").as_slice()).expect("decodes");
        let mut tracks = BTreeMap::<u64, (u64, i32)>::new();
        for packet in &trace.packet {
            let Some(event) = packet.track_event else {
                continue;
            };
            let (last, depth) = tracks.entry(event.track.expect("a track")).or_default();
            let time = packet.timestamp.expect("a time");
            assert!(time >= *last);
            *last = time;
            *depth += if event.kind == Some(BEGIN) { 1 } else { -1 };
            assert!((0..=1).contains(depth), "nested or unopened");
        }
        assert_eq!(tracks.len(), 4);
        assert!(tracks.values().all(|(last, depth)| *depth == 0 && u128::from(*last) == 10_u128.pow(9)));
    }

    #[test]
    fn names_are_announced_once_and_before_use() {
        let trace = Trace::decode(perfetto("run", &timeline()).expect("valid").as_slice()).expect("decodes");
        let mut known = BTreeMap::new();
        for packet in &trace.packet {
            for entry in packet.interned.iter().flat_map(|interned| &interned.names) {
                assert!(known.insert(entry.number, entry.name.clone()).is_none());
            }
            if let Some(name) = packet.track_event.and_then(|event| event.name) {
                assert!(known.contains_key(&Some(name)));
            }
        }
        assert_eq!(known.len(), 3);
        assert_eq!(trace.packet[0].flags, Some(STATE_CLEARED));
        assert!(trace.packet[1..].iter().all(|packet| packet.flags == Some(STATE_NEEDED)));
    }

    #[test]
    fn tracks_form_a_tree_in_order() {
        let trace = Trace::decode(perfetto("run", &timeline()).expect("valid").as_slice()).expect("decodes");
        let tracks: Vec<&TrackDescriptor> =
            trace.packet.iter().filter_map(|packet| packet.track_descriptor.as_ref()).collect();
        let mut uuids: Vec<_> = tracks.iter().map(|track| track.uuid).collect();
        for track in &tracks[1..] {
            assert!(uuids.contains(&track.parent_uuid), "a parent that is no track");
        }
        uuids.sort_unstable();
        uuids.dedup();
        assert_eq!(uuids.len(), 1 + 2 + 4);
        let chunks = tracks.iter().filter(|track| track.name.as_deref() == Some("chunks"));
        assert!(chunks.clone().count() == 2 && chunks.into_iter().all(|track| track.sibling_order_rank == Some(0)));
    }

    #[test]
    fn what_is_no_interval_is_an_error() {
        let one = |spans| Timeline { lanes: vec![Track { process: "rank 0".into(), thread: "chunks".into(), spans }] };
        let backwards = perfetto("run", &one(vec![span("F 0", 1.0, 0.5)]));
        assert!(matches!(backwards, Err(ReportError::BadSpan { .. })));
        assert!(matches!(perfetto("run", &one(vec![span("F 0", 0.0, f64::NAN)])), Err(ReportError::BadSpan { .. })));
        let overlapping = perfetto("run", &one(vec![span("F 0", 0.0, 1.0), span("F 1", 0.5, 2.0)]));
        assert!(matches!(overlapping, Err(ReportError::Overlap { .. })));
        assert!(perfetto("run", &Timeline::default()).is_ok());
    }
}
