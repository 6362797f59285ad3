//! Kernels that memory bounds, as they are measured.

/// A kind of kernel that memory bounds. Which mathematics runs as which of them is a matter of the software stack ([`crate::recipe`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StreamKernel {
    /// As many bytes read as written.
    Copy,
    /// Bytes read alone.
    Read,
    /// Bytes written alone.
    Write,
    /// Element by element over whole tensors.
    Elementwise,
    /// Element by element where rows are apart, or an operand is spread over several.
    Strided,
    /// From a format to a wider one.
    Widen,
    /// Two tensors joined within each row.
    Concat,
    /// One number per row.
    Reduce,
    /// Root-mean-square norm.
    Norm,
    /// Its gradient, that of its weight included.
    NormGradient,
    /// Norm with mean and variance.
    LayerNorm,
    /// Its gradient, those of weight and bias included.
    LayerNormGradient,
    /// Softmax of a row.
    Softmax,
    /// Its gradient.
    SoftmaxGradient,
    /// Logarithm of the softmax of a long row.
    LogSoftmax,
    /// Its gradient.
    LogSoftmaxGradient,
    /// Activation without a gate.
    Gelu,
    /// Gated activation.
    SwiGlu,
    /// Dropout with its mask.
    Dropout,
    /// Rotary position.
    Rope,
    /// Cast to FP8.
    Cast,
    /// Cast to FP8 with its transpose.
    CastTranspose,
    /// A matrix transposed.
    Transpose,
    /// Rows into another order, as the order of experts.
    Permute,
    /// Rows of experts summed per token.
    Unpermute,
    /// Rows added to the rows that an index names, by atomic additions.
    IndexAdd,
    /// The largest few of a row.
    TopK,
    /// The place of the largest of a long row.
    ArgMax,
    /// Numbers into order, with where they stood.
    Sort,
    /// Optimizer update.
    Adam,
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
        Self::Elementwise,
        Self::Strided,
        Self::Widen,
        Self::Concat,
        Self::Reduce,
        Self::NormGradient,
        Self::LayerNorm,
        Self::LayerNormGradient,
        Self::Softmax,
        Self::SoftmaxGradient,
        Self::LogSoftmax,
        Self::LogSoftmaxGradient,
        Self::Gelu,
        Self::Dropout,
        Self::Transpose,
        Self::IndexAdd,
        Self::TopK,
        Self::ArgMax,
        Self::Sort,
        Self::Adam,
    ];

    /// Its name in files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Copy => "copy",
            Self::Read => "read",
            Self::Write => "write",
            Self::Elementwise => "elementwise",
            Self::Strided => "strided",
            Self::Widen => "widen",
            Self::Concat => "concat",
            Self::Reduce => "reduce",
            Self::Norm => "norm",
            Self::NormGradient => "norm-gradient",
            Self::LayerNorm => "layer-norm",
            Self::LayerNormGradient => "layer-norm-gradient",
            Self::Softmax => "softmax",
            Self::SoftmaxGradient => "softmax-gradient",
            Self::LogSoftmax => "log-softmax",
            Self::LogSoftmaxGradient => "log-softmax-gradient",
            Self::Gelu => "gelu",
            Self::SwiGlu => "swiglu",
            Self::Dropout => "dropout",
            Self::Rope => "rope",
            Self::Cast => "cast",
            Self::CastTranspose => "cast-transpose",
            Self::Transpose => "transpose",
            Self::Permute => "permute",
            Self::Unpermute => "unpermute",
            Self::IndexAdd => "index-add",
            Self::TopK => "top-k",
            Self::ArgMax => "arg-max",
            Self::Sort => "sort",
            Self::Adam => "adam",
        }
    }

    /// The kernel of a name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kernel| kernel.name() == name)
    }

    /// Bytes that it reads and writes per element where it is measured on rows: BF16 in and out, FP32 for sums and logits, a byte for
    /// a mask; of an update, BF16 parameters, gradients and moments. None for what is measured otherwise.
    #[must_use]
    pub const fn widths(self) -> Option<[f64; 2]> {
        match self {
            Self::Elementwise | Self::NormGradient | Self::LayerNormGradient | Self::SoftmaxGradient => {
                Some([4.0, 2.0])
            }
            Self::Strided | Self::Concat | Self::LayerNorm | Self::Softmax | Self::Gelu | Self::Transpose => {
                Some([2.0, 2.0])
            }
            Self::Widen => Some([2.0, 4.0]),
            Self::Reduce | Self::TopK => Some([4.0, 0.0]),
            Self::ArgMax => Some([2.0, 0.0]),
            Self::Sort => Some([8.0, 16.0]),
            Self::LogSoftmax => Some([4.0, 4.0]),
            Self::LogSoftmaxGradient => Some([8.0, 4.0]),
            Self::Dropout => Some([2.0, 3.0]),
            Self::Adam => Some([8.0, 6.0]),
            Self::Copy
            | Self::Read
            | Self::Write
            | Self::Norm
            | Self::SwiGlu
            | Self::Rope
            | Self::Cast
            | Self::CastTranspose
            | Self::Permute
            | Self::Unpermute
            | Self::IndexAdd => None,
        }
    }

    /// Whether it is a norm or the gradient of one.
    #[must_use]
    pub const fn is_norm(self) -> bool {
        matches!(self, Self::Norm | Self::NormGradient | Self::LayerNorm | Self::LayerNormGradient)
    }

    /// Whether a block works on a row at a time, so that it matters how many rows there are and how long they are.
    #[must_use]
    pub const fn is_by_rows(self) -> bool {
        match self {
            Self::Norm
            | Self::NormGradient
            | Self::LayerNorm
            | Self::LayerNormGradient
            | Self::Softmax
            | Self::SoftmaxGradient
            | Self::LogSoftmax
            | Self::LogSoftmaxGradient
            | Self::Reduce
            | Self::ArgMax
            | Self::TopK => true,
            Self::Copy
            | Self::Read
            | Self::Write
            | Self::Elementwise
            | Self::Strided
            | Self::Widen
            | Self::Concat
            | Self::Gelu
            | Self::SwiGlu
            | Self::Dropout
            | Self::Rope
            | Self::Cast
            | Self::CastTranspose
            | Self::Transpose
            | Self::Permute
            | Self::Unpermute
            | Self::IndexAdd
            | Self::Sort
            | Self::Adam => false,
        }
    }

    /// The kernel whose rate stands in where nobody measured this one: the nearest in what it reads, writes and computes.
    /// None for what must be known.
    #[must_use]
    pub const fn like(self) -> Option<Self> {
        match self {
            Self::Elementwise | Self::Dropout | Self::Adam => Some(Self::Copy),
            Self::Strided | Self::Widen => Some(Self::Elementwise),
            Self::Concat => Some(Self::Strided),
            Self::Reduce => Some(Self::Read),
            Self::ArgMax => Some(Self::Reduce),
            Self::Sort => Some(Self::TopK),
            Self::LayerNorm | Self::NormGradient | Self::Softmax | Self::TopK => Some(Self::Norm),
            Self::LayerNormGradient => Some(Self::NormGradient),
            Self::SoftmaxGradient | Self::LogSoftmax => Some(Self::Softmax),
            Self::LogSoftmaxGradient => Some(Self::SoftmaxGradient),
            Self::Gelu => Some(Self::SwiGlu),
            Self::Transpose => Some(Self::CastTranspose),
            Self::IndexAdd => Some(Self::Unpermute),
            Self::Copy
            | Self::Read
            | Self::Write
            | Self::Norm
            | Self::SwiGlu
            | Self::Rope
            | Self::Cast
            | Self::CastTranspose
            | Self::Permute
            | Self::Unpermute => None,
        }
    }
}
