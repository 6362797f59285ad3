//! What follows from a model's dimensions.

use plan::TokenLimit;
use report::format::{bytes, count, large, seconds};
use tunnel::ask::{self, DecodeQuery, ModelQuery, ModelReply};

use crate::args::ModelArgs;
use crate::exit::Failure;
use crate::json::pretty;

/// Parameters, cache and arithmetic a token; with hardware the least time of a token.
pub(crate) fn model(args: &ModelArgs) -> Result<String, Failure> {
    let reply = ask::model(&args.query(), &args.layers.library()?)?;
    Ok(if args.json { pretty(&reply.json()) } else { text(&reply) })
}

impl ModelArgs {
    /// What the arguments ask.
    pub(crate) fn query(&self) -> ModelQuery {
        let decode = self.hardware.clone().zip(self.ranks);
        ModelQuery {
            model: self.model.clone(),
            sets: self.layers.sets.clone(),
            sequence: self.sequence,
            decode: decode.map(|(hardware, n_ranks)| DecodeQuery { hardware, n_ranks, n_tokens: self.tokens }),
        }
    }
}

fn text(reply: &ModelReply) -> String {
    let ModelReply { model, sequence, limit } = reply;
    let flops = |causal| large(model.flops_per_token(*sequence, causal));
    let mut text = format!(
        "{}\n\nparameters          {}, {} active per token\ncache per token     {}\ntraining per token  {} operations causal, {} non-causal, \
         sequence {}\n",
        model.name,
        large(model.params() as f64),
        large(model.active_params() as f64),
        bytes(model.kv_bytes_per_token() as f64),
        flops(true),
        flops(false),
        count(*sequence)
    );
    if let Some(TokenLimit { exchange, layer, token }) = limit {
        let [exchange, layer, token] = [exchange, layer, token].map(|time| seconds(time.get()));
        text.push_str(&format!("least time          {exchange} per exchange, {layer} per layer, {token} per token\n"));
    }
    text
}
