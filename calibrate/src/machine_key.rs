//! The values of a machine that estimates depend on.

use topology::{
    BlockScaling, Cast, CommEngine, Compression, Device, Forwarding, Fp8, Host, InNetwork, Memory, Nic, Node, Ordering,
    ScaleUp, Tensor, TransposedReads,
};
use units::{BytesPerSec, Hertz, Seconds};

/// What a value of a machine belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MachinePart {
    /// The streaming multiprocessors and their clock.
    Cores,
    /// The tensor cores in BF16.
    Bf16,
    /// The tensor cores in FP8.
    Fp8,
    /// The FP32 lanes.
    Vector,
    /// What the device may draw.
    Power,
    /// Device memory.
    Memory,
    /// The links of the scale-up domain, and how many devices it has.
    ScaleUp,
    /// The NICs.
    Network,
    /// The links to the host.
    Host,
    /// What the hardware can do, and in what format: a word or a width, of which no ratio can be taken.
    Ability,
}

macro_rules! machine_keys {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal, $part:ident;)+) => {
        /// A key of `gpu.*` or `node.*` on which a time depends. Sizes, prices and rated power are none: no time follows from them.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum MachineKey {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl MachineKey {
            /// Every key, in the order of files.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// Its dotted name in files.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// What it belongs to.
            #[must_use]
            pub const fn part(self) -> MachinePart {
                match self { $(Self::$variant => MachinePart::$part,)+ }
            }
        }
    };
}

machine_keys! {
    /// Streaming multiprocessors.
    Sms = "gpu.sms", Cores;
    /// Their clock.
    Clock = "gpu.clock", Cores;
    /// BF16 operations of an SM per clock.
    Bf16Rate = "gpu.tensor.bf16.flops-per-sm-clock", Bf16;
    /// FP8 operations of an SM per clock.
    Fp8Rate = "gpu.tensor.fp8.flops-per-sm-clock", Fp8;
    /// FP32 operations of an SM per clock outside the tensor cores.
    VectorRate = "gpu.vector.flops-per-sm-clock", Vector;
    /// What it may draw, over what it is rated at.
    PowerLimit = "gpu.power-limit", Power;
    /// Stacks of device memory.
    Stacks = "gpu.memory.stacks", Memory;
    /// Rate of one stack.
    StackRate = "gpu.memory.rate-per-stack", Memory;
    /// Scale-up links of a device.
    ScaleUpLinks = "gpu.scale-up.links", ScaleUp;
    /// Rate of one such link.
    ScaleUpRate = "gpu.scale-up.rate-per-link", ScaleUp;
    /// Latency from device to device.
    ScaleUpLatency = "gpu.scale-up.latency", ScaleUp;
    /// Devices of the scale-up domain.
    Devices = "node.devices", ScaleUp;
    /// NICs of a node.
    NicCount = "node.nic.count", Network;
    /// Rate of one NIC.
    NicRate = "node.nic.rate", Network;
    /// Rate of the link to the host.
    PcieRate = "node.host.pcie-rate", Host;
    /// Latency of that link.
    PcieLatency = "node.host.pcie-latency", Host;
    /// Fraction bits of the FP8 accumulator.
    Accumulate = "gpu.tensor.fp8.accumulate", Ability;
    /// Who applies the scales of tiles.
    BlockScaling = "gpu.tensor.fp8.block-scaling", Ability;
    /// Whether operands are read transposed.
    TransposedReads = "gpu.tensor.transposed-reads", Ability;
    /// What the switches of the scale-up domain do.
    InNetwork = "gpu.scale-up.in-network", Ability;
    /// What moves bytes without SMs.
    CommEngine = "gpu.comm-engine", Ability;
    /// Where BF16 becomes FP8.
    Cast = "gpu.cast", Ability;
    /// Who hands on what arrives for other devices of the node.
    Forwarding = "node.nic.forwarding", Ability;
    /// Whether remote writes arrive in order.
    Ordering = "node.nic.ordering", Ability;
    /// What the network carries BF16 as.
    Compression = "node.nic.compression", Ability;
}

