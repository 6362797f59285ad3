//! What lives only while a chunk runs.

use super::{FootprintInput, Held};
use crate::model::LayerKind;
use crate::op::{Op, OpKind, Output, Precision};
use crate::step::{self, Passes};

const BF16: f64 = 2.0;
const FP32: f64 = 4.0;

/// Tensors of the all-to-all: what arrives and what is sent back, for one forward and one backward chunk; all tokens of the group where they
/// are gathered.
pub(super) fn exchange(job: &FootprintInput<'_>) -> f64 {
    if step::token_gather(job.model, job.shape).is_some() {
        return 4.0 * (job.shape.tokens_gathered() * job.model.hidden) as f64 * BF16;
    }
    step::exchange(job.model, job.shape).map_or(0.0, |exchange| {
        let token = exchange.dispatch_bytes_per_token + exchange.combine_bytes_per_token;
        2.0 * job.load.received as f64 * token.get()
    })
}

/// Both operands of every weight gradient of one layer: the largest kind of layer the rank holds. They wait from the
/// input-gradient pass of a layer to its weight-gradient pass.
pub(super) fn weight_gradient_operands(job: &FootprintInput<'_>, held: &[Held]) -> f64 {
    let sum = |kind| segments(job, kind).iter().flat_map(|passes| &passes.weight_gradient).map(operands).sum::<f64>();
    kinds(job, held).into_iter().map(sum).fold(0.0, f64::max)
}

/// The largest op of a forward and the largest of a backward chunk together, inputs and outputs.
pub(super) fn largest_ops(job: &FootprintInput<'_>, held: &[Held]) -> f64 {
    let (mut forward, mut backward) = (0.0_f64, 0.0_f64);
    for kind in kinds(job, held) {
        for passes in segments(job, kind) {
            forward = passes.forward.iter().map(working_set).fold(forward, f64::max);
            backward = passes.input_gradient.iter().map(working_set).fold(backward, f64::max);
        }
    }
    forward + backward
}

/// The kinds of layer a rank holds.
fn kinds(job: &FootprintInput<'_>, held: &[Held]) -> Vec<LayerKind> {
    let mtp = held.iter().any(|held| held.stage.mtp > 0).then(|| job.model.layer_kind(job.model.layers));
    let mut kinds: Vec<LayerKind> = held.iter().flat_map(|held| held.stage.layers.iter().copied()).chain(mtp).collect();
    kinds.sort_unstable();
    kinds.dedup();
    kinds
}

fn segments(job: &FootprintInput<'_>, kind: LayerKind) -> [Passes; 2] {
    [step::attention(job.model, job.shape, kind), step::mlp(job.model, job.shape, kind, job.load)]
}

/// Bytes of both operands of a product, without weights' own size where the tokens are the inner dimension.
fn operands(op: &Op) -> f64 {
    match &op.kind {
        OpKind::Gemm { m, n, k, precision, .. } => ((m + n) * k) as f64 * width(*precision),
        OpKind::GroupedGemm { tokens, n, k, precision, .. } => {
            (tokens.iter().sum::<u64>() * (n + k)) as f64 * width(*precision)
        }
        OpKind::Attention { .. }
        | OpKind::CachedAttention { .. }
        | OpKind::Stream { .. }
        | OpKind::Collective { .. } => 0.0,
    }
}

/// Bytes of activations an op reads and writes. Weights are counted elsewhere.
fn working_set(op: &Op) -> f64 {
    match &op.kind {
        OpKind::Gemm { m, n, k, precision, output } => {
            (m * k) as f64 * width(*precision) + (m * n) as f64 * out(*output)
        }
        OpKind::GroupedGemm { tokens, n, k, precision, output } => {
            let rows = tokens.iter().sum::<u64>();
            (rows * k) as f64 * width(*precision) + (rows * n) as f64 * out(*output)
        }
        OpKind::Attention { heads, kv_heads, queries, keys, qk, value, .. } => {
            let side = (heads * queries * (qk + value) + kv_heads * keys * (qk + value)) as f64 * BF16;
            // Backward: the gradients of all four, and that of the queries in FP32 besides.
            let backward = side + (heads * queries * qk) as f64 * FP32;
            if op.pass == crate::op::Pass::InputGradient { side + backward } else { side }
        }
        // No op of a training step.
        OpKind::CachedAttention { .. } => 0.0,
        OpKind::Stream { reads, writes, .. } => (*reads + *writes).get(),
        OpKind::Collective { bytes, .. } => bytes.get(),
    }
}

fn width(precision: Precision) -> f64 {
    match precision {
        Precision::Fp8Block | Precision::Fp8Tile => 1.0 + 4.0 / 128.0,
        Precision::Fp8Tensor | Precision::Fp8TensorFast => 1.0,
        Precision::Bf16 => BF16,
    }
}

fn out(output: Output) -> f64 {
    match output {
        Output::Bf16 => BF16,
        Output::Fp32 | Output::AccumulateFp32 => FP32,
    }
}
