//! Closed forms by hand for the published shapes, and laws for every model and policy.

mod stacks;
mod tuning;

use units::Bytes;

use super::*;
use crate::fixtures::{deepseek_v2, deepseek_v3, llama_405b};
use crate::kernel::StreamKernel as Stream;
use crate::model::Attention;
use crate::op::{Alignment, Axis, Collective, LinearPrecision, OpKind, Output, Pass, Precision};
use crate::parallel::{Parallelism, Sharding, default_stages, stage_layers};
use crate::recipe::{MemoryOp, Projections, Recipe};

const T: u64 = 4096;
const D: u64 = 7168;

fn published() -> Shape {
    Shape {
        sequence: T,
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

fn layer(model: &Model, shape: &Shape, kind: LayerKind) -> Passes {
    let mut all = attention(model, shape, kind);
    let rest = mlp(model, shape, kind, &Load::balanced(model, shape));
    all.forward.extend(rest.forward);
    all.input_gradient.extend(rest.input_gradient);
    all.weight_gradient.extend(rest.weight_gradient);
    all
}

fn gemm_flops(ops: &[Op], pass: Pass) -> f64 {
    ops.iter()
        .filter(|op| op.pass == pass && !matches!(op.kind, OpKind::Attention { .. }))
        .map(|op| op.flops().get())
        .sum()
}

/// Sizes of the product `name` in a list, and the bytes a weight of its output costs.
fn sizes(ops: &[Op], name: &str, pass: Pass) -> (u64, u64, u64, Precision, Output) {
    let op = ops.iter().find(|op| {
        op.name == name && op.pass == pass && matches!(op.kind, OpKind::Gemm { .. } | OpKind::GroupedGemm { .. })
    });
    match op.map(|op| &op.kind) {
        Some(OpKind::Gemm { m, n, k, precision, output }) => (*m, *n, *k, *precision, *output),
        Some(OpKind::GroupedGemm { tokens, n, k, precision, output }) => {
            (tokens.iter().sum(), *n, *k, *precision, *output)
        }
        _ => panic!("no product `{name}`"),
    }
}

fn bytes(ops: &[Op], name: &str, pass: Pass, kind: Stream) -> (f64, f64) {
    let found = ops.iter().filter(|op| op.name == name && op.pass == pass).find_map(|op| match op.kind {
        OpKind::Stream { kernel, reads, writes, .. } if kernel == kind => Some((reads.get(), writes.get())),
        _ => None,
    });
    found.unwrap_or_else(|| panic!("no {kind:?} `{name}`"))
}

#[test]
fn the_products_of_deepseek_v3_have_the_published_shapes() {
    use Precision::{Bf16, Fp8Block, Fp8Tile};
    let passes = attention(&deepseek_v3(), &published(), LayerKind::Moe);
    let forward = |name| sizes(&passes.forward, name, Pass::Forward);
    assert_eq!(forward("query-down"), (T, 1536, D, Fp8Block, Output::Bf16));
    assert_eq!(forward("query-up"), (T, 24576, 1536, Fp8Block, Output::Bf16));
    assert_eq!(forward("key-value-down"), (T, 576, D, Fp8Block, Output::Bf16));
    assert_eq!(forward("key-value-up"), (T, 32768, 512, Fp8Block, Output::Bf16));
    assert_eq!(forward("output-projection"), (T, D, 16384, Fp8Block, Output::Bf16));
    assert_eq!(forward("gate"), (T, 256, D, Bf16, Output::Fp32));
    let back = |name| sizes(&passes.input_gradient, name, Pass::InputGradient);
    assert_eq!(back("query-up"), (T, 1536, 24576, Fp8Block, Output::Bf16));
    assert_eq!(back("key-value-up"), (T, 512, 32768, Fp8Block, Output::Bf16));
    let weight = sizes(&passes.weight_gradient, "output-projection", Pass::WeightGradient);
    assert_eq!(weight, (D, 16384, T, Fp8Tile, Output::AccumulateFp32));
}

#[test]
fn experts_are_grouped_by_the_load_that_arrives() {
    let load = Load { received: 28_984, rows: vec![7_000, 8_000, 0, 9_000] };
    let passes = mlp(&deepseek_v3(), &published(), LayerKind::Moe, &load);
    let forward = sizes(&passes.forward, "expert-gate-up", Pass::Forward);
    assert_eq!(forward, (24_000, 4096, D, Precision::Fp8Block, Output::Bf16));
    let back = sizes(&passes.input_gradient, "expert-down", Pass::InputGradient);
    assert_eq!(back, (24_000, 2048, D, Precision::Fp8Block, Output::Bf16));
    let permute = bytes(&passes.forward, "expert-permute", Pass::Forward, Stream::Permute);
    assert_eq!(permute, (28_984.0 * 7392.0, 24_000.0 * 7392.0));
    let sum = bytes(&passes.forward, "expert-sum", Pass::Forward, Stream::Unpermute);
    assert_eq!(sum, (24_000.0 * 14336.0, 28_984.0 * 14336.0));
}

#[test]
fn ops_do_not_depend_on_the_load_but_for_sizes() {
    let (model, shape) = (deepseek_v3(), published());
    let names = |load: &Load| {
        let passes = mlp(&model, &shape, LayerKind::Moe, load);
        [passes.forward, passes.input_gradient, passes.weight_gradient]
            .map(|ops| ops.iter().map(|op| (op.name, op.pass)).collect::<Vec<_>>())
    };
    assert_eq!(names(&Load { received: 0, rows: vec![0; 4] }), names(&Load::balanced(&model, &shape)));
}

#[test]
fn a_forward_pass_is_two_flops_a_touched_weight_and_token() {
    for model in [deepseek_v3(), deepseek_v2(), llama_405b()] {
        let ep = if model.experts.is_some() { 8 } else { 1 };
        let shape = Shape { ep, ..published() };
        for kind in [LayerKind::Dense, LayerKind::Moe] {
            if kind == LayerKind::Moe && model.experts.is_none() {
                continue;
            }
            let latents = match model.attention {
                Attention::Mla { query_latent, kv_latent, .. } => query_latent + kv_latent,
                Attention::Gqa { .. } => 0,
            };
            let bias = if kind == LayerKind::Moe && model.name == "deepseek-v3" { 256 } else { 0 };
            let weights = model.layer_active_params(kind) - 2 * model.hidden - latents - bias;
            let expected = 2.0 * (weights * T) as f64;
            let passes = layer(&model, &shape, kind);
            assert_eq!(gemm_flops(&passes.forward, Pass::Forward), expected, "{} {kind:?} forward", model.name);
            let input = gemm_flops(&passes.input_gradient, Pass::InputGradient);
            assert_eq!(input, expected, "{} {kind:?} input gradient", model.name);
            let weight = gemm_flops(&passes.weight_gradient, Pass::WeightGradient);
            assert_eq!(weight, expected, "{} {kind:?} weight gradient", model.name);
        }
    }
}

#[test]
fn a_whole_step_is_what_mfu_counts() {
    // Layers and one head, against the closed form a token; what differs is the embedding's absence and the norms.
    for model in [deepseek_v3(), llama_405b()] {
        let shape = Shape { ep: if model.experts.is_some() { 64 } else { 1 }, ..published() };
        let mut flops = 0.0;
        let mut add = |passes: Passes| {
            let all = [passes.forward, passes.input_gradient, passes.weight_gradient].concat();
            flops += all.iter().filter(|op| op.pass != Pass::Recompute).map(|op| op.flops().get()).sum::<f64>();
        };
        (0..model.layers).for_each(|index| add(layer(&model, &shape, model.layer_kind(index))));
        add(head(&model, &shape));
        // The core's backward computes the scores anew, which MFU does not count: qk more of 3 qk + 3 value.
        let (heads, qk) = match model.attention {
            Attention::Mla { heads, nope, rope, .. } => (heads, nope + rope),
            Attention::Gqa { heads, head, .. } => (heads, head),
        };
        let scores_again = u64::from(model.layers) * heads * qk * T * T;
        let expected = model.flops_per_token(T, true) * T as f64 + scores_again as f64;
        assert!((flops / expected - 1.0).abs() < 1e-4, "{}: {flops:e} is not {expected:e}", model.name);
    }
}

#[test]
fn recomputation_is_the_up_projections_and_no_other_product() {
    let passes = layer(&deepseek_v3(), &published(), LayerKind::Moe);
    let up = 2.0 * (T * (24576 * 1536 + 32768 * 512)) as f64;
    assert_eq!(gemm_flops(&passes.input_gradient, Pass::Recompute), up);
    let none = Shape { recompute: Recompute::default(), ..published() };
    let kept = layer(&deepseek_v3(), &none, LayerKind::Moe);
    assert!(kept.input_gradient.iter().all(|op| op.pass != Pass::Recompute));
    let full = Shape { recompute: Recompute { full: true, ..Recompute::default() }, ..published() };
    let again = layer(&deepseek_v3(), &full, LayerKind::Moe);
    assert_eq!(gemm_flops(&again.input_gradient, Pass::Recompute), gemm_flops(&again.forward, Pass::Forward));
}

#[test]
fn casts_move_the_bytes_of_tiles() {
    let passes = attention(&deepseek_v3(), &published(), LayerKind::Moe);
    let elements = (T * D) as f64;
    let (reads, writes) = bytes(&passes.forward, "attention-input", Pass::Forward, Stream::Cast);
    assert_eq!((reads, writes), (elements * 2.0, elements * (1.0 + 4.0 / 128.0)));
    // The core's output: E4M3 for the product and E5M6 to keep, a scale each.
    let (reads, writes) = bytes(&passes.forward, "attention-output", Pass::Forward, Stream::Cast);
    let elements = (T * 16384) as f64;
    assert_eq!((reads, writes), (elements * 2.0, elements * (2.5 + 8.0 / 128.0)));
    // A gradient is read once and written for both the input and the weight gradient.
    let (reads, writes) = bytes(&passes.input_gradient, "query-up-gradient", Pass::InputGradient, Stream::Cast);
    let elements = (T * 24576) as f64;
    assert_eq!((reads, writes), (elements * 2.0, elements * (2.0 + 8.0 / 128.0)));
}

#[test]
fn bf16_has_no_casts() {
    let shape = Shape { linear: LinearPrecision::Bf16, ..published() };
    for kind in [LayerKind::Dense, LayerKind::Moe] {
        let passes = layer(&deepseek_v3(), &shape, kind);
        for op in [passes.forward, passes.input_gradient, passes.weight_gradient].concat() {
            let cast = matches!(op.kind, OpKind::Stream { kernel: Stream::Cast | Stream::CastTranspose, .. });
            assert!(!cast, "{} {kind:?}", op.name);
        }
    }
}

#[test]
fn weight_gradients_are_products_alone() {
    let passes = layer(&deepseek_v3(), &published(), LayerKind::Moe);
    assert_eq!(passes.weight_gradient.len(), 10);
    for op in &passes.weight_gradient {
        assert_eq!(op.pass, Pass::WeightGradient, "{}", op.name);
        match op.kind {
            OpKind::Gemm { output, .. } | OpKind::GroupedGemm { output, .. } => {
                assert_eq!(output, Output::AccumulateFp32, "{}", op.name);
            }
            _ => panic!("`{}` is no product", op.name),
        }
    }
}

/// Every combination of the policies of keeping and recomputing.
fn policies() -> Vec<Shape> {
    let mut all = Vec::new();
    for bits in 0..32_u32 {
        let on = |bit: u32| bits & (1 << bit) != 0;
        let recompute = Recompute { norm: on(0), mla_up: on(1), swiglu: on(2), full: on(3), ..Recompute::default() };
        for linear in LinearPrecision::ALL {
            for dispatch_fp8 in [true, false] {
                all.push(Shape { recompute, keep_fp8: on(4), dispatch_fp8, linear, ep: 8, ..published() });
            }
        }
    }
    all
}

#[test]
fn no_policy_changes_the_arithmetic_but_for_what_runs_again() {
    let useful = |passes: &Passes| {
        [&passes.forward, &passes.input_gradient, &passes.weight_gradient].map(|ops| {
            let ops = ops.iter().filter(|op| op.pass != Pass::Recompute);
            ops.map(|op| op.flops().get()).sum::<f64>()
        })
    };
    for model in [deepseek_v3(), direct_queries()] {
        let expected = useful(&layer(&model, &Shape { ep: 8, ..published() }, LayerKind::Moe));
        for shape in policies() {
            assert_eq!(useful(&layer(&model, &shape, LayerKind::Moe)), expected, "{shape:?}");
        }
    }
}

#[test]
fn every_fp8_product_has_its_inputs_cast() {
    // Each weight gradient reads two 128x1 copies, each input gradient one 1x128 copy of a gradient; gradients come
    // with both.
    for shape in policies().into_iter().filter(|shape| shape.fp8() && !shape.recompute.full) {
        for kind in [LayerKind::Dense, LayerKind::Moe] {
            let passes = layer(&deepseek_v3(), &shape, kind);
            let written: f64 = passes.input_gradient.iter().map(|op| fp8_written(op, &shape)).sum();
            let read: f64 = passes.weight_gradient.iter().map(operands).sum();
            assert!(written >= read, "{shape:?} {kind:?}: {written} bytes of copies, {read} read");
        }
    }
}

/// FP8 elements a cast, transpose or activation of the backward pass writes at most.
fn fp8_written(op: &Op, shape: &Shape) -> f64 {
    match op.kind {
        OpKind::Stream { kernel: Stream::Cast | Stream::CastTranspose | Stream::SwiGlu, writes, .. } => {
            writes.get() / shape.fp8_width()
        }
        _ => 0.0,
    }
}

/// Elements of both operands of an FP8 weight gradient. Query-down and key-value-down share theirs.
fn operands(op: &Op) -> f64 {
    match &op.kind {
        OpKind::Gemm { precision: Precision::Bf16, .. } => 0.0,
        OpKind::Gemm { m, k, .. } if op.name == "query-down" => (m * k) as f64,
        OpKind::Gemm { m, n, k, .. } => ((m + n) * k) as f64,
        OpKind::GroupedGemm { tokens, n, k, .. } => (tokens.iter().sum::<u64>() * (n + k)) as f64,
        _ => panic!("`{}` is no product", op.name),
    }
}

/// DeepSeek-V3 without a query latent, as V2-Lite has it.
fn direct_queries() -> Model {
    let attention = Attention::Mla { heads: 128, query_latent: 0, kv_latent: 512, nope: 128, rope: 64, value: 128 };
    Model { attention, ..deepseek_v3() }
}

#[test]
fn the_exchange_has_the_published_sizes() {
    let exchange = exchange(&deepseek_v3(), &published()).expect("experts are spread");
    assert_eq!(exchange.dispatch_bytes_per_token, Bytes::new(7392.0));
    assert_eq!(exchange.combine_bytes_per_token, Bytes::new(14336.0));
    let bf16 = Shape { linear: LinearPrecision::Bf16, ..published() };
    let wide = super::exchange(&deepseek_v3(), &bf16).expect("experts are spread");
    assert_eq!(wide.dispatch_bytes_per_token, Bytes::new(14336.0));
    assert_eq!(super::exchange(&llama_405b(), &Shape { ep: 1, ..published() }), None);
    assert_eq!(point_to_point(&deepseek_v3(), &published()), Bytes::new((T * D * 2) as f64));
}

#[test]
fn tensor_parallel_gathers_and_scatters_twice_a_pass() {
    let shape = Shape { tp: 8, ep: 1, linear: LinearPrecision::Bf16, ..published() };
    let model = llama_405b();
    let passes = layer(&model, &shape, LayerKind::Dense);
    let of = |ops: &[Op], collective| {
        let found = ops.iter().filter_map(|op| match op.kind {
            OpKind::Collective { axis: Axis::Tp, what, bytes } if what == collective => Some(bytes),
            _ => None,
        });
        found.collect::<Vec<_>>()
    };
    let whole = Bytes::new((T * model.hidden * 2) as f64);
    assert_eq!(of(&passes.forward, Collective::AllGather), vec![whole; 2]);
    assert_eq!(of(&passes.forward, Collective::ReduceScatter), vec![whole; 2]);
    // Two for the gradients, two for the weight gradients' inputs.
    assert_eq!(of(&passes.input_gradient, Collective::AllGather), vec![whole; 4]);
    assert_eq!(of(&passes.input_gradient, Collective::ReduceScatter), vec![whole; 2]);
}

#[test]
fn tensor_parallel_divides_the_products() {
    let (model, one) = (llama_405b(), Shape { ep: 1, ..published() });
    let eight = Shape { tp: 8, ..one.clone() };
    for pick in [|p: Passes| p.forward, |p: Passes| p.input_gradient, |p: Passes| p.weight_gradient] {
        let [whole, part] = [&one, &eight].map(|shape| {
            let ops = pick(layer(&model, shape, LayerKind::Dense));
            ops.iter().map(|op| op.flops().get()).sum::<f64>()
        });
        assert_eq!(part * 8.0, whole);
    }
}

#[test]
fn context_parallel_gathers_keys_and_values() {
    let shape = Shape { cp: 4, ep: 1, sequence: 131_072, ..published() };
    let passes = attention(&llama_405b(), &shape, LayerKind::Dense);
    let gathered = Bytes::new((131_072 * 8 * 256 * 2) as f64);
    let kind = OpKind::Collective { axis: Axis::Cp, what: Collective::AllGather, bytes: gathered };
    assert!(passes.forward.iter().any(|op| op.kind == kind));
    let kind = OpKind::Collective { axis: Axis::Cp, what: Collective::ReduceScatter, bytes: gathered };
    assert!(passes.input_gradient.iter().any(|op| op.kind == kind));
}

#[test]
fn context_parallel_ranks_share_the_causal_triangle_evenly() {
    let model = llama_405b();
    let scores = |cp: u64| {
        let shape = Shape { cp, ep: 1, sequence: 131_072, ..published() };
        let ops = attention(&model, &shape, LayerKind::Dense).forward;
        let cores = ops.iter().filter(|op| matches!(op.kind, OpKind::Attention { .. }));
        cores.map(|op| op.flops().get()).sum::<f64>()
    };
    let (expected, actual) = (scores(1), scores(16) * 16.0);
    assert!((actual / expected - 1.0).abs() < 1e-12, "expected {expected}, actual {actual}");
}

#[test]
fn pieces_of_logits_move_the_work_and_do_not_add_to_it() {
    let flops = |pieces| {
        let passes = head(&deepseek_v3(), &Shape { logit_pieces: pieces, ..published() });
        let all = [passes.forward, passes.input_gradient, passes.weight_gradient].concat();
        all.iter().map(|op| op.flops().get()).sum::<f64>()
    };
    assert_eq!(flops(1), 6.0 * (T * D * 129_280) as f64);
    assert_eq!(flops(8), flops(1));
}

#[test]
fn the_optimizer_shards_experts_by_four_and_the_rest_by_256() {
    let model = deepseek_v3();
    let stages = default_stages(&model, 16);
    let held = stage_layers(&model, &stages);
    let parallel =
        Parallelism { pp: 16, dp: 128, cp: 1, tp: 1, ep: 64, stages, sharding: Sharding::Zero1, shard_ranks: None };
    // Ranks 7 and 8 hold the two middle stages of four layers of experts each, once in each direction.
    let update = update(
        &model,
        &parallel,
        &published(),
        OptimizerState { moments: Moments::Bf16, master_weights: true },
        &held[7..9],
        2,
    );
    assert_eq!(update.classes.len(), 2);
    let [common, experts] = [&update.classes[0], &update.classes[1]];
    assert_eq!((common.replicas, experts.replicas), (256, 4));
    assert_eq!(experts.params, 8 * 4 * 3 * D * 2048);
    assert_eq!(common.params + 64 * experts.params, 8 * model.layer_params(LayerKind::Moe));
    assert_eq!(experts.gradient_bytes(Gradients::Fp32), Bytes::new(4.0 * experts.params as f64));
    // All stages together hold the model once, MTP module and all.
    let all = held_params(&model, &Parallelism { ep: 1, ..parallel }, &held);
    assert_eq!(all.common + all.experts, model.params() + model.mtp_params());
}

#[test]
fn a_shape_that_does_not_fit_says_everything_that_is_wrong() {
    assert_eq!(published().check(&deepseek_v3()), []);
    let wrong = Shape { tp: 3, ep: 60, linear: LinearPrecision::Bf16, ..published() };
    let errors = wrong.check(&deepseek_v3());
    assert_eq!(errors.len(), 5, "{errors:?}");
    let zero = Shape { cp: 0, ..published() };
    assert_eq!(zero.check(&deepseek_v3()), [ShapeError::Zero("parallel.cp")]);
}

#[test]
fn the_number_of_tokens_is_free_of_alignment() {
    use Alignment::{Halves, Vectors, Words};
    let product = |[m, n, k]: [u64; 3], pass, precision| {
        Op::new("product", pass, OpKind::Gemm { m, n, k, precision, output: Output::Bf16 }).alignment()
    };
    // Rows, columns, inner side; forward in BF16 and FP8, the gradient of weights in BF16.
    for (sizes, bf16, fp8, weights) in [
        ([64, 64, 64], Vectors, Vectors, Vectors),
        ([65, 64, 64], Vectors, Vectors, Halves),
        ([64, 64, 65], Halves, Halves, Vectors),
        ([64, 72, 64], Vectors, Words, Vectors),
        ([64, 68, 64], Words, Words, Words),
        ([64, 66, 64], Words, Halves, Words),
        ([64, 66, 65], Halves, Halves, Words),
    ] {
        assert_eq!(product(sizes, Pass::Forward, Precision::Bf16), bf16, "{sizes:?}");
        assert_eq!(product(sizes, Pass::Forward, Precision::Fp8Block), fp8, "{sizes:?}");
        assert_eq!(product(sizes, Pass::WeightGradient, Precision::Bf16), weights, "{sizes:?}");
    }
}
