//! Mathematical operations with their sizes; never a product's name, never a rate.

use units::{Bytes, Flops};

use crate::kernel::StreamKernel;
use crate::recipe::MemoryOp;
use crate::seen::Seen;

/// One mathematical operation of one rank.
#[derive(Clone, Debug, PartialEq)]
pub struct Op {
    /// What it is in the model, for example `query-up`.
    pub name: &'static str,
    /// Which part of training it belongs to.
    pub pass: Pass,
    /// The operation and its sizes.
    pub kind: OpKind,
    /// Bytes it reads beyond its operands in their own format: those of an operand that is cast while it is read.
    pub widened: Bytes,
    /// Whether it is a further kernel of the op before it, which runs as several.
    pub continues: bool,
    /// Whether it runs on the side stream.
    pub is_side: bool,
    /// What it has to do with a collective of tensor parallelism that runs beside products.
    pub overlap: Overlap,
}

/// What an op has to do with a collective that runs beside products.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overlap {
    /// Nothing.
    #[default]
    None,
    /// It is one: it begins when the op before it has ended, and nothing waits for it yet.
    Beside,
    /// What comes after it waits for those that have begun.
    Joins,
}

/// Which part of training an op belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Pass {
    /// Forward.
    Forward,
    /// Forward again, for the backward pass.
    Recompute,
    /// Gradient of the input.
    InputGradient,
    /// Gradient of the weights.
    WeightGradient,
    /// Optimizer.
    Update,
}

impl Pass {
    /// Its name in tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Forward => "forward",
            Self::Recompute => "recompute",
            Self::InputGradient => "input-gradient",
            Self::WeightGradient => "weight-gradient",
            Self::Update => "update",
        }
    }
}

/// Arithmetic of a matrix product.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Precision {
    /// E4M3 with 1x128 activation tiles and 128x128 weight blocks.
    Fp8Block,
    /// E4M3 with 1x128 tiles on both operands: the weight gradient. Files of samples do not name it: no library is measured in it.
    #[serde(skip_deserializing)]
    Fp8Tile,
    /// E4M3 with one scale a tensor, sums promoted to FP32.
    Fp8Tensor,
    /// E4M3 with one scale a tensor, sums left in the tensor core.
    Fp8TensorFast,
    /// BF16.
    Bf16,
}

impl Precision {
    /// Every arithmetic.
    pub const ALL: [Self; 5] = [Self::Fp8Block, Self::Fp8Tile, Self::Fp8Tensor, Self::Fp8TensorFast, Self::Bf16];

    /// Its spelling in files and on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fp8Block => "fp8-block",
            Self::Fp8Tile => "fp8-tile",
            Self::Fp8Tensor => "fp8-tensor",
            Self::Fp8TensorFast => "fp8-tensor-fast",
            Self::Bf16 => "bf16",
        }
    }
}

/// Arithmetic of the linear layers (`job.precision`): `fp8-block`, `fp8-tensor`, `bf16` or `fp16`. That of each product follows
/// ([`LinearPrecision::product`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinearPrecision {
    /// E4M3 with tile and block scales.
    Fp8Block,
    /// E4M3 with one scale a tensor.
    Fp8Tensor,
    /// BF16.
    Bf16,
    /// FP16: as fast as BF16 on every device here, with gradients of a scaled loss, which the optimizer checks and scales back.
    Fp16,
}

impl LinearPrecision {
    /// Every one.
    pub const ALL: [Self; 4] = [Self::Fp8Block, Self::Fp8Tensor, Self::Bf16, Self::Fp16];

