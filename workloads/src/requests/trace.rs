//! Requests from a file: JSON lines or CSV.
//!
//! | form | fields of a request |
//! |---|---|
//! | JSON lines | `arrival` in seconds, `input`, `output` |
//! | JSON lines as Mooncake's traces have them | `timestamp` in milliseconds, `input_length`, `output_length` |
//! | CSV with a header | `arrival,input,output`, others beside |
//! | CSV as Azure's traces have it | `TIMESTAMP` (a date and a time), `ContextTokens`, `GeneratedTokens` |
//!
//! Further fields are left alone. Arrivals count from the first one in the file, and are in order.

use chrono::NaiveDateTime;
use serde_json::Value;

use super::Request;

/// Tokens beyond which a length is a mistake.
const LENGTH_MAX: u64 = 1 << 32;
/// Seconds beyond which an arrival is a mistake: more than any clock since 1970 shows, and less than if it showed milliseconds.
const ARRIVAL_MAX: f64 = (1_u64 << 36) as f64;
/// Seconds from the first arrival on beyond which one is a mistake: thirty-four years.
const SPAN_MAX: f64 = (1_u64 << 30) as f64;

/// Why a line is no request.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("line {line}: {kind}")]
pub struct TraceError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong.
    pub kind: TraceErrorKind,
}

/// What is wrong with a line of a trace.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum TraceErrorKind {
    /// It is no JSON.
    #[error("it is no JSON object: {0}; is the file cut off?")]
    Json(String),
    /// A field is not there, or is no number.
    #[error("`{0}` is missing or no number")]
    Field(&'static str),
    /// A length of nothing, or of far too much.
    #[error("`{field}` is {value}, not a whole number of tokens from 1 to 2^32")]
    Length {
        /// Which.
        field: &'static str,
        /// Its value.
        value: f64,
    },
    /// A time that is none.
    #[error("`{field}` is {value}, not a time from 0 to 2^36 seconds")]
    Arrival {
        /// Which.
        field: &'static str,
        /// Its value.
        value: String,
    },
    /// Before the request above it.
    #[error("it arrives at {at} s, before the one above it ({before} s); sort the file by arrival")]
    Unsorted {
        /// Its arrival.
        at: f64,
        /// That of the one before.
        before: f64,
    },
    /// Long after all others.
    #[error("it arrives {0:.0} s after the first, more than 2^30; is its time in milliseconds?")]
    Late(f64),
    /// A header without the columns.
    #[error(
        "the header has no `{0}`; columns are `arrival,input,output`, or `TIMESTAMP,ContextTokens,GeneratedTokens`"
    )]
    Header(&'static str),
    /// No request at all.
    #[error("there is no request in the file")]
    Empty,
}

/// Requests of a file in the order of their arrival, the first at zero.
///
/// # Errors
/// The first line that is no request.
pub fn parse_trace(text: &str) -> Result<Vec<Request>, TraceError> {
    let text = text.trim_start_matches('\u{feff}');
    let mut lines = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty());
    let Some((first, head)) = lines.clone().next() else {
        return Err(TraceError { line: 1, kind: TraceErrorKind::Empty });
    };
    let mut requests: Vec<Request> = Vec::new();
    if head.trim_start().starts_with('{') {
        for (line, text) in lines {
            push(&mut requests, of_json(text).map_err(|kind| TraceError { line, kind })?, line)?;
        }
    } else {
        let columns = Columns::of(head).map_err(|kind| TraceError { line: first, kind })?;
        lines.next();
        for (line, text) in lines {
            push(&mut requests, columns.request(text).map_err(|kind| TraceError { line, kind })?, line)?;
        }
    }
    let Some(start) = requests.first().map(|request| request.arrival) else {
        return Err(TraceError { line: first, kind: TraceErrorKind::Empty });
    };
    requests.iter_mut().for_each(|request| request.arrival -= start);
    Ok(requests)
}

fn push(requests: &mut Vec<Request>, request: Request, line: usize) -> Result<(), TraceError> {
    let span = requests.first().map_or(0.0, |first| request.arrival - first.arrival);
    match requests.last() {
        _ if span > SPAN_MAX => Err(TraceError { line, kind: TraceErrorKind::Late(span) }),
        Some(last) if request.arrival < last.arrival => {
            let kind = TraceErrorKind::Unsorted { at: request.arrival, before: last.arrival };
            Err(TraceError { line, kind })
        }
        _ => {
            requests.push(request);
            Ok(())
        }
    }
}

fn of_json(text: &str) -> Result<Request, TraceErrorKind> {
    let value: Value = serde_json::from_str(text).map_err(|error| TraceErrorKind::Json(error.to_string()))?;
    let number = |name: &'static str| value.get(name).and_then(Value::as_f64).ok_or(TraceErrorKind::Field(name));
    if value.get("input_length").is_some() {
        let arrival = number("timestamp")? / 1e3;
        let lengths = [("input_length", number("input_length")?), ("output_length", number("output_length")?)];
        return request(("timestamp", arrival), lengths);
    }
    request(("arrival", number("arrival")?), [("input", number("input")?), ("output", number("output")?)])
}

