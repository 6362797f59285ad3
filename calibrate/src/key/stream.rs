//! Terms of a kernel that memory bounds, which every kernel measured has a value of.

use units::Bytes;
use workloads::op::Stream;

use super::{Terms, terms};
use crate::subject::Subject;

terms! {
    /// What a kernel that memory bounds is estimated by.
    StreamTerm:
    /// Share of the memory peak that {it} would reach on SMs without number.
    Fraction = "peak-fraction", Fraction;
    /// Time beyond that of every kernel before {it} runs at full speed, and after.
    Latency = "latency", Seconds;
}

/// Kernels that memory bounds, as they are measured: other mathematics goes by the mix of its reads and writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StreamKernel {
    /// As many bytes read as written.
    Copy,
    /// Bytes read alone.
    Read,
    /// Bytes written alone.
    Write,
    /// Root-mean-square norm.
    Norm,
    /// Rotary position.
    Rope,
    /// Gated activation.
    SwiGlu,
    /// Cast to FP8.
    Cast,
    /// Cast to FP8 with its transpose.
    CastTranspose,
    /// Tokens into the order of experts.
    Permute,
    /// Outputs of experts summed per token.
    Unpermute,
}

impl StreamKernel {
    /// Every kernel, in the order of files.
    pub const ALL: &'static [Self] = &[
        Self::Copy,
        Self::Read,
        Self::Write,
        Self::Norm,
        Self::Rope,
        Self::SwiGlu,
        Self::Cast,
        Self::CastTranspose,
        Self::Permute,
        Self::Unpermute,
    ];

    /// The kernel that stands for some mathematics.
    #[must_use]
    pub fn of(what: Stream, reads: Bytes, writes: Bytes) -> Self {
        match what {
            Stream::Norm => Self::Norm,
            Stream::Rope => Self::Rope,
            Stream::SwiGlu => Self::SwiGlu,
            Stream::Cast => Self::Cast,
            Stream::CastTranspose => Self::CastTranspose,
            Stream::Permute => Self::Permute,
            Stream::Unpermute => Self::Unpermute,
            Stream::Gelu
            | Stream::Softmax
            | Stream::Dropout
            | Stream::Residual
            | Stream::Gate
            | Stream::Embedding
            | Stream::CrossEntropy
            | Stream::Update
            | Stream::Copy => match (reads > Bytes::ZERO, writes > Bytes::ZERO) {
                (true, false) => Self::Read,
                (false, true) => Self::Write,
                (true, true) | (false, false) => Self::Copy,
            },
        }
    }

    /// Its name in files, and in a sentence.
    const fn names(self) -> [&'static str; 2] {
        match self {
            Self::Copy => ["copy", "a copy"],
            Self::Read => ["read", "reading"],
            Self::Write => ["write", "writing"],
            Self::Norm => ["norm", "a norm"],
            Self::Rope => ["rope", "a rotary embedding"],
            Self::SwiGlu => ["swiglu", "SwiGLU"],
            Self::Cast => ["cast", "a cast to FP8"],
            Self::CastTranspose => ["cast-transpose", "a cast to FP8 with transpose"],
            Self::Permute => ["permute", "a permutation"],
            Self::Unpermute => ["unpermute", "a weighted sum over permuted rows"],
        }
    }
}

impl Terms<StreamTerm> for StreamKernel {
    fn name(self, term: StreamTerm) -> String {
        format!("stream.{}.{}", self.names()[0], term.leaf())
    }

    fn subject(self, _: StreamTerm) -> Subject {
        match self {
            Self::Norm => Subject::Norm,
            Self::Cast | Self::CastTranspose => Subject::Casts,
            Self::Copy | Self::Read | Self::Write | Self::Rope | Self::SwiGlu | Self::Permute | Self::Unpermute => {
                Subject::Memory
            }
        }
    }

    fn doc(self, term: StreamTerm) -> String {
        term.meaning().replace("{it}", self.names()[1])
    }
}