    /// Its spelling in files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fp16 => "fp16",
            Self::Fp8Block | Self::Fp8Tensor | Self::Bf16 => self.product(Pass::InputGradient, false).name(),
        }
    }

    /// Whether linear layers read FP8.
    #[must_use]
    pub const fn is_fp8(self) -> bool {
        matches!(self, Self::Fp8Block | Self::Fp8Tensor)
    }

    /// Bytes of scale per element of an activation: an FP32 scale per 1x128 tile, or one a tensor, which adds nothing.
    #[must_use]
    pub const fn scale_width(self) -> f64 {
        match self {
            Self::Fp8Block => 4.0 / 128.0,
            Self::Fp8Tensor | Self::Bf16 | Self::Fp16 => 0.0,
        }
    }

    /// Bytes of an activation as products read it, scales included.
    #[must_use]
    pub const fn activation_width(self) -> f64 {
        if self.is_fp8() { 1.0 + self.scale_width() } else { 2.0 }
    }

    /// Bytes of a weight as products read it: in FP8 with an FP32 scale per 128x128 block, or one a tensor.
    #[must_use]
    pub const fn weight_width(self) -> f64 {
        match self {
            Self::Fp8Block => 1.0 + 4.0 / (128.0 * 128.0),
            Self::Fp8Tensor => 1.0,
            Self::Bf16 | Self::Fp16 => 2.0,
        }
    }

    /// The arithmetic of a product in a pass: with block scales weight gradients have tiles on both operands, and with one scale a
    /// tensor forward sums may be left in the tensor core.
    #[must_use]
    pub const fn product(self, pass: Pass, forward_left: bool) -> Precision {
        match (self, pass) {
            (Self::Fp8Block, Pass::WeightGradient) => Precision::Fp8Tile,
            (Self::Fp8Block, Pass::Forward | Pass::Recompute | Pass::InputGradient | Pass::Update) => {
                Precision::Fp8Block
            }
            (Self::Fp8Tensor, Pass::Forward | Pass::Recompute) if forward_left => Precision::Fp8TensorFast,
            (Self::Fp8Tensor, _) => Precision::Fp8Tensor,
            (Self::Bf16 | Self::Fp16, _) => Precision::Bf16,
        }
    }
}

impl std::fmt::Display for Precision {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// What happens to the product of a GEMM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// Written in BF16: 2 bytes an element.
    Bf16,
    /// Written in FP32: 4 bytes an element.
    Fp32,
    /// Added into an FP32 accumulator: 8 bytes moved an element.
    AccumulateFp32,
}

/// The operation and its sizes.
#[derive(Clone, Debug, PartialEq)]
pub enum OpKind {
    /// `D[m,n] = A[m,k] B[k,n]`.
    Gemm {
        /// Rows of the output.
        m: u64,
        /// Columns of the output.
        n: u64,
        /// Inner dimension.
        k: u64,
        /// Arithmetic.
        precision: Precision,
        /// What happens to the product.
        output: Output,
    },
    /// Several products of one shape but for their share of tokens (`tokens[i]` rows for group i, padding included by
    /// the estimator). Where `pass` is [`Pass::WeightGradient`] the tokens are the inner dimension:
    /// `D_i[n,k] += X_i[tokens_i,n]^T Y_i[tokens_i,k]`; else `D_i[tokens_i,n] = X_i[tokens_i,k] W_i[k,n]`.
    GroupedGemm {
        /// Tokens of each group.
        tokens: Vec<u64>,
        /// Columns of the output (rows for the weight gradient).
        n: u64,
        /// Inner dimension (columns for the weight gradient).
        k: u64,
        /// Arithmetic.
        precision: Precision,
        /// What happens to the product.
        output: Output,
    },
    /// `softmax(Q K^T) V` and its gradient where `pass` is [`Pass::InputGradient`].
    Attention {
        /// Query heads x sequences.
        heads: u64,
        /// Key-value heads x sequences.
        kv_heads: u64,
        /// Queries a head.
        queries: u64,
        /// Keys a head.
        keys: u64,
        /// Query-key width.
        qk: u64,
        /// Value width.
        value: u64,
        /// Which keys a query sees.
        seen: Seen,
    },
    /// `softmax(Q K^T) V` of the last queries of requests over their caches. The keys of a request are split over SMs, and the parts merged.
    CachedAttention {
        /// Requests.
        requests: u64,
        /// Query heads.
        heads: u64,
        /// Key-value heads.
        kv_heads: u64,
        /// Queries per request and head.
        queries: u64,
        /// Keys of all requests together.
        context: u64,
        /// Query-key width.
        qk: u64,
        /// Value width.
        value: u64,
        /// Whether values are the first `value` elements of the keys, which are read once.
        is_latent: bool,
        /// Bytes of an element of the cache.
        width: u64,
    },
    /// Bound by memory: reads and writes each byte once, with some arithmetic outside the tensor cores.
    Stream {
        /// Which kind of kernel it is.
        kernel: StreamKernel,
        /// Rows, for a kernel that works on one at a time; 0 where they do not matter.
        rows: u64,
        /// Bytes read.
        reads: Bytes,
        /// Bytes written.
        writes: Bytes,
    },
    /// Bytes exchanged inside a parallel group, on the compute stream.
    Collective {
        /// Which group.
        axis: Axis,
        /// Which collective.
        what: Collective,
        /// Its size as nccl-tests reports it: the whole gathered output or scattered input of one rank, the buffer of
        /// an all-reduce, the message of a send.
        bytes: Bytes,
    },
}

