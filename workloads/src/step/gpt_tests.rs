//! A GPT layer against the closed forms of arXiv:2205.05198, with its letters: sequence `s`, micro-batch `b`, hidden size
//! `h`, `a` heads, tensor-parallel size `t`.

use super::*;
use crate::fixtures::megatron_22b;
use crate::memory::kept;
use crate::model::{Attention, Model};
use crate::op::{Collective, LinearPrecision, OpKind, Pass};

const S: u64 = 2048;
const B: u64 = 4;

fn shape(tp: u64, sequence_parallel: bool, recompute: Recompute) -> Shape {
    Shape {
        sequence: S,
        micro_batch: B,
        tp,
        cp: 1,
        ep: 1,
        linear: LinearPrecision::Bf16,
        recompute,
        keep_fp8: false,
        forward_left: false,
        dispatch_fp8: true,
        dispatcher: Dispatcher::DeepEp,
        casting: Casting::Kernel,
        transposed_reads: false,
        logit_pieces: 1,
        sequence_parallel,
        attention: AttentionKernel::Unfused,
        dropout: true,
        gradients: Gradients::Fp32,
        accumulates: true,
        ring_attention: false,
        overlaps_tensor: false,
        lora: None,
        documents: Vec::new(),
        recipe: crate::recipe::Recipe::default(),
    }
}

const NONE: Recompute =
    Recompute { norm: false, mla_up: false, swiglu: false, core: false, full: false, operations: false };
const SELECTIVE: Recompute = Recompute { core: true, ..NONE };
const FULL: Recompute = Recompute { full: true, ..NONE };

fn layer(shape: &Shape) -> Vec<Op> {
    let model = megatron_22b();
    let segments = [attention(&model, shape, LayerKind::Dense), mlp(&model, shape, LayerKind::Dense, &Load::default())];
    segments
        .into_iter()
        .flat_map(|passes| [passes.forward, passes.input_gradient, passes.weight_gradient].concat())
        .collect()
}

fn flops(ops: &[Op], pass: Pass) -> f64 {
    ops.iter().filter(|op| op.pass == pass).map(|op| op.flops().get()).sum()
}

#[test]
fn the_arithmetic_of_a_layer_is_the_published_sum() {
    let (s, b, h) = (S as f64, B as f64, megatron_22b().hidden as f64);
    let linear = 24.0 * b * s * h * h;
    let core = 4.0 * b * s * s * h;
    let ops = layer(&shape(1, true, NONE));
    assert_eq!(flops(&ops, Pass::Forward), linear + core);
    assert_eq!(flops(&ops, Pass::InputGradient), linear + 2.0 * core);
    assert_eq!(flops(&ops, Pass::WeightGradient), linear);
    assert_eq!(flops(&ops, Pass::Recompute), 0.0);
    assert_eq!(flops(&layer(&shape(1, true, SELECTIVE)), Pass::Recompute), core);
    assert_eq!(flops(&layer(&shape(1, true, FULL)), Pass::Recompute), linear + core);
    assert_eq!(flops(&layer(&shape(8, true, NONE)), Pass::Forward), (linear + core) / 8.0);
}

#[test]
fn the_activations_of_a_layer_are_the_published_bytes() {
    let model = megatron_22b();
    let (s, b, h, a) = (S as f64, B as f64, model.hidden as f64, 64.0);
    let bytes = |shape: &Shape| {
        let items = kept(&model, shape, LayerKind::Dense, &Load::default());
        items.iter().map(|item| item.bytes.get()).sum::<f64>()
    };
    let sbh = s * b * h;
    let scores = 5.0 * a * s / h;
    for (shape, expected) in [
        (shape(1, true, NONE), sbh * (34.0 + scores)),
        (shape(8, false, NONE), sbh * (10.0 + 24.0 / 8.0 + scores / 8.0)),
        (shape(8, true, NONE), sbh / 8.0 * (34.0 + scores)),
        (shape(8, true, SELECTIVE), sbh / 8.0 * 34.0),
        (shape(8, false, FULL), 2.0 * sbh),
    ] {
        let actual = bytes(&shape);
        assert!((actual / expected - 1.0).abs() < 1e-12, "expectation {expected}, actual {actual}: {shape:?}");
    }
}

