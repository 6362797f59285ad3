//! Files as they lie on disks: packed, and with an end that somebody promises.

use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::MultiGzDecoder;

/// What a packed file may unpack to, in bytes: as much as a trace that is not packed may hold.
const UNPACKED_MAX: u64 = 8 << 30;
/// The longest string of a JSON file, in bytes: whatever is read as a string is in memory at once.
const STRING_MAX: u64 = 16 << 20;

/// Whether a file begins as one packed by gzip.
pub(super) fn is_packed(head: &[u8]) -> bool {
    head.starts_with(&[0x1f, 0x8b])
}

/// What a packed file holds, unpacked as it is read, and never more than [`UNPACKED_MAX`].
pub(super) fn unpacked(file: impl BufRead) -> impl BufRead {
    BufReader::new(Ended { file: MultiGzDecoder::new(file), left: UNPACKED_MAX })
}

/// A reader that ends in an error where it has gone on for too long.
struct Ended<R> {
    file: R,
    left: u64,
}

impl<R: Read> Read for Ended<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.file.read(buffer)?;
        self.left = self.left.checked_sub(n as u64).ok_or_else(|| {
            let most = UNPACKED_MAX >> 20;
            io::Error::new(
                io::ErrorKind::InvalidData,
                format!("it unpacks to more than {most} MiB: is it the right file?"),
            )
        })?;
        Ok(n)
    }
}

/// JSON whose strings are no longer than [`STRING_MAX`].
pub(super) struct ShortStrings<R> {
    file: R,
    is_within: bool,
    is_escaped: bool,
    length: u64,
}

impl<R> ShortStrings<R> {
    pub(super) fn new(file: R) -> Self {
        Self { file, is_within: false, is_escaped: false, length: 0 }
    }

    fn byte(&mut self, byte: u8) -> io::Result<()> {
        match byte {
            _ if self.is_escaped => self.is_escaped = false,
            b'\\' if self.is_within => self.is_escaped = true,
            b'"' => (self.is_within, self.length) = (!self.is_within, 0),
            _ => {}
        }
        self.length += u64::from(self.is_within);
        if self.length > STRING_MAX {
            let message = format!("a string is longer than {} MiB: is it the right file?", STRING_MAX >> 20);
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        Ok(())
    }
}

impl<R: Read> Read for ShortStrings<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.file.read(buffer)?;
        buffer[..n].iter().try_for_each(|byte| self.byte(*byte))?;
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_end_is_ended() {
        let mut file = Ended { file: io::repeat(0), left: 1 << 20 };
        let mut sink = Vec::new();
        assert!(file.read_to_end(&mut sink).unwrap_err().to_string().contains("MiB"));
        assert!(sink.len() <= 1 << 20);
    }

    #[test]
    fn strings_end_and_the_rest_may_go_on() {
        let times = STRING_MAX as usize / 2;
        let read = |first: &[u8], text: &[u8]| {
            let mut file = ShortStrings::new(io::Cursor::new([first, &text.repeat(times)].concat()));
            io::copy(&mut file, &mut io::sink())
        };
        assert!(read(b"", b"\"a\\\"b\" ").is_ok(), "many short ones");
        assert!(read(b"\"", b"a\\\"\\\\").is_err(), "one that is never closed");
        assert!(read(b"", b"     ").is_ok());
    }
}
