//! One kernel of an op, as files write it.

use std::fmt;
use std::str::FromStr;

use crate::kernel::StreamKernel;

/// A kernel of an op, or several alike: `norm`, `elementwise 4 -> 2`, `3 x elementwise 2 -> 2`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Piece {
    /// How many.
    pub n: u32,
    /// Which kind; none: the op's own.
    pub kernel: Option<StreamKernel>,
    /// Bytes it reads and writes per element of the op; none: every operand and result once.
    pub widths: Option<[f64; 2]>,
}

/// Why a text is no kernel.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PieceError {
    /// No kernel has this name.
    #[error("`{0}` is no kernel")]
    Kernel(String),
    /// Bytes are not `READ -> WRITTEN`.
    #[error("`{0}` is not `READ -> WRITTEN`, bytes per element from 0 to {max}", max = Piece::WIDTH_MAX)]
    Widths(String),
    /// A count is none.
    #[error("`{0}` is no count from 1 to {max}", max = Piece::N_MAX)]
    Count(String),
}

impl Piece {
    /// One kernel that reads every operand and writes every result once.
    pub const WHOLE: Self = Self { n: 1, kernel: None, widths: None };
    /// Most kernels of a piece.
    pub const N_MAX: u32 = 1000;
    /// Most bytes per element: those of a row, where an element is one.
    pub const WIDTH_MAX: f64 = (1_u64 << 20) as f64;
}

impl FromStr for Piece {
    type Err = PieceError;

    fn from_str(text: &str) -> Result<Self, PieceError> {
        let (n, rest) = match text.trim().split_once(" x ") {
            Some((count, rest)) => (counted(count)?, rest.trim()),
            None => (1, text.trim()),
        };
        let (name, widths) = match rest.split_once(char::is_whitespace) {
            Some((name, widths)) => (name, Some(read(widths.trim())?)),
            None => (rest, None),
        };
        let kernel = StreamKernel::from_name(name).ok_or_else(|| PieceError::Kernel(name.to_owned()))?;
        Ok(Self { n, kernel: Some(kernel), widths })
    }
}

fn counted(text: &str) -> Result<u32, PieceError> {
    let count = text.trim().parse().ok().filter(|n| (1..=Piece::N_MAX).contains(n));
    count.ok_or_else(|| PieceError::Count(text.trim().to_owned()))
}

fn read(text: &str) -> Result<[f64; 2], PieceError> {
    let width = |text: &str| text.trim().parse().ok().filter(|width| (0.0..=Piece::WIDTH_MAX).contains(width));
    let widths = text.split_once("->").and_then(|(reads, writes)| Some([width(reads)?, width(writes)?]));
    widths.filter(|[reads, writes]| reads + writes > 0.0).ok_or_else(|| PieceError::Widths(text.to_owned()))
}

impl fmt::Display for Piece {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.n != 1 {
            write!(f, "{} x ", self.n)?;
        }
        f.write_str(self.kernel.map_or("whole", StreamKernel::name))?;
        match self.widths {
            Some([reads, writes]) => write!(f, " {reads} -> {writes}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_reads_back_as_it_is_written() {
        for text in
            ["norm", "elementwise 4 -> 2", "3 x elementwise 2 -> 2", "58 x elementwise 0.5 -> 0", "write 0 -> 4"]
        {
            let piece: Piece = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(piece.to_string(), text);
        }
    }

    #[test]
    fn what_is_no_piece_is_named() {
        let refused = |text: &str| text.parse::<Piece>().unwrap_err().to_string();
        assert!(refused("nrom").contains("`nrom` is no kernel"));
        assert!(refused("0 x norm").contains("`0` is no count"));
        assert!(refused("norm 4").contains("`4` is not `READ -> WRITTEN`"));
        for widths in ["0 -> 0", "-1 -> 2", "nan -> 1", "inf -> 1", "2 -> 2 -> 2"] {
            assert!(refused(&format!("norm {widths}")).contains(widths), "{widths}");
        }
    }
}