/// An axis of the parallel layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Axis {
    /// Tensor (and sequence) parallel.
    Tp,
    /// Context parallel.
    Cp,
    /// Data parallel.
    Dp,
    /// Expert parallel.
    Ep,
    /// Pipeline parallel.
    Pp,
}

/// A collective, its size as nccl-tests counts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Collective {
    /// Everybody gets the sum.
    AllReduce,
    /// Everybody gets everything.
    AllGather,
    /// Everybody gets a share of the sum.
    ReduceScatter,
    /// Every rank sends a share to every other.
    AllToAll,
    /// One message from each rank to the next.
    SendRecv,
}

impl Collective {
    /// Every collective.
    pub const ALL: [Self; 5] = [Self::AllReduce, Self::AllGather, Self::ReduceScatter, Self::AllToAll, Self::SendRecv];

    /// Its spelling in files and on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::AllReduce => "all-reduce",
            Self::AllGather => "all-gather",
            Self::ReduceScatter => "reduce-scatter",
            Self::AllToAll => "all-to-all",
            Self::SendRecv => "send-recv",
        }
    }
}

/// What a kernel spends its time on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Category {
    /// Norms, casts, copies: what memory bounds.
    MemoryBound,
    /// The core of attention, with the kernels before and after it.
    Attention,
    /// Matrix products.
    Products,
    /// Collectives.
    Collectives,
}

/// Bytes that matrix kernels load at once.
pub const VECTOR: u64 = 16;
/// Bytes that they load at once where that does not do.
pub const WORD: u64 = 4;

/// Where the rows of a product's operands and result begin in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Alignment {
    /// At multiples of [`VECTOR`] bytes, as the copy units of an SM need it.
    Vectors,
    /// At multiples of [`WORD`].
    Words,
    /// Anywhere.
    Halves,
}

/// What comes of a product whose rows begin at no whole vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Misaligned {
    /// Libraries take slower kernels, which its time holds.
    Slower,
    /// No library multiplies it: its time is that of a product as large whose rows do.
    Unsupported,
}

impl Op {
    /// What its kernel spends its time on.
    #[must_use]
    pub fn category(&self) -> Category {
        let around_core = [MemoryOp::CoreBefore, MemoryOp::CoreAfter].map(MemoryOp::name);
        match self.kind {
            OpKind::Gemm { .. } | OpKind::GroupedGemm { .. } => Category::Products,
            OpKind::Attention { .. } | OpKind::CachedAttention { .. } => Category::Attention,
            OpKind::Stream { .. } if around_core.contains(&self.name) => Category::Attention,
            OpKind::Stream { .. } => Category::MemoryBound,
            OpKind::Collective { .. } => Category::Collectives,
        }
    }

