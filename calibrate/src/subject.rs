//! What an estimate is about, and so which values of a machine it was measured with.

use crate::machine_key::{MachineKey, MachinePart};

/// What an estimate is about: the families whose estimates rest on the same parts of a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// FP8 products whose tiles have scales of their own.
    Fp8Scaled,
    /// FP8 products with one scale per tensor, promoted.
    Fp8Tensor,
    /// FP8 products whose sums stay in the tensor core.
    Fp8Fast,
    /// BF16 products.
    Bf16,
    /// What promoting and scaling FP8 sums costs.
    Promotion,
    /// The core of attention.
    Attention,
    /// Device memory, and kernels bound by it.
    Memory,
    /// Norms, which may write FP8 themselves.
    Norm,
    /// Casts to FP8.
    Casts,
    /// The start of a kernel.
    Start,
    /// What SMs copy in a dispatch or combine.
    ExchangeCopies,
    /// A dispatch or combine in the scale-up domain.
    ExchangeUp,
    /// A dispatch or combine on the network.
    ExchangeOut,
    /// What a dispatch or combine takes before it moves data.
    ExchangeStart,
    /// What SMs copy in a collective of a library.
    CollectiveCopies,
    /// A collective of a library in the scale-up domain.
    CollectiveUp,
    /// A collective of a library, or a message, on the network.
    CollectiveOut,
    /// Copies to the host.
    Host,
    /// How estimates carry over from one machine to another: of none.
    Elsewhere,
}

impl Subject {
    /// Whether its estimates, measured with one value of a key, are no more than extrapolated with another.
    ///
    /// Any rate, clock, count or latency of the device that a time depends on lowers all that was measured on it: what is measured
    /// there shares its power, clocks and schedulers. One of the node lowers transfers and collectives. An ability lowers what reads it.
    #[must_use]
    pub fn is_lowered_by(self, key: MachineKey) -> bool {
        if key.part() == MachinePart::Ability {
            self.abilities().contains(&key)
        } else if key.is_of_device() {
            self != Self::Elsewhere
        } else {
            self.is_transfer()
        }
    }

    /// Whether its estimates are spread wider with another value of a key: those of the parts that its kernels run on.
    #[must_use]
    pub fn is_widened_by(self, key: MachineKey) -> bool {
        self.parts().contains(&key.part())
    }

    /// Whether bytes leave the device: transfers and collectives, which the node carries.
    fn is_transfer(self) -> bool {
        match self {
            Self::ExchangeCopies
            | Self::ExchangeUp
            | Self::ExchangeOut
            | Self::ExchangeStart
            | Self::CollectiveCopies
            | Self::CollectiveUp
            | Self::CollectiveOut
            | Self::Host => true,
            Self::Fp8Scaled
            | Self::Fp8Tensor
            | Self::Fp8Fast
            | Self::Bf16
            | Self::Promotion
            | Self::Attention
            | Self::Memory
            | Self::Norm
            | Self::Casts
            | Self::Start
            | Self::Elsewhere => false,
        }
    }

    /// The parts of a machine that it runs on.
    fn parts(self) -> &'static [MachinePart] {
        use MachinePart as Part;
        match self {
            Self::Fp8Scaled | Self::Fp8Tensor => &[Part::Cores, Part::Fp8, Part::Vector, Part::Power, Part::Memory],
            Self::Fp8Fast => &[Part::Cores, Part::Fp8, Part::Power, Part::Memory],
            Self::Bf16 | Self::Attention => &[Part::Cores, Part::Bf16, Part::Power, Part::Memory],
            Self::Promotion => &[Part::Cores, Part::Fp8, Part::Vector],
            Self::Memory | Self::Norm | Self::Casts => &[Part::Cores, Part::Memory],
            Self::Start => &[Part::Cores],
            Self::ExchangeCopies | Self::CollectiveCopies => &[Part::Cores, Part::ScaleUp],
            Self::ExchangeUp | Self::CollectiveUp => &[Part::ScaleUp],
            Self::ExchangeOut | Self::CollectiveOut => &[Part::Network, Part::Host],
            Self::ExchangeStart => &[Part::ScaleUp, Part::Network, Part::Host],
            Self::Host => &[Part::Host],
            Self::Elsewhere => &[],
        }
    }

    /// The abilities that its formula, or the kernel it is taken for, reads.
    fn abilities(self) -> &'static [MachineKey] {
        use MachineKey as Key;
        match self {
            Self::Fp8Scaled => &[Key::Accumulate, Key::BlockScaling, Key::TransposedReads, Key::Cast],
            Self::Fp8Tensor => &[Key::Accumulate, Key::TransposedReads, Key::Cast],
            Self::Fp8Fast => &[Key::TransposedReads, Key::Cast],
            Self::Promotion => &[Key::Accumulate, Key::BlockScaling],
            Self::Norm | Self::Casts => &[Key::Cast],
            Self::ExchangeCopies | Self::ExchangeUp => &[Key::CommEngine, Key::InNetwork, Key::Forwarding],
            Self::ExchangeOut => &[Key::CommEngine, Key::Forwarding, Key::Compression],
            Self::ExchangeStart => &[Key::CommEngine, Key::Forwarding, Key::Ordering],
            Self::Bf16
            | Self::Attention
            | Self::Memory
            | Self::Start
            | Self::CollectiveCopies
            | Self::CollectiveUp
            | Self::CollectiveOut
            | Self::Host
            | Self::Elsewhere => &[],
        }
    }
}
