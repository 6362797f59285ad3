//! A model's dimensions, and what follows from them: parameters, arithmetic a token, cache bytes a token.

mod check;
mod count;

pub use check::ModelError;

/// What the second half of a layer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LayerKind {
    /// One feed-forward network for all tokens.
    Dense,
    /// Routed and shared experts.
    Moe,
}

/// A transformer's dimensions. Every leaf is a `model.*` key.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Model {
    /// Its name, for people.
    pub name: String,
    /// Transformer layers, dense and mixture-of-experts together.
    pub layers: u32,
    /// Width of the residual stream.
    pub hidden: u64,
    /// Width of a dense feed-forward layer.
    pub ffn: u64,
    /// What a feed-forward layer does between its products.
    pub activation: Activation,
    /// Vocabulary.
    pub vocabulary: u64,
    /// Whether embedding and head share weights.
    pub tied: bool,
    /// Attention.
    pub attention: Attention,
    /// Experts; `None` is a dense model.
    pub experts: Option<Experts>,
    /// Multi-token-prediction modules after the last layer.
    pub mtp_modules: u32,
}

/// What a feed-forward layer does between its products.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Activation {
    /// Gated: one half of the first product, through SiLU, times the other half. Three matrices.
    SwiGlu,
    /// Not gated. Two matrices; dense models only.
    Gelu,
}

impl Activation {
    /// Vectors of the layer's width that it reads for one that it writes: the outputs of the first product.
    #[must_use]
    pub fn inputs(self) -> u64 {
        match self {
            Self::SwiGlu => 2,
            Self::Gelu => 1,
        }
    }
}

/// Attention and its projections.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Attention {
    /// Multi-head latent attention.
    Mla {
        /// Query heads.
        heads: u64,
        /// Width of the query latent; zero: queries are projected directly.
        query_latent: u64,
        /// Width of the key-value latent.
        kv_latent: u64,
        /// Query-key width a head without position.
        nope: u64,
        /// Query-key width a head with rotary position, shared by all keys.
        rope: u64,
        /// Value width a head.
        value: u64,
    },
    /// Grouped-query attention; multi-head where `kv_heads` equals `heads`.
    Gqa {
        /// Query heads.
        heads: u64,
        /// Key-value heads.
        kv_heads: u64,
        /// Width of a head.
        head: u64,
        /// Whether query, key and value projections have biases.
        bias: bool,
        /// Whether queries and keys turn with their position; else positions are learned and added to the embedding.
        rotary: bool,
    },
}

/// Mixture-of-experts layers.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Experts {
    /// Leading layers that stay dense.
    pub first_dense: u32,
    /// Routed experts a layer.
    pub routed: u32,
    /// Shared experts a layer.
    pub shared: u32,
    /// Routed experts a token picks.
    pub top_k: u32,
    /// Width of one expert.
    pub width: u64,
    /// Groups the experts are split in for routing.
    pub groups: u32,
    /// Nodes a token may reach in training; `groups` is no limit. Key `model.node-limit`.
    pub node_limit: u32,
    /// How affinities become scores.
    pub gate: Gate,
    /// How a group is scored.
    pub group_score: GroupScore,
}

/// How affinities become scores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Gate {
    /// Each expert apart.
    Sigmoid,
    /// Over all experts.
    Softmax,
}

/// How a group of experts is scored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum GroupScore {
    /// The largest score in it.
    Max,
    /// The sum of its `top_k / node_limit` largest scores.
    TopSum,
}

#[cfg(test)]
mod tests;
