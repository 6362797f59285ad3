//! What a model must fulfil.

use super::{Attention, Model};

/// Why a model makes no sense. Keys are those of the file.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ModelError {
    /// A size that must be one or more is zero.
    #[error("`model.{0}` is 0; it must be 1 or more")]
    Zero(&'static str),
    /// The model is beyond counting.
    #[error("the model has about {0:e} parameters, beyond what is counted exactly (2^53)")]
    TooLarge(f64),
    /// Experts without a gate are not modeled.
    #[error("`model.activation` is `gelu`, but experts are gated; take `swiglu`")]
    Ungated,
    /// One count exceeds another.
    #[error("`model.{what}` is {is}, more than `model.{limit}`, which is {max}")]
    TooMany {
        /// The key that is too large.
        what: &'static str,
        /// Its value.
        is: u64,
        /// The key that bounds it.
        limit: &'static str,
        /// The bound.
        max: u64,
    },
    /// Something does not divide.
    #[error("`model.{what}` is {is}, which `model.{by_what}` ({by}) does not divide")]
    Uneven {
        /// The key to be divided.
        what: &'static str,
        /// Its value.
        is: u64,
        /// The key of the divisor.
        by_what: &'static str,
        /// The divisor.
        by: u64,
    },
}

impl Model {
    /// Everything that is wrong with the dimensions; empty where nothing is.
    #[must_use]
    pub fn check(&self) -> Vec<ModelError> {
        let mut errors = Errors(Vec::new());
        errors.positive("layers", u64::from(self.layers));
        errors.positive("hidden", self.hidden);
        errors.positive("vocabulary", self.vocabulary);
        if self.layers > 0 && (0..self.layers).any(|index| self.layer_kind(index) == super::LayerKind::Dense) {
            errors.positive("ffn", self.ffn);
        }
        self.check_attention(&mut errors);
        self.check_experts(&mut errors);
        let params = self.params_about();
        if params > (1_u64 << 53) as f64 {
            errors.0.push(ModelError::TooLarge(params));
        }
        errors.0
    }

    /// The parameters, from above and without overflow.
    fn params_about(&self) -> f64 {
        let attention: f64 = match self.attention {
            Attention::Mla { heads, query_latent, kv_latent, nope, rope, value } => {
                let head = nope as f64 + rope as f64 + value as f64;
                let latents = query_latent as f64 + kv_latent as f64;
                heads as f64 * head * (self.hidden as f64 + latents) + self.hidden as f64 * (latents + rope as f64)
            }
            Attention::Gqa { heads, kv_heads, head, .. } => {
                2.0 * self.hidden as f64 * (heads as f64 + kv_heads as f64) * head as f64
            }
        };
        let experts = self.experts.as_ref().map_or(0.0, |experts| {
            (f64::from(experts.routed) + f64::from(experts.shared)) * experts.width as f64 + f64::from(experts.routed)
        });
        let feed_forward = 3.0 * self.hidden as f64 * (self.ffn as f64 + experts);
        let layers = f64::from(self.layers) + f64::from(self.mtp_modules);
        // A module beyond the layers projects two streams into one.
        let project = 2.0 * self.hidden as f64 * self.hidden as f64 * f64::from(self.mtp_modules.max(1));
        layers * (attention + feed_forward + 2.0 * self.hidden as f64)
            + project
            + 2.0 * self.vocabulary as f64 * self.hidden as f64
    }

    fn check_attention(&self, errors: &mut Errors) {
        match self.attention {
            Attention::Mla { heads, kv_latent, nope, value, .. } => {
                errors.positive("attention.heads", heads);
                errors.positive("attention.kv-latent", kv_latent);
                errors.positive("attention.nope", nope);
                errors.positive("attention.value", value);
            }
            Attention::Gqa { heads, kv_heads, head, .. } => {
                errors.positive("attention.heads", heads);
                errors.positive("attention.kv-heads", kv_heads);
                errors.positive("attention.head", head);
                errors.divides("attention.heads", heads, "attention.kv-heads", kv_heads);
            }
        }
    }

    fn check_experts(&self, errors: &mut Errors) {
        let Some(experts) = &self.experts else {
            return;
        };
        if self.activation == super::Activation::Gelu {
            errors.0.push(ModelError::Ungated);
        }
        let routed = u64::from(experts.routed);
        let groups = u64::from(experts.groups);
        errors.positive("experts.routed", routed);
        errors.positive("experts.top-k", u64::from(experts.top_k));
        errors.positive("experts.width", experts.width);
        errors.positive("experts.groups", groups);
        errors.positive("node-limit", u64::from(experts.node_limit));
        errors.at_most("experts.first-dense", u64::from(experts.first_dense), "layers", u64::from(self.layers));
        errors.at_most("experts.top-k", u64::from(experts.top_k), "experts.routed", routed);
        errors.at_most("node-limit", u64::from(experts.node_limit), "experts.groups", groups);
        errors.divides("experts.routed", routed, "experts.groups", groups);
    }
}

struct Errors(Vec<ModelError>);

impl Errors {
    fn positive(&mut self, what: &'static str, value: u64) {
        if value == 0 {
            self.0.push(ModelError::Zero(what));
        }
    }

    fn at_most(&mut self, what: &'static str, is: u64, limit: &'static str, max: u64) {
        if is > max {
            self.0.push(ModelError::TooMany { what, is, limit, max });
        }
    }

    fn divides(&mut self, what: &'static str, is: u64, by_what: &'static str, by: u64) {
        if by > 0 && !is.is_multiple_of(by) {
            self.0.push(ModelError::Uneven { what, is, by_what, by });
        }
    }
}
