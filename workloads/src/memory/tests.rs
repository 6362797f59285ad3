//! The published job fits, item by item; policies move what they should.

use units::Bytes;

use super::*;
use crate::fixtures::{deepseek_v3, llama_405b};
use crate::model::LayerKind;
use crate::op::LinearPrecision;
use crate::parallel::{Sharding, default_stages, stage_layers};
use crate::recipe::{Keeping, Recipe};
use crate::step::{AttentionKernel, Casting, Dispatcher, Gradients, Moments, Recompute};

fn published() -> Shape {
    Shape {
        sequence: 4096,
        micro_batch: 1,
        tp: 1,
        cp: 1,
        ep: 64,
        linear: LinearPrecision::Fp8Block,
        recompute: Recompute { norm: true, mla_up: true, swiglu: true, ..Recompute::default() },
        keep_fp8: true,
        forward_left: false,
        dispatch_fp8: true,
        dispatcher: Dispatcher::DeepEp,
        casting: Casting::Kernel,
        transposed_reads: false,
        logit_pieces: 1,
        sequence_parallel: true,
        attention: AttentionKernel::Fused,
        dropout: false,
        gradients: Gradients::Fp32,
        accumulates: true,
        ring_attention: false,
        overlaps_tensor: false,
        lora: None,
        documents: Vec::new(),
        recipe: Recipe::default(),
    }
}

/// The footprint of pipeline rank `rank` of 16 under DualPipe: stage `rank` of one direction, `15 - rank` of the other,
/// with `16 - rank` and `rank + 1` chunks in flight.
fn dual_pipe(shape: &Shape, rank: u32) -> Footprint {
    with_bf16_weights(shape, rank, false)
}

fn with_bf16_weights(shape: &Shape, rank: u32, keep_bf16_weights: bool) -> Footprint {
    let model = deepseek_v3();
    let stages = default_stages(&model, 16);
    let layers = stage_layers(&model, &stages);
    let parallel =
        Parallelism { pp: 16, dp: 128, cp: 1, tp: 1, ep: 64, stages, sharding: Sharding::Zero1, shard_ranks: None };
    let load = Load::balanced(&model, shape);
    let held = [(rank, 16 - rank), (15 - rank, rank + 1)]
        .map(|(stage, chunks)| Held { stage: layers[stage as usize].clone(), chunks });
    let reserved = Bytes::new(2e9);
    let job = FootprintInput {
        model: &model,
        parallel: &parallel,
        shape,
        load: &load,
        copies: 2,
        keep_bf16_weights,
        optimizer: OptimizerState { moments: Moments::Bf16, master_weights: true },
        overlaps: true,
        defers: true,
        reserved,
    };
    footprint(&job, &held)
}

fn of(footprint: &Footprint, name: &str) -> f64 {
    let item = footprint.items.iter().find(|item| item.name == name);
    item.unwrap_or_else(|| panic!("no item `{name}`")).bytes.get()
}

#[test]
fn the_published_job_fits_80_gb() {
    for rank in 0..16 {
        let footprint = dual_pipe(&published(), rank);
        assert!(footprint.total() < Bytes::new(80e9), "rank {rank}: {:#?}", footprint.items);
        // With the BF16 weights kept beside the FP8 ones it still fits what the device really has.
        let more = with_bf16_weights(&published(), rank, true);
        assert!(more.total() < Bytes::new(80.0 * 1024.0 * 1024.0 * 1024.0), "rank {rank}: {:#?}", more.items);
    }
}

#[test]
fn a_layer_of_experts_keeps_what_was_counted_by_hand() {
    let (model, shape) = (deepseek_v3(), published());
    let items = kept(&model, &shape, LayerKind::Moe, &Load::balanced(&model, &shape));
    let norms = 2 * 2 * 7168;
    let latents = 2 * (1536 + 576);
    let core = 16384 * 49 / 32 + 4 * 128;
    let gate = 256 * 4 + 8 * 12;
    let swiglu = 4096 * 33 / 32;
    let token = norms + latents + core + gate + swiglu + 8 * (7392 + swiglu);
    assert_eq!(super::sum(&items), f64::from(token * 4096));
}

