//! What is measured: one kernel or exchange with its sizes, asked of a GPU and of the model alike.

use serde::{Deserialize, Serialize};
use units::Bytes;
use workloads::kernel::StreamKernel as Stream;
use workloads::op::{Collective, Op, OpKind, Output, Pass, Precision};
use workloads::recipe::MemoryOp;
use workloads::seen::Seen;

/// One measurement: which kernel, on what sizes, on how many SMs.
///
/// The same question is put to a GPU by `windtunnel calibrate` and to the model by `windtunnel probe`, so a sample and a
/// prediction always speak of the same thing: device time of one call in a stream that never runs dry, operands random
/// and not in L2, clocks as the machine gives. For ranks, the slowest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kernel", rename_all = "kebab-case", rename_all_fields = "kebab-case")]
pub enum Question {
    /// `bytes` read and `bytes` written by a kernel of one block of 512 threads an SM, four 16-byte loads in flight a thread.
    Copy {
        /// Bytes read; as many are written.
        bytes: u64,
        /// SMs.
        sms: u32,
    },
    /// `bytes` read, nothing kept.
    Read {
        /// Bytes read.
        bytes: u64,
        /// SMs.
        sms: u32,
    },
    /// `bytes` written.
    Write {
        /// Bytes written.
        bytes: u64,
        /// SMs.
        sms: u32,
    },
    /// `D[m,n] = A[m,k] B[k,n]`, BF16 out.
    Gemm {
        /// Rows of the output.
        m: u64,
        /// Columns of the output.
        n: u64,
        /// Inner dimension.
        k: u64,
        /// Arithmetic.
        dtype: Precision,
        /// SMs left to it; the others are held.
        sms: u32,
    },
    /// One product a group: `D_i[tokens_i,n] = A_i[tokens_i,k] B_i[k,n]`, BF16 out.
    GroupedGemm {
        /// Rows of each group.
        tokens: Vec<u64>,
        /// Columns of the output.
        n: u64,
        /// Inner dimension.
        k: u64,
        /// Arithmetic.
        dtype: Precision,
        /// SMs left to it; the others are held.
        sms: u32,
    },
    /// FP8 product of our own with partial sums moved to FP32 registers every `promote` products.
    PromotedGemm {
        /// Rows of the output.
        m: u64,
        /// Columns of the output.
        n: u64,
        /// Inner dimension.
        k: u64,
        /// Products between promotions; none: never.
        promote: Option<u32>,
        /// SMs of the persistent kernel.
        sms: u32,
    },
    /// Tensor instructions from shared memory in a loop: what the tensor cores reach when nothing else is asked.
    TensorLoop {
        /// Arithmetic: `bf16` or `fp8-tensor-fast`.
        dtype: Precision,
        /// SMs.
        sms: u32,
    },
    /// Attention in BF16.
    Attention {
        /// Query heads times batch.
        heads: u64,
        /// Key-value heads times batch.
        kv_heads: u64,
        /// Queries a head.
        queries: u64,
        /// Keys a head.
        keys: u64,
        /// Width of queries and keys.
        qk: u64,
        /// Width of values.
        value: u64,
        /// Whether a query sees earlier keys only.
        causal: bool,
        /// Forward or backward.
        direction: Direction,
    },
    /// Attention of the last queries of `batch` requests over their caches, in BF16. With one key-value head and values narrower than keys it
    /// is latent: values are the first elements of the keys.
    DecodeAttention {
        /// Query heads.
        heads: u64,
        /// Key-value heads.
        kv_heads: u64,
        /// Width of queries and keys.
        qk: u64,
        /// Width of values.
        value: u64,
        /// Requests.
        batch: u64,
        /// Keys of each.
        context: u64,
        /// Queries of each.
        queries: u64,
    },
    /// Root-mean-square norm of `tokens` rows, BF16 in and out.
    Rmsnorm {
        /// Rows.
        tokens: u64,
        /// Row width.
        dim: u64,
    },
    /// SwiGLU of `tokens` rows, BF16: `2 dim` in, `dim` out.
    Swiglu {
        /// Rows.
        tokens: u64,
        /// Output width.
        dim: u64,
    },
    /// Rotary embedding in place, BF16.
    Rope {
        /// Rows.
        tokens: u64,
        /// Row width.
        dim: u64,
    },
    /// BF16 in, E4M3 and an FP32 scale per 1x128 out.
    Cast {
        /// Rows.
        tokens: u64,
        /// Row width.
        dim: u64,
    },
    /// The same, out transposed: scales per 128x1.
    CastTransposed {
        /// Rows.
        tokens: u64,
        /// Row width.
        dim: u64,
    },
    /// Rows gathered into the order of their experts, BF16: `tokens x top-k` rows written.
    Permute {
        /// Rows read.
        tokens: u64,
        /// Row width.
        dim: u64,
        /// Copies of each row.
        top_k: u32,
    },
    /// The reverse: `top-k` weighted rows summed into each of `tokens`, BF16.
    Unpermute {
        /// Rows written.
        tokens: u64,
        /// Row width.
        dim: u64,
        /// Rows summed into each.
        top_k: u32,
    },
    /// An empty kernel, one of many launched from the host back to back.
    Launch,
    /// An empty kernel, one of many in a graph.
    GraphLaunch,
    /// `kernel` while `beside` runs again and again on SMs of its own: seconds of `kernel`; `beside-seconds` among the extras.
    Together {
        /// What is timed.
        of: Box<Question>,
        /// What runs beside it all the while.
        beside: Box<Question>,
    },
    /// `bytes` stored to a peer's memory by a kernel.
    PeerCopy {
        /// Bytes sent.
        bytes: u64,
        /// SMs of the kernel.
        sms: u32,
    },
    /// `bytes` moved to a peer's memory by the bulk copies (TMA) of a kernel's SMs, through their shared memory.
    PeerBulk {
        /// Bytes sent.
        bytes: u64,
        /// SMs of the kernel.
        sms: u32,
    },
    /// `bytes` moved to a peer's memory by a copy engine.
    PeerEngine {
        /// Bytes sent.
        bytes: u64,
    },
    /// One 8-byte flag to a peer and back, halved.
    PeerLatency,
    /// FP8 tokens with their scales to the ranks of their experts.
    Dispatch {
        /// Ranks.
        ranks: u32,
        /// Tokens a rank.
        tokens: u64,
        /// Width of a token.
        dim: u64,
        /// Experts over all ranks.
        experts: u32,
        /// Experts a token picks.
        top_k: u32,
        /// SMs of the kernel on each rank.
        sms: u32,
    },
    /// BF16 results back, summed on the rank they came from.
    Combine {
        /// Ranks.
        ranks: u32,
        /// Tokens a rank.
        tokens: u64,
        /// Width of a token.
        dim: u64,
        /// Experts over all ranks.
        experts: u32,
        /// Experts a token picks.
        top_k: u32,
        /// SMs of the kernel on each rank.
        sms: u32,
    },
    /// A collective of the library, NVLS off where it is measured here.
    Collective {
        /// Which.
        what: Collective,
        /// Ranks, over all nodes.
        ranks: u32,
        /// Size as nccl-tests has it.
        bytes: u64,
        /// SMs the library may use; none: its own choice.
        sms: Option<u32>,
        /// Nodes that the ranks lie on, as many on each: domains of the scale-up fabric, whatever hosts they are of.
        #[serde(default = "one", skip_serializing_if = "is_one")]
        nodes: u32,
        /// How its bytes moved, where that was said; none: as the library liked.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<MovedBy>,
    },
    /// Error of the tensor core's sums against exact ones; no time. `relative-error` and `bias` among the extras.
    Accumulate {
        /// Products a sum.
        k: u64,
        /// Products between promotions to FP32; none: never.
        promote: Option<u32>,
        /// Of the operands.
        distribution: Distribution,
    },
    /// The same on a device that has rested, before its mean power comes to the limit.
    Burst {
        /// What is timed.
        of: Box<Question>,
    },
    /// `tokens x top-k` rows added to the `tokens` rows that an index names, BF16.
    IndexAdd {
        /// Rows added to.
        tokens: u64,
        /// Row width.
        dim: u64,
        /// Rows added to each.
        top_k: u32,
    },
    /// Any other kernel over rows: `layer-norm`, `softmax`, `gelu`, ...; bytes per element by [`Stream::widths`].
    Rows {
        /// Which.
        what: Stream,
        /// Rows.
        tokens: u64,
        /// Row width.
        dim: u64,
    },
}

