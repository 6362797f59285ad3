//! Laws of an iteration: sums over ops, limits of the formulas.

use super::*;
use crate::fixtures;
use crate::model::LayerKind;
use crate::op::{Op, OpKind};

fn layout(tp: u64, dp: u64, ep: u64) -> UnitLayout {
    UnitLayout {
        tp,
        dp,
        ep,
        redundant: 0,
        weights: LinearPrecision::Bf16,
        cached_width: 2,
        dispatcher: Dispatcher::NcclAllGather,
        casting: Casting::Kernel,
        recipe: Recipe::default(),
    }
}

fn decoding(requests: u64, queries: u64, each: u64) -> RankBatch {
    RankBatch { prompts: Vec::new(), decoding: Decoding { requests, queries, context: requests * each } }
}

fn prompt(tokens: u64, cached: u64) -> RankBatch {
    RankBatch { prompts: vec![PromptPart { tokens, cached }], decoding: Decoding::default() }
}

fn flops<'a>(ops: impl IntoIterator<Item = &'a Op>) -> f64 {
    ops.into_iter().map(|op| op.flops().get()).sum()
}

fn layer_flops(model: &Model, layout: &UnitLayout, batch: &RankBatch) -> f64 {
    let kind = LayerKind::Dense;
    let ffn = feed_forward(model, layout, kind, batch, &ExpertRows::default());
    flops(&attention(model, layout, batch)) + flops(&ffn.before)
}

#[test]
fn a_prompt_in_parts_computes_what_it_computes_whole() {
    let (model, layout) = (fixtures::llama_405b(), layout(1, 1, 1));
    let whole = layer_flops(&model, &layout, &prompt(4096, 0));
    let parts: f64 =
        [0, 1024, 2048, 3072].map(|cached| layer_flops(&model, &layout, &prompt(1024, cached))).iter().sum();
    assert!((parts / whole - 1.0).abs() < 1e-12, "{parts} {whole}");
}

#[test]
fn tensor_parallel_devices_share_the_arithmetic_evenly() {
    let model = fixtures::llama_405b();
    for batch in [prompt(512, 64), decoding(16, 2, 1000)] {
        let one = layer_flops(&model, &layout(1, 1, 1), &batch);
        let four = layer_flops(&model, &layout(4, 1, 1), &batch);
        assert!((4.0 * four / one - 1.0).abs() < 1e-12);
    }
}

#[test]
fn one_token_decoded_multiplies_every_weight_it_touches_once() {
    let model = fixtures::llama_405b();
    let batch = decoding(1, 1, 1);
    let products: f64 = attention(&model, &layout(1, 1, 1), &batch)
        .iter()
        .filter(|op| matches!(op.kind, OpKind::Gemm { .. }))
        .map(|op| op.flops().get())
        .sum();
    let Attention::Gqa { heads, kv_heads, head, .. } = model.attention else { panic!("grouped") };
    let weights = model.hidden * head * (2 * heads + 2 * kv_heads);
    assert_eq!(products, 2.0 * weights as f64);
}

#[test]
fn absorbed_attention_multiplies_as_projected_attention_of_one_key() {
    // Of one query and one key both forms compute q W k: the absorbed form once through each factor.
    let model = fixtures::deepseek_v3();
    let layout = layout(1, 1, 1);
    let Attention::Mla { heads, kv_latent, nope, rope, value, .. } = model.attention else { panic!("latent") };
    let ops = attention(&model, &layout, &decoding(1, 1, 1));
    let of = |name: &str| flops(ops.iter().filter(|op| op.name == name));
    assert_eq!(of("query-absorb") + of("value-absorb"), 2.0 * (heads * kv_latent * (nope + value)) as f64);
    assert_eq!(of("decode-attention"), 2.0 * (heads * (2 * kv_latent + rope)) as f64);
}

