//! What follows from a model's dimensions.

use plan::TokenLimit;
use scenario::Library;
use serde_json::{Value, json};
use workloads::model::Model;

use crate::error::TunnelError;

/// A model, and the sizes that its arithmetic depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelQuery {
    /// A preset's name or a file.
    pub model: String,
    /// Patches, `KEY=VALUE`.
    pub sets: Vec<String>,
    /// Tokens of a sequence in training.
    pub sequence: u64,
    /// For the least time of a token in decoding.
    pub decode: Option<DecodeQuery>,
}

/// Where tokens are decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodeQuery {
    /// A hardware preset's name or a file.
    pub hardware: String,
    /// Ranks that the experts are spread over.
    pub n_ranks: u32,
    /// Tokens per device and micro-batch.
    pub n_tokens: u64,
}

/// Parameters, cache and arithmetic per token; with hardware the least time of a token.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelReply {
    /// The model.
    pub model: Model,
    /// Tokens of a sequence in training.
    pub sequence: u64,
    /// The least time of a token in decoding, were nothing but dispatch and combine to take time.
    pub limit: Option<TokenLimit>,
}

/// Parameters, cache and arithmetic per token.
///
/// # Errors
/// Mistakes in files and patches; hardware that exchanges nothing.
pub fn model(query: &ModelQuery, library: &Library) -> Result<ModelReply, TunnelError> {
    if query.sequence == 0 {
        return Err(TunnelError::value("sequence", 0, "has no token: take one or more"));
    }
    let model = scenario::load_model(&query.model, &query.sets, library)?;
    let limit = query.decode.as_ref().map(|decode| limit(decode, &model, library)).transpose()?;
    Ok(ModelReply { model, sequence: query.sequence, limit })
}

fn limit(query: &DecodeQuery, model: &Model, library: &Library) -> Result<TokenLimit, TunnelError> {
    if query.n_ranks < 2 || query.n_tokens == 0 {
        return Err(TunnelError::NothingExchanged);
    }
    let machine = scenario::load_hardware(&query.hardware, &[], library)?;
    Ok(plan::token_limit(model, &machine, query.n_ranks, query.n_tokens)?)
}

impl ModelReply {
    /// By the names that files and facts use.
    #[must_use]
    pub fn json(&self) -> Value {
        let model = &self.model;
        let mut value = json!({
            "parameters": model.params(),
            "active_parameters": model.active_params(),
            "body_parameters": model.body_params(),
            "mtp_parameters": model.mtp_params(),
            "kv_bytes_per_token": model.kv_bytes_per_token(),
            "training_flops_per_token": {
                "causal": model.flops_per_token(self.sequence, true),
                "non_causal": model.flops_per_token(self.sequence, false),
            },
        });
        if let Some(TokenLimit { exchange, layer, token }) = self.limit {
            value["token_limit"] = json!({
                "exchange_seconds": exchange.get(),
                "layer_seconds": layer.get(),
                "token_seconds": token.get(),
                "tokens_per_second": 1.0 / token.get(),
            });
        }
        value
    }
}
