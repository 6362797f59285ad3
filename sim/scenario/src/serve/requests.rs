//! What comes to a service: `requests.*`.

use plan::RequestList;
use workloads::requests::{Arrivals, Lengths, RequestsSpec, parse_trace};

use crate::diagnostic::Diagnostic;
use crate::library::Library;
use crate::reader::Reader;

use super::TOKENS_MAX;

/// Requests of a run, each of which is kept.
const COUNT_MAX: u64 = 1 << 24;

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    None,
    Closed,
    Open,
    Trace,
}

/// Requests of a scenario; none where it has none.
pub(super) fn requests(reader: &mut Reader<'_>, library: &Library) -> Option<RequestList> {
    let kinds = [("none", Kind::None), ("closed", Kind::Closed), ("open", Kind::Open), ("trace", Kind::Trace)];
    let mut kind = reader.choice("requests.arrivals", &kinds);
    let file = reader.text("requests.trace");
    // Whoever names a file wants what it holds, whatever a preset below does without it.
    if file != "none" && reader.sound(&["requests.trace"]) {
        reader.decide("requests.arrivals", "\"trace\"");
        kind = Kind::Trace;
    }
    let closed = Arrivals::Closed { concurrency: reader.count("requests.concurrency", 1..=COUNT_MAX) };
    let open = Arrivals::Open {
        rate: reader.positive("requests.rate"),
        variation: reader.number("requests.variation", 0.0..=100.0),
    };
    let mut lengths = |length: &str, spread: &str| Lengths {
        mean: reader.count(length, 1..=TOKENS_MAX),
        spread: reader.number(spread, 0.0..=10.0),
    };
    let input = lengths("requests.input", "requests.input-spread");
    let output = lengths("requests.output", "requests.output-spread");
    let count = reader.count("requests.count", 1..=COUNT_MAX);
    let seed = reader.count("requests.seed", 0..=i64::MAX.unsigned_abs());
    let drawn = |arrivals| {
        let spec = RequestsSpec { arrivals, count, input, output, seed };
        Some(RequestList::new(spec.requests(), &arrivals))
    };
    match kind {
        Kind::None => None,
        _ if !reader.all_sound("requests") => None,
        Kind::Closed => drawn(closed),
        Kind::Open => drawn(open),
        Kind::Trace => of_trace(reader, &file, library),
    }
}

/// Requests of a file. What it holds is part of the run's identity, where it lies is not.
fn of_trace(reader: &mut Reader<'_>, file: &str, library: &Library) -> Option<RequestList> {
    let key = "requests.trace";
    if file == "none" {
        let hint = "name one with `requests.trace`, JSON lines or CSV".to_owned();
        reader.refuse(key, "requests come from a trace, and no file is named", Some(hint));
        return None;
    }
    let origin = reader.place(key);
    let source = match library.data(file, origin.as_ref()) {
        Ok(source) => source,
        Err(absent) => {
            reader.push(absent);
            reader.doubt(key);
            return None;
        }
    };
    match parse_trace(&source.text) {
        Ok(requests) => {
            reader.identify(key, format!("\"blake3:{}\"", blake3::hash(source.text.as_bytes()).to_hex()));
            Some(RequestList { requests, concurrency: None })
        }
        Err(error) => {
            let mistake = Diagnostic::error(format!("`{}`, {error}", source.name));
            reader.push(match origin {
                Some(origin) => mistake.at(&origin),
                None => mistake,
            });
            reader.doubt(key);
            None
        }
    }
}