fn request((name, arrival): (&'static str, f64), lengths: [(&'static str, f64); 2]) -> Result<Request, TraceErrorKind> {
    if !(0.0..=ARRIVAL_MAX).contains(&arrival) {
        return Err(TraceErrorKind::Arrival { field: name, value: format!("{arrival} s") });
    }
    let [input, output] = lengths.map(|(field, value)| {
        let is_length = value.fract() == 0.0 && (1.0..=LENGTH_MAX as f64).contains(&value);
        if is_length { Ok(value as u64) } else { Err(TraceErrorKind::Length { field, value }) }
    });
    Ok(Request { arrival, input: input?, output: output? })
}

/// Where the fields stand in a CSV file.
struct Columns {
    names: [&'static str; 3],
    at: [usize; 3],
    is_date: bool,
}

impl Columns {
    fn of(head: &str) -> Result<Self, TraceErrorKind> {
        let heads: Vec<&str> = head.split(',').map(|name| name.trim().trim_matches('"')).collect();
        let azure = ["TIMESTAMP", "ContextTokens", "GeneratedTokens"];
        let is_date = heads.contains(&azure[0]);
        let names = if is_date { azure } else { ["arrival", "input", "output"] };
        let mut at = [0; 3];
        for (slot, name) in at.iter_mut().zip(names) {
            *slot = heads.iter().position(|head| *head == name).ok_or(TraceErrorKind::Header(name))?;
        }
        Ok(Self { names, at, is_date })
    }

    fn request(&self, line: &str) -> Result<Request, TraceErrorKind> {
        let fields: Vec<&str> = line.split(',').map(|field| field.trim().trim_matches('"')).collect();
        let field = |index: usize| fields.get(self.at[index]).copied().ok_or(TraceErrorKind::Field(self.names[index]));
        let number = |index: usize| field(index)?.parse::<f64>().map_err(|_| TraceErrorKind::Field(self.names[index]));
        let arrival = if self.is_date {
            let text = field(0)?;
            seconds(text).ok_or_else(|| TraceErrorKind::Arrival { field: self.names[0], value: text.to_owned() })?
        } else {
            number(0)?
        };
        request((self.names[0], arrival), [(self.names[1], number(1)?), (self.names[2], number(2)?)])
    }
}

/// Seconds of `2023-11-16 18:17:03.9799600` since 1970.
fn seconds(text: &str) -> Option<f64> {
    let text = text.trim_end_matches("+00:00").trim_end_matches('Z');
    let forms = ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f"];
    let time = forms.into_iter().find_map(|form| NaiveDateTime::parse_from_str(text, form).ok())?.and_utc();
    Some(time.timestamp() as f64 + f64::from(time.timestamp_subsec_nanos()) * 1e-9)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(arrival: f64, input: u64, output: u64) -> Request {
        Request { arrival, input, output }
    }

    #[test]
    fn every_form_gives_the_same_requests() {
        let expected = vec![request(0.0, 100, 5), request(1.5, 7, 1)];
        for text in [
            "{\"arrival\": 3.0, \"input\": 100, \"output\": 5}\n\n{\"arrival\": 4.5, \"input\": 7, \"output\": 1, \"id\": 9}\n",
            "{\"timestamp\": 0, \"input_length\": 100, \"output_length\": 5, \"hash_ids\": [1]}\n{\"timestamp\": 1500, \"input_length\": 7, \"output_length\": 1}",
            "input,arrival,output\n100,0,5\n7,1.5,1\n",
            "arrival,input,output\n1700000000,100,5\n1700000001.5,7,1\n",
            "TIMESTAMP,ContextTokens,GeneratedTokens\n2024-02-28T23:59:59.5Z,100,5\n2024-02-29T00:00:01Z,7,1\n",
            "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 23:59:59.5,100,5\n2023-11-17 00:00:01.0,7,1\n",
        ] {
            assert_eq!(parse_trace(text), Ok(expected.clone()), "{text}");
        }
    }

    #[test]
    fn mistakes_are_named_with_their_line() {
        for (text, line, part) in [
            ("", 1, "no request"),
            ("arrival,input,output\n", 1, "no request"),
            ("arrival,input\n0,1\n", 1, "`output`"),
            ("arrival,input,output\n0,1,1\n0,x,1\n", 3, "`input`"),
            ("arrival,input,output\n2,1,1\n1,1,1\n", 3, "sort the file"),
            ("arrival,input,output\n0,-5,1\n", 2, "-5"),
            ("arrival,input,output\n0,0,1\n", 2, "`input` is 0"),
            ("arrival,input,output\nnan,1,1\n", 2, "NaN"),
            ("{\"arrival\": 0, \"input\": 1, \"output\": 1}\n{\"arrival\": 0, \"inp", 2, "cut off"),
            ("{\"arrival\": 0, \"input\": 1.5, \"output\": 1}\n", 1, "1.5"),
            ("TIMESTAMP,ContextTokens,GeneratedTokens\nyesterday,1,1\n", 2, "yesterday"),
            ("TIMESTAMP,ContextTokens,GeneratedTokens\n2023-02-30 00:00:00,1,1\n", 2, "2023-02-30"),
            ("arrival,input,output\n1700000000000,1,1\n", 2, "2^36"),
            ("arrival,input,output\n0,1,1\n1700000000,1,1\n", 3, "milliseconds"),
        ] {
            let error = parse_trace(text).unwrap_err();
            assert_eq!(error.line, line, "{text}: {error}");
            assert!(error.to_string().contains(part), "{text}: {error}");
        }
    }
}
