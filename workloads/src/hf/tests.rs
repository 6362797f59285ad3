//! Published files give the published sizes; mistakes are named, all at once.

use super::*;
use crate::fixtures::deepseek_v3;
use crate::model::{Attention, Gate};

const DEEPSEEK_V3: &str = r#"{
    "model_type": "deepseek_v3", "_name_or_path": "deepseek-v3", "num_hidden_layers": 61, "hidden_size": 7168,
    "intermediate_size": 18432, "vocab_size": 129280, "tie_word_embeddings": false, "num_attention_heads": 128,
    "num_key_value_heads": 128, "q_lora_rank": 1536, "kv_lora_rank": 512, "qk_nope_head_dim": 128,
    "qk_rope_head_dim": 64, "v_head_dim": 128, "first_k_dense_replace": 3, "moe_layer_freq": 1,
    "n_routed_experts": 256, "n_shared_experts": 1, "num_experts_per_tok": 8, "moe_intermediate_size": 2048,
    "n_group": 8, "topk_group": 4, "scoring_func": "sigmoid", "topk_method": "noaux_tc",
    "num_nextn_predict_layers": 1, "rope_theta": 10000 }"#;

fn read(text: &str) -> Model {
    from_config_json(text).unwrap_or_else(|error| panic!("{error}"))
}

fn billions(model: &Model) -> f64 {
    (model.params() as f64 / 1e7).round() / 100.0
}

#[test]
fn deepseek_v3_is_the_preset() {
    assert_eq!(read(DEEPSEEK_V3), deepseek_v3());
}

#[test]
fn kimi_k2_has_one_group_and_64_heads() {
    let text = DEEPSEEK_V3
        .replace("deepseek_v3", "kimi_k2")
        .replace("\"n_routed_experts\": 256", "\"n_routed_experts\": 384")
        .replace("\"n_group\": 8, \"topk_group\": 4", "\"n_group\": 1, \"topk_group\": 1")
        .replace("\"num_attention_heads\": 128", "\"num_attention_heads\": 64")
        .replace("\"first_k_dense_replace\": 3", "\"first_k_dense_replace\": 1")
        .replace("129280", "163840")
        .replace("\"num_nextn_predict_layers\": 1", "\"num_nextn_predict_layers\": 0");
    let model = read(&text);
    assert!((billions(&model) - 1026.0).abs() < 1.0, "{}", billions(&model));
}

#[test]
fn deepseek_v2_lite_projects_queries_directly() {
    let model = read(
        r#"{ "model_type": "deepseek_v2", "num_hidden_layers": 27, "hidden_size": 2048, "intermediate_size": 10944,
        "vocab_size": 102400, "num_attention_heads": 16, "q_lora_rank": null, "kv_lora_rank": 512,
        "qk_nope_head_dim": 128, "qk_rope_head_dim": 64, "v_head_dim": 128, "first_k_dense_replace": 1,
        "moe_layer_freq": 1, "n_routed_experts": 64, "n_shared_experts": 2, "num_experts_per_tok": 6,
        "moe_intermediate_size": 1408, "n_group": 1, "topk_group": 1, "scoring_func": "softmax",
        "topk_method": "greedy" }"#,
    );
    assert!(matches!(model.attention, Attention::Mla { query_latent: 0, .. }));
    assert_eq!((billions(&model), model.kv_bytes_per_token()), (15.71, 31_104));
    assert_eq!((model.active_params() as f64 / 1e7).round() / 100.0, 2.66);
}

#[test]
fn qwen3_235b_has_heads_wider_than_its_stream() {
    let model = read(
        r#"{ "model_type": "qwen3_moe", "num_hidden_layers": 94, "hidden_size": 4096, "intermediate_size": 12288,
        "vocab_size": 151936, "num_attention_heads": 64, "num_key_value_heads": 4, "head_dim": 128, "num_experts": 128,
        "num_experts_per_tok": 8, "moe_intermediate_size": 1536, "decoder_sparse_step": 1, "mlp_only_layers": [] }"#,
    );
    assert_eq!(billions(&model), 235.09);
    assert_eq!(model.kv_bytes_per_token(), 192_512);
}

#[test]
fn mixtral_8x22b_is_all_experts() {
    let model = read(
        r#"{ "model_type": "mixtral", "num_hidden_layers": 56, "hidden_size": 6144, "intermediate_size": 16384,
        "vocab_size": 32000, "num_attention_heads": 48, "num_key_value_heads": 8, "num_local_experts": 8,
        "num_experts_per_tok": 2 }"#,
    );
    assert_eq!(billions(&model), 140.62);
    let experts = model.experts.as_ref().expect("it has experts");
    assert_eq!((experts.gate, experts.node_limit, experts.groups), (Gate::Softmax, 1, 1));
}