impl MachineKey {
    /// The key of a dotted name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|key| key.name() == name)
    }

    /// Whether it is a value of the device, and not of the node around it.
    #[must_use]
    pub fn is_of_device(self) -> bool {
        self.name().starts_with("gpu.")
    }

    /// A value of this key as people read it: with its unit.
    #[must_use]
    pub fn shown(self, value: MachineValue) -> String {
        let number = match value {
            MachineValue::Word(word) => return word.to_owned(),
            MachineValue::Number(number) => number,
        };
        match self {
            Self::Clock => Hertz::new(number).to_string(),
            Self::PowerLimit => format!("{number:.3} of `gpu.power`"),
            Self::StackRate | Self::ScaleUpRate | Self::NicRate | Self::PcieRate => {
                BytesPerSec::new(number).to_string()
            }
            Self::ScaleUpLatency | Self::PcieLatency => Seconds::new(number).to_string(),
            Self::Sms
            | Self::Bf16Rate
            | Self::Fp8Rate
            | Self::VectorRate
            | Self::Stacks
            | Self::ScaleUpLinks
            | Self::Devices
            | Self::NicCount
            | Self::Accumulate
            | Self::BlockScaling
            | Self::TransposedReads
            | Self::InNetwork
            | Self::CommEngine
            | Self::Cast
            | Self::Forwarding
            | Self::Ordering
            | Self::Compression => number.to_string(),
        }
    }
}

/// What a machine has of a key.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum MachineValue {
    /// In base units.
    Number(f64),
    /// As files spell it.
    Word(&'static str),
}

/// What a device and its node have of every key, in the order of [`MachineKey::ALL`]. Every field of both is named here, so that a new one must decide.
pub(crate) fn values(device: &Device, node: &Node) -> [(MachineKey, MachineValue); MachineKey::ALL.len()] {
    let Device {
        sms,
        clock,
        tensor,
        vector_flops_per_sm_clock,
        memory,
        l2: _,
        scale_up,
        comm_engine,
        cast,
        expense,
        power_limit,
    } = device;
    let Tensor { bf16_flops_per_sm_clock, fp8, transposed_reads } = tensor;
    let Fp8 { flops_per_sm_clock, accumulate, block_scaling } = fp8;
    let Memory { stacks, rate_per_stack, capacity_per_stack: _ } = memory;
    let ScaleUp { links, rate_per_link, latency, in_network } = scale_up;
    let Node { devices, nic, host, expense: _ } = node;
    let Nic { count, rate, forwarding, ordering, compression, expense: _ } = nic;
    let rated = expense.power.get();
    let Host { pcie_rate, pcie_latency, memory_rate: _, memory_capacity: _ } = host;
    [
        (MachineKey::Sms, whole(*sms)),
        (MachineKey::Clock, MachineValue::Number(clock.get())),
        (MachineKey::Bf16Rate, MachineValue::Number(*bf16_flops_per_sm_clock)),
        (MachineKey::Fp8Rate, MachineValue::Number(*flops_per_sm_clock)),
        (MachineKey::VectorRate, MachineValue::Number(*vector_flops_per_sm_clock)),
        (MachineKey::PowerLimit, MachineValue::Number(if rated > 0.0 { power_limit.get() / rated } else { 1.0 })),
        (MachineKey::Stacks, whole(*stacks)),
        (MachineKey::StackRate, MachineValue::Number(rate_per_stack.get())),
        (MachineKey::ScaleUpLinks, whole(*links)),
        (MachineKey::ScaleUpRate, MachineValue::Number(rate_per_link.get())),
        (MachineKey::ScaleUpLatency, MachineValue::Number(latency.get())),
        (MachineKey::Devices, whole(*devices)),
        (MachineKey::NicCount, whole(*count)),
        (MachineKey::NicRate, MachineValue::Number(rate.get())),
        (MachineKey::PcieRate, MachineValue::Number(pcie_rate.get())),
        (MachineKey::PcieLatency, MachineValue::Number(pcie_latency.get())),
        (MachineKey::Accumulate, whole(*accumulate)),
        (MachineKey::BlockScaling, word(&BlockScaling::WORDS, *block_scaling)),
        (MachineKey::TransposedReads, word(&TransposedReads::WORDS, *transposed_reads)),
        (MachineKey::InNetwork, word(&InNetwork::WORDS, *in_network)),
        (MachineKey::CommEngine, word(&CommEngine::WORDS, *comm_engine)),
        (MachineKey::Cast, word(&Cast::WORDS, *cast)),
        (MachineKey::Forwarding, word(&Forwarding::WORDS, *forwarding)),
        (MachineKey::Ordering, word(&Ordering::WORDS, *ordering)),
        (MachineKey::Compression, word(&Compression::WORDS, *compression)),
    ]
}

fn whole(count: u32) -> MachineValue {
    MachineValue::Number(count.into())
}

/// Every ability is in its own list of words; one that was not would be unlike all that are.
fn word<T: PartialEq>(words: &[(&'static str, T)], ability: T) -> MachineValue {
    MachineValue::Word(words.iter().find(|(_, other)| *other == ability).map_or("", |(word, _)| word))
}
