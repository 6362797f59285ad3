//! What a device of a unit holds.

use units::Bytes;

use super::UnitLayout;
use crate::model::{Attention, LayerKind, Model};

/// What a device of a unit holds, and what a token of a request adds to it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct UnitFootprint {
    /// Weights of the layers.
    pub weights: Bytes,
    /// Embedding and head.
    pub tables: Bytes,
    /// Cache of one token in all layers.
    pub cache_per_token: Bytes,
    /// Activations of a token of the largest piece: what lives between two ops of a layer.
    pub activations_per_token: Bytes,
}

/// What a device of a unit holds of a model. Norms, gates and tables stay in BF16 whatever the linear layers are in.
#[must_use]
pub fn unit_footprint(model: &Model, layout: &UnitLayout) -> UnitFootprint {
    let (tp, ep) = (layout.tp, layout.ep);
    let mut weights = 0.0;
    for index in 0..model.layers {
        let kind = model.layer_kind(index);
        let held = model.layer_params_held(kind, tp, ep);
        let experts = expert_params(model, layout, kind).unwrap_or(held.experts);
        let linear = held.linear - held.experts + experts;
        weights +=
            linear as f64 * layout.weights.weight_width() + (held.common + held.experts - held.linear) as f64 * 2.0;
    }
    let tables = if model.tied && tp == 1 { 1 } else { 2 };
    UnitFootprint {
        weights: Bytes::new(weights),
        tables: Bytes::new((tables * model.table_params() / tp) as f64 * 2.0),
        cache_per_token: Bytes::new(cached_elements(model, tp) as f64 * layout.cached_width as f64),
        activations_per_token: Bytes::new(activations(model, layout)),
    }
}

/// Parameters of a device's experts with their redundant copies, or of its part of all; none in a dense layer.
fn expert_params(model: &Model, layout: &UnitLayout, kind: LayerKind) -> Option<u64> {
    let experts = model.experts.as_ref().filter(|_| kind == LayerKind::Moe)?;
    let slots = (u64::from(experts.routed) + layout.redundant).div_ceil(layout.ep);
    Some(slots * 3 * model.hidden * (experts.width / layout.expert_tp()))
}

/// Elements that a token caches on a device: the latent is the same for all heads, so that every device holds all of it.
fn cached_elements(model: &Model, tp: u64) -> u64 {
    let elements = match model.attention {
        Attention::Mla { kv_latent, rope, .. } => kv_latent + rope,
        Attention::Gqa { kv_heads, head, .. } => 2 * kv_heads.div_ceil(tp) * head,
    };
    u64::from(model.layers) * elements
}

/// Bytes of a token: the stream, its norm, and the widest of what a half of a layer puts between its products.
fn activations(model: &Model, layout: &UnitLayout) -> f64 {
    let attention = match model.attention {
        Attention::Mla { heads, query_latent, kv_latent, nope, rope, value } => {
            query_latent + kv_latent + rope + heads / layout.tp * (2 * (nope + rope) + 2 * value)
        }
        Attention::Gqa { heads, kv_heads, head, .. } => (2 * heads + 2 * kv_heads).div_ceil(layout.tp) * head,
    };
    let dense = 3 * model.ffn / layout.tp;
    let experts = model
        .experts
        .as_ref()
        .map_or(0, |experts| u64::from(experts.top_k) * (2 * model.hidden + 3 * experts.width / layout.expert_tp()));
    (2 * model.hidden + attention.max(dense).max(experts)) as f64 * 2.0
}