    /// Where the rows of a product's operands and result begin in memory: what the worst of them is a multiple of. [`Alignment::Vectors`] for other ops.
    ///
    /// Tensors lie as a layer has them: tokens by width, weights by outputs and inputs. So the columns and the inner side count forward and
    /// for the gradient of the input, both sides of the result for the gradient of the weights; the number of tokens is free.
    #[must_use]
    pub fn alignment(&self) -> Alignment {
        let (sides, precision) = match self.kind {
            OpKind::Gemm { m, n, precision, .. } if self.pass == Pass::WeightGradient => ([m, n], precision),
            OpKind::Gemm { n, k, precision, .. } | OpKind::GroupedGemm { n, k, precision, .. } => ([n, k], precision),
            OpKind::Attention { .. }
            | OpKind::CachedAttention { .. }
            | OpKind::Stream { .. }
            | OpKind::Collective { .. } => return Alignment::Vectors,
        };
        let width = if precision == Precision::Bf16 { 2 } else { 1 };
        let all = |of: u64| sides.iter().all(|side| side.is_multiple_of(of / width));
        if all(VECTOR) {
            Alignment::Vectors
        } else if all(WORD) {
            Alignment::Words
        } else {
            Alignment::Halves
        }
    }

    /// What comes of it where its rows begin at no whole vector; `None` where they do.
    #[must_use]
    pub fn misaligned(&self) -> Option<Misaligned> {
        let (OpKind::Gemm { precision, .. } | OpKind::GroupedGemm { precision, .. }) = self.kind else { return None };
        let comes = if precision == Precision::Bf16 { Misaligned::Slower } else { Misaligned::Unsupported };
        (self.alignment() != Alignment::Vectors).then_some(comes)
    }

    /// An op whose operands are read in their own format.
    #[must_use]
    pub fn new(name: &'static str, pass: Pass, kind: OpKind) -> Self {
        Self { name, pass, kind, widened: Bytes::ZERO, continues: false, is_side: false, overlap: Overlap::None }
    }

    /// An op that runs as several kernels, in their order.
    pub(crate) fn in_turn(
        name: &'static str,
        pass: Pass,
        kernels: impl Iterator<Item = OpKind>,
    ) -> impl Iterator<Item = Self> {
        kernels.enumerate().map(move |(index, kind)| Self { continues: index > 0, ..Self::new(name, pass, kind) })
    }

    /// Useful arithmetic on the tensor cores; a multiply-add is two operations.
    #[must_use]
    pub fn flops(&self) -> Flops {
        let backward = self.pass == Pass::InputGradient;
        Flops::new(match &self.kind {
            OpKind::Gemm { m, n, k, .. } => 2.0 * (*m as f64) * (*n as f64) * (*k as f64),
            OpKind::GroupedGemm { tokens, n, k, .. } => {
                2.0 * (tokens.iter().sum::<u64>() as f64) * (*n as f64) * (*k as f64)
            }
            OpKind::Attention { heads, queries, keys, qk, value, seen, .. } => {
                let pairs = *heads as f64 * seen.pairs(*queries, *keys);
                // Forward: QK^T and PV. Backward: QK^T again, dP, dQ, dK (query-key width thrice) and dV.
                let width = if backward { 3 * qk + 2 * value } else { qk + value };
                2.0 * pairs * (width as f64)
            }
            OpKind::CachedAttention { heads, queries, context, qk, value, .. } => {
                // Of each request the i-th of its last queries misses the keys of those after it: few of many, and counted.
                2.0 * (*heads * *queries) as f64 * *context as f64 * (*qk + *value) as f64
            }
            OpKind::Stream { .. } | OpKind::Collective { .. } => 0.0,
        })
    }
}
