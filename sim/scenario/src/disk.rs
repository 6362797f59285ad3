//! Files, read whole and never without end.
//!
//! A file is looked at before it is opened: a folder, a pipe, a socket or a device has no size, and some of them no end, so they are
//! refused at once. What is larger than its kind may be is refused without reading it, and a file that grows meanwhile is cut off at
//! the limit.

use std::fs::{File, FileType, Metadata};
use std::io::{self, ErrorKind, Read};
use std::path::Path;

/// What a file is read as, which bounds its size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Keys and values: scenarios, presets, studies, a model's `config.json`, groups of ranks.
    Keys,
    /// Results of this program: a baseline, a manifest, a finished point, a file that is written again.
    Results,
    /// Measurements as text: samples, CSV, output of nccl-tests.
    Measurements,
    /// A job that another tool wrote: nodes of one rank, or a table of layers.
    Job,
    /// A trace of a profiler.
    Trace,
}

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

impl Content {
    /// The largest file that is read, in bytes. The largest files in use are a tenth of it or less.
    #[must_use]
    pub const fn bytes_max(self) -> u64 {
        match self {
            Self::Keys => 8 * MIB,
            Self::Results | Self::Measurements => 256 * MIB,
            Self::Job => 2 * GIB,
            Self::Trace => 8 * GIB,
        }
    }

    /// What messages call it.
    const fn name(self) -> &'static str {
        match self {
            Self::Keys => "a file of keys and values",
            Self::Results => "a file of results",
            Self::Measurements => "a file of measurements",
            Self::Job => "a file of a job",
            Self::Trace => "a trace of a profiler",
        }
    }
}

/// The bytes of a file.
///
/// # Errors
/// It is not there, cannot be read, is no file, or is larger than [`Content::bytes_max`].
pub fn read(path: &Path, content: Content) -> io::Result<Vec<u8>> {
    let n_bytes = check(&path.metadata()?, content)?;
    read_from(&mut File::open(path)?, n_bytes, content)
}

/// A file to be read bit by bit, no larger than its kind may be.
///
/// # Errors
/// As [`read()`].
pub fn open(path: &Path, content: Content) -> io::Result<File> {
    check(&path.metadata()?, content)?;
    File::open(path)
}

/// The bytes of a file that is open already, from where it stands.
///
/// # Errors
/// As [`read()`].
pub fn read_open(file: &mut File, content: Content) -> io::Result<Vec<u8>> {
    let n_bytes = check(&file.metadata()?, content)?;
    read_from(file, n_bytes, content)
}

/// The text of a file, without the mark of byte order that some editors put before it.
///
/// # Errors
/// As [`read()`], and where it is no UTF-8.
pub fn read_text(path: &Path, content: Content) -> io::Result<String> {
    let mut text = String::from_utf8(read(path, content)?).map_err(|error| {
        let at = error.utf8_error().valid_up_to() + 1;
        io::Error::new(ErrorKind::InvalidData, format!("it is no text: byte {at} is no UTF-8"))
    })?;
    if text.starts_with('\u{feff}') {
        text.remove(0);
    }
    Ok(text)
}

/// The first bytes of a file, up to so many: what it holds, before it is known what it may hold.
///
/// # Errors
/// It is not there, cannot be read or is no file.
pub fn head(path: &Path, n_bytes: u64) -> io::Result<Vec<u8>> {
    regular(path.metadata()?.file_type())?;
    let mut head = Vec::new();
    File::open(path)?.take(n_bytes).read_to_end(&mut head)?;
    Ok(head)
}

fn check(metadata: &Metadata, content: Content) -> io::Result<u64> {
    regular(metadata.file_type())?;
    let n_bytes = metadata.len();
    if n_bytes > content.bytes_max() { Err(too_large(n_bytes, content)) } else { Ok(n_bytes) }
}

/// Whatever is no file has no size, and may have no end.
fn regular(what: FileType) -> io::Result<()> {
    if what.is_file() {
        return Ok(());
    }
    let what = if what.is_dir() { "a folder" } else { "a pipe, socket or device" };
    Err(io::Error::new(ErrorKind::InvalidInput, format!("it is {what}, not a file; write what it holds into a file")))
}

fn read_from(file: &mut File, n_bytes: u64, content: Content) -> io::Result<Vec<u8>> {
    let most = content.bytes_max();
    let mut bytes = Vec::with_capacity(usize::try_from(n_bytes).unwrap_or(0));
    // Some files say that they are empty and are not.
    file.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most { Err(too_large(bytes.len() as u64, content)) } else { Ok(bytes) }
}

fn too_large(n_bytes: u64, content: Content) -> io::Error {
    let (name, most) = (content.name(), content.bytes_max() / MIB);
    let message =
        format!("it holds {} MiB, and {name} at most {most} MiB; is it the right file?", n_bytes.div_ceil(MIB));
    io::Error::new(ErrorKind::InvalidData, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(path: &str, content: Content) -> String {
        read(Path::new(path), content).expect_err(path).to_string()
    }

    #[test]
    fn what_is_no_file_is_refused_at_once() {
        assert!(refused("/dev/zero", Content::Keys).contains("device"), "endless");
        assert!(refused(env!("CARGO_MANIFEST_DIR"), Content::Job).contains("a folder"));
        let absent = read(Path::new("no-such-file"), Content::Keys).expect_err("absent");
        assert_eq!(absent.kind(), ErrorKind::NotFound);
    }

    #[test]
    fn a_file_beyond_its_limit_is_refused_with_both_sizes() {
        let path = std::env::temp_dir().join(format!("windtunnel-disk-{}", std::process::id()));
        // A hole: it takes no space, and is not read.
        let file = File::create(&path).expect("a file");
        file.set_len(Content::Keys.bytes_max() + 1).expect("a hole");
        let refusal = read(&path, Content::Keys).expect_err("too large").to_string();
        assert!(refusal.contains("9 MiB") && refusal.contains("at most 8 MiB"), "{refusal}");
        assert_eq!(head(&path, 4).expect("its head"), [0; 4]);
        file.set_len(Content::Keys.bytes_max()).expect("a hole");
        assert_eq!(read(&path, Content::Keys).expect("it fits").len() as u64, Content::Keys.bytes_max());
        std::fs::remove_file(&path).expect("it is there");
    }

    #[test]
    fn a_mark_of_byte_order_is_no_text() {
        let path = std::env::temp_dir().join(format!("windtunnel-bom-{}", std::process::id()));
        std::fs::write(&path, "\u{feff}a = 1\n").expect("a file");
        assert_eq!(read_text(&path, Content::Keys).expect("text"), "a = 1\n");
        std::fs::write(&path, [b'a', 0xff]).expect("a file");
        assert!(read_text(&path, Content::Keys).expect_err("no text").to_string().contains("byte 2"));
        std::fs::remove_file(&path).expect("it is there");
    }
}
