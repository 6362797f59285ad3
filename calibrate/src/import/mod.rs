//! Measurements made elsewhere as samples: output of nccl-tests, traces of PyTorch, tables of one's own.
//!
//! | format | known by | module |
//! |---|---|---|
//! | nccl-tests, text | a header that names `size`, `count`, `time` | `nccl` |
//! | nccl-tests, JSON (`-J`) | an object with `results` | `nccl` |
//! | PyTorch profiler (Kineto), JSON | an object with `traceEvents` | `kineto` |
//! | samples, CSV | a first line with a column `kernel` | `table` |
//! | any of these, packed by gzip | its first two bytes | `unpack` |
//! | samples, JSON lines | lines that begin `{"sample"` or `{"fingerprint"` | `session` |
//!
//! Whatever a file holds that is no sample of ours is counted with its reason in [`ImportedSamples::left_out`]; nothing is dropped
//! in silence. A line that looks like a measurement and cannot be read is a [`ImportMistake`], and with a mistake nothing is
//! imported.

mod document;
mod kineto;
mod nccl;
mod table;
mod unpack;

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, BufRead, Read};

use serde::de::DeserializeSeed;

use self::document::{Listed, Reading};
use self::unpack::{ShortStrings, is_packed, unpacked};
use crate::sample::{Fingerprint, Sample};
use crate::session::Records;
use workloads::op::Collective;

/// What a file does not say about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hints {
    /// Where the measurements are from, for people: it becomes [`Sample::machine`]. Of JSON lines, which name their
    /// machine, it is not asked.
    pub source: String,
    /// Which collective; without it, the file's own header.
    pub collective: Option<Collective>,
    /// Ranks, all of one node; without it, those the file lists.
    pub ranks: Option<u32>,
    /// Hosts that one domain of the scale-up fabric joins; without it, only files of one host, or whose library says it.
    pub hosts_per_node: Option<u32>,
    /// Ranks of a node, for traces of jobs whose ranks are numbered node by node.
    pub ranks_per_node: Option<u32>,
}

/// What a file holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ImportedSamples {
    /// Measurements, in the order of the file (of a trace: sorted by question).
    pub samples: Vec<Sample>,
    /// Machines that the file itself describes, by id.
    pub machines: BTreeMap<String, Fingerprint>,
    /// What is no sample, and how often.
    pub left_out: BTreeMap<String, u64>,
}

impl ImportedSamples {
    fn leave_out(&mut self, reason: impl Into<String>) {
        *self.left_out.entry(reason.into()).or_default() += 1;
    }
}

/// One thing wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportMistake {
    /// Line, from 1; zero where it is the whole file.
    pub line: u64,
    /// Column by its name, or by its number; empty where it is the whole line.
    pub column: String,
    /// What is wrong, and a way out.
    pub message: String,
}

impl ImportMistake {
    fn whole(message: impl Into<String>) -> Self {
        Self { line: 0, column: String::new(), message: message.into() }
    }

    fn line(line: u64, message: impl Into<String>) -> Self {
        Self { line, column: String::new(), message: message.into() }
    }

    fn cell(line: u64, column: &str, message: impl Into<String>) -> Self {
        Self { line, column: column.to_owned(), message: message.into() }
    }
}

impl fmt::Display for ImportMistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, column, message } = self;
        match (line, column.as_str()) {
            (0, _) => write!(f, "{message}"),
            (_, "") => write!(f, "line {line}: {message}"),
            _ => write!(f, "line {line}, column `{column}`: {message}"),
        }
    }
}

/// Everything wrong with a file, at once.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", lines(.0))]
pub struct ImportMistakes(pub Vec<ImportMistake>);

fn lines(mistakes: &[ImportMistake]) -> String {
    let lines: Vec<String> = mistakes.iter().map(ImportMistake::to_string).collect();
    lines.join("\n")
}

/// Reads a file of any format above, told by what it holds and not by its name.
///
/// # Errors
/// A format that is not known, and every mistake of one that is.
///
/// ```
/// use calibrate::import::{Hints, import};
///
/// let file = "kernel,tokens,dim,seconds,low,high,runs,implementation\nrmsnorm,4096,7168,50e-6,49e-6,52e-6,100,mine 1.0\n";
/// let imported = import(file.as_bytes(), &Hints { source: "our lab, July".to_owned(), ..Hints::default() })?;
/// assert_eq!(imported.samples.len(), 1);
/// assert_eq!(imported.samples[0].machine, "our lab, July");
/// # Ok::<(), calibrate::import::ImportMistakes>(())
/// ```
pub fn import(file: &[u8], hints: &Hints) -> Result<ImportedSamples, ImportMistakes> {
    import_from(file, hints)
}

