//! One number about how kernels and protocols behave, with its spread, basis and source.

use std::fmt;

/// A number with how sure we are of it.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Estimate {
    /// The value in base units: a fraction, seconds, bytes per second, a count.
    pub value: f64,
    /// One relative standard deviation of a log-normal around the value.
    pub spread: f64,
    /// What it rests on.
    pub basis: Basis,
    /// Where it is from, for people.
    pub source: String,
}

/// What a number rests on, from firm to soft.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Basis {
    /// Measured on this hardware.
    Measured,
    /// Between measured points.
    Interpolated,
    /// Derived from published figures.
    Published,
    /// Beyond what was measured, or measured on other hardware.
    Extrapolated,
    /// Assumed.
    Assumed,
}

impl Basis {
    /// Every basis, firm to soft.
    pub const ALL: [Self; 5] = [Self::Measured, Self::Interpolated, Self::Published, Self::Extrapolated, Self::Assumed];

    /// Its spelling in files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Measured => "measured",
            Self::Interpolated => "interpolated",
            Self::Published => "published",
            Self::Extrapolated => "extrapolated",
            Self::Assumed => "assumed",
        }
    }
}

impl fmt::Display for Basis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How the value of a key is written in files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dimension {
    /// A bare number from 0 to 1.
    Fraction,
    /// A bare number, zero or more.
    Count,
    /// A string such as `"3 us"`.
    Seconds,
    /// A string such as `"20 GB/s"`.
    BytesPerSec,
}

macro_rules! estimate_keys {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal, $dimension:ident;)+) => {
        /// Every estimate the model asks for. In files: `profile.NAME`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum EstimateKey {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl EstimateKey {
            /// Every key, in the order of files.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// Its dotted name below `profile`.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// How its value is written.
            #[must_use]
            pub const fn dimension(self) -> Dimension {
                match self { $(Self::$variant => Dimension::$dimension,)+ }
            }

            /// What it means, for reference pages.
            #[must_use]
            pub fn doc(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc),+).trim_start(),)+ }
            }
        }
    };
}

estimate_keys! {
    /// Share of the FP8 tensor peak of the SMs held that a GEMM with 1x128 and 128x128 scales keeps in its main loop.
    GemmFp8BlockFraction = "gemm.fp8-block.peak-fraction", Fraction;
    /// Inner-dimension steps that one output tile's start and BF16 store cost, in elements of K.
    GemmFp8BlockOverhead = "gemm.fp8-block.k-overhead", Count;
    /// The same share for the weight gradient: 1x128 scales on both operands.
    GemmFp8TileFraction = "gemm.fp8-tile.peak-fraction", Fraction;
    /// The same overhead for the weight gradient.
    GemmFp8TileOverhead = "gemm.fp8-tile.k-overhead", Count;
    /// The same share for FP8 with one scale a tensor.
    GemmFp8TensorFraction = "gemm.fp8-tensor.peak-fraction", Fraction;
    /// The same overhead for FP8 with one scale a tensor.
    GemmFp8TensorOverhead = "gemm.fp8-tensor.k-overhead", Count;
    /// The same share of the BF16 tensor peak.
    GemmBf16Fraction = "gemm.bf16.peak-fraction", Fraction;
    /// The same overhead for BF16.
    GemmBf16Overhead = "gemm.bf16.k-overhead", Count;
    /// Rows of an output tile.
    GemmTileRows = "gemm.tile-rows", Count;
    /// Columns of an output tile.
    GemmTileColumns = "gemm.tile-columns", Count;
    /// Share of the BF16 tensor peak of the SMs held that attention keeps, forward.
    AttentionForwardFraction = "attention.forward.peak-fraction", Fraction;
    /// Share of the BF16 tensor peak of the SMs held that attention keeps, backward.
    AttentionBackwardFraction = "attention.backward.peak-fraction", Fraction;
    /// Share of the memory peak that kernels bound by memory reach together.
    MemoryFraction = "memory.peak-fraction", Fraction;
    /// Memory traffic, reads and writes together, that one SM can keep in flight.
    MemoryRatePerSm = "memory.rate-per-sm", BytesPerSec;
    /// Time between the end of one kernel of a busy stream and the full speed of the next.
    KernelLatency = "kernel.latency", Seconds;
    /// Share of the NIC rate that dispatch's InfiniBand messages reach.
    DispatchScaleOutFraction = "all-to-all.dispatch.scale-out-fraction", Fraction;
    /// Share of the scale-up port rate that dispatch's forwarding reaches.
    DispatchScaleUpFraction = "all-to-all.dispatch.scale-up-fraction", Fraction;
    /// Share of the NIC rate that combine's InfiniBand messages reach.
    CombineScaleOutFraction = "all-to-all.combine.scale-out-fraction", Fraction;
    /// Share of the scale-up port rate that combine's forwarding reaches.
    CombineScaleUpFraction = "all-to-all.combine.scale-up-fraction", Fraction;
    /// Payload that one SM of a dispatch or combine kernel copies: what its rank sends over the network, and sends, forwards and receives over the scale-up fabric.
    AllToAllRatePerSm = "all-to-all.rate-per-sm", BytesPerSec;
    /// Exchange of token counts and barriers before a dispatch or combine moves data.
    AllToAllNotify = "all-to-all.notify-latency", Seconds;
    /// Times each payload byte a rank sends or receives crosses its device memory in a dispatch or combine kernel.
    AllToAllMemoryPasses = "all-to-all.memory-passes", Count;
    /// Share of the scale-up port rate that ring collectives reach.
    CollectiveScaleUpFraction = "collective.scale-up-fraction", Fraction;
    /// Share of the NIC rate that ring collectives reach.
    CollectiveScaleOutFraction = "collective.scale-out-fraction", Fraction;
    /// Fixed cost of a collective: launch, rendezvous, first bytes.
    CollectiveLatency = "collective.latency", Seconds;
    /// Share of the NIC rate that a pipeline's messages reach.
    PointToPointFraction = "point-to-point.scale-out-fraction", Fraction;
    /// Share of the PCIe rate that copies to the host reach.
    HostFraction = "host.pcie-fraction", Fraction;
}

impl EstimateKey {
    /// The key of a dotted name below `profile`.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|key| key.name() == name)
    }
}
