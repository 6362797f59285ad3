//! One accelerator, as independent primitives. Peaks are derived here and nowhere else.

use units::{Bytes, BytesPerSec, FlopsPerSec, Hertz, Seconds, Watts};

use crate::Expense;

/// One accelerator. Every leaf is a `gpu.*` key.
#[derive(Clone, Debug, PartialEq)]
pub struct Device {
    /// Streaming multiprocessors.
    pub sms: u32,
    /// The clock of the datasheet peak; what silicon sustains is an estimate of the profile.
    pub clock: Hertz,
    /// The tensor cores.
    pub tensor: Tensor,
    /// FP32 operations an SM finishes in a clock outside the tensor cores.
    pub vector_flops_per_sm_clock: f64,
    /// Device memory.
    pub memory: Memory,
    /// Last-level cache.
    pub l2: Bytes,
    /// Links of the scale-up fabric.
    pub scale_up: ScaleUp,
    /// What moves bytes between devices without SMs.
    pub comm_engine: CommEngine,
    /// Where BF16 becomes FP8.
    pub cast: Cast,
    /// What one costs, and draws at full load: its rated power.
    pub expense: Expense,
    /// What it may draw; zero where nobody says.
    pub power_limit: Watts,
}

/// Tensor-core rates in operations per SM and clock.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// BF16 operations per SM and clock.
    pub bf16_flops_per_sm_clock: f64,
    /// FP8 arithmetic.
    pub fp8: Fp8,
    /// Whether an operand can be read transposed.
    pub transposed_reads: TransposedReads,
}

/// Whether the tensor core can take an FP8 operand transposed, with the scales it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransposedReads {
    /// Not: a kernel writes the transposed copy first.
    None,
    /// As it is read from shared memory.
    Native,
}

impl TransposedReads {
    /// Its spellings in files.
    pub const WORDS: [(&'static str, Self); 2] = [("none", Self::None), ("native", Self::Native)];
}

/// FP8 arithmetic of the tensor cores.
#[derive(Clone, Debug, PartialEq)]
pub struct Fp8 {
    /// FP8 operations per SM and clock; zero where there is none.
    pub flops_per_sm_clock: f64,
    /// Fraction bits of the accumulator.
    pub accumulate: u32,
    /// Whether tile and block scales are applied inside the tensor core.
    pub block_scaling: BlockScaling,
}

/// Who applies tile and block scales.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockScaling {
    /// CUDA cores, after promotion.
    None,
    /// The tensor core.
    Native,
}

impl BlockScaling {
    /// Its spellings in files.
    pub const WORDS: [(&'static str, Self); 2] = [("none", Self::None), ("native", Self::Native)];
}

/// Device memory.
#[derive(Clone, Debug, PartialEq)]
pub struct Memory {
    /// Stacks.
    pub stacks: u32,
    /// Rate of one stack.
    pub rate_per_stack: BytesPerSec,
    /// Capacity of one stack.
    pub capacity_per_stack: Bytes,
}

/// Links of the scale-up fabric, one direction.
#[derive(Clone, Debug, PartialEq)]
pub struct ScaleUp {
    /// Links of a device.
    pub links: u32,
    /// Rate of one link, one direction.
    pub rate_per_link: BytesPerSec,
    /// Latency device to device through the switch.
    pub latency: Seconds,
    /// What its switches do to what they carry.
    pub in_network: InNetwork,
}

/// What switches do to what they carry, besides carrying it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InNetwork {
    /// Nothing.
    None,
    /// One message in, a copy to each receiver out.
    Multicast,
    /// That, and the sum of what several send to one receiver.
    Reduce,
}

impl InNetwork {
    /// Its spellings in files.
    pub const WORDS: [(&'static str, Self); 3] =
        [("none", Self::None), ("multicast", Self::Multicast), ("reduce", Self::Reduce)];

    /// Whether a message for several receivers is sent once.
    #[must_use]
    pub fn multicasts(self) -> bool {
        match self {
            Self::None => false,
            Self::Multicast | Self::Reduce => true,
        }
    }

    /// Whether what several send to one receiver arrives as its sum.
    #[must_use]
    pub fn reduces(self) -> bool {
        match self {
            Self::None | Self::Multicast => false,
            Self::Reduce => true,
        }
    }
}

/// What moves bytes between devices besides SMs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommEngine {
    /// Nothing: kernels on SMs copy.
    None,
    /// Copies and forwards; reductions stay on SMs.
    Copy,
    /// Copies, forwards and reduces.
    Full,
}

impl CommEngine {
    /// Its spellings in files.
    pub const WORDS: [(&'static str, Self); 3] = [("none", Self::None), ("copy", Self::Copy), ("full", Self::Full)];
}

/// Where activations and gradients become FP8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cast {
    /// A kernel reads BF16 and writes FP8.
    Kernel,
    /// An instruction of a warp: a norm writes FP8 itself.
    Warp,
    /// Logic beside the memory: half the bytes of a cast cross to the device.
    NearMemory,
    /// The engine that copies operands to the SMs: the product reads BF16, and there is no cast.
    CopyEngine,
}

impl Cast {
    /// Its spellings in files.
    pub const WORDS: [(&'static str, Self); 4] = [
        ("kernel", Self::Kernel),
        ("warp", Self::Warp),
        ("near-memory", Self::NearMemory),
        ("copy-engine", Self::CopyEngine),
    ];
}

impl Device {
    /// Peak BF16 rate: SMs x clock x operations.
    #[must_use]
    pub fn peak_bf16(&self) -> FlopsPerSec {
        self.peak(self.tensor.bf16_flops_per_sm_clock)
    }

    /// Peak FP8 rate.
    #[must_use]
    pub fn peak_fp8(&self) -> FlopsPerSec {
        self.peak(self.tensor.fp8.flops_per_sm_clock)
    }

    /// Peak FP32 rate outside the tensor cores.
    #[must_use]
    pub fn peak_vector(&self) -> FlopsPerSec {
        self.peak(self.vector_flops_per_sm_clock)
    }

    fn peak(&self, per_sm_clock: f64) -> FlopsPerSec {
        FlopsPerSec::new(f64::from(self.sms) * self.clock.get() * per_sm_clock)
    }

    /// Peak rate of device memory: stacks x rate.
    #[must_use]
    pub fn memory_rate(&self) -> BytesPerSec {
        self.memory.rate_per_stack * f64::from(self.memory.stacks)
    }

    /// Device memory.
    #[must_use]
    pub fn memory_capacity(&self) -> Bytes {
        self.memory.capacity_per_stack * f64::from(self.memory.stacks)
    }

    /// Peak rate of the scale-up port, one direction: links x rate.
    #[must_use]
    pub fn scale_up_rate(&self) -> BytesPerSec {
        self.scale_up.rate_per_link * f64::from(self.scale_up.links)
    }
}
