//! What is kept from forward to backward.

use super::{Item, item};
use crate::model::{Activation, Attention, LayerKind, Model};
use crate::op::{Axis, Op, OpKind};
use crate::parallel::Stage;
use crate::step::{self, AttentionKernel, Load, Passes, Shape, kept_by_adapters, kept_core_width};

const BF16: f64 = 2.0;
const FP32: f64 = 4.0;
const MASK: f64 = 1.0;

/// What one layer keeps of one micro-batch on one rank, item by item.
///
/// Inputs of both norms always (BF16). Norm outputs, up-projected queries, keys and values, and SwiGLU outputs only
/// where they are not computed again. Inputs of FP8 GEMMs and of SwiGLU in FP8 where the policy keeps them so, the
/// core's output in 12 bits; scores of unfused attention unless it is computed again; the rows of the experts in FP8 where they are dispatched in it, else as other inputs. Whole-layer recomputation keeps the
/// layer's input.
#[must_use]
pub fn kept(model: &Model, shape: &Shape, kind: LayerKind, load: &Load) -> Vec<Item> {
    let stream = (shape.tokens_sequence_parallel() * model.hidden) as f64 * BF16;
    if shape.recompute.layers() {
        let input = item("layer input", stream);
        return if shape.recompute.operations { vec![input, operations(model, shape, kind)] } else { vec![input] };
    }
    let mut items = vec![item("norm inputs", 2.0 * stream)];
    if !shape.recompute.norm {
        items.push(item("norm outputs", norm_outputs(model, shape, kind)));
    }
    attention(model, shape, &mut items);
    if shape.lora.is_some() {
        items.push(item("adapters", kept_by_adapters(model, shape, kind)));
    }
    match (&model.experts, kind) {
        (Some(experts), LayerKind::Moe) => {
            let own = shape.tokens_sequence_parallel() as f64;
            let gate = f64::from(experts.routed) * FP32 + f64::from(experts.top_k) * 12.0;
            items.push(item("gate", own * gate));
            let shared = u64::from(experts.shared) * experts.width / shape.tp.max(1);
            let trains = shape.trains_feed_forward();
            items.push(item("shared experts", activated(shape, Activation::SwiGlu, [shape.tokens(), shared], trains)));
            let (rows, trains) = (load.n_rows(), shape.lora.is_none());
            let arrived = if shape.sends_fp8() { shape.fp8_width() } else { shape.kept_width() };
            let arrived = if trains { arrived } else { 0.0 };
            items.push(item("expert inputs", (rows * model.hidden) as f64 * arrived));
            items.push(item("experts", activated(shape, Activation::SwiGlu, [rows, experts.width], trains)));
        }
        _ => {
            let width = model.ffn / shape.tp.max(1);
            items.push(item(
                "feed-forward",
                activated(shape, model.activation, [shape.tokens(), width], shape.trains_feed_forward()),
            ));
        }
    }
    if shape.dropout {
        // One for each branch of the residual stream.
        items.push(item("dropout masks", stream / BF16 * 2.0 * MASK));
    }
    items
}

/// Results of the operations of a layer that are kept where the others are computed again.
fn operations(model: &Model, shape: &Shape, kind: LayerKind) -> Item {
    let passes = [step::attention(model, shape, kind), step::mlp(model, shape, kind, &Load::default())];
    let bytes = |op: &Op| match op.kind {
        OpKind::Gemm { m, n, .. } => (m * n) as f64 * BF16,
        OpKind::Attention { heads, queries, value, .. } => (heads * queries) as f64 * (value as f64 * BF16 + FP32),
        OpKind::Collective { axis: Axis::Tp, bytes, .. } => bytes.get() / shape.tp.max(1) as f64,
        OpKind::GroupedGemm { .. }
        | OpKind::CachedAttention { .. }
        | OpKind::Stream { .. }
        | OpKind::Collective { .. } => 0.0,
    };
    let of_segment = |passes: &Passes| -> f64 {
        let kept = step::kept_operations(&passes.forward);
        passes.forward.iter().zip(kept).filter(|(_, kept)| *kept).map(|(op, _)| bytes(op)).sum()
    };
    item("kept operations", passes.iter().map(of_segment).sum())
}

