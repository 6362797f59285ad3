//! One iteration of a serving unit: the ops of the rank that has most to do.
//!
//! A *unit* is a group of ranks that serve one copy of a model together. It has `dp` attention ranks of `tp` devices each, and its experts lie
//! on `ep` ranks. In an *iteration* every attention rank passes a [`RankBatch`] through all layers, forward alone: parts of prompts, the last
//! tokens of requests that are being decoded, or both.
//!
//! | model | prompt | decoding |
//! |---|---|---|
//! | grouped attention | attention of the part over what is cached and itself | [`OpKind::CachedAttention`](crate::op::OpKind::CachedAttention) over the caches |
//! | latent attention | keys and values are projected up, of the cached tokens too | absorbed: queries go down to the latent, which is key and value for all heads |
//!
//! Experts cost what they are: weights of those that some token picks, rows of the fullest rank ([`ExpertRows`]).
//!
//! Left out: norms of queries and keys, biases, what stands between vision and language.

mod attention;
mod ends;
mod experts;
mod feed_forward;
mod footprint;
mod latent;
mod list;

pub use attention::attention;
pub use ends::{after_layers, before_layers};
pub use experts::{ExpertRows, Popularity};
pub use feed_forward::{FeedForwardOps, feed_forward};
pub use footprint::{UnitFootprint, unit_footprint};

use crate::model::{Attention, Model};
use crate::op::LinearPrecision;
use crate::recipe::Recipe;
use crate::step::{Casting, Dispatcher};

/// How a copy of a model lies on the ranks that serve it.
#[derive(Clone, Debug, PartialEq)]
pub struct UnitLayout {
    /// Devices that share the heads of an attention rank.
    pub tp: u64,
    /// Attention ranks, each with requests of its own.
    pub dp: u64,
    /// Ranks that the experts lie on: all of the unit, or one.
    pub ep: u64,
    /// Copies of experts beside the first of each.
    pub redundant: u64,
    /// Arithmetic of the linear layers.
    pub weights: LinearPrecision,
    /// Bytes of an element of the cache.
    pub cached_width: u64,
    /// Who brings tokens to their experts.
    pub dispatcher: Dispatcher,
    /// Who turns BF16 into FP8 on the way to a product.
    pub casting: Casting,
    /// Which kernels the stack runs.
    pub recipe: Recipe,
}

/// A part of one prompt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PromptPart {
    /// Tokens that are computed.
    pub tokens: u64,
    /// Tokens before them whose keys and values are cached.
    pub cached: u64,
}

impl PromptPart {
    /// Keys that its tokens see, all of them together: what is cached, and on average half of the part.
    #[must_use]
    pub fn keys_seen(&self) -> f64 {
        self.tokens as f64 * (self.cached as f64 + self.tokens as f64 / 2.0)
    }
}

/// Requests that are being decoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Decoding {
    /// How many.
    pub requests: u64,
    /// Tokens of each that are computed: one, and the drafts that are verified.
    pub queries: u64,
    /// Keys of all of them together, those of the computed tokens included.
    pub context: u64,
}

/// What one attention rank computes in an iteration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RankBatch {
    /// Parts of prompts.
    pub prompts: Vec<PromptPart>,
    /// Requests that are being decoded.
    pub decoding: Decoding,
}

impl RankBatch {
    /// Tokens that are computed.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.prompt_rows() + self.decoding.requests * self.decoding.queries
    }

    /// Of those, tokens of prompts.
    #[must_use]
    pub fn prompt_rows(&self) -> u64 {
        self.prompts.iter().map(|part| part.tokens).sum()
    }

    /// Rows whose logits are computed: each prompt's last, and all that are decoded.
    #[must_use]
    pub fn sampled(&self) -> u64 {
        self.prompts.len() as u64 + self.decoding.requests * self.decoding.queries
    }
}

impl UnitLayout {
    /// Ranks of the unit.
    #[must_use]
    pub fn n_ranks(&self) -> u64 {
        self.tp * self.dp
    }

    /// Whether the devices of an attention rank hand parts of its tokens to the exchange, as kernels of an exchange need it.
    #[must_use]
    pub fn splits_tokens(&self) -> bool {
        self.tp > 1 && self.ep > 1 && self.dispatcher == Dispatcher::DeepEp
    }

    /// Tokens of a device between attention and the next, of so many of its attention rank.
    #[must_use]
    pub fn own_rows(&self, rows: u64) -> u64 {
        if self.splits_tokens() { rows.div_ceil(self.tp) } else { rows }
    }

