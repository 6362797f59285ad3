//! Lines of a log as launchers and terminals leave them: long, colored, with something before each.

use std::io::{self, BufRead, Read};

/// A longer line is of no log.
const LINE_MAX: u64 = 1 << 20;

/// Lines one after the other; never more than one of them in memory.
pub(super) struct LogLines<R> {
    file: R,
    bytes: Vec<u8>,
    /// Bytes of the lines before.
    n_before: u64,
    /// The first byte that is no UTF-8, from 1.
    pub(super) odd_byte: Option<u64>,
}

/// One line.
pub(super) struct LogLine {
    /// Without colors and line ends; bytes that are no text are marks.
    pub(super) text: String,
    /// Whether it ends in a line end, as all but one that was cut do.
    pub(super) is_whole: bool,
}

impl<R: BufRead> LogLines<R> {
    pub(super) fn new(file: R) -> Self {
        Self { file, bytes: Vec::new(), n_before: 0, odd_byte: None }
    }

    /// The next line; none at the end.
    ///
    /// # Errors
    /// What cannot be read, and a line without an end.
    pub(super) fn next_line(&mut self) -> io::Result<Option<LogLine>> {
        self.bytes.clear();
        let n = self.file.by_ref().take(LINE_MAX).read_until(b'\n', &mut self.bytes)?;
        if n == 0 {
            return Ok(None);
        }
        let is_whole = self.bytes.ends_with(b"\n");
        if !is_whole && n as u64 == LINE_MAX {
            let message = format!("a line is longer than {LINE_MAX} bytes: is it the right file?");
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        if let (None, Err(error)) = (self.odd_byte, std::str::from_utf8(&self.bytes)) {
            self.odd_byte = Some(self.n_before + error.valid_up_to() as u64 + 1);
        }
        self.n_before += n as u64;
        let text = String::from_utf8_lossy(&self.bytes);
        Ok(Some(LogLine { text: plain(text.trim_end_matches(['\n', '\r'])), is_whole }))
    }
}

/// A line without what a terminal does not print: escape sequences of colors and of the cursor.
fn plain(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    let mut rest = line;
    while let Some((before, after)) = rest.split_once('\u{1b}') {
        text.push_str(before);
        rest = match after.strip_prefix('[') {
            // Parameters, then one letter.
            Some(sequence) => {
                let end = sequence.find(|c: char| ('@'..='~').contains(&c));
                end.map_or("", |end| &sequence[end + 1..])
            }
            None => after.char_indices().nth(1).map_or("", |(end, _)| &after[end..]),
        };
    }
    text.push_str(rest);
    text
}

/// What a launcher or a log writes before each line: a rank, a host, a stream, a time.
///
/// It is told by the header's own. Words, numbers and spaces count as any other: `[1,0]<stdout>:` is before a line of another rank
/// `[1,13]<stdout>:`, and a time moves on, from `Nov 30` to `Dec  1`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Prefix(String);

impl Prefix {
    pub(super) fn new(text: &str) -> Self {
        Self(if text.trim().is_empty() { String::new() } else { text.to_owned() })
    }

    /// The line without it; as it is where it has none.
    pub(super) fn strip<'a>(&self, line: &'a str) -> &'a str {
        // Numbers are set to the right: ` 9: ` and `10: ` are one form.
        let (mut pattern, mut rest) = (self.0.trim_start(), line.trim_start());
        while let Some(expected) = pattern.chars().next() {
            let is_same = |c: char| match expected {
                _ if expected.is_alphanumeric() => c.is_alphanumeric(),
                _ if expected.is_whitespace() => c.is_whitespace(),
                _ => c == expected,
            };
            let is_run = expected.is_alphanumeric() || expected.is_whitespace();
            let length = |text: &str| {
                let end = text.find(|c: char| !is_same(c)).unwrap_or(text.len());
                if is_run { end } else { end.min(expected.len_utf8()) }
            };
            let [of_pattern, of_rest] = [length(pattern), length(rest)];
            if of_rest == 0 {
                return line;
            }
            (pattern, rest) = (&pattern[of_pattern..], &rest[of_rest..]);
        }
        if self.0.is_empty() { line } else { rest }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colors_are_no_part_of_a_line() {
        assert_eq!(plain("\u{1b}[32m1,0\u{1b}[0m \u{1b}[1;31m# size\u{1b}[K"), "1,0 # size");
        assert_eq!(plain("a\u{1b}[3"), "a");
        assert_eq!(plain("a\u{1b}"), "a");
        assert_eq!(plain("a\u{1b}(Bc"), "aBc");
    }

    #[test]
    fn a_prefix_is_known_by_its_form() {
        let strip = |prefix: &str, line| Prefix::new(prefix).strip(line).trim().to_owned();
        assert_eq!(strip("[1,0]<stdout>:", "[1,13]<stdout>: 8 2"), "8 2");
        assert_eq!(strip("Nov 30 09:59:59 n1 ", "Dec  1 10:00:00 n1    8 2"), "8 2");
        assert_eq!(strip("[rank0]: ", "[rank12]:   8 2"), "8 2");
        assert_eq!(strip(" 9: ", "10:   8 2"), "8 2");
        assert_eq!(strip("", "   8 2"), "8 2");
        assert_eq!(strip("[0] ", "   8 2"), "8 2", "a line without one is left as it is");
    }

    #[test]
    fn a_line_without_an_end_ends_the_reading() {
        let mut lines = LogLines::new(io::BufReader::new(io::repeat(0)));
        assert!(lines.next_line().err().expect("refused").to_string().contains("right file"));
        let mut lines = LogLines::new(&b"a\r\nb\xff"[..]);
        let first = lines.next_line().unwrap().unwrap();
        assert!(first.is_whole && first.text == "a");
        assert!(!lines.next_line().unwrap().unwrap().is_whole);
        assert_eq!(lines.odd_byte, Some(5));
    }
}