/// Outputs of the norms before attention and before the feed-forward part; a gate reads the latter in BF16 besides.
fn norm_outputs(model: &Model, shape: &Shape, kind: LayerKind) -> f64 {
    let gate = if kind == LayerKind::Moe && shape.kept_width() < BF16 { BF16 } else { 0.0 };
    let elements = (shape.tokens_sequence_parallel() * model.hidden) as f64;
    let latents = match model.attention {
        Attention::Mla { query_latent, kv_latent, .. } => query_latent + kv_latent,
        Attention::Gqa { .. } => 0,
    };
    let latents = (shape.tokens_sequence_parallel() * latents) as f64;
    let outputs = if shape.trains_feed_forward() { 2.0 } else { 1.0 };
    elements * (outputs * shape.kept_width() + gate) + latents * shape.kept_width()
}

fn attention(model: &Model, shape: &Shape, items: &mut Vec<Item>) {
    let tokens = shape.tokens() as f64;
    let (heads, value) = match model.attention {
        Attention::Mla { heads, query_latent, kv_latent, nope, rope, value } => {
            let own = shape.tokens_sequence_parallel() as f64;
            items.push(item("latents", own * (query_latent + kv_latent + rope) as f64 * BF16));
            let heads = heads / shape.tp.max(1);
            if !shape.recompute.mla_up {
                let each = 2 * (nope + rope) + value;
                items.push(item("queries, keys, values", tokens * (heads * each) as f64 * BF16));
            }
            (heads, value)
        }
        Attention::Gqa { heads, kv_heads, head, .. } => {
            let (heads, kv_heads) = (heads / shape.tp.max(1), kv_heads.div_ceil(shape.tp.max(1)));
            let each = (heads + 2 * kv_heads) * head;
            items.push(item("queries, keys, values", tokens * each as f64 * BF16));
            (heads, head)
        }
    };
    items.push(item("attention output", tokens * (heads * value) as f64 * kept_core_width(shape)));
    match shape.attention {
        // One FP32 logarithm of the softmax's sum a query and head.
        AttentionKernel::Fused => items.push(item("softmax sums", tokens * heads as f64 * FP32)),
        AttentionKernel::Unfused if shape.recompute.core => {}
        AttentionKernel::Unfused => {
            // Probabilities, and where there is dropout its mask and what is left of them.
            let width = if shape.dropout { 2.0 * BF16 + MASK } else { BF16 };
            items.push(item("attention scores", tokens * (heads * shape.sequence) as f64 * width));
        }
    }
}

/// The activation's input, and its output where it is not computed again and the layer after it has something to train.
fn activated(shape: &Shape, activation: Activation, [rows, width]: [u64; 2], trains: bool) -> f64 {
    let silu = activation == Activation::SwiGlu && shape.recipe.keeping.silu;
    let vectors = activation.inputs() + u64::from(trains && !shape.recompute.swiglu) + u64::from(silu);
    (rows * width * vectors) as f64 * shape.kept_width()
}

/// What a stage keeps of a chunk outside its layers: the two norm inputs of each MTP module (and their outputs, where
/// not computed again), the input of each use of the head, and its gradient or norm output.
pub(super) fn ends(model: &Model, shape: &Shape, stage: &Stage) -> f64 {
    let elements = (shape.tokens_sequence_parallel() * model.hidden) as f64;
    let again = shape.recompute.norm || shape.recompute.layers();
    let mtp = 2.0 * (BF16 + if again { 0.0 } else { shape.kept_width() });
    let output = if shape.logit_pieces > 1 || !again { BF16 } else { 0.0 };
    elements * (f64::from(stage.mtp) * mtp + f64::from(stage.heads) * (BF16 + output))
}

/// Bytes of logits: a use of the head and chunk, and at once. In one piece they are kept in FP32; in several one piece
/// is there at a time, with its BF16 gradient.
pub(super) fn logits(model: &Model, shape: &Shape) -> (f64, f64) {
    let elements = (shape.tokens() * model.vocabulary / shape.tp.max(1)) as f64;
    if shape.logit_pieces > 1 {
        (0.0, elements / shape.logit_pieces as f64 * (FP32 + BF16))
    } else {
        (elements * FP32, elements * shape.recipe.keeping.logit_bytes)
    }
}
