//! Arguments of `probe kernel`: one subcommand a kind.

use calibrate::Direction;
use clap::{Args, Subcommand, ValueEnum};
use plan::{Clock, Companion, CompanionOn, When};
use workloads::op::Precision;

use crate::layers::Layers;

/// Paragraphs are one line each: clap breaks them to the width of the terminal.
pub(crate) const AFTER: &str = "\
`seconds` is device time of one call in a stream that never runs dry, operands random and not in L2, clocks as the machine \
gives; `low` and `high` are its 5th and 95th percentile over the spreads of the profile's estimates and hold it between them; `basis` is the softest \
of those it rests on, `limit` the one that sets it. `windtunnel calibrate` measures exactly this. With `--launch` it is an \
isolated call: what the host takes to launch it comes on top.

Example:
  windtunnel probe kernel gemm --hardware h100-sxm5 --profile h100-published --m 4096 --n 7168 --k 2048 --dtype bf16";

#[derive(Debug, Args)]
pub(crate) struct KernelArgs {
    #[command(subcommand)]
    pub(crate) kind: KernelKind,
}

/// Which device, and what is known of its kernels.
#[derive(Debug, Args)]
pub(crate) struct DeviceArgs {
    /// A hardware preset's name or a file
    #[arg(long)]
    pub(crate) hardware: String,
    /// A profile's name or a file; may be given again: an earlier one wins. Without it, the profile named like the hardware
    #[arg(long)]
    pub(crate) profile: Vec<String>,
    /// Whose kernel; without it, the one the profile measured
    #[arg(long, value_name = "NAME")]
    pub(crate) implementation: Option<String>,
    /// The software stack whose kernels run; without it, each op is one kernel as it was measured
    #[arg(long, value_name = "NAME")]
    pub(crate) framework: Option<String>,
    /// Before or after the device's mean power reaches its limit, which takes some tens of milliseconds
    #[arg(long, value_name = "WHEN", default_value = "sustained")]
    pub(crate) clock: ClockWord,
    /// What goes on beside it all the while
    #[arg(long, value_name = "WHAT", requires = "beside_sms")]
    pub(crate) beside: Option<BesideWord>,
    /// SMs that what goes on beside it holds
    #[arg(long, value_name = "N", requires = "beside")]
    pub(crate) beside_sms: Option<u32>,
    /// One call alone, from the host's launch on, in place of one among many
    #[arg(long)]
    pub(crate) launch: bool,
    #[command(flatten)]
    pub(crate) layers: Layers,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum KernelKind {
    /// A matrix product: `D[m,n] = A[m,k] B[k,n]`
    Gemm {
        #[command(flatten)]
        device: DeviceArgs,
        /// Rows of the output
        #[arg(long)]
        m: u64,
        #[command(flatten)]
        product: ProductArgs,
    },
    /// A matrix product for each group of rows
    GroupedGemm {
        #[command(flatten)]
        device: DeviceArgs,
        #[command(flatten)]
        groups: GroupsArgs,
        #[command(flatten)]
        product: ProductArgs,
    },
    /// Attention in BF16
    Attention(AttentionArgs),
    /// Attention of the last tokens of requests over their caches, BF16; with one key-value head and values narrower than keys it is latent
    DecodeAttention(CachedArgs),
    /// So many bytes read and as many written
    Copy(BytesArgs),
    /// Bytes read
    Read(BytesArgs),
    /// Bytes written
    Write(BytesArgs),
    /// Root-mean-square norm, BF16 in and out
    Rmsnorm(RowsArgs),
    /// SwiGLU, BF16: twice the width in
    Swiglu(RowsArgs),
    /// Rotary embedding in place, BF16
    Rope(RowsArgs),
    /// BF16 in, E4M3 and an FP32 scale per 1x128 out
    Cast {
        #[command(flatten)]
        rows: RowsArgs,
        /// Write the transpose, with scales per 128x1
        #[arg(long)]
        transposed: bool,
    },
    /// Rows gathered into the order of their experts, BF16
    Permute {
        #[command(flatten)]
        rows: RowsArgs,
        /// Copies of each row
        #[arg(long)]
        top_k: u32,
    },
    /// Layer norm, BF16 in and out
    LayerNorm(RowsArgs),
    /// Softmax of each row, BF16
    Softmax(RowsArgs),
    /// GELU, BF16
    Gelu(RowsArgs),
    /// Dropout with its mask, BF16
    Dropout(RowsArgs),
    /// A matrix transposed, BF16
    Transpose(RowsArgs),
    /// Rows added to the rows that an index names, BF16
    IndexAdd {
        #[command(flatten)]
        rows: RowsArgs,
        /// Rows added to each
        #[arg(long)]
        top_k: u32,
    },
    /// Optimizer update of BF16 parameters, gradients and moments
    Adam {
        #[command(flatten)]
        device: DeviceArgs,
        /// Parameters
        #[arg(long)]
        params: u64,
    },
    /// Weighted rows summed back, BF16
    Unpermute {
        #[command(flatten)]
        rows: RowsArgs,
        /// Rows summed into each
        #[arg(long)]
        top_k: u32,
    },
}

#[derive(Debug, Args)]
pub(crate) struct ProductArgs {
    /// Columns of the output
    #[arg(long)]
    pub(crate) n: u64,
    /// Inner dimension
    #[arg(long)]
    pub(crate) k: u64,
    /// Arithmetic
    #[arg(long)]
    pub(crate) dtype: Arithmetic,
    /// SMs left to it; without it, all
    #[arg(long)]
    pub(crate) sms: Option<u32>,
}

#[derive(Debug, Args)]
pub(crate) struct AttentionArgs {
    #[command(flatten)]
    pub(crate) device: DeviceArgs,
    /// Query heads times batch
    #[arg(long)]
    pub(crate) heads: u64,
    /// Key-value heads times batch; without it, as many as `--heads`
    #[arg(long)]
    pub(crate) kv_heads: Option<u64>,
    /// Queries a head
    #[arg(long)]
    pub(crate) seq: u64,
    /// Keys a head; without it, as many as `--seq`
    #[arg(long)]
    pub(crate) keys: Option<u64>,
    /// Width of queries and keys
    #[arg(long)]
    pub(crate) dim_qk: u64,
    /// Width of values; without it, that of queries
    #[arg(long)]
    pub(crate) dim_v: Option<u64>,
    /// A query sees earlier keys only
    #[arg(long)]
    pub(crate) causal: bool,
    /// Which way
    #[arg(long, default_value = "forward")]
    pub(crate) direction: Way,
}

/// Rows of the groups of a grouped product.
#[derive(Debug, Args)]
pub(crate) struct GroupsArgs {
    /// Rows of each group, apart by commas
    #[arg(long, value_delimiter = ',', required_unless_present = "experts")]
    pub(crate) tokens: Vec<u64>,
    /// Groups, where all have the same rows
    #[arg(long)]
    pub(crate) groups: Option<u32>,
    /// Groups of which some have rows, in place of `--tokens`
    #[arg(long, conflicts_with_all = ["tokens", "groups"], requires_all = ["hit", "rows"])]
    pub(crate) experts: Option<u32>,
    /// How many have rows, an even share of them each
    #[arg(long, requires = "experts")]
    pub(crate) hit: Option<u32>,
    /// Rows of all groups together
    #[arg(long, requires = "experts")]
    pub(crate) rows: Option<u64>,
}

#[derive(Debug, Args)]
pub(crate) struct CachedArgs {
    #[command(flatten)]
    pub(crate) device: DeviceArgs,
    /// Query heads
    #[arg(long)]
    pub(crate) heads: u64,
    /// Key-value heads
    #[arg(long)]
    pub(crate) kv_heads: u64,
    /// Width of queries and keys
    #[arg(long)]
    pub(crate) dim_qk: u64,
    /// Width of values; without it, that of queries
    #[arg(long)]
    pub(crate) dim_v: Option<u64>,
    /// Requests
    #[arg(long)]
    pub(crate) batch: u64,
    /// Keys of each request
    #[arg(long)]
    pub(crate) context: u64,
    /// Tokens of each request that are computed
    #[arg(long, default_value_t = 1)]
    pub(crate) queries: u64,
}

#[derive(Debug, Args)]
pub(crate) struct BytesArgs {
    #[command(flatten)]
    pub(crate) device: DeviceArgs,
    /// Bytes
    #[arg(long)]
    pub(crate) bytes: u64,
    /// SMs; without it, all
    #[arg(long)]
    pub(crate) sms: Option<u32>,
}

#[derive(Debug, Args)]
pub(crate) struct RowsArgs {
    #[command(flatten)]
    pub(crate) device: DeviceArgs,
    /// Rows
    #[arg(long)]
    pub(crate) tokens: u64,
    /// Row width; of `swiglu` that of the output
    #[arg(long)]
    pub(crate) dim: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Arithmetic {
    /// BF16 in, FP32 sums
    Bf16,
    /// E4M3, one scale a tensor, sums left in the tensor core
    Fp8TensorFast,
    /// E4M3, one scale a tensor, sums promoted to FP32
    Fp8Tensor,
    /// E4M3, scales per 1x128 and 128x128
    Fp8Block,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum BesideWord {
    /// A copy within the device
    Copy,
    /// An all-to-all in the scale-up domain
    AllToAll,
    /// An all-reduce in the scale-up domain
    AllReduce,
}

impl From<BesideWord> for Companion {
    fn from(word: BesideWord) -> Self {
        match word {
            BesideWord::Copy => Self::Copy,
            BesideWord::AllToAll => Self::AllToAll,
            BesideWord::AllReduce => Self::AllReduce,
        }
    }
}

impl DeviceArgs {
    /// When the kernel runs.
    pub(crate) fn when(&self) -> When {
        let on = |(what, sms): (BesideWord, u32)| CompanionOn { what: what.into(), sms };
        When { clock: self.clock.into(), beside: self.beside.zip(self.beside_sms).map(on) }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ClockWord {
    /// A device that has rested
    Burst,
    /// The kernel again and again
    Sustained,
}

impl From<ClockWord> for Clock {
    fn from(word: ClockWord) -> Self {
        match word {
            ClockWord::Burst => Self::Burst,
            ClockWord::Sustained => Self::Sustained,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Way {
    Forward,
    Backward,
}

impl KernelKind {
    /// SMs left to it; none: all.
    pub(crate) fn sms(&self) -> Option<u32> {
        match self {
            Self::Gemm { product, .. } | Self::GroupedGemm { product, .. } => product.sms,
            Self::Copy(bytes) | Self::Read(bytes) | Self::Write(bytes) => bytes.sms,
            Self::Attention(_)
            | Self::DecodeAttention(_)
            | Self::Rmsnorm(_)
            | Self::Swiglu(_)
            | Self::Rope(_)
            | Self::Cast { .. }
            | Self::Permute { .. }
            | Self::Unpermute { .. }
            | Self::LayerNorm(_)
            | Self::Softmax(_)
            | Self::Gelu(_)
            | Self::Dropout(_)
            | Self::Transpose(_)
            | Self::IndexAdd { .. }
            | Self::Adam { .. } => None,
        }
    }

    pub(crate) fn device(&self) -> &DeviceArgs {
        match self {
            Self::Gemm { device, .. } | Self::GroupedGemm { device, .. } | Self::Adam { device, .. } => device,
            Self::Attention(attention) => &attention.device,
            Self::DecodeAttention(attention) => &attention.device,
            Self::Copy(bytes) | Self::Read(bytes) | Self::Write(bytes) => &bytes.device,
            Self::Rmsnorm(rows)
            | Self::Swiglu(rows)
            | Self::Rope(rows)
            | Self::LayerNorm(rows)
            | Self::Softmax(rows)
            | Self::Gelu(rows)
            | Self::Dropout(rows)
            | Self::Transpose(rows)
            | Self::Cast { rows, .. }
            | Self::Permute { rows, .. }
            | Self::Unpermute { rows, .. }
            | Self::IndexAdd { rows, .. } => &rows.device,
        }
    }
}

impl From<Arithmetic> for Precision {
    fn from(arithmetic: Arithmetic) -> Self {
        match arithmetic {
            Arithmetic::Bf16 => Self::Bf16,
            Arithmetic::Fp8TensorFast => Self::Fp8TensorFast,
            Arithmetic::Fp8Tensor => Self::Fp8Tensor,
            Arithmetic::Fp8Block => Self::Fp8Block,
        }
    }
}

impl From<Way> for Direction {
    fn from(way: Way) -> Self {
        match way {
            Way::Forward => Self::Forward,
            Way::Backward => Self::Backward,
        }
    }
}