#[test]
fn few_tokens_hit_few_experts_and_many_hit_all() {
    let model = fixtures::deepseek_v3();
    let experts = model.experts.clone().expect("experts");
    let rows = |tokens| ExpertRows::fullest(&experts, [1, 0], tokens, Popularity::default());
    assert_eq!(rows(1).rows, vec![1; 8]);
    for tokens in [1, 4, 16, 64, 256, 4096] {
        let hit = 256.0 * (1.0 - (1.0 - 8.0 / 256.0_f64).powf(tokens as f64));
        let rows = rows(tokens);
        assert_eq!(rows.rows.len() as f64, hit.round(), "{tokens}");
        assert_eq!(rows.n_rows(), tokens * 8, "{tokens}");
        assert!(rows.rows.iter().all(|rows| *rows > 0));
    }
}

#[test]
fn the_fullest_of_many_ranks_has_more_than_its_share_and_never_more_than_all() {
    let model = fixtures::deepseek_v3();
    let experts = model.experts.clone().expect("experts");
    for tokens in [1, 32, 1000, 100_000] {
        let rows = ExpertRows::fullest(&experts, [32, 0], tokens, Popularity::default()).n_rows();
        assert!(rows as f64 >= (tokens * 8 / 32) as f64 && rows <= tokens * 8, "{tokens}: {rows}");
    }
    let many = ExpertRows::fullest(&experts, [32, 0], 10_000_000, Popularity::default()).n_rows();
    assert!((many as f64 / (10_000_000.0 * 8.0 / 32.0) - 1.0).abs() < 0.01, "fluctuations vanish");
}

#[test]
fn redundant_copies_lower_the_fullest_rank_of_skewed_experts() {
    let model = fixtures::deepseek_v3();
    let experts = model.experts.clone().expect("experts");
    let popularity = Popularity { skew: 1.0, seed: 1 };
    let rows = |redundant| ExpertRows::fullest(&experts, [32, redundant], 100_000, popularity).n_rows() as f64;
    let mean = 100_000.0 * 8.0 / 32.0;
    assert!(rows(0) > 1.3 * mean && rows(32) < rows(0) && rows(32) >= mean, "{} {} {mean}", rows(0), rows(32));
}

#[test]
fn devices_hold_the_model_between_them() {
    let (llama, v3) = (fixtures::llama_405b(), fixtures::deepseek_v3());
    let held = |model: &Model, layout: &UnitLayout| {
        let UnitFootprint { weights, tables, .. } = unit_footprint(model, layout);
        (weights + tables).get() * layout.n_ranks() as f64 / 2.0
    };
    let one = held(&llama, &layout(1, 1, 1));
    assert!((one / llama.params() as f64 - 1.0).abs() < 1e-4);
    // Norms and gates are copied, and attention where it is data parallel.
    assert!((held(&llama, &layout(4, 1, 1)) / one - 1.0).abs() < 1e-3);
    let v3_one = held(&v3, &layout(1, 1, 1));
    assert!(held(&v3, &layout(8, 1, 8)) >= v3_one);
    let redundant = UnitLayout { redundant: 32, ..layout(1, 32, 32) };
    let more = unit_footprint(&v3, &redundant).weights.get() - unit_footprint(&v3, &layout(1, 32, 32)).weights.get();
    assert_eq!(more, 58.0 * 3.0 * 7168.0 * 2048.0 * 2.0, "one more expert per rank and layer");
    assert_eq!(unit_footprint(&v3, &redundant).cache_per_token.get(), v3.kv_bytes_per_token() as f64);
}

#[test]
fn layouts_that_do_not_divide_are_named() {
    let v3 = fixtures::deepseek_v3();
    let keys = |layout: UnitLayout| layout.check(&v3).iter().map(UnitLayoutError::key).collect::<Vec<_>>();
    assert_eq!(keys(layout(8, 1, 8)), Vec::<&str>::new());
    assert_eq!(keys(layout(3, 1, 1)), vec!["serve.tp"; 2]);
    assert_eq!(keys(layout(1, 8, 4)), vec!["serve.ep"]);
    assert_eq!(layout(1, 1, 8).check(&fixtures::llama_405b()).len(), 1);
}