#[test]
fn qwen2_1_5b_is_tied() {
    let model = read(
        r#"{ "model_type": "qwen2", "num_hidden_layers": 28, "hidden_size": 1536, "intermediate_size": 8960,
        "vocab_size": 151936, "num_attention_heads": 12, "num_key_value_heads": 2, "tie_word_embeddings": true }"#,
    );
    assert_eq!((model.params() as f64 / 1e6).round() / 1000.0, 1.544);
}

#[test]
fn qwen2_7b_has_biases() {
    let model = read(
        r#"{ "model_type": "qwen2", "num_hidden_layers": 28, "hidden_size": 3584, "intermediate_size": 18944,
        "vocab_size": 152064, "num_attention_heads": 28, "num_key_value_heads": 4 }"#,
    );
    assert_eq!((model.params() as f64 / 1e6).round() / 1000.0, 7.616);
}

#[test]
fn everything_missing_is_named() {
    let error = from_config_json(r#"{ "model_type": "llama", "hidden_size": "wide" }"#).expect_err("it is wrong");
    let text = error.to_string();
    for key in ["num_hidden_layers", "intermediate_size", "vocab_size", "num_attention_heads"] {
        assert!(text.contains(&format!("`{key}` is missing")), "{text}");
    }
    assert_eq!(error.problems.len(), 5, "each once: {text}");
    assert!(text.contains("`hidden_size` is \"wide\", not a whole number"), "{text}");
}

/// A file of a kind, with some more keys.
fn kind(kind: &str, more: &str) -> String {
    format!(
        r#"{{ "model_type": "{kind}", "num_hidden_layers": 4, "hidden_size": 4096, "intermediate_size": 8192, "vocab_size": 32000,
        "num_attention_heads": 64, "num_experts": 8, "num_local_experts": 8, "num_experts_per_tok": 2,
        "moe_intermediate_size": 512, "shared_expert_intermediate_size": 512{more} }}"#
    )
}

#[test]
fn what_a_file_leaves_out_is_what_transformers_takes() {
    let heads = |text: &str| match read(text).attention {
        Attention::Gqa { kv_heads, head, .. } => (kv_heads, head),
        Attention::Mla { .. } => panic!("{text}"),
    };
    for (name, kv_heads, head) in [
        ("llama", 64, 64),
        ("qwen2", 32, 64),
        ("qwen3", 32, 128),
        ("mixtral", 8, 64),
        ("qwen2_moe", 16, 64),
        ("qwen3_moe", 4, 64),
    ] {
        assert_eq!(heads(&kind(name, "")), (kv_heads, head), "{name}");
        assert_eq!(heads(&kind(name, r#", "num_key_value_heads": null, "head_dim": null"#)), (64, head), "{name}");
        assert_eq!(heads(&kind(name, r#", "num_key_value_heads": 2, "head_dim": 96"#)), (2, 96), "{name}");
    }
}

#[test]
fn python_writes_what_json_does_not_have() {
    let unknown = r#"{ "model_type": "nemotron_x", "time_step_limit": [0.0, Infinity], "b": -Infinity, "c": NaN }"#;
    let error = from_config_json(unknown).expect_err("not modeled").to_string();
    assert!(error.starts_with("unknown `model_type` `nemotron_x`"), "{error}");
    assert_eq!(read(&kind("llama", r#", "router_jitter": NaN"#)), read(&kind("llama", "")));
    let odd =
        from_config_json(&kind("llama", r#", "num_key_value_heads": Infinity"#)).expect_err("no count").to_string();
    assert!(odd.contains(r#"`num_key_value_heads` is "Infinity", not a whole number"#), "{odd}");
    assert_eq!(read(&format!("\u{feff}{}", kind("llama", ""))), read(&kind("llama", "")), "a byte-order mark");
}

#[test]
fn an_unknown_kind_lists_the_known() {
    let error = from_config_json(r#"{ "model_type": "gpt2" }"#).expect_err("not modeled");
    assert!(error.to_string().starts_with("unknown `model_type` `gpt2`; known are `deepseek_v2`"), "{error}");
    assert_eq!(from_config_json("{}").expect_err("empty").problems, [Problem::Missing("model_type")]);
    assert_eq!(from_config_json("[]").expect_err("a list").problems, [Problem::Object]);
    assert!(matches!(from_config_json("{").expect_err("cut").problems[0], Problem::Json(_)));
}

#[test]
fn what_is_not_modeled_is_refused() {
    let text = DEEPSEEK_V3.replace("\"moe_layer_freq\": 1", "\"moe_layer_freq\": 2");
    let error = from_config_json(&text).expect_err("every second layer");
    assert!(error.to_string().contains("`moe_layer_freq` is 2"), "{error}");
    let text = DEEPSEEK_V3.replace("\"topk_group\": 4", "\"topk_group\": 9");
    assert!(from_config_json(&text).expect_err("too many").to_string().contains("`model.node-limit` is 9"));
}
