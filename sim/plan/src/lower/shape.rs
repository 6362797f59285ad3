//! What one rank computes for one micro-batch, from the plan's job and policies.

use topology::{Cast, TransposedReads};
use workloads::step::{Casting, Shape};

use crate::{ContextParallel, DispatchFormat, ForwardSums, KeepActivations, TensorCollectives, Train, TrainPlan};

/// The shape of a plan's micro-batch on one rank.
#[must_use]
pub fn shape(plan: TrainPlan<'_>) -> Shape {
    Shape {
        sequence: plan.job.sequence,
        micro_batch: plan.job.micro_batch,
        tp: u64::from(plan.job.parallel.tp),
        cp: u64::from(plan.job.parallel.cp),
        ep: u64::from(plan.job.parallel.ep),
        linear: plan.job.precision,
        forward_left: plan.job.policy.forward_sums == ForwardSums::Left,
        recompute: plan.job.policy.recompute,
        keep_fp8: plan.job.policy.keep == KeepActivations::Fp8,
        dispatch_fp8: plan.job.policy.dispatch_format == DispatchFormat::Fp8,
        dispatcher: plan.job.policy.dispatcher,
        casting: casting(plan.site.machine.device.cast),
        transposed_reads: match plan.site.machine.device.tensor.transposed_reads {
            TransposedReads::None => false,
            TransposedReads::Native => true,
        },
        logit_pieces: u64::from(plan.job.policy.logit_pieces),
        sequence_parallel: plan.job.policy.sequence_parallel,
        attention: plan.job.policy.attention,
        dropout: plan.job.policy.dropout,
        gradients: plan.job.policy.gradients,
        accumulates: accumulates(plan.job),
        ring_attention: plan.job.policy.context_parallel == ContextParallel::Ring,
        overlaps_tensor: plan.job.policy.tensor_collectives == TensorCollectives::Overlapped,
        lora: plan.job.lora,
        documents: plan.job.documents.clone(),
        recipe: plan.job.recipe.clone(),
    }
}

/// Who casts on such a device.
#[must_use]
pub const fn casting(cast: Cast) -> Casting {
    match cast {
        Cast::Kernel => Casting::Kernel,
        Cast::Warp => Casting::Norm,
        Cast::NearMemory => Casting::Memory,
        Cast::CopyEngine => Casting::Product,
    }
}

/// Whether a replica runs several micro-batches in a step.
fn accumulates(job: &Train) -> bool {
    job.global_batch > job.micro_batch.saturating_mul(u64::from(job.parallel.dp))
}
