//! The names of all estimates. Most are products: a thing and a term of the formula that it shares with others of its kind.

mod attention;
mod cached;
mod collective;
mod gemm;
mod stream;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use workloads::op::{Collective, Precision};

use crate::estimate::Dimension;
use crate::question::Direction;
use crate::subject::Subject;

pub use attention::AttentionTerm;
pub use cached::{CacheKind, CachedTerm};
pub use collective::CollectiveTerm;
pub use gemm::GemmTerm;
pub use stream::{StreamKernel, StreamTerm};

/// A thing whose formula has terms, each an estimate.
trait Terms<Term> {
    /// Dotted name below `profile`.
    fn name(self, term: Term) -> String;
    /// What the estimate is about.
    fn subject(self, term: Term) -> Subject;
    /// What the estimate means.
    fn doc(self, term: Term) -> String;
}

/// The terms of one formula: the leaf of each in files, how it is written, and what it means of `{it}`.
macro_rules! terms {
    ($(#[$about:meta])* $name:ident: $($(#[doc = $doc:literal])+ $variant:ident = $leaf:literal, $dimension:ident;)+) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl $name {
            /// Every term, in the order of files.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            const fn leaf(self) -> &'static str {
                match self { $(Self::$variant => $leaf,)+ }
            }

            /// How its value is written.
            pub(super) const fn dimension(self) -> crate::estimate::Dimension {
                match self { $(Self::$variant => crate::estimate::Dimension::$dimension,)+ }
            }

            fn meaning(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc),+).trim_start(),)+ }
            }
        }
    };
}
use terms;

/// Keys in the order of files, as they are gathered.
struct List {
    keys: [EstimateKey; List::ROOM],
    n: usize,
}

impl List {
    /// More than there are keys; a list that is longer does not compile.
    const ROOM: usize = 512;

    const fn push(&mut self, key: EstimateKey) {
        if key.exists() {
            self.keys[self.n] = key;
            self.n += 1;
        }
    }
}

