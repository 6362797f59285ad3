//! What each `model_type` calls its dimensions.

use super::Problem;
use super::fields::Fields;
use crate::model::{Activation, Attention, Experts, Gate, GroupScore, Model};

/// Kinds of model that can be read.
pub const MODEL_TYPES: [&str; 9] =
    ["deepseek_v2", "deepseek_v3", "kimi_k2", "llama", "mixtral", "qwen2", "qwen2_moe", "qwen3", "qwen3_moe"];

/// The model, to be used only where `fields` noted no problem; `None` where its kind is not known.
pub(super) fn model(fields: &mut Fields<'_>) -> Option<Model> {
    let Some(kind) = fields.text("model_type") else {
        fields.note(Problem::Missing("model_type"));
        return None;
    };
    let (attention, experts) = match kind {
        "deepseek_v2" | "deepseek_v3" | "kimi_k2" => (latent(fields), Some(deepseek(fields))),
        "llama" => (with_bias_key(fields, LLAMA), None),
        "qwen2" => (grouped(fields, true, QWEN2), None),
        "qwen3" => (with_bias_key(fields, QWEN3), None),
        "mixtral" => (grouped(fields, false, MIXTRAL), Some(mixtral(fields))),
        "qwen2_moe" => (grouped(fields, true, QWEN2_MOE), Some(qwen_experts(fields, true))),
        "qwen3_moe" => (with_bias_key(fields, QWEN3_MOE), Some(qwen_experts(fields, false))),
        _ => {
            fields.note(Problem::ModelType { found: kind.to_owned() });
            return None;
        }
    };
    Some(Model {
        name: fields.text("_name_or_path").unwrap_or(kind).to_owned(),
        layers: fields.small("num_hidden_layers"),
        hidden: fields.count("hidden_size"),
        ffn: fields.count("intermediate_size"),
        // Every kind above is gated.
        activation: Activation::SwiGlu,
        vocabulary: fields.count("vocab_size"),
        // None of these kinds ties by default.
        tied: fields.flag_or("tie_word_embeddings", false),
        attention,
        experts,
        mtp_modules: fields.small_or("num_nextn_predict_layers", 0),
    })
}

fn latent(fields: &mut Fields<'_>) -> Attention {
    Attention::Mla {
        heads: fields.count("num_attention_heads"),
        // Null where queries are projected directly.
        query_latent: fields.count_or("q_lora_rank", 0),
        kv_latent: fields.count("kv_lora_rank"),
        nope: fields.count("qk_nope_head_dim"),
        rope: fields.count("qk_rope_head_dim"),
        value: fields.count("v_head_dim"),
    }
}

fn deepseek(fields: &mut Fields<'_>) -> Experts {
    only_every_layer(fields, "moe_layer_freq");
    let gates = [("sigmoid", Gate::Sigmoid), ("softmax", Gate::Softmax)];
    let scores =
        [("noaux_tc", GroupScore::TopSum), ("group_limited_greedy", GroupScore::Max), ("greedy", GroupScore::Max)];
    Experts {
        first_dense: fields.small("first_k_dense_replace"),
        routed: fields.small("n_routed_experts"),
        shared: fields.small_or("n_shared_experts", 0),
        top_k: fields.small("num_experts_per_tok"),
        width: fields.count("moe_intermediate_size"),
        groups: fields.small("n_group"),
        node_limit: fields.small("topk_group"),
        gate: fields.word("scoring_func", &gates, "`sigmoid` or `softmax`").unwrap_or(Gate::Softmax),
        group_score: fields
            .word("topk_method", &scores, "`noaux_tc`, `group_limited_greedy` or `greedy`")
            .unwrap_or(GroupScore::Max),
    }
}

/// What `transformers` takes for a key that a file of this kind leaves out; `configuration_KIND.py` has it.
#[derive(Clone, Copy)]
struct Defaults {
    /// `num_key_value_heads`; none: as many as `num_attention_heads`, which is also what `null` means.
    kv_heads: Option<u64>,
    /// `head_dim`; none: `hidden_size / num_attention_heads`.
    head: Option<u64>,
}

const LLAMA: Defaults = Defaults { kv_heads: None, head: None };
const QWEN2: Defaults = Defaults { kv_heads: Some(32), head: None };
const QWEN3: Defaults = Defaults { kv_heads: Some(32), head: Some(128) };
const MIXTRAL: Defaults = Defaults { kv_heads: Some(8), head: None };
const QWEN2_MOE: Defaults = Defaults { kv_heads: Some(16), head: None };
const QWEN3_MOE: Defaults = Defaults { kv_heads: Some(4), head: None };

/// A kind whose files say whether projections have biases.
fn with_bias_key(fields: &mut Fields<'_>, defaults: Defaults) -> Attention {
    let bias = fields.flag_or("attention_bias", false);
    grouped(fields, bias, defaults)
}

fn grouped(fields: &mut Fields<'_>, bias: bool, defaults: Defaults) -> Attention {
    let heads = fields.count("num_attention_heads");
    let left_out = defaults.kv_heads.filter(|_| !fields.is_null("num_key_value_heads"));
    let kv_heads = fields.count_or("num_key_value_heads", left_out.unwrap_or(heads));
    let head = match defaults.head {
        Some(head) => fields.count_or("head_dim", head),
        None => {
            let hidden = fields.count_or("hidden_size", 0);
            let derived = hidden.checked_div(heads).unwrap_or(0);
            let head = fields.count_or("head_dim", derived);
            if head == derived && derived * heads != hidden {
                fields.wrong("num_attention_heads", "a divisor of `hidden_size`");
            }
            head
        }
    };
    Attention::Gqa { heads, kv_heads, head, bias, rotary: true }
}

fn mixtral(fields: &mut Fields<'_>) -> Experts {
    Experts { routed: fields.small("num_local_experts"), width: fields.count("intermediate_size"), ..plain(fields) }
}

fn qwen_experts(fields: &mut Fields<'_>, with_shared: bool) -> Experts {
    only_every_layer(fields, "decoder_sparse_step");
    if !fields.empty("mlp_only_layers") {
        fields.wrong("mlp_only_layers", "empty (dense layers among layers of experts are not modeled)");
    }
    let width = fields.count("moe_intermediate_size");
    let shared = if with_shared { fields.count("shared_expert_intermediate_size") } else { 0 };
    if width > 0 && !shared.is_multiple_of(width) {
        fields.wrong("shared_expert_intermediate_size", "a multiple of `moe_intermediate_size`");
    }
    Experts {
        routed: fields.small("num_experts"),
        shared: u32::try_from(shared.checked_div(width).unwrap_or(0)).unwrap_or(u32::MAX),
        width,
        ..plain(fields)
    }
}

/// Experts in every layer, chosen by softmax among all.
fn plain(fields: &mut Fields<'_>) -> Experts {
    Experts {
        first_dense: 0,
        routed: 0,
        shared: 0,
        top_k: fields.small("num_experts_per_tok"),
        width: 0,
        groups: 1,
        node_limit: 1,
        gate: Gate::Softmax,
        group_score: GroupScore::Max,
    }
}

fn only_every_layer(fields: &mut Fields<'_>, key: &'static str) {
    if fields.count_or(key, 1) != 1 {
        fields.wrong(key, "1 (dense layers among layers of experts are not modeled)");
    }
}
