//! Counting parameters, arithmetic and cache bytes.

use super::{Activation, Attention, Experts, Gate, LayerKind, Model};
use crate::step::HeldParams;

/// Weights of one attention block by what tensor parallelism does with them.
struct AttentionParams {
    split: u64,
    copied: u64,
    norms: u64,
}

impl Model {
    /// Whether every product of a layer has a bias, as in GPTs.
    #[must_use]
    pub fn has_biases(&self) -> bool {
        self.activation == Activation::Gelu && matches!(self.attention, Attention::Gqa { bias: true, .. })
    }

    /// What layer `index` (from zero) is.
    #[must_use]
    pub fn layer_kind(&self, index: u32) -> LayerKind {
        match &self.experts {
            Some(experts) if index >= experts.first_dense => LayerKind::Moe,
            _ => LayerKind::Dense,
        }
    }

    /// Parameters of the model, embedding and head included, without multi-token-prediction modules.
    #[must_use]
    pub fn params(&self) -> u64 {
        self.sum_layers(|kind| self.layer_params(kind)) + self.hidden + self.n_tables() * self.table_params()
    }

    /// Parameters a token touches, embedding and head included.
    #[must_use]
    pub fn active_params(&self) -> u64 {
        self.body_params() + self.n_tables() * self.table_params()
    }

    /// Parameters a token touches, without embedding and head.
    #[must_use]
    pub fn body_params(&self) -> u64 {
        self.sum_layers(|kind| self.layer_active_params(kind)) + self.hidden
    }

    /// Parameters of the multi-token-prediction modules that are their own: block, projection and norms (the last of
    /// them before the shared head).
    #[must_use]
    pub fn mtp_params(&self) -> u64 {
        let block = self.layer_params(self.layer_kind(self.layers));
        u64::from(self.mtp_modules) * (block + 2 * self.hidden * self.hidden + 3 * self.hidden)
    }

    /// Parameters of the embedding, and of the head.
    #[must_use]
    pub fn table_params(&self) -> u64 {
        self.vocabulary * self.hidden
    }

    /// Parameters of one layer.
    #[must_use]
    pub fn layer_params(&self, kind: LayerKind) -> u64 {
        let held = self.layer_params_held(kind, 1, 1);
        held.common + held.experts
    }

    /// Parameters of one layer a token touches.
    #[must_use]
    pub fn layer_active_params(&self, kind: LayerKind) -> u64 {
        let all = self.layer_params_held(kind, 1, 1);
        let picked = match (&self.experts, kind) {
            // The bias of the gate is added, not multiplied: it counts as touched too but is below a millionth.
            (Some(experts), LayerKind::Moe) => u64::from(experts.top_k) * self.expert_params(experts),
            _ => 0,
        };
        all.common + picked
    }

    /// Training arithmetic of a token, forward and backward, as MFU counts it:
    /// `6 (body + head) + 6 layers heads (qk + value) sequence c`, `c` = 1/2 if `causal` (half of the scores are never
    /// computed), else 1. In FLOP. Without MTP modules and recomputation, as the published MFU
    /// (arXiv:2505.09343 table 4).
    #[must_use]
    pub fn flops_per_token(&self, sequence: u64, causal: bool) -> f64 {
        let (heads, width) = match self.attention {
            Attention::Mla { heads, nope, rope, value, .. } => (heads, nope + rope + value),
            Attention::Gqa { heads, head, .. } => (heads, 2 * head),
        };
        let linear = 6.0 * (self.body_params() + self.table_params()) as f64;
        let scores = 6.0 * f64::from(self.layers) * heads as f64 * width as f64 * sequence as f64;
        linear + if causal { scores / 2.0 } else { scores }
    }

    /// Bytes of key-value cache a token takes in all layers, in BF16: the latent and the shared rotary key, or keys and
    /// values of every key-value head.
    #[must_use]
    pub fn kv_bytes_per_token(&self) -> u64 {
        let elements = match self.attention {
            Attention::Mla { kv_latent, rope, .. } => kv_latent + rope,
            Attention::Gqa { kv_heads, head, .. } => 2 * kv_heads * head,
        };
        u64::from(self.layers) * elements * 2
    }

    /// Parameters of one layer on one rank of `tp` and `ep`.
    pub(crate) fn layer_params_held(&self, kind: LayerKind, tp: u64, ep: u64) -> HeldParams {
        let attention = self.attention_params(tp);
        let linear = attention.split + attention.copied;
        let rest = attention.norms + 2 * self.hidden;
        match (&self.experts, kind) {
            (Some(experts), LayerKind::Moe) => {
                let one = self.expert_params(experts);
                let shared = u64::from(experts.shared) * one / tp;
                let routed = u64::from(experts.routed).div_ceil(ep) * one;
                HeldParams {
                    common: linear + rest + shared + self.gate_params(experts),
                    experts: routed,
                    linear: linear + shared + routed,
                }
            }
            _ => {
                let ffn = (self.activation.inputs() + 1) * self.hidden * self.ffn / tp;
                HeldParams { common: linear + rest + ffn, experts: 0, linear: linear + ffn }
            }
        }
    }

    /// Own parameters of one multi-token-prediction module on one rank of `tp` and `ep`.
    pub(crate) fn mtp_params_held(&self, tp: u64, ep: u64) -> HeldParams {
        let block = self.layer_params_held(self.layer_kind(self.layers), tp, ep);
        let project = 2 * self.hidden * self.hidden;
        HeldParams {
            common: block.common + project + 3 * self.hidden,
            experts: block.experts,
            linear: block.linear + project,
        }
    }

    fn attention_params(&self, tp: u64) -> AttentionParams {
        let d = self.hidden;
        match self.attention {
            Attention::Mla { heads, query_latent: q, kv_latent: kv, nope, rope, value } => {
                let query_inputs = if q == 0 { d } else { q };
                AttentionParams {
                    split: (query_inputs * heads * (nope + rope) + kv * heads * (nope + value) + heads * value * d)
                        / tp,
                    copied: d * q + d * (kv + rope),
                    norms: q + kv,
                }
            }
            Attention::Gqa { heads, kv_heads, head, bias, .. } => {
                let (heads, kv_heads) = (heads / tp, kv_heads.div_ceil(tp));
                let biases = if bias { (heads + 2 * kv_heads) * head } else { 0 };
                AttentionParams { split: 2 * d * heads * head + 2 * d * kv_heads * head, copied: 0, norms: biases }
            }
        }
    }

    fn expert_params(&self, experts: &Experts) -> u64 {
        3 * self.hidden * experts.width
    }

    /// The gate's matrix, and the selection bias of gates that are balanced without an auxiliary loss.
    fn gate_params(&self, experts: &Experts) -> u64 {
        let routed = u64::from(experts.routed);
        let bias = if experts.gate == Gate::Sigmoid { routed } else { 0 };
        self.hidden * routed + bias
    }

    /// Tables of the vocabulary: embedding and head, or one for both.
    fn n_tables(&self) -> u64 {
        if self.tied { 1 } else { 2 }
    }

    fn sum_layers(&self, of: impl Fn(LayerKind) -> u64) -> u64 {
        (0..self.layers).map(|index| of(self.layer_kind(index))).sum()
    }
}