/// As [`import`], from a file that may be gigabytes: of a trace only what is asked for is ever in memory.
///
/// # Errors
/// As [`import`], and what cannot be read.
pub fn import_from(mut file: impl BufRead, hints: &Hints) -> Result<ImportedSamples, ImportMistakes> {
    let head = head(&mut file)?;
    if !is_packed(&head) {
        return import_plain(&head, file, hints);
    }
    let mut file = unpacked(io::Cursor::new(head).chain(file));
    let head = self::head(&mut file)?;
    if is_packed(&head) {
        return Err(one("it is packed by gzip twice: unpack it once, for example with `gunzip`".to_owned()));
    }
    import_plain(&head, file, hints)
}

fn one(message: String) -> ImportMistakes {
    ImportMistakes(vec![ImportMistake::whole(message)])
}

fn unread(error: io::Error) -> ImportMistakes {
    one(format!("it cannot be read: {error}"))
}

/// Takes the first bytes of a file, which tell what it holds.
fn head(file: &mut impl BufRead) -> Result<Vec<u8>, ImportMistakes> {
    let mut head = Vec::new();
    file.take(N_HEAD).read_to_end(&mut head).map_err(unread)?;
    Ok(head)
}

/// A file that is not packed, whose first bytes were taken.
fn import_plain(head: &[u8], file: impl BufRead, hints: &Hints) -> Result<ImportedSamples, ImportMistakes> {
    if head.starts_with(&[0xff, 0xfe]) || head.starts_with(&[0xfe, 0xff]) {
        return Err(one(
            "it is UTF-16: write it again as UTF-8, for example with `iconv -f UTF-16 -t UTF-8`".to_owned()
        ));
    }
    let head = head.strip_prefix(BYTE_ORDER_MARK).unwrap_or(head);
    let form = Form::of(head);
    let file = io::Cursor::new(head).chain(file);
    if form == Form::Json {
        return json(file, hints);
    }
    let first = head.split(|byte| *byte == b'\n').find(|line| !line.trim_ascii().is_empty()).unwrap_or_default();
    if form == Form::Text && !table::is_table(&String::from_utf8_lossy(first)) {
        return nccl::samples_of_text(file, hints);
    }
    let mut bytes = Vec::new();
    file.take(TEXT_MAX + 1).read_to_end(&mut bytes).map_err(unread)?;
    if bytes.len() as u64 > TEXT_MAX {
        return Err(one(format!("it holds more than {} MiB: is it the right file?", TEXT_MAX >> 20)));
    }
    let text = std::str::from_utf8(&bytes)
        .map_err(|error| one(format!("it is no text: byte {} is no UTF-8", error.valid_up_to() + 1)))?;
    if form == Form::Records { records(text) } else { table::samples(text, hints) }
}

/// Bytes that tell what a file holds.
const N_HEAD: u64 = 4096;
/// The largest table, or file of samples.
const TEXT_MAX: u64 = 1 << 28;
/// What some editors put before a text in UTF-8.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// What a file holds, as far as its first bytes tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// One JSON value.
    Json,
    /// Samples of our own, a JSON object a line.
    Records,
    /// Whatever it is, packed by gzip.
    Packed,
    /// Any other text.
    Text,
}

impl Form {
    /// From the first bytes of a file.
    #[must_use]
    pub fn of(head: &[u8]) -> Self {
        let head = head.strip_prefix(BYTE_ORDER_MARK).unwrap_or(head).trim_ascii_start();
        match head.first() {
            _ if is_packed(head) => Self::Packed,
            _ if head.starts_with(b"{\"sample\"") || head.starts_with(b"{\"fingerprint\"") => Self::Records,
            // A list is of nothing that is known, and what a launcher writes before each line may begin like one.
            Some(b'{') => Self::Json,
            _ => Self::Text,
        }
    }
}

const UNKNOWN: &str = "it is no format we know: nccl-tests (text or `-J`), a PyTorch trace, CSV with a column `kernel`, \
                       or JSON lines of samples";

fn json(file: impl io::Read, hints: &Hints) -> Result<ImportedSamples, ImportMistakes> {
    let mut recorded = kineto::Recorded::new(hints);
    let mut json = serde_json::Deserializer::from_reader(io::BufReader::new(ShortStrings::new(file)));
    let document = Reading(&mut recorded).deserialize(&mut json).and_then(|document| json.end().map(|()| document));
    let document = document.map_err(|error| {
        let message = match error.classify() {
            serde_json::error::Category::Data => format!("it cannot be imported: {error}"),
            _ => format!("it is no JSON: {error}; a file that was cut short cannot be read"),
        };
        ImportMistakes(vec![ImportMistake::cell(error.line() as u64, &error.column().to_string(), message)])
    })?;
    if document.events != Listed::Absent {
        kineto::samples(&document, recorded, hints)
    } else if document.rest.contains_key("results") {
        nccl::samples_of_json(&serde_json::Value::Object(document.rest), hints)
    } else {
        Err(one(UNKNOWN.to_owned()))
    }
}