    /// Ways in which each expert's width is split.
    #[must_use]
    pub fn expert_tp(&self) -> u64 {
        if self.ep > 1 { 1 } else { self.tp }
    }

    /// What is wrong with the layout of a model; nothing where it can be laid out.
    #[must_use]
    pub fn check(&self, model: &Model) -> Vec<UnitLayoutError> {
        let (heads, kv_heads) = match model.attention {
            Attention::Mla { heads, .. } => (heads, None),
            Attention::Gqa { heads, kv_heads, .. } => (heads, Some(kv_heads)),
        };
        let mut errors = Vec::new();
        let mut split = |what, of: u64| {
            if !of.is_multiple_of(self.tp.max(1)) {
                errors.push(UnitLayoutError::Uneven { what, of, tp: self.tp });
            }
        };
        split("model.attention.heads", heads);
        split("model.ffn", model.ffn);
        if let Some(experts) = model.experts.as_ref().filter(|_| self.ep <= 1) {
            split("model.experts.width", experts.width);
        }
        if let Some(kv_heads) = kv_heads.filter(|kv| !kv.is_multiple_of(self.tp) && !self.tp.is_multiple_of(*kv)) {
            errors.push(UnitLayoutError::KeyValueHeads { kv_heads, tp: self.tp });
        }
        let whole = [1, self.n_ranks()];
        let is_spread = self.ep > 1;
        if model.experts.is_none() && is_spread {
            errors.push(UnitLayoutError::NoExperts { ep: self.ep });
        } else if !whole.contains(&self.ep) || (model.experts.is_some() && self.dp > 1 && !is_spread) {
            errors.push(UnitLayoutError::Experts { ep: self.ep, n_ranks: self.n_ranks() });
        }
        if self.redundant > 0 && !is_spread {
            errors.push(UnitLayoutError::Redundant { redundant: self.redundant, ep: self.ep });
        }
        errors
    }
}

/// Why a unit cannot be laid out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnitLayoutError {
    /// Something that `serve.tp` does not divide.
    #[error("`{what}` is {of}, which `serve.tp` {tp} does not divide")]
    Uneven {
        /// The key.
        what: &'static str,
        /// Its value.
        of: u64,
        /// The divisor.
        tp: u64,
    },
    /// Key-value heads that ranks can neither share nor hold alike.
    #[error("`serve.tp` {tp} neither divides the {kv_heads} key-value heads nor is a multiple of them")]
    KeyValueHeads {
        /// Key-value heads.
        kv_heads: u64,
        /// Devices of an attention rank.
        tp: u64,
    },
    /// Experts of a model without any.
    #[error("`serve.ep` is {ep}, but the model has no experts")]
    NoExperts {
        /// Ranks of experts.
        ep: u64,
    },
    /// Copies of experts that lie on no ranks of their own.
    #[error(
        "`serve.redundant-experts` is {redundant}, but `serve.ep` is {ep}: no expert has a rank that a copy could relieve"
    )]
    Redundant {
        /// Copies.
        redundant: u64,
        /// Ranks of experts.
        ep: u64,
    },
    /// Experts on some of the ranks, or copied to each attention rank.
    #[error(
        "`serve.ep` is {ep} of {n_ranks} ranks; experts on all ranks of the unit are modeled, or, with `serve.dp = 1`, split by width"
    )]
    Experts {
        /// Ranks of experts.
        ep: u64,
        /// Ranks of the unit.
        n_ranks: u64,
    },
}

impl UnitLayoutError {
    /// The key to change.
    #[must_use]
    pub fn key(&self) -> &'static str {
        match self {
            Self::Uneven { .. } | Self::KeyValueHeads { .. } => "serve.tp",
            Self::NoExperts { .. } | Self::Experts { .. } => "serve.ep",
            Self::Redundant { .. } => "serve.redundant-experts",
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn way_out(&self) -> String {
        match self {
            Self::Uneven { of, tp, .. } => {
                let below = (1..=*tp).rev().find(|ways| of.is_multiple_of(*ways)).unwrap_or(1);
                format!("take a number that divides {of}, such as {below}")
            }
            Self::KeyValueHeads { kv_heads, .. } => format!("take {kv_heads}, a divisor of it or a multiple"),
            Self::NoExperts { .. } => "take `serve.ep = 1`".to_owned(),
            Self::Redundant { .. } => "take 0, or experts on ranks of their own (`serve.ep`)".to_owned(),
            Self::Experts { n_ranks, .. } => format!("take `serve.ep = {n_ranks}` (`serve.tp` x `serve.dp`)"),
        }
    }
}

#[cfg(test)]
mod tests;