macro_rules! estimate_keys {
    ($(
        $(#[doc = $doc:literal])+
        $variant:ident $(($of:ident, $term:ident))? $(= $name:literal, $dimension:ident, $subject:ident)?;
    )+) => {
        /// Every estimate the model asks for. In files: `profile.NAME`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum EstimateKey {
            $($(#[doc = $doc])+ $variant $(($of, $term))?,)+
        }

        impl EstimateKey {
            const LIST: &'static List = &{
                let mut list = List { keys: [Self::KernelLatency; List::ROOM], n: 0 };
                $(
                    $({
                        let _: &str = $name;
                        list.push(Self::$variant);
                    })?
                    $({
                        let mut of = 0;
                        while of < $of::ALL.len() {
                            let mut term = 0;
                            while term < $term::ALL.len() {
                                list.push(Self::$variant($of::ALL[of], $term::ALL[term]));
                                term += 1;
                            }
                            of += 1;
                        }
                    })?
                )+
                list
            };

            fn spelled(self) -> String {
                match self {
                    $(
                        $(Self::$variant => $name.to_owned(),)?
                        $(Self::$variant(of, term) => Terms::<$term>::name(of, term),)?
                    )+
                }
            }

            /// How its value is written.
            #[must_use]
            pub const fn dimension(self) -> Dimension {
                match self {
                    $(
                        $(Self::$variant => Dimension::$dimension,)?
                        $(Self::$variant(_, term) => $term::dimension(term),)?
                    )+
                }
            }

            /// What it is about.
            #[must_use]
            pub fn subject(self) -> Subject {
                match self {
                    $(
                        $(Self::$variant => Subject::$subject,)?
                        $(Self::$variant(of, term) => Terms::<$term>::subject(of, term),)?
                    )+
                }
            }

            /// What it means, for reference pages.
            #[must_use]
            pub fn doc(self) -> String {
                let own = match self {
                    $(Self::$variant { .. } => concat!($($doc),+).trim_start(),)+
                };
                match self {
                    $(
                        $(Self::$variant => { let _: &str = $name; own.to_owned() })?
                        $(Self::$variant(of, term) => Terms::<$term>::doc(of, term),)?
                    )+
                }
            }
        }
    };
}

estimate_keys! {
    /// Of a matrix product, by its arithmetic.
    Gemm(Precision, GemmTerm);
    /// Times as long as tiles of a BF16 product take where rows of its tensors begin at multiples of 4 bytes and not of 16.
    GemmWords = "gemm.misaligned.words-slowdown", CountFromOne, Bf16;
    /// Times as long as they take where rows begin at multiples of 2 bytes and not of 4.
    GemmHalves = "gemm.misaligned.halves-slowdown", CountFromOne, Bf16;
    /// Waves by which a product ends later whose grid is sized for the whole device where others hold SMs, over the square root of its waves.
    GemmLate = "gemm.beside.late-waves", Count, Bf16;
    /// Share of the memory peak at which products of groups read the weights of those that have rows.
    GroupedMemory = "gemm.grouped.memory-fraction", Fraction, Bf16;
    /// What products of groups take beyond a product of its own.
    GroupedLatency = "gemm.grouped.latency", Seconds, Bf16;
    /// Bytes of weights per second that one block of products of groups reads, however few others there are.
    GroupedBlockRate = "gemm.grouped.block-rate", BytesPerSec, Bf16;
    /// Rows of a tile of products of groups of few rows.
    GroupedRows = "gemm.grouped.tile-rows", Tile, Bf16;
    /// Columns of such a tile.
    GroupedColumns = "gemm.grouped.tile-columns", Tile, Bf16;
    /// Share of the FP32 work of promoting and scaling sums that is not hidden behind the tensor cores.
    GemmPromotionExposed = "gemm.promotion.exposed", Share, Promotion;
    /// FP8 operations of the tensor cores for one of the vector lanes, in a clock, on the hardware that the rates are of.
    GemmPromotionRatio = "gemm.promotion.tensor-to-vector", CountAboveZero, Promotion;
    /// Of the core of attention, by direction.
    Attention(Direction, AttentionTerm);
    /// Of attention over the caches of requests that are decoded, by what they hold.
    Cached(CacheKind, CachedTerm);
    /// Share of the memory peak that kernels bound by memory reach together.
    MemoryFraction = "memory.peak-fraction", Fraction, Memory;
    /// Memory traffic, reads and writes together, that one SM alone can keep in flight.
    MemoryRatePerSm = "memory.rate-per-sm", BytesPerSec, Memory;
    /// How sharply the rate of many SMs bends into that of the memory: 1 is a queue, large values a corner.
    MemorySharpness = "memory.sharpness", CountAboveZero, Memory;
    /// Times the memory peak that traffic alone could move within the power limit of the device.
    MemoryPower = "memory.power-rate", CountAboveZero, Memory;
    /// Share of its rated power that a device draws at rest.
    PowerIdle = "power.idle", Share, Start;
    /// The power of the clock with which the energy of a product falls.
    PowerClock = "power.clock-exponent", Count, Start;
    /// Time between the end of one kernel of a busy stream and the start of the next.
    KernelLatency = "kernel.latency", Seconds, Start;
    /// What lies between two kernels of a stream more where they are launched one by one, however early, and not as a graph.
    KernelGap = "kernel.gap", Seconds, Start;
    /// What an isolated call takes more: from the launch by the host to the end as the host sees it, of a kernel that does nothing.
    KernelLaunch = "kernel.launch", Seconds, Start;
    /// Of a kernel that memory bounds, by its mix of reads and writes.
    Stream(StreamKernel, StreamTerm);
    /// Share of the NIC rate that dispatch's InfiniBand messages reach.
    DispatchScaleOutFraction = "all-to-all.dispatch.scale-out-fraction", Fraction, ExchangeOut;
    /// Share of the scale-up port rate that dispatch's forwarding reaches.
    DispatchScaleUpFraction = "all-to-all.dispatch.scale-up-fraction", Fraction, ExchangeUp;
    /// Share of the NIC rate that combine's InfiniBand messages reach.
    CombineScaleOutFraction = "all-to-all.combine.scale-out-fraction", Fraction, ExchangeOut;
    /// Share of the scale-up port rate that combine's forwarding reaches.
    CombineScaleUpFraction = "all-to-all.combine.scale-up-fraction", Fraction, ExchangeUp;
    /// Share of the NIC rate that a direct dispatch's messages reach.
    DirectDispatchScaleOutFraction = "all-to-all.direct.dispatch.scale-out-fraction", Fraction, ExchangeOut;
    /// Share of the scale-up port rate that a direct dispatch's messages reach.
    DirectDispatchScaleUpFraction = "all-to-all.direct.dispatch.scale-up-fraction", Fraction, ExchangeUp;
    /// Share of the NIC rate that a direct combine's messages reach.
    DirectCombineScaleOutFraction = "all-to-all.direct.combine.scale-out-fraction", Fraction, ExchangeOut;
    /// Share of the scale-up port rate that a direct combine's messages reach.
    DirectCombineScaleUpFraction = "all-to-all.direct.combine.scale-up-fraction", Fraction, ExchangeUp;
    /// What a direct dispatch or combine takes beside its messages and their way: its kernel's start, slots, flags and end.
    DirectLatency = "all-to-all.direct.latency", Seconds, ExchangeStart;
    /// Payload that one SM of a dispatch or combine kernel copies by loads and stores: what its rank sends over the network, and sends, forwards and receives over the scale-up fabric.
    AllToAllRatePerSm = "all-to-all.rate-per-sm", BytesPerSec, ExchangeCopies;
    /// The same by bulk copies (TMA), which put a byte where it is wanted: what its rank hands on or sums, each byte once.
    AllToAllBulkRatePerSm = "all-to-all.bulk-rate-per-sm", BytesPerSec, ExchangeCopies;
    /// Exchange of token counts and barriers before a dispatch moves data whose counts are not known.
    AllToAllNotify = "all-to-all.notify-latency", Seconds, ExchangeStart;
    /// Barriers before a combine, or a dispatch whose counts are known, moves data.
    AllToAllCached = "all-to-all.cached-latency", Seconds, ExchangeStart;
    /// Times each payload byte a rank sends or receives crosses its device memory in a dispatch or combine kernel.
    AllToAllMemoryPasses = "all-to-all.memory-passes", Count, ExchangeCopies;
    /// Of a collective of a library.
    Collective(Collective, CollectiveTerm);
    /// Time of a collective that switches sum, before bytes move.
    CollectiveSwitchLatency = "collective.in-network.latency", Seconds, CollectiveUp;
    /// Share of the scale-up port rate that a collective reaches which switches sum or multicast.
    CollectiveSwitchFraction = "collective.in-network.scale-up-fraction", Fraction, CollectiveUp;
    /// SMs that a collective of the library holds beside other kernels.
    CollectiveSms = "collective.sms", Count, CollectiveCopies;
    /// Share of the NIC rate that ring collectives reach.
    CollectiveScaleOutFraction = "collective.scale-out-fraction", Fraction, CollectiveOut;
    /// What each step of a collective from node to node takes beside the path between them.
    CollectiveScaleOutLatency = "collective.scale-out-latency", Seconds, CollectiveOut;
    /// Share of the NIC rate that a pipeline's messages reach.
    PointToPointFraction = "point-to-point.scale-out-fraction", Fraction, CollectiveOut;
    /// Share of the PCIe rate that copies to the host reach.
    HostFraction = "host.pcie-fraction", Fraction, Host;
    /// What the host needs to launch a kernel that memory bounds, with the Python and the bookkeeping of gradients before it.
    HostLaunch = "host.launch", Seconds, Host;
    /// What it needs to launch a matrix product or the core of attention.
    HostProduct = "host.product-launch", Seconds, Host;
    /// What it needs to launch a collective, a dispatch or a combine.
    HostCollective = "host.collective-launch", Seconds, Host;
    /// What it needs to gather the weights of a unit that are spread over replicas, or to sum its gradients.
    HostUnit = "host.unit-launch", Seconds, Host;
    /// Standard deviation of the power of a rate, clock or count by which an estimate is off on a machine that has another of it than the one it was measured on.
    ElsewhereExponent = "elsewhere.exponent", Count, Elsewhere;
    /// Standard deviation of the logarithm of the factor by which an estimate is off where it stands in for a kernel that nobody measured.
    StandInSpread = "elsewhere.stand-in", Count, Elsewhere;
    /// Standard deviation of the logarithm by which a step is off of a software stack whose whole blocks were timed, beside what its estimates are.
    StackSpread = "elsewhere.stack", Count, Elsewhere;
    /// The same that a stack adds of which at most kernels were timed.
    UntimedSpread = "elsewhere.untimed-stack", Count, Elsewhere;
    /// Standard deviation of the logarithm by which a kernel is off on another specimen of the machine, under another version of its library.
    SpecimenSpread = "elsewhere.specimen", Count, Elsewhere;
}

impl EstimateKey {
    /// Every key, in the order of files.
    pub const ALL: &'static [Self] = Self::LIST.keys.split_at(Self::LIST.n).0;

    /// Its dotted name below `profile`.
    #[must_use]
    pub fn name(self) -> &'static str {
        static NAMES: LazyLock<BTreeMap<EstimateKey, String>> =
            LazyLock::new(|| EstimateKey::ALL.iter().map(|key| (*key, key.spelled())).collect());
        NAMES.get(&self).map_or("", String::as_str)
    }

    /// The key of a dotted name below `profile`.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|key| key.name() == name)
    }

    /// Whether it bounds what moves through device memory; other bounds are of arithmetic.
    #[must_use]
    pub fn is_of_memory(self) -> bool {
        let name = self.name();
        ["stream.", "memory."].iter().any(|family| name.starts_with(family)) || name.ends_with(".memory-fraction")
    }

    /// Sums that nobody promotes have no number of products between promotions, and rows matter to some kernels alone.
    const fn exists(self) -> bool {
        match self {
            Self::Gemm(precision, GemmTerm::PromoteEvery) => gemm::is_promoted(precision),
            Self::Stream(kernel, term) => term.exists_for(kernel),
            _ => true,
        }
    }

    /// The value that stands where a profile leaves the estimate out; none for what must be there.
    #[must_use]
    pub const fn neutral(self) -> Option<f64> {
        match self {
            Self::Stream(_, term) => term.neutral(),
            Self::GemmWords | Self::GemmHalves | Self::GroupedMemory => Some(1.0),
            Self::GroupedBlockRate => Some(f64::MAX),
            Self::GroupedRows | Self::GroupedColumns => Some(128.0),
            Self::GemmLate
            | Self::GroupedLatency
            | Self::CollectiveScaleOutLatency
            | Self::CollectiveSms
            | Self::StackSpread
            | Self::UntimedSpread
            | Self::SpecimenSpread => Some(0.0),
            Self::Attention(_, term) => term.neutral(),
            Self::KernelGap | Self::HostLaunch | Self::HostProduct | Self::HostCollective | Self::HostUnit => Some(0.0),
            _ => None,
        }
    }
}