/// One node, which files of samples do not say.
const fn one() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_one(n: &u32) -> bool {
    *n == 1
}

/// How a library moved the bytes of a collective, as far as it or its settings said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MovedBy {
    /// Every rank to its next.
    Ring,
    /// Along trees.
    Tree,
    /// Through switches that sum and multicast (NVLS).
    Switches,
    /// By what the library liked, without such switches.
    NoSwitches,
}

/// Which way attention is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// Forward.
    Forward,
    /// Gradients of queries, keys and values.
    Backward,
}

impl Direction {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Forward, Self::Backward];

    /// Its spelling in files and on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Forward => "forward",
            Self::Backward => "backward",
        }
    }
}

/// How operands are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Distribution {
    /// Normal around zero.
    Normal,
    /// Magnitudes of a normal.
    HalfNormal,
}

impl Question {
    /// A collective of the ranks of one node, as the library likes.
    #[must_use]
    pub const fn on_node(what: Collective, ranks: u32, bytes: u64, sms: Option<u32>) -> Self {
        Self::Collective { what, ranks, bytes, sms, nodes: 1, by: None }
    }

    /// The op that a software stack may run as other kernels than the one measured, and its elements; none for a kernel that is a kernel of
    /// any stack.
    #[must_use]
    pub fn memory_op(&self) -> Option<(MemoryOp, u64)> {
        Some(match self {
            Self::Rmsnorm { tokens, dim } => (MemoryOp::Norm, tokens * dim),
            Self::Swiglu { tokens, dim } => (MemoryOp::SwiGlu, tokens * dim),
            Self::Rope { tokens, dim } => (MemoryOp::Rope, tokens * dim),
            Self::Cast { tokens, dim } => (MemoryOp::Cast, tokens * dim),
            Self::CastTransposed { tokens, dim } => (MemoryOp::CastColumns, tokens * dim),
            Self::Permute { tokens, dim, top_k } => (MemoryOp::Permute, tokens * dim * u64::from(*top_k)),
            Self::Unpermute { tokens, dim, top_k } => (MemoryOp::Unpermute, tokens * dim * u64::from(*top_k)),
            Self::Rows { what: Stream::Softmax, tokens, dim } => (MemoryOp::Softmax, tokens * dim),
            Self::Rows { what: Stream::Gelu, tokens, dim } => (MemoryOp::Gelu, tokens * dim),
            Self::Rows { what: Stream::Dropout, tokens, dim } => (MemoryOp::Dropout, tokens * dim),
            _ => return None,
        })
    }

