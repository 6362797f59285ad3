//! What the host takes to launch the kernels of an iteration that is no graph.

use calibrate::{EstimateKey, Profile};
use workloads::op::{Op, OpKind};

/// Seconds of the host for the kernels of a list, without the bookkeeping of gradients that a training step has: as long as the launches
/// of small operations.
pub(super) fn seconds(profile: &Profile, ops: &[Op]) -> f64 {
    ops.iter().map(|op| profile.value(launch(op))).sum()
}

fn launch(op: &Op) -> EstimateKey {
    match op.kind {
        OpKind::Gemm { .. } | OpKind::GroupedGemm { .. } | OpKind::Attention { .. } | OpKind::CachedAttention { .. } => {
            EstimateKey::HostProduct
        }
        OpKind::Stream { .. } => EstimateKey::HostLaunch,
        OpKind::Collective { .. } => EstimateKey::HostCollective,
    }
}
