//! Models the tests of this crate share.

use crate::model::{Activation, Attention, Experts, Gate, GroupScore, Model};

const V3_ATTENTION: Attention =
    Attention::Mla { heads: 128, query_latent: 1536, kv_latent: 512, nope: 128, rope: 64, value: 128 };

pub(crate) fn deepseek_v3() -> Model {
    Model {
        name: "deepseek-v3".to_owned(),
        layers: 61,
        hidden: 7168,
        ffn: 18432,
        activation: Activation::SwiGlu,
        vocabulary: 129_280,
        tied: false,
        attention: V3_ATTENTION,
        experts: Some(Experts {
            first_dense: 3,
            routed: 256,
            shared: 1,
            top_k: 8,
            width: 2048,
            groups: 8,
            node_limit: 4,
            gate: Gate::Sigmoid,
            group_score: GroupScore::TopSum,
        }),
        mtp_modules: 1,
    }
}

pub(crate) fn deepseek_v2() -> Model {
    Model {
        name: "deepseek-v2".to_owned(),
        layers: 60,
        hidden: 5120,
        ffn: 12288,
        activation: Activation::SwiGlu,
        vocabulary: 102_400,
        tied: false,
        attention: V3_ATTENTION,
        experts: Some(Experts {
            first_dense: 1,
            routed: 160,
            shared: 2,
            top_k: 6,
            width: 1536,
            groups: 8,
            node_limit: 3,
            gate: Gate::Softmax,
            group_score: GroupScore::Max,
        }),
        mtp_modules: 0,
    }
}

pub(crate) fn llama_405b() -> Model {
    Model {
        name: "llama-3.1-405b".to_owned(),
        layers: 126,
        hidden: 16384,
        ffn: 53248,
        activation: Activation::SwiGlu,
        vocabulary: 128_256,
        tied: false,
        attention: Attention::Gqa { heads: 128, kv_heads: 8, head: 128, bias: false, rotary: true },
        experts: None,
        mtp_modules: 0,
    }
}

/// The 22B model of arXiv:2205.05198.
pub(crate) fn megatron_22b() -> Model {
    Model {
        name: "megatron-22b".to_owned(),
        layers: 48,
        hidden: 6144,
        ffn: 24576,
        activation: Activation::Gelu,
        vocabulary: 51_200,
        tied: true,
        attention: Attention::Gqa { heads: 64, kv_heads: 64, head: 96, bias: true, rotary: false },
        experts: None,
        mtp_modules: 0,
    }
}
