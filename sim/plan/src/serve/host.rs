//! What the host takes to launch the kernels of an iteration that is no graph.

use calibrate::{EstimateKey, Profile};
use units::Seconds;
use workloads::op::{Op, OpKind};

/// Launches of an iteration.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Launched {
    /// How many.
    pub(super) n: f64,
    /// Seconds of the host.
    pub(super) seconds: f64,
}

impl Launched {
    /// Adds those of a list, so many times: each as long as the stack's do, or else as an operation of its kind.
    pub(super) fn add(&mut self, profile: &Profile, each: Option<Seconds>, ops: &[Op], times: f64) {
        let seconds = |op: &Op| each.map_or_else(|| profile.value(launch(op)), Seconds::get);
        self.n += ops.len() as f64 * times;
        self.seconds += ops.iter().map(seconds).sum::<f64>() * times;
    }
}

fn launch(op: &Op) -> EstimateKey {
    match op.kind {
        OpKind::Gemm { .. }
        | OpKind::GroupedGemm { .. }
        | OpKind::Attention { .. }
        | OpKind::CachedAttention { .. } => EstimateKey::HostProduct,
        OpKind::Stream { .. } => EstimateKey::HostLaunch,
        OpKind::Collective { .. } => EstimateKey::HostCollective,
    }
}
