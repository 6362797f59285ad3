//! An op on SMs.

use calibrate::{Demand, EstimateKey, GemmTerm, Profile};
use engine::Task;
use topology::Device;
use units::{Bytes, Flops, Seconds, SimSpan};
use workloads::op::Precision;

use crate::RankResources;

/// An op on the SMs it holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Kernel {
    /// SMs held.
    pub sms: u32,
    /// Seconds of the whole tensor array.
    pub tensor: f64,
    /// Bytes of device memory.
    pub memory: f64,
    /// The shortest time on the SMs held, seconds.
    pub shortest: f64,
    /// Before it draws.
    pub latency: SimSpan,
    /// What sets `shortest`.
    pub limit: EstimateKey,
}

impl Kernel {
    /// What an op demands on `sms` SMs.
    #[must_use]
    pub fn from_demand(demand: &Demand, sms: u32) -> Self {
        Self {
            sms,
            tensor: demand.power.get(),
            memory: demand.memory.get(),
            shortest: demand.shortest.get(),
            latency: demand.latency.into(),
            limit: demand.limit,
        }
    }

    /// Work that holds no SMs of its own: products reach `gemm.bf16.fraction` of the peak.
    pub(crate) fn arithmetic(device: &Device, profile: &Profile, flops: Flops, bytes: Bytes) -> Self {
        let peak = device.peak_bf16() * profile.value(EstimateKey::Gemm(Precision::Bf16, GemmTerm::Fraction));
        Self {
            sms: 0,
            tensor: if flops > Flops::ZERO { flops.get() / peak.get() } else { 0.0 },
            memory: bytes.get(),
            shortest: 0.0,
            latency: SimSpan::from(Seconds::new(profile.value(EstimateKey::KernelLatency))),
            limit: EstimateKey::Gemm(Precision::Bf16, GemmTerm::Fraction),
        }
    }

    /// As a task. The main demand is memory: kernels and copies that meet there are judged in one unit.
    #[inline]
    #[must_use]
    pub fn task<T>(&self, tag: T, on: &RankResources) -> Task<T> {
        let task = Task::drawing(tag, [(on.memory, self.memory), (on.tensor, self.tensor)])
            .weight(f64::from(self.sms.max(1)))
            .no_faster_than(self.shortest)
            .latency(self.latency);
        on.turn.into_iter().fold(task, |task, turn| task.claim(turn, 1)).claim(on.sms, self.sms)
    }
}