    /// The op it measures and the SMs left to it (`sms_all` where the question leaves them open); `None` where it is no op of
    /// one device.
    #[must_use]
    pub fn op(&self, sms_all: u32) -> Option<(Op, u32)> {
        let rows = |tokens: u64, dim: u64| Bytes::new(tokens as f64 * dim as f64);
        let of_rows = |what, rows: u64, reads: Bytes, writes: Bytes| {
            (OpKind::Stream { kernel: what, rows, reads, writes }, sms_all)
        };
        let stream = |what, reads, writes| of_rows(what, 0, reads, writes);
        let size = |bytes: u64| Bytes::new(bytes as f64);
        let (kind, sms) = match self {
            Self::Copy { bytes, sms } => (stream(Stream::Copy, size(*bytes), size(*bytes)).0, *sms),
            Self::Read { bytes, sms } => (stream(Stream::Read, size(*bytes), Bytes::ZERO).0, *sms),
            Self::Write { bytes, sms } => (stream(Stream::Write, Bytes::ZERO, size(*bytes)).0, *sms),
            Self::Gemm { m, n, k, dtype, sms } => {
                let (precision, output) = (*dtype, Output::Bf16);
                (OpKind::Gemm { m: *m, n: *n, k: *k, precision, output }, *sms)
            }
            Self::GroupedGemm { tokens, n, k, dtype, sms } => {
                let (precision, output) = (*dtype, Output::Bf16);
                (OpKind::GroupedGemm { tokens: tokens.clone(), n: *n, k: *k, precision, output }, *sms)
            }
            Self::Attention { heads, kv_heads, queries, keys, qk, value, causal, .. } => {
                let kind = OpKind::Attention {
                    heads: *heads,
                    kv_heads: *kv_heads,
                    queries: *queries,
                    keys: *keys,
                    qk: *qk,
                    value: *value,
                    seen: if *causal { Seen::Causal } else { Seen::All },
                };
                (kind, sms_all)
            }
            Self::DecodeAttention { .. } => (self.cached_attention()?, sms_all),
            Self::Rmsnorm { tokens, dim } => {
                of_rows(Stream::Norm, *tokens, rows(*tokens, *dim) * 2.0, rows(*tokens, *dim) * 2.0)
            }
            Self::Swiglu { tokens, dim } => {
                stream(Stream::SwiGlu, rows(*tokens, *dim) * 4.0, rows(*tokens, *dim) * 2.0)
            }
            Self::Rope { tokens, dim } => stream(Stream::Rope, rows(*tokens, *dim) * 2.0, rows(*tokens, *dim) * 2.0),
            Self::Cast { tokens, dim } => {
                stream(Stream::Cast, rows(*tokens, *dim) * 2.0, rows(*tokens, *dim) * TILED_WIDTH)
            }
            Self::CastTransposed { tokens, dim } => {
                stream(Stream::CastTranspose, rows(*tokens, *dim) * 2.0, rows(*tokens, *dim) * TILED_WIDTH)
            }
            Self::Permute { tokens, dim, top_k } => {
                // A row is read from memory once; its further copies find it in L2.
                let row = rows(*tokens, *dim) * 2.0;
                stream(Stream::Permute, row, row * f64::from(*top_k))
            }
            Self::Unpermute { tokens, dim, top_k } => {
                let sums = rows(*tokens, *dim) * 2.0;
                stream(Stream::Unpermute, sums * f64::from(*top_k), sums)
            }
            Self::IndexAdd { tokens, dim, top_k } => {
                let sums = rows(*tokens, *dim) * 2.0;
                stream(Stream::IndexAdd, sums * f64::from(*top_k) + sums, sums)
            }
            Self::Rows { what, tokens, dim } => {
                let elements = rows(*tokens, *dim);
                let [reads, writes] = what.widths()?;
                of_rows(*what, *tokens, elements * reads, elements * writes)
            }
            Self::Burst { of } => return of.op(sms_all),
            Self::PromotedGemm { .. }
            | Self::TensorLoop { .. }
            | Self::Launch
            | Self::GraphLaunch
            | Self::Together { .. }
            | Self::PeerCopy { .. }
            | Self::PeerBulk { .. }
            | Self::PeerEngine { .. }
            | Self::PeerLatency
            | Self::Dispatch { .. }
            | Self::Combine { .. }
            | Self::Collective { .. }
            | Self::Accumulate { .. } => return None,
        };
        let backward = matches!(self, Self::Attention { direction: Direction::Backward, .. });
        let pass = if backward { Pass::InputGradient } else { Pass::Forward };
        Some((Op::new("asked", pass, kind), sms))
    }
}

impl Question {
    /// Attention over caches as an op; none of another question.
    fn cached_attention(&self) -> Option<OpKind> {
        let Self::DecodeAttention { heads, kv_heads, qk, value, batch, context, queries } = *self else { return None };
        let is_latent = kv_heads == 1 && value < qk;
        let context = batch * context;
        Some(OpKind::CachedAttention {
            requests: batch,
            heads,
            kv_heads,
            queries,
            context,
            qk,
            value,
            is_latent,
            width: 2,
        })
    }
}

/// Bytes of E4M3 with an FP32 scale per 128 elements.
const TILED_WIDTH: f64 = 1.0 + 4.0 / 128.0;