#[test]
fn states_follow_the_parameters() {
    let footprint = with_bf16_weights(&published(), 7, true);
    let model = deepseek_v3();
    let expert = 8.0 * 4.0 * 3.0 * 7168.0 * 2048.0;
    let common = 8.0 * model.layer_params(LayerKind::Moe) as f64 - 64.0 * expert;
    assert_eq!(of(&footprint, "weights"), 2.0 * (expert + common));
    assert_eq!(of(&footprint, "gradients"), 4.0 * (expert + common));
    assert!((of(&footprint, "optimizer") - 8.0 * (expert / 4.0 + common / 256.0)).abs() < 16.0);
}

#[test]
fn every_policy_of_keeping_costs_memory_when_it_is_given_up() {
    let least = dual_pipe(&published(), 7).total();
    let all = published().recompute;
    let less = [
        Shape { recompute: Recompute { norm: false, ..all }, ..published() },
        Shape { recompute: Recompute { mla_up: false, ..all }, ..published() },
        Shape { recompute: Recompute { swiglu: false, ..all }, ..published() },
        Shape { keep_fp8: false, ..published() },
    ];
    for shape in less {
        assert!(dual_pipe(&shape, 7).total() > least, "{shape:?}");
    }
    let full = Shape { recompute: Recompute { full: true, ..all }, ..published() };
    assert!(dual_pipe(&full, 7).total() < least);
}

#[test]
fn pieces_of_logits_divide_them() {
    let whole = of(&dual_pipe(&published(), 0), "logits");
    let pieces = of(&dual_pipe(&Shape { logit_pieces: 16, ..published() }, 0), "logits");
    // Two heads keep FP32 logits; one of them has their gradient in BF16 beside them.
    assert_eq!(whole, (2.0 * 4.0 + 2.0) * 4096.0 * 129_280.0);
    assert_eq!(pieces, 6.0 * 256.0 * 129_280.0);
}

#[test]
fn tensor_parallel_divides_a_dense_layer() {
    let model = llama_405b();
    let one = Shape { ep: 1, linear: LinearPrecision::Bf16, ..published() };
    let eight = Shape { tp: 8, ..one.clone() };
    let bytes = |shape: &Shape| super::sum(&kept(&model, shape, LayerKind::Dense, &Load::default()));
    assert_eq!(bytes(&one), 8.0 * bytes(&eight));
}

/// A dense model on one rank under a stack that frees its gradients, by recomputation and micro-batches.
fn dense(full: bool, accumulates: bool) -> Footprint {
    let model = llama_405b();
    let keeping = Keeping { logit_bytes: 16.0, silu: true, frees_gradients: true };
    let shape = Shape {
        ep: 1,
        micro_batch: 8,
        linear: LinearPrecision::Bf16,
        recompute: Recompute { full, ..Recompute::default() },
        gradients: Gradients::Bf16,
        accumulates,
        recipe: Recipe { keeping, ..Recipe::default() },
        ..published()
    };
    let stages = default_stages(&model, 1);
    let layers = stage_layers(&model, &stages);
    let parallel =
        Parallelism { pp: 1, dp: 1, cp: 1, tp: 1, ep: 1, stages, sharding: Sharding::None, shard_ranks: None };
    let job = FootprintInput {
        model: &model,
        parallel: &parallel,
        shape: &shape,
        load: &Load::default(),
        copies: 1,
        keep_bf16_weights: true,
        optimizer: OptimizerState { moments: Moments::Bf16, master_weights: false },
        overlaps: false,
        defers: false,
        reserved: Bytes::new(0.0),
    };
    footprint(&job, &[Held { stage: layers[0].clone(), chunks: 1 }])
}

#[test]
fn freed_gradients_are_there_only_when_the_fullest_moment_is_before_the_update() {
    // Whole layers kept: fullest in the loss, with four FP32 tensors of logits and no gradient.
    let kept = dense(false, false);
    assert_eq!(of(&kept, "gradients"), 0.0);
    assert_eq!(of(&kept, "logits"), 16.0 * 8.0 * 4096.0 * llama_405b().vocabulary as f64);
    // Little kept: fullest with all gradients and no activation.
    let least = dense(true, false);
    assert_eq!(of(&least, "gradients"), of(&least, "weights"));
    assert_eq!(of(&least, "activations of layers"), 0.0);
    // A second micro-batch adds to gradients that are there.
    let again = dense(false, true);
    assert_eq!(of(&again, "gradients"), of(&again, "weights"));
    assert_eq!(of(&again, "activations of layers"), of(&kept, "activations of layers"));
}