fn records(text: &str) -> Result<ImportedSamples, ImportMistakes> {
    let records = Records::read(text.as_bytes()).map_err(|bad| {
        ImportMistakes(vec![ImportMistake::cell(bad.line as u64, &bad.column.to_string(), bad.message)])
    })?;
    let mut imported =
        ImportedSamples { samples: records.samples, machines: records.machines, left_out: BTreeMap::new() };
    if records.n_torn > 0 {
        imported.leave_out("a last line that was cut");
    }
    Ok(imported)
}

/// The samples, unless there is a mistake.
fn finish(imported: ImportedSamples, mistakes: Vec<ImportMistake>) -> Result<ImportedSamples, ImportMistakes> {
    if mistakes.is_empty() { Ok(imported) } else { Err(ImportMistakes(mistakes)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_no_format_are_refused_with_the_formats() {
        let refuse = |file: &[u8]| import(file, &Hints::default()).unwrap_err().to_string();
        assert!(refuse(b"hello\n").contains("nccl-tests"));
        assert!(refuse(b"{\"a\": 1}").contains("PyTorch"));
        assert!(refuse(b"{\"traceEvents\": [").contains("cut short"));
        assert!(refuse(&[0x1f, 0x8b, 8, 0]).contains("cannot be read"));
        assert!(refuse(&packed(&packed(b"{}"))).contains("packed by gzip twice"));
        assert!(refuse(&[b'a', 0xff]).contains("byte 2"));
    }

    fn packed(file: &[u8]) -> Vec<u8> {
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        io::Write::write_all(&mut packer, file).unwrap();
        packer.finish().unwrap()
    }

    #[test]
    fn a_packed_file_is_what_it_holds() {
        let table = "kernel,tokens,dim,seconds,low,high,runs,implementation\nrmsnorm,4,8,1,1,1,1,a\n";
        let trace = r#"{"traceEvents": []}"#;
        for file in [table, trace] {
            assert_eq!(import(&packed(file.as_bytes()), &Hints::default()), import(file.as_bytes(), &Hints::default()));
        }
        let cut = packed(table.as_bytes());
        assert!(import(&cut[..cut.len() - 12], &Hints::default()).is_err());
        // A string that unpacks to far more than it is packed in.
        let bomb = packed(&[br#"{"a": ""#.as_slice(), &vec![b'x'; 32 << 20]].concat());
        assert!(bomb.len() < 1 << 20);
        assert!(import(&bomb, &Hints::default()).unwrap_err().to_string().contains("a string is longer"));
    }

    /// Whatever is cut, doubled or changed in a file that can be read, there are samples or mistakes.
    #[test]
    fn no_file_is_a_fault() {
        let log = "# Collective test starting: all_reduce_perf\n#  Rank  0 Pid 1 on a device 0\n#  Rank  1 Pid 1 on a device 1\n\
                   # size count type redop root time algbw busbw #wrong time algbw busbw #wrong\n\
                   1024 256 float sum -1 16.0 0.1 0.1 0 15.0 0.1 0.1 N/A\n2048 512 float -1 17.0 0.1 0.1 0 15.0 0.1 0.1 0\n";
        let trace = r#"{"deviceProperties": [{"id": 0, "numSms": 8}], "traceEvents": [
            {"cat": "cpu_op", "name": "aten::bmm", "args": {"External id": 1, "Input Dims": [[2, 8, 8], [2, 8, 8]], "Input type": ["c10::BFloat16"]}},
            {"cat": "kernel", "name": "k", "ts": 1.5, "dur": 2, "args": {"External id": 1, "device": 0, "stream": 7}}]}"#;
        let hints = Hints { ranks_per_node: Some(1), hosts_per_node: Some(1), ..Hints::default() };
        for file in [log, trace] {
            let whole = import(file.as_bytes(), &hints).unwrap_or_else(|mistakes| panic!("{mistakes}"));
            assert!(!whole.samples.is_empty(), "{whole:?}");
            for at in 0..file.len() {
                let (before, after) = file.as_bytes().split_at(at);
                for other in [
                    &b""[..],
                    b"0",
                    b"-",
                    b"9999999999999999999",
                    b"\n",
                    b"#",
                    b"\xff",
                    b"[",
                    b"\"",
                    b"\x1b[",
                    b"NCCL INFO ",
                ] {
                    for rest in [after, &after[1..], b""] {
                        let _ = import(&[before, other, rest].concat(), &hints);
                    }
                }
            }
        }
    }

    #[test]
    fn our_own_lines_are_taken_as_they_are() {
        let mut file = Vec::new();
        let mut mock = crate::Mock::new(1);
        let questions = [crate::Question::Launch, crate::Question::PeerLatency];
        crate::session::run(&mut mock, &questions, &Records::default(), &mut file, &mut |_| {}).unwrap();
        let imported = import(&file, &Hints::default()).unwrap();
        assert_eq!((imported.samples.len(), imported.machines.len()), (2, 1));
        file.pop();
        let imported = import(&file, &Hints::default()).unwrap();
        assert_eq!(imported.left_out["a last line that was cut"], 1);
    }
}
