//! What an op asks of a device: the one place that knows tiles.
//!
//! A demand is relative, never a finished time: a share of the device's power, memory traffic, the shortest time the SMs
//! held allow and a fixed latency. The engine finds the time where demands meet; [`Demand::alone`] is that time where
//! nothing meets.

mod attention;
mod cached;
mod cannot;
mod collective;
mod matrix;
mod stream;

use topology::Device;
use units::{Bytes, BytesPerSec, Seconds};
use workloads::op::{Op, OpKind};
use workloads::recipe::Grids;

use crate::{EstimateKey, Profile};

pub use cannot::{CannotRun, Lacking, lacking};
pub use collective::{Algorithm, CollectiveCall, CollectiveDemand, Spread, Traffic, traffic};

/// What an op asks of a device on some SMs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Demand {
    /// Seconds for which it would take all the power that the device may draw, at the clock that then remains; for
    /// arithmetic without a power limit, the seconds at the tensor peak, padding left out.
    pub power: Seconds,
    /// Bytes between device memory and SMs.
    pub memory: Bytes,
    /// The shortest time on the SMs held, were nothing shared.
    pub shortest: Seconds,
    /// Before the first byte moves.
    pub latency: Seconds,
    /// What sets `shortest`, by name of the estimate.
    pub limit: EstimateKey,
}

impl Demand {
    /// The demand while the device's mean power is far from its limit.
    #[must_use]
    pub fn burst(self) -> Self {
        Self { power: Seconds::ZERO, ..self }
    }

    /// The time it takes with the device to itself, and what sets it; `memory` is what kernels bound by memory reach together.
    #[must_use]
    pub fn alone(&self, memory: BytesPerSec) -> (Seconds, EstimateKey) {
        let bounds = [(self.shortest, self.limit), (self.memory / memory, EstimateKey::MemoryFraction)];
        // Power has no key of its own here: what sets `shortest` is of the same family.
        let mut longest = (self.power, self.limit);
        for bound in bounds {
            if bound.0 >= longest.0 {
                longest = bound;
            }
        }
        (self.latency + longest.0, longest.1)
    }
}

/// Turns ops into demands on one device.
#[derive(Clone, Copy, Debug)]
pub struct Estimator<'a> {
    device: &'a Device,
    profile: &'a Profile,
    /// Products between promotions, where it is decided; else as measured.
    promote: Option<Option<u32>>,
    /// What grids are sized for.
    grids: Grids,
}

impl<'a> Estimator<'a> {
    /// For a device and what was measured of it, with kernels as they were measured.
    #[must_use]
    pub fn new(device: &'a Device, profile: &'a Profile) -> Self {
        Self { device, profile, promote: None, grids: Grids::default() }
    }

    /// With grids of such sizes.
    #[must_use]
    pub fn with_grids(self, grids: Grids) -> Self {
        Self { grids, ..self }
    }

    /// With sums of FP8 products promoted every so many products, or never.
    #[must_use]
    pub fn promoting(self, every: Option<u32>) -> Self {
        Self { promote: Some(every), ..self }
    }

    /// The demand of an op on `sms` SMs.
    ///
    /// # Errors
    /// For a collective, for arithmetic that the device lacks, and where the demand is no number that can be counted.
    pub fn demand(&self, op: &Op, sms: u32) -> Result<Demand, CannotRun> {
        cannot::has_arithmetic(self.device, op)?;
        let asked = match &op.kind {
            OpKind::Gemm { .. } => self.product(op, sms).ok_or(CannotRun::Collective(op.name))?,
            OpKind::GroupedGemm { .. } => self.products(op, sms).ok_or(CannotRun::Collective(op.name))?,
            OpKind::Attention { .. } => self.attention(op, sms).ok_or(CannotRun::Collective(op.name))?,
            OpKind::CachedAttention { .. } => self.cached_attention(op, sms).ok_or(CannotRun::Collective(op.name))?,
            OpKind::Stream { kernel, rows, reads, writes } => self.stream(*kernel, *rows, *reads + *writes, sms),
            OpKind::Collective { .. } => return Err(CannotRun::Collective(op.name)),
        };
        let Asked { power, memory, shortest, limit, latency } = asked;
        // An operand that is cast while it is read crosses in the wider format; its time is that of the memory, which others share.
        let (memory, power) = (memory + op.widened, power + self.memory_power(op.widened));
        // What SMs ask of memory is in the time of a stream already; products and attention may ask for more than theirs can.
        let per_sm = BytesPerSec::new(self.profile.value(EstimateKey::MemoryRatePerSm));
        let in_flight = memory / (per_sm * f64::from(sms));
        let (shortest, limit) =
            if in_flight > shortest { (in_flight, EstimateKey::MemoryRatePerSm) } else { (shortest, limit) };
        let latency = latency + Seconds::new(self.profile.value(EstimateKey::KernelLatency));
        let power = power * self.power_scale();
        cannot::counted(op, Demand { power, memory, shortest, latency, limit })
    }
}

impl Estimator<'_> {
    /// How much longer the same energy takes than at the rated power that the estimates were measured at; what a device draws at rest is
    /// drawn in any case.
    fn power_scale(&self) -> f64 {
        let idle = self.profile.value(EstimateKey::PowerIdle);
        let (limit, rated) = (self.device.power_limit.get(), self.device.expense.power.get());
        if limit > 0.0 && rated > 0.0 { (1.0 - idle) / (limit / rated - idle).max(f64::MIN_POSITIVE) } else { 1.0 }
    }
}

/// A demand before what all kernels share: the rate of an SM.
#[derive(Clone, Copy, Debug)]
struct Asked {
    power: Seconds,
    memory: Bytes,
    shortest: Seconds,
    limit: EstimateKey,
    latency: Seconds,
}
