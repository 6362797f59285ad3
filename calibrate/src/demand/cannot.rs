//! Why a device cannot run an op.

use topology::Device;
use workloads::op::{Op, OpKind, Precision};

use super::Demand;
use crate::EstimateKey;

/// Arithmetic that a device does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lacking {
    /// What the tensor cores do not multiply.
    pub format: &'static str,
    /// The key of the rate that is zero.
    pub key: &'static str,
}

/// Why a device cannot run an op.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum CannotRun {
    /// A collective: no device does one alone.
    #[error("`{0}` is a collective, no kernel of one device; ask for a collective")]
    Collective(&'static str),
    /// Its tensor cores have no such arithmetic.
    #[error(
        "`{op}` ({pass}) multiplies in {format}, and this device has no {format} (`{key}` is 0); take arithmetic that it has, \
         or a device that has {format}"
    )]
    Arithmetic {
        /// The op.
        op: &'static str,
        /// Its part of training.
        pass: &'static str,
        /// What it multiplies in.
        format: &'static str,
        /// The key of the rate that is zero.
        key: &'static str,
    },
    /// Its demand is beyond what can be counted.
    #[error(
        "`{op}` ({pass}) comes to a time that is no number: a value of the device, the job or `profile.{limit}` lies beyond \
         anything that can be counted; look for a mistyped unit or exponent",
        limit = .limit.name()
    )]
    Uncountable {
        /// The op.
        op: &'static str,
        /// Its part of training.
        pass: &'static str,
        /// What sets its time.
        limit: EstimateKey,
    },
}

/// What a device lacks to multiply with an arithmetic; `None` where it can.
#[must_use]
pub fn lacking(device: &Device, precision: Precision) -> Option<Lacking> {
    let (format, key, rate) = match precision {
        Precision::Fp8Block | Precision::Fp8Tile | Precision::Fp8Tensor | Precision::Fp8TensorFast => {
            ("FP8", "gpu.tensor.fp8.flops-per-sm-clock", device.tensor.fp8.flops_per_sm_clock)
        }
        Precision::Bf16 => ("BF16", "gpu.tensor.bf16.flops-per-sm-clock", device.tensor.bf16_flops_per_sm_clock),
    };
    (rate <= 0.0).then_some(Lacking { format, key })
}

/// The arithmetic of an op on the tensor cores.
fn precision(op: &Op) -> Option<Precision> {
    match op.kind {
        OpKind::Gemm { precision, .. } | OpKind::GroupedGemm { precision, .. } => Some(precision),
        OpKind::Attention { .. } | OpKind::CachedAttention { .. } => Some(Precision::Bf16),
        OpKind::Stream { .. } | OpKind::Collective { .. } => None,
    }
}

/// Whether the device has the arithmetic of an op.
pub(super) fn has_arithmetic(device: &Device, op: &Op) -> Result<(), CannotRun> {
    let lacks = precision(op).and_then(|precision| lacking(device, precision));
    lacks.map_or(Ok(()), |Lacking { format, key }| {
        Err(CannotRun::Arithmetic { op: op.name, pass: op.pass.name(), format, key })
    })
}

/// The demand, if each of its parts is a number of zero or more.
pub(super) fn counted(op: &Op, demand: Demand) -> Result<Demand, CannotRun> {
    let Demand { power, memory, shortest, latency, limit } = demand;
    let parts = [power.get(), memory.get(), shortest.get(), latency.get()];
    if parts.iter().all(|part| part.is_finite() && *part >= 0.0) {
        Ok(demand)
    } else {
        Err(CannotRun::Uncountable { op: op.name, pass: op.pass.name(), limit })
    }
}
