//! A kernel beside something that goes on all the while.
//!
//! What goes on holds SMs, which the kernel lacks; moves bytes through the device memory, which both share by their SMs; and draws power, of which a
//! product has the rest: moving `x` bytes a second lengthens what power bounds from `t` to `t / (1 - x / y)`, `y` the traffic that alone would draw the
//! limit (`memory.power-rate`). Breaks for kernels whose grid is made for all SMs and not for those that are left: they take whole waves more, and
//! for data that stays in L2.

use calibrate::{CollectiveTerm, Demand, EstimateKey, Profile};
use topology::Device;
use units::BytesPerSec;
use workloads::op::Collective;

use crate::Contradiction;

/// What goes on beside a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Companion {
    /// A copy within the device.
    Copy,
    /// An all-to-all in the scale-up domain.
    AllToAll,
    /// An all-reduce in the scale-up domain.
    AllReduce,
}

/// What goes on beside a kernel, and on how many SMs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompanionOn {
    /// What.
    pub what: Companion,
    /// SMs that it holds.
    pub sms: u32,
}

impl CompanionOn {
    /// SMs that are left of those of a device.
    ///
    /// # Errors
    /// Where none is left.
    pub fn left(self, device: &Device) -> Result<u32, Contradiction> {
        let left = device.sms.checked_sub(self.sms).filter(|left| *left > 0 && self.sms > 0);
        left.ok_or(Contradiction::Sms { asked: self.sms, there: device.sms })
    }

    /// Bytes per second that it moves through the device memory where nothing else does: what its SMs keep in flight, and of a collective what
    /// a port carries in and out.
    fn traffic(self, device: &Device, profile: &Profile) -> BytesPerSec {
        let per_sm = |key| BytesPerSec::new(profile.value(key)) * f64::from(self.sms);
        let port = |what| {
            let fraction = profile.value(EstimateKey::Collective(what, CollectiveTerm::Fraction));
            let copied = per_sm(EstimateKey::AllToAllRatePerSm).get();
            let carried = (device.scale_up.rate_per_link * f64::from(device.scale_up.links) * fraction).get();
            BytesPerSec::new(2.0 * carried.min(copied))
        };
        let asked = match self.what {
            Companion::Copy => per_sm(EstimateKey::MemoryRatePerSm),
            Companion::AllToAll => port(Collective::AllToAll),
            Companion::AllReduce => port(Collective::AllReduce),
        };
        let most = (device.memory_rate() * profile.value(EstimateKey::MemoryFraction)).get();
        BytesPerSec::new(asked.get().min(most))
    }

    /// The demand of a kernel on the SMs that are left, where this goes on beside it; and the rate of the memory that it has.
    pub(crate) fn lengthen(
        self,
        demand: Demand,
        sms: u32,
        device: &Device,
        profile: &Profile,
    ) -> (Demand, BytesPerSec) {
        let all = (device.memory_rate() * profile.value(EstimateKey::MemoryFraction)).get();
        let traffic = self.traffic(device, profile).get();
        // Both ask for what they would move alone; where that is too much, each has a share as its SMs are of all that are held.
        let alone = demand.shortest.max(demand.power).get();
        let own = if alone > 0.0 { demand.memory.get() / alone } else { 0.0 };
        let fair = all * f64::from(self.sms) / f64::from(self.sms + sms);
        let taken = if own + traffic > all { traffic.min(fair.max(all - own)) } else { traffic };
        let limit = (device.memory_rate() * profile.value(EstimateKey::MemoryPower)).get();
        let power = demand.power * (1.0 / (1.0 - taken / limit).max(f64::EPSILON));
        (Demand { power, ..demand }, BytesPerSec::new(all - taken))
    }
}
