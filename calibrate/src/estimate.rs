//! One number about how kernels and protocols behave, with its spread, basis and source.

use crate::basis::Basis;
use crate::departure::Departure;
use crate::subject::Subject;

/// A number with how sure we are of it.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Estimate {
    /// The value in base units: a fraction, seconds, bytes per second, a count.
    pub value: f64,
    /// One relative standard deviation of a log-normal around the value.
    pub spread: f64,
    /// What it rests on.
    pub basis: Basis,
    /// Whose kernels it is of, where that matters: a library's name.
    pub implementation: Option<String>,
    /// Where it is from, for people.
    pub source: String,
    /// Values of the machine that are not those it was measured with; none where all that it depends on are.
    #[serde(skip)]
    pub departures: Vec<Departure>,
}

/// How the value of a key is written in files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dimension {
    /// A bare number above 0, up to 1.
    Fraction,
    /// A bare number from 0 to 1.
    Share,
    /// A bare number, zero or more.
    Count,
    /// A bare number above zero.
    CountAboveZero,
    /// A bare number, one or more.
    CountFromOne,
    /// A side of a tile, or parts of a sum: a bare number from 1 to [`Dimension::TILE_MAX`].
    Tile,
    /// A string such as `"3 us"`.
    Seconds,
    /// A string such as `"20 GB/s"`.
    BytesPerSec,
}

impl Dimension {
    /// The largest tile: far beyond what the registers of an SM hold, and few enough to try all up to it.
    pub const TILE_MAX: f64 = 4096.0;

    /// The largest count of anything else: beyond any count of a kernel, and the product of a few of them still a number.
    pub const COUNT_MAX: f64 = (1_u64 << 40) as f64;

    /// No value is below.
    #[must_use]
    pub const fn least(self) -> f64 {
        match self {
            Self::Fraction | Self::Share | Self::Count | Self::CountAboveZero | Self::Seconds | Self::BytesPerSec => {
                0.0
            }
            Self::CountFromOne | Self::Tile => 1.0,
        }
    }

    /// No value is above.
    #[must_use]
    pub const fn most(self) -> f64 {
        match self {
            Self::Fraction | Self::Share => 1.0,
            Self::Tile => Self::TILE_MAX,
            Self::Count | Self::CountAboveZero | Self::CountFromOne => Self::COUNT_MAX,
            Self::Seconds | Self::BytesPerSec => f64::INFINITY,
        }
    }
}

