//! Terms of a matrix product, which every arithmetic has a value of ([`crate::Estimator`] has the formula).

use workloads::op::Precision;

use super::{Terms, terms};
use crate::subject::Subject;

terms! {
    /// What a matrix product is estimated by.
    GemmTerm:
    /// Share of the {peak} tensor peak of the SMs held that {it} keeps in its main loop.
    Fraction = "peak-fraction", Fraction;
    /// Share of the {peak} tensor peak that {it} would sustain within the power limit of the device if it moved no bytes, on all SMs and random operands.
    Sustained = "sustained-fraction", Fraction;
    /// Times the memory peak that {it} could move within the power limit if it computed nothing.
    MemoryPower = "power-memory-rate", CountAboveZero;
    /// How what power allows {it} falls with the SMs it has: as this power of their share.
    Exponent = "power-exponent", Share;
    /// Share of the memory peak that {it} reaches where memory binds it.
    Memory = "memory-fraction", Fraction;
    /// Time beyond that of every kernel before {it} runs at full speed, and after.
    Latency = "latency", Seconds;
    /// What more it takes where {it} splits its inner dimension.
    SplitLatency = "split-latency", Seconds;
    /// Inner-dimension steps that one output tile's start and BF16 store cost {it}, in elements of K.
    Overhead = "k-overhead", Count;
    /// Side of a square tile of {it} whose operands take as long to load as its products take at the peak.
    LoadSide = "load-side", Count;
    /// Most rows of an output tile of {it}.
    Rows = "tile-rows", Tile;
    /// Fewest rows of an output tile of {it}; those between are its doublings.
    RowsFewest = "tile-rows-fewest", Tile;
    /// Most columns of an output tile of {it}.
    Columns = "tile-columns", Tile;
    /// Step between the numbers of columns that tiles of {it} have.
    ColumnsStep = "tile-columns-step", Tile;
    /// Most parts that {it} splits its inner dimension into when tiles are few.
    SplitMax = "split-max", Tile;
    /// Products between promotions to FP32, and between changes of scale, in the {kind} that the rates are of.
    PromoteEvery = "promote-every", CountFromOne;
}

/// Whether kernels of an arithmetic move their sums to FP32 on the way.
pub(super) const fn is_promoted(precision: Precision) -> bool {
    match precision {
        Precision::Fp8Block | Precision::Fp8Tile | Precision::Fp8Tensor => true,
        Precision::Fp8TensorFast | Precision::Bf16 => false,
    }
}

impl Terms<GemmTerm> for Precision {
    fn name(self, term: GemmTerm) -> String {
        format!("gemm.{}.{}", Precision::name(self), term.leaf())
    }

    fn subject(self, _: GemmTerm) -> Subject {
        match self {
            Self::Fp8Block | Self::Fp8Tile => Subject::Fp8Scaled,
            Self::Fp8Tensor => Subject::Fp8Tensor,
            Self::Fp8TensorFast => Subject::Fp8Fast,
            Self::Bf16 => Subject::Bf16,
        }
    }

    fn doc(self, term: GemmTerm) -> String {
        let (article, kind, aside) = match self {
            Self::Fp8Block => ("a", "GEMM with 1x128 and 128x128 scales", ""),
            Self::Fp8Tile => ("a", "GEMM with 1x128 scales on both operands", " (the weight gradient)"),
            Self::Fp8Tensor => ("an", "FP8 GEMM with one scale a tensor and promoted sums", ""),
            Self::Fp8TensorFast => ("an", "FP8 GEMM with one scale a tensor and sums left in the tensor core", ""),
            Self::Bf16 => ("a", "BF16 GEMM", ""),
        };
        let peak = if self == Self::Bf16 { "BF16" } else { "FP8" };
        let it = format!("{article} {kind}{aside}");
        term.meaning().replace("{peak}", peak).replace("{kind}", kind).replace("{it}", &it)
    }
}