#[test]
fn a_softmax_and_its_dropout_move_the_square_of_scores() {
    let ops = layer(&shape(8, true, NONE));
    let moved = |name: &str, pass| {
        let found = ops.iter().find(|op| op.name == name && op.pass == pass).map(|op| op.kind.clone());
        match found {
            Some(OpKind::Stream { reads, writes, .. }) => (reads.get(), writes.get()),
            other => panic!("`{name}` is {other:?}"),
        }
    };
    let square = (64 / 8 * B * S * S) as f64;
    assert_eq!(moved("attention-softmax", Pass::Forward), (square, 2.0 * square));
    assert_eq!(moved("attention-softmax", Pass::InputGradient), (2.0 * square, 2.0 * square));
    assert_eq!(moved("attention-dropout", Pass::Forward), (2.0 * square, 3.0 * square));
    assert_eq!(moved("attention-dropout", Pass::InputGradient), (3.0 * square, 2.0 * square));
    assert!(ops.iter().all(|op| op.name != "rope"), "learned positions do not turn");
}

#[test]
fn sequence_parallelism_splits_the_all_reduces_and_gathers_once_more() {
    let count = |shape: &Shape, pass, kind| {
        let is = |op: &&Op| op.pass == pass && matches!(op.kind, OpKind::Collective { what, .. } if what == kind);
        layer(shape).iter().filter(is).count()
    };
    let (without, with) = (shape(8, false, NONE), shape(8, true, NONE));
    for pass in [Pass::Forward, Pass::InputGradient] {
        assert_eq!(count(&without, pass, Collective::AllReduce), 2);
        assert_eq!(count(&with, pass, Collective::AllGather), 2);
        assert_eq!(count(&with, pass, Collective::ReduceScatter), 2);
        assert_eq!(count(&with, pass, Collective::AllReduce), 0);
    }
    assert_eq!(count(&without, Pass::Recompute, Collective::AllGather), 0);
    assert_eq!(count(&with, Pass::Recompute, Collective::AllGather), 2);
}

#[test]
fn the_22b_model_has_its_parameters() {
    let model = megatron_22b();
    let (layers, h, v) = (48.0, 6144.0, 51_200.0);
    let expected = 12.0 * layers * h * h * (1.0 + 13.0 / (12.0 * h) + v / (12.0 * h * layers));
    let actual = model.params() as f64;
    assert!((actual / expected - 1.0).abs() < 1e-3, "expectation {expected}, actual {actual}");
}

#[test]
fn stages_pass_on_shares_and_gather_them_where_ranks_hold_the_same_tokens() {
    let model = megatron_22b();
    let share = (S * B * model.hidden * 2 / 8) as f64;
    for sequence_parallel in [false, true] {
        let shape = shape(8, sequence_parallel, NONE);
        assert_eq!(point_to_point(&model, &shape).get(), share);
        let gathered = handed_over(&model, &shape);
        assert_eq!(gathered.forward.len() + gathered.input_gradient.len(), if sequence_parallel { 0 } else { 2 });
    }
}

/// Counts that no model has are refused before a list of their length is made.
#[test]
fn heads_are_refused_beyond_what_is_kept_apart() {
    const MOST: u64 = ShapeError::HEADS_MAX;
    let far = 1 << 32;
    let cases = [
        (MOST, 1, 1),
        (2 * MOST, 1, 2),
        (MOST / 2, 2, 1),
        (2 * MOST, 1, 1),
        (MOST, 2, 1),
        (far, 1, 1),
        (1, far, 1),
        (far, far, 1),
    ];
    for (heads, micro_batch, tp) in cases {
        let model = Model {
            attention: Attention::Gqa { heads, kv_heads: heads, head: 1, bias: false, rotary: false },
            ..megatron_22b()
        };
        let shape = Shape { sequence: tp, micro_batch, ..shape(tp, false, NONE) };
        let errors = shape.check(&model);
        let fits = u128::from(heads) * u128::from(micro_batch) <= u128::from(MOST * tp);
        assert_eq!(errors.is_empty(), fits, "{heads} heads x {micro_batch} over {tp}: {errors:?}");
        assert!(fits || errors.iter().all(|error| error.way_out().is_some()), "{errors:?}");
        let fused = Shape { attention: AttentionKernel::Fused, ..shape.clone() };
        assert_eq!(fused.check(&model), [], "a fused kernel keeps no head apart");
        if fits {
            let ops = attention(&model, &shape, LayerKind::Dense).forward;
            let listed = ops.iter().filter_map(|op| match &op.kind {
                OpKind::GroupedGemm { tokens, .. } => Some(tokens.len() as u64),
                _ => None,
            });
            assert_eq!(listed.collect::<Vec<_>>(), [heads * micro_batch / tp; 2]);
        }
    }
}

#[test]
fn scores_are_refused_beyond_what_is_counted() {
    for (sequence, fits) in [(1 << 20, true), (1 << 25, false), (1 << 32, false)] {
        let shape = Shape { sequence, micro_batch: 1, ..shape(1, false, NONE) };
        let errors = shape.check(&megatron_22b());
        assert_eq!(errors.is_empty(), fits, "{sequence} tokens: {errors:?}");
    }
}
