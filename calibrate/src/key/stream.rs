//! Terms of a kernel that memory bounds, which every kernel measured has a value of.

pub use workloads::kernel::StreamKernel;

use super::{Terms, terms};
use crate::estimate::Dimension;
use crate::subject::Subject;

terms! {
    /// What a kernel that memory bounds is estimated by.
    StreamTerm:
    /// Share of the memory peak that {it} would reach on SMs without number.
    Fraction = "peak-fraction", Fraction;
    /// Time beyond that of every kernel before {it} runs at full speed, and after.
    Latency = "latency", Seconds;
    /// Bytes of one row that {it} passes in a second, in the block that has it.
    RowRate = "row-rate", BytesPerSec;
    /// Bytes in whose time {it} begins and ends a row.
    RowBytes = "row-bytes", Count;
    /// Times as fast as one of all SMs that an SM of {it} is where hardly any other runs.
    Lone = "lone-speedup", CountFromOne;
}

impl StreamTerm {
    /// The value of a term that a profile may leave out: rows that cost nothing of their own, SMs that only the memory binds.
    pub(super) const fn neutral(self) -> Option<f64> {
        match self {
            Self::Fraction | Self::Latency => None,
            Self::RowRate => Some(f64::MAX),
            Self::Lone => Some(Dimension::COUNT_MAX),
            Self::RowBytes => Some(0.0),
        }
    }

    pub(super) const fn exists_for(self, kernel: StreamKernel) -> bool {
        match self {
            Self::Fraction | Self::Latency => true,
            Self::RowRate | Self::RowBytes => kernel.is_by_rows(),
            Self::Lone => kernel.is_norm(),
        }
    }
}

impl Terms<StreamTerm> for StreamKernel {
    fn name(self, term: StreamTerm) -> String {
        format!("stream.{}.{}", StreamKernel::name(self), term.leaf())
    }

    fn subject(self, _: StreamTerm) -> Subject {
        match self {
            Self::Norm => Subject::Norm,
            Self::Cast | Self::CastTranspose => Subject::Casts,
            Self::Copy
            | Self::Read
            | Self::Write
            | Self::Elementwise
            | Self::Strided
            | Self::Widen
            | Self::Concat
            | Self::Reduce
            | Self::NormGradient
            | Self::LayerNorm
            | Self::LayerNormGradient
            | Self::Softmax
            | Self::SoftmaxGradient
            | Self::LogSoftmax
            | Self::LogSoftmaxGradient
            | Self::Gelu
            | Self::SwiGlu
            | Self::Dropout
            | Self::Rope
            | Self::Transpose
            | Self::Permute
            | Self::Unpermute
            | Self::IndexAdd
            | Self::TopK
            | Self::ArgMax
            | Self::Sort
            | Self::Adam => Subject::Memory,
        }
    }

    fn doc(self, term: StreamTerm) -> String {
        term.meaning().replace("{it}", phrase(self))
    }
}

/// How a kernel is called in a sentence.
const fn phrase(kernel: StreamKernel) -> &'static str {
    match kernel {
        StreamKernel::Copy => "a copy",
        StreamKernel::Read => "reading",
        StreamKernel::Write => "writing",
        StreamKernel::Elementwise => "an op on each element",
        StreamKernel::Strided => "an op on each element of rows apart",
        StreamKernel::Widen => "a copy to a wider format",
        StreamKernel::Concat => "a joint of tensors within rows",
        StreamKernel::Reduce => "a sum over each row",
        StreamKernel::Norm => "a norm",
        StreamKernel::NormGradient => "the gradient of a norm",
        StreamKernel::LayerNorm => "a layer norm",
        StreamKernel::LayerNormGradient => "the gradient of a layer norm",
        StreamKernel::Softmax => "a softmax",
        StreamKernel::SoftmaxGradient => "the gradient of a softmax",
        StreamKernel::LogSoftmax => "the logarithm of a softmax",
        StreamKernel::LogSoftmaxGradient => "the gradient of the logarithm of a softmax",
        StreamKernel::Gelu => "GELU",
        StreamKernel::SwiGlu => "SwiGLU",
        StreamKernel::Dropout => "dropout",
        StreamKernel::Rope => "a rotary embedding",
        StreamKernel::Cast => "a cast to FP8",
        StreamKernel::CastTranspose => "a cast to FP8 with transpose",
        StreamKernel::Transpose => "a transpose",
        StreamKernel::Permute => "a permutation",
        StreamKernel::Unpermute => "a weighted sum over permuted rows",
        StreamKernel::IndexAdd => "an addition of rows by index",
        StreamKernel::TopK => "a choice of the largest of each row",
        StreamKernel::ArgMax => "the place of the largest of each row",
        StreamKernel::Sort => "numbers put into order",
        StreamKernel::Adam => "an optimizer update",
    }
}
