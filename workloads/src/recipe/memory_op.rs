//! Mathematics that memory bounds.

use units::Bytes;

use crate::kernel::StreamKernel;

macro_rules! memory_ops {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal, $kernel:ident;)+) => {
        /// An op that memory bounds. Bytes of a recipe are per *element*, which each variant defines.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum MemoryOp {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl MemoryOp {
            /// Every op, in the order of files.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// Its name in files.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// The kernel that it is where one reads every operand and writes every result once.
            const fn whole(self) -> StreamKernel {
                match self { $(Self::$variant => StreamKernel::$kernel,)+ }
            }
        }
    };
}

memory_ops! {
    /// A norm; an element of its input.
    Norm = "norm", Norm;
    /// Its gradient; an element of its input.
    NormGradient = "norm-gradient", NormGradient;
    /// Rotary position and the copies around it; an element of the queries and keys that the core reads.
    Rope = "rope", Rope;
    /// Its gradient.
    RopeGradient = "rope-gradient", Rope;
    /// Rotary position of what is served, with the write of keys and values into the cache; an element that turns.
    CacheWrite = "cache-write", Rope;
    /// Gated activation; an element of its output.
    SwiGlu = "swiglu", SwiGlu;
    /// Its output once more, for the weight gradient; an element of it.
    SwiGluAgain = "swiglu-again", SwiGlu;
    /// Its gradient.
    SwiGluGradient = "swiglu-gradient", SwiGlu;
    /// Activation without a gate; an element of its output.
    Gelu = "gelu", Gelu;
    /// Its output once more.
    GeluAgain = "gelu-again", Gelu;
    /// Its gradient.
    GeluGradient = "gelu-gradient", Gelu;
    /// Scale, causal mask and softmax of attention scores; a score.
    Softmax = "softmax", Softmax;
    /// Its gradient.
    SoftmaxGradient = "softmax-gradient", SoftmaxGradient;
    /// Dropout of attention scores; a score.
    Dropout = "dropout", Dropout;
    /// The gradient of any dropout; an element.
    DropoutGradient = "dropout-gradient", Dropout;
    /// To FP8 with one scale per 1x128 tile, along the rows; an element.
    Cast = "cast", Cast;
    /// To FP8 with one scale per 128x1 tile, transposed; an element.
    CastColumns = "cast-columns", Cast;
    /// Both of a gradient or an activation computed anew; an element.
    CastBoth = "cast-both", Cast;
    /// An FP8 tensor read back, transposed and cast anew with 128x1 tiles; an element.
    CastTranspose = "cast-transpose", CastTranspose;
    /// The output of the core to FP8, and to the format it is kept in; an element.
    CastOutput = "cast-output", Cast;
    /// The output of the core back from the format it was kept in; an element.
    CastBack = "cast-back", CastTranspose;
    /// An FP8 weight into the layout that a gradient's product reads, where both layouts are not kept; a parameter.
    WeightTranspose = "weight-transpose", Transpose;
    /// Weights to FP8; a parameter.
    WeightCast = "weight-cast", CastTranspose;
    /// Tokens into the rows of experts; an element of the rows.
    Permute = "permute", Permute;
    /// Rows of experts summed per token; an element of the rows.
    Unpermute = "unpermute", Unpermute;
    /// The branch of attention, or of a dense network, joins the residual stream; an element and addition.
    Residual = "residual", Copy;
    /// Combined experts, shared ones among them, join the residual stream; an element and addition.
    ExpertResidual = "expert-residual", Copy;
    /// The gradient that went around a branch is added to the branch's; an element.
    ResidualGradient = "residual-gradient", Copy;
    /// Gradients of one tensor summed; an element and addition.
    GradientSum = "gradient-sum", Copy;
    /// Gradients of weights added to those of earlier micro-batches; a parameter.
    GradientAdd = "gradient-add", Copy;
    /// Top-k choice and its bookkeeping; a token.
    Gate = "gate", Copy;
    /// Its gradient.
    GateGradient = "gate-gradient", Copy;
    /// Rows of a table; an element of the rows.
    Embedding = "embedding", Copy;
    /// Gradients of rows added into the table's; an element of the rows.
    EmbeddingGradient = "embedding-gradient", Copy;
    /// Softmax and cross-entropy over the vocabulary; a logit.
    CrossEntropy = "cross-entropy", LogSoftmax;
    /// Its gradient.
    CrossEntropyGradient = "cross-entropy-gradient", LogSoftmaxGradient;
    /// The choice of the next token; a logit.
    Sample = "sample", Reduce;
    /// The biases of queries, keys and values, where no product adds them; an element of the three.
    Bias = "bias", Copy;
    /// The gradient of a bias, where no product sums it; an element of the gradient that is summed over tokens.
    BiasGradient = "bias-gradient", Reduce;
    /// The output of an unfused core into the order of its projection; an element.
    ContextOrder = "context-order", Strided;
    /// Gradients of queries, keys and values from an unfused core into one tensor; an element of the three.
    QueryOrder = "query-order", Concat;
    /// What one turn of a ring of attention gives, merged with those before; an element of the output, or of the queries' gradient.
    AttentionMerge = "attention-merge", Copy;
    /// What a fused core does before its backward kernel, row sums and clearing, where that is not in its time; an element of its output.
    CoreBefore = "attention-row-sums", Copy;
    /// What it does after, the query gradient to BF16, where that is not in its time; an element of the queries.
    CoreAfter = "attention-query-gradient", Copy;
    /// Gradients of a scaled loss checked and scaled back, where they are FP16's; a parameter of the shard.
    GradientUnscale = "gradient-unscale", Copy;
    /// Norm of the gradients; a parameter of the shard.
    GradientNorm = "gradient-norm", Read;
    /// Optimizer update; a parameter of the shard.
    Update = "update", Adam;
    /// Clearing of the gradients; a parameter.
    GradientClear = "gradient-clear", Write;
}

impl MemoryOp {
    /// The op of a name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|op| op.name() == name)
    }

    /// Whether only some stacks run it: without kernels of its own it is none.
    pub(super) const fn is_extra(self) -> bool {
        matches!(
            self,
            Self::WeightTranspose
                | Self::CoreBefore
                | Self::CoreAfter
                | Self::Bias
                | Self::BiasGradient
                | Self::ContextOrder
                | Self::QueryOrder
        )
    }

    /// The kernel that it is, of so many bytes, where one reads every operand and writes every result once.
    #[must_use]
    pub fn kernel(self, reads: Bytes, writes: Bytes) -> StreamKernel {
        match (self.whole(), reads > Bytes::ZERO, writes > Bytes::ZERO) {
            (StreamKernel::Copy | StreamKernel::Read | StreamKernel::Write, true, true) => StreamKernel::Copy,
            (StreamKernel::Copy | StreamKernel::Write, true, false) => StreamKernel::Read,
            (StreamKernel::Copy | StreamKernel::Read, false, true) => StreamKernel::Write,
            (kernel, _, _) => kernel,
        }
    }
}
