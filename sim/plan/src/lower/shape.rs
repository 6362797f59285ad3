//! What one rank computes for one micro-batch, from the plan's job and policies.

use topology::{Cast, TransposedReads};
use workloads::step::{Casting, Shape};

use crate::{DispatchFormat, ForwardSums, KeepActivations, Plan};

/// The shape of a plan's micro-batch on one rank.
#[must_use]
pub fn shape(plan: &Plan) -> Shape {
    Shape {
        sequence: plan.job.sequence,
        micro_batch: plan.job.micro_batch,
        tp: u64::from(plan.parallel.tp),
        cp: u64::from(plan.parallel.cp),
        ep: u64::from(plan.parallel.ep),
        linear: plan.job.precision,
        forward_left: plan.policy.forward_sums == ForwardSums::Left,
        recompute: plan.policy.recompute,
        keep_fp8: plan.policy.keep == KeepActivations::Fp8,
        dispatch_fp8: plan.policy.dispatch_format == DispatchFormat::Fp8,
        casting: match plan.machine.device.cast {
            Cast::Kernel => Casting::Kernel,
            Cast::Warp => Casting::Norm,
            Cast::NearMemory => Casting::Memory,
            Cast::CopyEngine => Casting::Product,
        },
        transposed_reads: match plan.machine.device.tensor.transposed_reads {
            TransposedReads::None => false,
            TransposedReads::Native => true,
        },
        logit_pieces: u64::from(plan.policy.logit_pieces),
        sequence_parallel: plan.policy.sequence_parallel,
        attention: plan.policy.attention,
        dropout: plan.policy.dropout,
    }
}