macro_rules! estimate_keys {
    ($([$subject:ident] $($(#[doc = $doc:literal])+ $variant:ident = $name:literal, $dimension:ident;)+)+) => {
        /// Every estimate the model asks for. In files: `profile.NAME`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum EstimateKey {
            $($($(#[doc = $doc])+ $variant,)+)+
        }

        impl EstimateKey {
            /// Every key, in the order of files.
            pub const ALL: &'static [Self] = &[$($(Self::$variant,)+)+];

            /// Its dotted name below `profile`.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $($(Self::$variant => $name,)+)+ }
            }

            /// Whether it bounds what moves through device memory; other bounds are of arithmetic.
            #[must_use]
            pub fn is_of_memory(self) -> bool {
                let name = self.name();
                ["stream.", "memory."].iter().any(|family| name.starts_with(family)) || name.ends_with(".memory-fraction")
            }

            /// How its value is written.
            #[must_use]
            pub const fn dimension(self) -> Dimension {
                match self { $($(Self::$variant => Dimension::$dimension,)+)+ }
            }

            /// What it is about.
            #[must_use]
            pub const fn subject(self) -> Subject {
                match self { $($(Self::$variant => Subject::$subject,)+)+ }
            }

            /// What it means, for reference pages.
            #[must_use]
            pub fn doc(self) -> &'static str {
                match self { $($(Self::$variant => concat!($($doc),+).trim_start(),)+)+ }
            }
        }
    };
}

estimate_keys! {
    [Fp8Scaled]
    /// Share of the FP8 tensor peak of the SMs held that a GEMM with 1x128 and 128x128 scales keeps in its main loop.
    GemmFp8BlockFraction = "gemm.fp8-block.peak-fraction", Fraction;
    /// Share of the FP8 tensor peak that a GEMM with 1x128 and 128x128 scales would sustain within the power limit of the device if it moved no bytes, on all SMs and random operands.
    GemmFp8BlockSustained = "gemm.fp8-block.sustained-fraction", Fraction;
    /// Times the memory peak that a GEMM with 1x128 and 128x128 scales could move within the power limit if it computed nothing.
    GemmFp8BlockMemoryPower = "gemm.fp8-block.power-memory-rate", CountAboveZero;
    /// How what power allows a GEMM with 1x128 and 128x128 scales falls with the SMs it has: as this power of their share.
    GemmFp8BlockExponent = "gemm.fp8-block.power-exponent", Share;
    /// Share of the memory peak that a GEMM with 1x128 and 128x128 scales reaches where memory binds it.
    GemmFp8BlockMemory = "gemm.fp8-block.memory-fraction", Fraction;
    /// Time beyond that of every kernel before a GEMM with 1x128 and 128x128 scales runs at full speed, and after.
    GemmFp8BlockLatency = "gemm.fp8-block.latency", Seconds;
    /// What more it takes where a GEMM with 1x128 and 128x128 scales splits its inner dimension.
    GemmFp8BlockSplitLatency = "gemm.fp8-block.split-latency", Seconds;
    /// Inner-dimension steps that one output tile's start and BF16 store cost a GEMM with 1x128 and 128x128 scales, in elements of K.
    GemmFp8BlockOverhead = "gemm.fp8-block.k-overhead", Count;
    /// Side of a square tile of a GEMM with 1x128 and 128x128 scales whose operands take as long to load as its products take at the peak.
    GemmFp8BlockLoad = "gemm.fp8-block.load-side", Count;
    /// Most rows of an output tile of a GEMM with 1x128 and 128x128 scales.
    GemmFp8BlockRows = "gemm.fp8-block.tile-rows", Tile;
    /// Fewest rows of an output tile of a GEMM with 1x128 and 128x128 scales; those between are its doublings.
    GemmFp8BlockRowsFewest = "gemm.fp8-block.tile-rows-fewest", Tile;
    /// Most columns of an output tile of a GEMM with 1x128 and 128x128 scales.
    GemmFp8BlockColumns = "gemm.fp8-block.tile-columns", Tile;
    /// Step between the numbers of columns that tiles of a GEMM with 1x128 and 128x128 scales have.
    GemmFp8BlockStep = "gemm.fp8-block.tile-columns-step", Tile;
    /// Most parts that a GEMM with 1x128 and 128x128 scales splits its inner dimension into when tiles are few.
    GemmFp8BlockSplit = "gemm.fp8-block.split-max", Tile;
    /// Products between promotions to FP32, and between changes of scale, in the GEMM with 1x128 and 128x128 scales that the rates are of.
    GemmFp8BlockPromote = "gemm.fp8-block.promote-every", CountFromOne;
    /// Share of the FP8 tensor peak of the SMs held that a GEMM with 1x128 scales on both operands (the weight gradient) keeps in its main loop.
    GemmFp8TileFraction = "gemm.fp8-tile.peak-fraction", Fraction;
    /// Share of the FP8 tensor peak that a GEMM with 1x128 scales on both operands (the weight gradient) would sustain within the power limit of the device if it moved no bytes, on all SMs and random operands.
    GemmFp8TileSustained = "gemm.fp8-tile.sustained-fraction", Fraction;
    /// Times the memory peak that a GEMM with 1x128 scales on both operands (the weight gradient) could move within the power limit if it computed nothing.
    GemmFp8TileMemoryPower = "gemm.fp8-tile.power-memory-rate", CountAboveZero;
    /// How what power allows a GEMM with 1x128 scales on both operands (the weight gradient) falls with the SMs it has: as this power of their share.
    GemmFp8TileExponent = "gemm.fp8-tile.power-exponent", Share;
    /// Share of the memory peak that a GEMM with 1x128 scales on both operands (the weight gradient) reaches where memory binds it.
    GemmFp8TileMemory = "gemm.fp8-tile.memory-fraction", Fraction;
    /// Time beyond that of every kernel before a GEMM with 1x128 scales on both operands (the weight gradient) runs at full speed, and after.
    GemmFp8TileLatency = "gemm.fp8-tile.latency", Seconds;
    /// What more it takes where a GEMM with 1x128 scales on both operands (the weight gradient) splits its inner dimension.
    GemmFp8TileSplitLatency = "gemm.fp8-tile.split-latency", Seconds;
    /// Inner-dimension steps that one output tile's start and BF16 store cost a GEMM with 1x128 scales on both operands (the weight gradient), in elements of K.
    GemmFp8TileOverhead = "gemm.fp8-tile.k-overhead", Count;
    /// Side of a square tile of a GEMM with 1x128 scales on both operands (the weight gradient) whose operands take as long to load as its products take at the peak.
    GemmFp8TileLoad = "gemm.fp8-tile.load-side", Count;
    /// Most rows of an output tile of a GEMM with 1x128 scales on both operands (the weight gradient).
    GemmFp8TileRows = "gemm.fp8-tile.tile-rows", Tile;
    /// Fewest rows of an output tile of a GEMM with 1x128 scales on both operands (the weight gradient); those between are its doublings.
    GemmFp8TileRowsFewest = "gemm.fp8-tile.tile-rows-fewest", Tile;
    /// Most columns of an output tile of a GEMM with 1x128 scales on both operands (the weight gradient).
    GemmFp8TileColumns = "gemm.fp8-tile.tile-columns", Tile;
    /// Step between the numbers of columns that tiles of a GEMM with 1x128 scales on both operands (the weight gradient) have.
    GemmFp8TileStep = "gemm.fp8-tile.tile-columns-step", Tile;
    /// Most parts that a GEMM with 1x128 scales on both operands (the weight gradient) splits its inner dimension into when tiles are few.
    GemmFp8TileSplit = "gemm.fp8-tile.split-max", Tile;
    /// Products between promotions to FP32, and between changes of scale, in the GEMM with 1x128 scales on both operands that the rates are of.
    GemmFp8TilePromote = "gemm.fp8-tile.promote-every", CountFromOne;
    [Fp8Tensor]
    /// Share of the FP8 tensor peak of the SMs held that an FP8 GEMM with one scale a tensor and promoted sums keeps in its main loop.
    GemmFp8TensorFraction = "gemm.fp8-tensor.peak-fraction", Fraction;
    /// Share of the FP8 tensor peak that an FP8 GEMM with one scale a tensor and promoted sums would sustain within the power limit of the device if it moved no bytes, on all SMs and random operands.
    GemmFp8TensorSustained = "gemm.fp8-tensor.sustained-fraction", Fraction;
    /// Times the memory peak that an FP8 GEMM with one scale a tensor and promoted sums could move within the power limit if it computed nothing.
    GemmFp8TensorMemoryPower = "gemm.fp8-tensor.power-memory-rate", CountAboveZero;
    /// How what power allows an FP8 GEMM with one scale a tensor and promoted sums falls with the SMs it has: as this power of their share.
    GemmFp8TensorExponent = "gemm.fp8-tensor.power-exponent", Share;
    /// Share of the memory peak that an FP8 GEMM with one scale a tensor and promoted sums reaches where memory binds it.
    GemmFp8TensorMemory = "gemm.fp8-tensor.memory-fraction", Fraction;
    /// Time beyond that of every kernel before an FP8 GEMM with one scale a tensor and promoted sums runs at full speed, and after.
    GemmFp8TensorLatency = "gemm.fp8-tensor.latency", Seconds;
    /// What more it takes where an FP8 GEMM with one scale a tensor and promoted sums splits its inner dimension.
    GemmFp8TensorSplitLatency = "gemm.fp8-tensor.split-latency", Seconds;
    /// Inner-dimension steps that one output tile's start and BF16 store cost an FP8 GEMM with one scale a tensor and promoted sums, in elements of K.
    GemmFp8TensorOverhead = "gemm.fp8-tensor.k-overhead", Count;
    /// Side of a square tile of an FP8 GEMM with one scale a tensor and promoted sums whose operands take as long to load as its products take at the peak.
    GemmFp8TensorLoad = "gemm.fp8-tensor.load-side", Count;
    /// Most rows of an output tile of an FP8 GEMM with one scale a tensor and promoted sums.
    GemmFp8TensorRows = "gemm.fp8-tensor.tile-rows", Tile;
    /// Fewest rows of an output tile of an FP8 GEMM with one scale a tensor and promoted sums; those between are its doublings.
    GemmFp8TensorRowsFewest = "gemm.fp8-tensor.tile-rows-fewest", Tile;
    /// Most columns of an output tile of an FP8 GEMM with one scale a tensor and promoted sums.
    GemmFp8TensorColumns = "gemm.fp8-tensor.tile-columns", Tile;
    /// Step between the numbers of columns that tiles of an FP8 GEMM with one scale a tensor and promoted sums have.
    GemmFp8TensorStep = "gemm.fp8-tensor.tile-columns-step", Tile;
    /// Most parts that an FP8 GEMM with one scale a tensor and promoted sums splits its inner dimension into when tiles are few.
    GemmFp8TensorSplit = "gemm.fp8-tensor.split-max", Tile;
    /// Products between promotions to FP32, and between changes of scale, in the FP8 GEMM with one scale a tensor and promoted sums that the rates are of.
    GemmFp8TensorPromote = "gemm.fp8-tensor.promote-every", CountFromOne;
    [Fp8Fast]
    /// Share of the FP8 tensor peak of the SMs held that an FP8 GEMM with one scale a tensor and sums left in the tensor core keeps in its main loop.
    GemmFp8TensorFastFraction = "gemm.fp8-tensor-fast.peak-fraction", Fraction;
    /// Share of the FP8 tensor peak that an FP8 GEMM with one scale a tensor and sums left in the tensor core would sustain within the power limit of the device if it moved no bytes, on all SMs and random operands.
    GemmFp8TensorFastSustained = "gemm.fp8-tensor-fast.sustained-fraction", Fraction;
    /// Times the memory peak that an FP8 GEMM with one scale a tensor and sums left in the tensor core could move within the power limit if it computed nothing.
    GemmFp8TensorFastMemoryPower = "gemm.fp8-tensor-fast.power-memory-rate", CountAboveZero;
    /// How what power allows an FP8 GEMM with one scale a tensor and sums left in the tensor core falls with the SMs it has: as this power of their share.
    GemmFp8TensorFastExponent = "gemm.fp8-tensor-fast.power-exponent", Share;
    /// Share of the memory peak that an FP8 GEMM with one scale a tensor and sums left in the tensor core reaches where memory binds it.
    GemmFp8TensorFastMemory = "gemm.fp8-tensor-fast.memory-fraction", Fraction;
    /// Time beyond that of every kernel before an FP8 GEMM with one scale a tensor and sums left in the tensor core runs at full speed, and after.
    GemmFp8TensorFastLatency = "gemm.fp8-tensor-fast.latency", Seconds;
    /// What more it takes where an FP8 GEMM with one scale a tensor and sums left in the tensor core splits its inner dimension.
    GemmFp8TensorFastSplitLatency = "gemm.fp8-tensor-fast.split-latency", Seconds;
    /// Inner-dimension steps that one output tile's start and BF16 store cost an FP8 GEMM with one scale a tensor and sums left in the tensor core, in elements of K.
    GemmFp8TensorFastOverhead = "gemm.fp8-tensor-fast.k-overhead", Count;
    /// Side of a square tile of an FP8 GEMM with one scale a tensor and sums left in the tensor core whose operands take as long to load as its products take at the peak.
    GemmFp8TensorFastLoad = "gemm.fp8-tensor-fast.load-side", Count;
    /// Most rows of an output tile of an FP8 GEMM with one scale a tensor and sums left in the tensor core.
    GemmFp8TensorFastRows = "gemm.fp8-tensor-fast.tile-rows", Tile;
    /// Fewest rows of an output tile of an FP8 GEMM with one scale a tensor and sums left in the tensor core; those between are its doublings.
    GemmFp8TensorFastRowsFewest = "gemm.fp8-tensor-fast.tile-rows-fewest", Tile;
    /// Most columns of an output tile of an FP8 GEMM with one scale a tensor and sums left in the tensor core.
    GemmFp8TensorFastColumns = "gemm.fp8-tensor-fast.tile-columns", Tile;
    /// Step between the numbers of columns that tiles of an FP8 GEMM with one scale a tensor and sums left in the tensor core have.
    GemmFp8TensorFastStep = "gemm.fp8-tensor-fast.tile-columns-step", Tile;
    /// Most parts that an FP8 GEMM with one scale a tensor and sums left in the tensor core splits its inner dimension into when tiles are few.
    GemmFp8TensorFastSplit = "gemm.fp8-tensor-fast.split-max", Tile;
    [Bf16]
    /// Share of the BF16 tensor peak of the SMs held that a BF16 GEMM keeps in its main loop.
    GemmBf16Fraction = "gemm.bf16.peak-fraction", Fraction;
    /// Share of the BF16 tensor peak that a BF16 GEMM would sustain within the power limit of the device if it moved no bytes, on all SMs and random operands.
    GemmBf16Sustained = "gemm.bf16.sustained-fraction", Fraction;
    /// Times the memory peak that a BF16 GEMM could move within the power limit if it computed nothing.
    GemmBf16MemoryPower = "gemm.bf16.power-memory-rate", CountAboveZero;
    /// How what power allows a BF16 GEMM falls with the SMs it has: as this power of their share.
    GemmBf16Exponent = "gemm.bf16.power-exponent", Share;
    /// Share of the memory peak that a BF16 GEMM reaches where memory binds it.
    GemmBf16Memory = "gemm.bf16.memory-fraction", Fraction;
    /// Time beyond that of every kernel before a BF16 GEMM runs at full speed, and after.
    GemmBf16Latency = "gemm.bf16.latency", Seconds;
    /// What more it takes where a BF16 GEMM splits its inner dimension.
    GemmBf16SplitLatency = "gemm.bf16.split-latency", Seconds;
    /// Inner-dimension steps that one output tile's start and BF16 store cost a BF16 GEMM, in elements of K.
    GemmBf16Overhead = "gemm.bf16.k-overhead", Count;
    /// Side of a square tile of a BF16 GEMM whose operands take as long to load as its products take at the peak.
    GemmBf16Load = "gemm.bf16.load-side", Count;
    /// Most rows of an output tile of a BF16 GEMM.
    GemmBf16Rows = "gemm.bf16.tile-rows", Tile;
    /// Fewest rows of an output tile of a BF16 GEMM; those between are its doublings.
    GemmBf16RowsFewest = "gemm.bf16.tile-rows-fewest", Tile;
    /// Most columns of an output tile of a BF16 GEMM.
    GemmBf16Columns = "gemm.bf16.tile-columns", Tile;
    /// Step between the numbers of columns that tiles of a BF16 GEMM have.
    GemmBf16Step = "gemm.bf16.tile-columns-step", Tile;
    /// Most parts that a BF16 GEMM splits its inner dimension into when tiles are few.
    GemmBf16Split = "gemm.bf16.split-max", Tile;
    [Promotion]
    /// Share of the FP32 work of promoting and scaling sums that is not hidden behind the tensor cores.
    GemmPromotionExposed = "gemm.promotion.exposed", Share;
    /// FP8 operations of the tensor cores for one of the vector lanes, in a clock, on the hardware that the rates are of.
    GemmPromotionRatio = "gemm.promotion.tensor-to-vector", CountAboveZero;
    [Attention]
    /// Share of the BF16 tensor peak of the SMs held that attention keeps in its main loop, forward.
    AttentionForwardFraction = "attention.forward.peak-fraction", Fraction;
    /// Queries' and keys' worth of work that each tile row of attention costs at its start and end, forward.
    AttentionForwardOverhead = "attention.forward.key-overhead", Count;
    /// Queries of a tile of attention, forward.
    AttentionForwardRows = "attention.forward.tile-queries", Tile;
    /// Share of the memory peak that attention reaches where memory binds it, forward.
    AttentionForwardMemory = "attention.forward.memory-fraction", Fraction;
    /// Time beyond that of every kernel before attention runs at full speed, and after, forward.
    AttentionForwardLatency = "attention.forward.latency", Seconds;
    /// Share of the BF16 tensor peak of the SMs held that attention keeps in its main loop, backward.
    AttentionBackwardFraction = "attention.backward.peak-fraction", Fraction;
    /// Queries' and keys' worth of work that each tile row of attention costs at its start and end, backward.
    AttentionBackwardOverhead = "attention.backward.key-overhead", Count;
    /// Queries of a tile of attention, backward.
    AttentionBackwardRows = "attention.backward.tile-queries", Tile;
    /// Share of the memory peak that attention reaches where memory binds it, backward.
    AttentionBackwardMemory = "attention.backward.memory-fraction", Fraction;
    /// Time beyond that of every kernel before attention runs at full speed, and after, backward.
    AttentionBackwardLatency = "attention.backward.latency", Seconds;
    [Memory]
    /// Share of the memory peak that kernels bound by memory reach together.
    MemoryFraction = "memory.peak-fraction", Fraction;
    /// Memory traffic, reads and writes together, that one SM alone can keep in flight.
    MemoryRatePerSm = "memory.rate-per-sm", BytesPerSec;
    /// How sharply the rate of many SMs bends into that of the memory: 1 is a queue, large values a corner.
    MemorySharpness = "memory.sharpness", CountAboveZero;
    /// Times the memory peak that traffic alone could move within the power limit of the device.
    MemoryPower = "memory.power-rate", CountAboveZero;
    [Start]
    /// Time between the end of one kernel of a busy stream and the start of the next.
    KernelLatency = "kernel.latency", Seconds;
    /// What an isolated call takes more: from the launch by the host to the end as the host sees it, of a kernel that does nothing.
    KernelLaunch = "kernel.launch", Seconds;
    [Memory]
    /// Share of the memory peak that a copy would reach on SMs without number.
    StreamCopyFraction = "stream.copy.peak-fraction", Fraction;
    /// Time beyond that of every kernel before a copy runs at full speed, and after.
    StreamCopyLatency = "stream.copy.latency", Seconds;
    /// Share of the memory peak that reading would reach on SMs without number.
    StreamReadFraction = "stream.read.peak-fraction", Fraction;
    /// Time beyond that of every kernel before reading runs at full speed, and after.
    StreamReadLatency = "stream.read.latency", Seconds;
    /// Share of the memory peak that writing would reach on SMs without number.
    StreamWriteFraction = "stream.write.peak-fraction", Fraction;
    /// Time beyond that of every kernel before writing runs at full speed, and after.
    StreamWriteLatency = "stream.write.latency", Seconds;
    [Norm]
    /// Share of the memory peak that a norm would reach on SMs without number.
    StreamNormFraction = "stream.norm.peak-fraction", Fraction;
    /// Time beyond that of every kernel before a norm runs at full speed, and after.
    StreamNormLatency = "stream.norm.latency", Seconds;
    [Memory]
    /// Share of the memory peak that a rotary embedding would reach on SMs without number.
    StreamRopeFraction = "stream.rope.peak-fraction", Fraction;
    /// Time beyond that of every kernel before a rotary embedding runs at full speed, and after.
    StreamRopeLatency = "stream.rope.latency", Seconds;
    /// Share of the memory peak that SwiGLU would reach on SMs without number.
    StreamSwiGluFraction = "stream.swiglu.peak-fraction", Fraction;
    /// Time beyond that of every kernel before SwiGLU runs at full speed, and after.
    StreamSwiGluLatency = "stream.swiglu.latency", Seconds;
    [Casts]
    /// Share of the memory peak that a cast to FP8 would reach on SMs without number.
    StreamCastFraction = "stream.cast.peak-fraction", Fraction;
    /// Time beyond that of every kernel before a cast to FP8 runs at full speed, and after.
    StreamCastLatency = "stream.cast.latency", Seconds;
    /// Share of the memory peak that a cast to FP8 with transpose would reach on SMs without number.
    StreamCastTransposeFraction = "stream.cast-transpose.peak-fraction", Fraction;
    /// Time beyond that of every kernel before a cast to FP8 with transpose runs at full speed, and after.
    StreamCastTransposeLatency = "stream.cast-transpose.latency", Seconds;
    [Memory]
    /// Share of the memory peak that a permutation would reach on SMs without number.
    StreamPermuteFraction = "stream.permute.peak-fraction", Fraction;
    /// Time beyond that of every kernel before a permutation runs at full speed, and after.
    StreamPermuteLatency = "stream.permute.latency", Seconds;
    /// Share of the memory peak that a weighted sum over permuted rows would reach on SMs without number.
    StreamUnpermuteFraction = "stream.unpermute.peak-fraction", Fraction;
    /// Time beyond that of every kernel before a weighted sum over permuted rows runs at full speed, and after.
    StreamUnpermuteLatency = "stream.unpermute.latency", Seconds;
    [ExchangeOut]
    /// Share of the NIC rate that dispatch's InfiniBand messages reach.
    DispatchScaleOutFraction = "all-to-all.dispatch.scale-out-fraction", Fraction;
    [ExchangeUp]
    /// Share of the scale-up port rate that dispatch's forwarding reaches.
    DispatchScaleUpFraction = "all-to-all.dispatch.scale-up-fraction", Fraction;
    [ExchangeOut]
    /// Share of the NIC rate that combine's InfiniBand messages reach.
    CombineScaleOutFraction = "all-to-all.combine.scale-out-fraction", Fraction;
    [ExchangeUp]
    /// Share of the scale-up port rate that combine's forwarding reaches.
    CombineScaleUpFraction = "all-to-all.combine.scale-up-fraction", Fraction;
    [ExchangeOut]
    /// Share of the NIC rate that a direct dispatch's messages reach.
    DirectDispatchScaleOutFraction = "all-to-all.direct.dispatch.scale-out-fraction", Fraction;
    [ExchangeUp]
    /// Share of the scale-up port rate that a direct dispatch's messages reach.
    DirectDispatchScaleUpFraction = "all-to-all.direct.dispatch.scale-up-fraction", Fraction;
    [ExchangeOut]
    /// Share of the NIC rate that a direct combine's messages reach.
    DirectCombineScaleOutFraction = "all-to-all.direct.combine.scale-out-fraction", Fraction;
    [ExchangeUp]
    /// Share of the scale-up port rate that a direct combine's messages reach.
    DirectCombineScaleUpFraction = "all-to-all.direct.combine.scale-up-fraction", Fraction;
    [ExchangeStart]
    /// What a direct dispatch or combine takes beside its messages and their way: its kernel's start, slots, flags and end.
    DirectLatency = "all-to-all.direct.latency", Seconds;
    [ExchangeCopies]
    /// Payload that one SM of a dispatch or combine kernel copies by loads and stores: what its rank sends over the network, and sends, forwards and receives over the scale-up fabric.
    AllToAllRatePerSm = "all-to-all.rate-per-sm", BytesPerSec;
    /// The same by bulk copies (TMA), which put a byte where it is wanted: what its rank hands on or sums, each byte once.
    AllToAllBulkRatePerSm = "all-to-all.bulk-rate-per-sm", BytesPerSec;
    [ExchangeStart]
    /// Exchange of token counts and barriers before a dispatch or combine moves data.
    AllToAllNotify = "all-to-all.notify-latency", Seconds;
    [ExchangeCopies]
    /// Times each payload byte a rank sends or receives crosses its device memory in a dispatch or combine kernel.
    AllToAllMemoryPasses = "all-to-all.memory-passes", Count;
    [CollectiveUp]
    /// Time of an all-reduce of two ranks that moves nothing.
    AllReduceLatency = "collective.all-reduce.latency", Seconds;
    /// What each rank beyond two adds to it.
    AllReduceRankLatency = "collective.all-reduce.rank-latency", Seconds;
    /// Share of the scale-up port rate that an all-reduce reaches in its protocol for small sizes.
    AllReduceSmallFraction = "collective.all-reduce.small-fraction", Fraction;
    /// What each piece costs of a message that its protocol for large sizes passes on piece by piece.
    AllReducePiece = "collective.all-reduce.piece-latency", Seconds;
    /// Share of the scale-up port rate that an all-reduce reaches in its protocol for large sizes.
    AllReduceFraction = "collective.all-reduce.scale-up-fraction", Fraction;
    [CollectiveCopies]
    /// Bytes a rank sends or copies to itself in an all-reduce, a second, on all the SMs the library takes.
    AllReduceCopyRate = "collective.all-reduce.copy-rate", BytesPerSec;
    [CollectiveUp]
    /// Time of an all-gather of two ranks that moves nothing.
    AllGatherLatency = "collective.all-gather.latency", Seconds;
    /// What each rank beyond two adds to it.
    AllGatherRankLatency = "collective.all-gather.rank-latency", Seconds;
    /// Share of the scale-up port rate that an all-gather reaches in its protocol for small sizes.
    AllGatherSmallFraction = "collective.all-gather.small-fraction", Fraction;
    /// What each piece costs of a message that its protocol for large sizes passes on piece by piece.
    AllGatherPiece = "collective.all-gather.piece-latency", Seconds;
    /// Share of the scale-up port rate that an all-gather reaches in its protocol for large sizes.
    AllGatherFraction = "collective.all-gather.scale-up-fraction", Fraction;
    [CollectiveCopies]
    /// Bytes a rank sends or copies to itself in an all-gather, a second, on all the SMs the library takes.
    AllGatherCopyRate = "collective.all-gather.copy-rate", BytesPerSec;
    [CollectiveUp]
    /// Time of a reduce-scatter of two ranks that moves nothing.
    ReduceScatterLatency = "collective.reduce-scatter.latency", Seconds;
    /// What each rank beyond two adds to it.
    ReduceScatterRankLatency = "collective.reduce-scatter.rank-latency", Seconds;
    /// Share of the scale-up port rate that a reduce-scatter reaches in its protocol for small sizes.
    ReduceScatterSmallFraction = "collective.reduce-scatter.small-fraction", Fraction;
    /// What each piece costs of a message that its protocol for large sizes passes on piece by piece.
    ReduceScatterPiece = "collective.reduce-scatter.piece-latency", Seconds;
    /// Share of the scale-up port rate that a reduce-scatter reaches in its protocol for large sizes.
    ReduceScatterFraction = "collective.reduce-scatter.scale-up-fraction", Fraction;
    [CollectiveCopies]
    /// Bytes a rank sends or copies to itself in a reduce-scatter, a second, on all the SMs the library takes.
    ReduceScatterCopyRate = "collective.reduce-scatter.copy-rate", BytesPerSec;
    [CollectiveUp]
    /// Time of an all-to-all of a collective library of two ranks that moves nothing.
    AllToAllLatency = "collective.all-to-all.latency", Seconds;
    /// What each rank beyond two adds to it.
    AllToAllRankLatency = "collective.all-to-all.rank-latency", Seconds;
    /// Share of the scale-up port rate that an all-to-all of a collective library reaches in its protocol for small sizes.
    AllToAllSmallFraction = "collective.all-to-all.small-fraction", Fraction;
    /// What each piece costs of a message that its protocol for large sizes passes on piece by piece.
    AllToAllPiece = "collective.all-to-all.piece-latency", Seconds;
    /// Share of the scale-up port rate that an all-to-all of a collective library reaches in its protocol for large sizes.
    AllToAllFraction = "collective.all-to-all.scale-up-fraction", Fraction;
    [CollectiveCopies]
    /// Bytes a rank sends or copies to itself in an all-to-all of a collective library, a second, on all the SMs the library takes.
    AllToAllCopyRate = "collective.all-to-all.copy-rate", BytesPerSec;
    [CollectiveUp]
    /// Time of a message to the next rank of two ranks that moves nothing.
    SendRecvLatency = "collective.send-recv.latency", Seconds;
    /// What each rank beyond two adds to it.
    SendRecvRankLatency = "collective.send-recv.rank-latency", Seconds;
    /// Share of the scale-up port rate that a message to the next rank reaches in its protocol for small sizes.
    SendRecvSmallFraction = "collective.send-recv.small-fraction", Fraction;
    /// What each piece costs of a message that its protocol for large sizes passes on piece by piece.
    SendRecvPiece = "collective.send-recv.piece-latency", Seconds;
    /// Share of the scale-up port rate that a message to the next rank reaches in its protocol for large sizes.
    SendRecvFraction = "collective.send-recv.scale-up-fraction", Fraction;
    [CollectiveCopies]
    /// Bytes a rank sends or copies to itself in a message to the next rank, a second, on all the SMs the library takes.
    SendRecvCopyRate = "collective.send-recv.copy-rate", BytesPerSec;
    /// The same bytes a second on one SM of a collective.
    CollectiveRatePerSm = "collective.rate-per-sm", BytesPerSec;
    [CollectiveOut]
    /// Share of the NIC rate that ring collectives reach.
    CollectiveScaleOutFraction = "collective.scale-out-fraction", Fraction;
    /// Share of the NIC rate that a pipeline's messages reach.
    PointToPointFraction = "point-to-point.scale-out-fraction", Fraction;
    [Host]
    /// Share of the PCIe rate that copies to the host reach.
    HostFraction = "host.pcie-fraction", Fraction;
    [Elsewhere]
    /// Standard deviation of the power of a rate, clock or count by which an estimate is off on a machine that has another of it than the one it was measured on.
    ElsewhereExponent = "elsewhere.exponent", Count;
}

impl EstimateKey {
    /// The key of a dotted name below `profile`.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|key| key.name() == name)
    }
}
