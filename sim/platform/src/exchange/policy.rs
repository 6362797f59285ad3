//! What a stack chooses of an exchange.

use calibrate::{CollectiveTerm, EstimateKey};
use workloads::op::Collective;

const ALL_TO_ALL_FRACTION: EstimateKey = EstimateKey::Collective(Collective::AllToAll, CollectiveTerm::Fraction);

/// How a dispatch delivers tokens to experts; a combine goes the same ways back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// Once to a relay on each node that wants a token, which hands it on: kernels for many tokens.
    Forwarded,
    /// A copy for each expert picked, straight to its device: kernels for few tokens.
    Direct,
    /// The same copies in the all-to-all of a collective library, sorted before it and summed after it by other kernels.
    Library,
}

impl Delivery {
    /// The estimates of the share that messages reach of the scale-up port's rate and of the NIC's, each of a dispatch
    /// and a combine.
    #[must_use]
    pub const fn fractions(self) -> [[EstimateKey; 2]; 2] {
        use EstimateKey as Key;
        match self {
            Self::Forwarded => [
                [Key::DispatchScaleUpFraction, Key::CombineScaleUpFraction],
                [Key::DispatchScaleOutFraction, Key::CombineScaleOutFraction],
            ],
            Self::Direct => [
                [Key::DirectDispatchScaleUpFraction, Key::DirectCombineScaleUpFraction],
                [Key::DirectDispatchScaleOutFraction, Key::DirectCombineScaleOutFraction],
            ],
            Self::Library => [[ALL_TO_ALL_FRACTION; 2], [Key::CollectiveScaleOutFraction; 2]],
        }
    }

    /// The estimate of what an exchange takes before bytes move, its counts known.
    #[must_use]
    pub const fn latency(self) -> EstimateKey {
        match self {
            Self::Forwarded => EstimateKey::AllToAllCached,
            Self::Direct => EstimateKey::DirectLatency,
            Self::Library => EstimateKey::Collective(Collective::AllToAll, CollectiveTerm::Latency),
        }
    }
}

/// How the SMs of dispatch and combine move bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExchangeCopies {
    /// Loads and stores, through ring buffers: both ends of a message copy it, as DeepEP's first release does.
    Buffered,
    /// Bulk copies (TMA) and the NIC, between the tensors themselves: a byte is moved by the rank that hands it on, sums it
    /// or sends it directly, and by nobody else, as HybridEP does.
    InPlace,
}

impl Delivery {
    /// The estimate of what an SM moves in a second.
    #[must_use]
    pub const fn rate_per_sm(self, copies: ExchangeCopies) -> EstimateKey {
        match (self, copies) {
            (Self::Library, _) => EstimateKey::Collective(Collective::AllToAll, CollectiveTerm::RatePerSm),
            (Self::Forwarded | Self::Direct, ExchangeCopies::Buffered) => EstimateKey::AllToAllRatePerSm,
            (Self::Forwarded | Self::Direct, ExchangeCopies::InPlace) => EstimateKey::AllToAllBulkRatePerSm,
        }
    }
}
