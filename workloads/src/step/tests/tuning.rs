//! Adapters, packed documents, and gradients of a scaled loss.

use super::*;
use crate::step::{Lora, LoraTargets};

fn bf16() -> Shape {
    Shape { ep: 1, linear: LinearPrecision::Bf16, recompute: Recompute::default(), ..published() }
}

fn tuned(targets: LoraTargets) -> Shape {
    Shape { lora: Some(Lora { rank: 16, targets }), ..bf16() }
}

fn bytes_of(op: &Op) -> f64 {
    let OpKind::Stream { reads, writes, .. } = op.kind else { panic!("{op:?}") };
    (reads + writes).get()
}

fn flops(ops: &[Op]) -> f64 {
    ops.iter().map(|op| op.flops().get()).sum()
}

/// Inputs and outputs of a layer's linear layers: of attention, and of the feed-forward network.
fn sides(model: &Model) -> [u64; 2] {
    let Attention::Gqa { heads, kv_heads, head, .. } = model.attention else { panic!("grouped attention") };
    let (hidden, ffn) = (model.hidden, model.ffn);
    let attention = (hidden + (heads + 2 * kv_heads) * head) + (heads * head + hidden);
    [attention, (hidden + 2 * ffn) + (ffn + hidden)]
}

#[test]
fn adapters_add_their_products_and_leave_no_gradient_of_a_frozen_weight() {
    let model = llama_405b();
    let [of_attention, of_feed_forward] = sides(&model);
    for (targets, sides) in [(LoraTargets::All, of_attention + of_feed_forward), (LoraTargets::Attention, of_attention)]
    {
        let shape = tuned(targets);
        let segments = |shape: &Shape| {
            [attention(&model, shape, LayerKind::Dense), mlp(&model, shape, LayerKind::Dense, &Load::default())]
        };
        let (with, without) = (segments(&shape), segments(&bf16()));
        let added = 2.0 * (shape.tokens() * 16 * sides) as f64;
        let sum =
            |passes: &[Passes; 2], of: fn(&Passes) -> &Vec<Op>| passes.iter().map(|all| flops(of(all))).sum::<f64>();
        assert_eq!(sum(&with, |passes| &passes.forward) - sum(&without, |passes| &passes.forward), added);
        let back = sum(&with, |passes| &passes.input_gradient) - sum(&without, |passes| &passes.input_gradient);
        assert!((back - added).abs() < 1e-9 * added, "{back} and {added}");
        assert_eq!(sum(&with, |passes| &passes.weight_gradient), added, "adapters alone");
    }
}

/// The update of a model that eight replicas hold whole.
fn update_of(shape: &Shape) -> Update {
    let model = llama_405b();
    let stages = default_stages(&model, 1);
    let held = stage_layers(&model, &stages);
    let parallel =
        Parallelism { pp: 1, dp: 8, cp: 1, tp: 1, ep: 1, stages, sharding: Sharding::Zero1, shard_ranks: None };
    let state = OptimizerState { moments: Moments::Fp32, master_weights: true };
    update(&model, &parallel, shape, state, &held, 1)
}

#[test]
fn adapters_alone_are_reduced_and_updated() {
    let model = llama_405b();
    let update = update_of(&tuned(LoraTargets::All));
    let trained = 16 * sides(&model).iter().sum::<u64>() * u64::from(model.layers);
    let [class] = &update.classes[..] else { panic!("one class: {:?}", update.classes) };
    assert_eq!(class.trained, trained);
    assert_eq!(class.params, trained + model.params());
    assert_eq!(class.gradient_bytes(Gradients::Fp32).get(), 4.0 * trained as f64);
}

#[test]
fn embedding_and_head_are_frozen_too() {
    let model = llama_405b();
    for shape in [tuned(LoraTargets::All), Shape { logit_pieces: 4, ..tuned(LoraTargets::All) }] {
        let all = [embedding(&model, &shape), head(&model, &shape)];
        let ops = all.iter().flat_map(|passes| passes.forward.iter().chain(&passes.weight_gradient));
        assert!(ops.clone().count() > 0 && ops.clone().all(|op| op.pass != Pass::WeightGradient));
    }
}

#[test]
fn equal_documents_divide_the_scores() {
    let model = llama_405b();
    let core = |documents: Vec<u64>| -> f64 {
        let shape = Shape { documents, ..bf16() };
        assert_eq!(shape.check(&model), []);
        let passes = attention(&model, &shape, LayerKind::Dense);
        passes.forward.iter().filter(|op| op.name == "attention-core").map(|op| op.flops().get()).sum()
    };
    let whole = core(Vec::new());
    assert_eq!(core(vec![4096]), whole);
    for n in [2, 4, 8] {
        assert_eq!(core(vec![4096 / n; n as usize]) * n as f64, whole);
    }
    // Scores grow with the square: 3072, 512 and 512 of 4096.
    assert_eq!(core(vec![3072, 512, 512]), whole * (36.0 + 1.0 + 1.0) / 64.0);
    let errors = |shape: Shape| shape.check(&model).len();
    assert_eq!(errors(Shape { documents: vec![4096, 1], ..bf16() }), 1);
    assert_eq!(errors(Shape { documents: vec![2048, 2048], cp: 2, ..bf16() }), 1);
}

#[test]
fn gradients_of_a_scaled_loss_are_scaled_back_on_the_shard() {
    let model = llama_405b();
    let bytes = |linear| {
        let update = update_of(&Shape { linear, ..bf16() });
        update.sharded.iter().map(bytes_of).sum::<f64>()
    };
    let more = bytes(LinearPrecision::Fp16) - bytes(LinearPrecision::Bf16);
    assert!((more - 8.0 * model.params().div_ceil(8) as f64).abs() < 1.0, "one read and one write of FP32: {more}");
}
