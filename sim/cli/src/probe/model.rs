//! What follows from a model's dimensions.

use plan::TokenLimit;
use report::format::{bytes, count, large, seconds};
use serde_json::json;
use workloads::model::Model;

use crate::args::ModelArgs;
use crate::exit::Failure;
use crate::run::pretty;

/// Parameters, cache and arithmetic a token; with hardware the least time of a token.
pub(crate) fn model(args: &ModelArgs) -> Result<String, Failure> {
    let library = args.layers.library()?;
    let model = scenario::load_model(&args.model, &args.layers.sets, &library)?;
    let limit = match (&args.hardware, args.ranks) {
        (Some(hardware), Some(ranks)) => Some(limit(args, &model, hardware, ranks)?),
        _ => None,
    };
    Ok(if args.json { pretty(&as_json(args, &model, limit)) } else { text(args, &model, limit) })
}

fn limit(args: &ModelArgs, model: &Model, hardware: &str, ranks: u32) -> Result<TokenLimit, Failure> {
    if ranks < 2 || args.tokens == 0 {
        return Err(Failure::usage(
            "nothing is exchanged\nhint: take `--ranks` of two or more and `--tokens` of one or more",
        ));
    }
    let machine = scenario::load_hardware(hardware, &[], &args.layers.library()?)?;
    Ok(plan::token_limit(model, &machine, ranks, args.tokens)?)
}

fn as_json(args: &ModelArgs, model: &Model, limit: Option<TokenLimit>) -> serde_json::Value {
    let mut value = json!({
        "parameters": model.params(),
        "active_parameters": model.active_params(),
        "body_parameters": model.body_params(),
        "mtp_parameters": model.mtp_params(),
        "kv_bytes_per_token": model.kv_bytes_per_token(),
        "training_flops_per_token": {
            "causal": model.flops_per_token(args.sequence, true),
            "non_causal": model.flops_per_token(args.sequence, false),
        },
    });
    if let Some(TokenLimit { exchange, layer, token }) = limit {
        value["token_limit"] = json!({
            "exchange_seconds": exchange.get(),
            "layer_seconds": layer.get(),
            "token_seconds": token.get(),
            "tokens_per_second": 1.0 / token.get(),
        });
    }
    value
}

fn text(args: &ModelArgs, model: &Model, limit: Option<TokenLimit>) -> String {
    let flops = |causal| large(model.flops_per_token(args.sequence, causal));
    let mut text = format!(
        "{}\n\nparameters          {}, {} of them a token\ncache of a token    {}\ntraining a token    {} operations causal, {} non-causal, \
         sequence {}\n",
        model.name,
        large(model.params() as f64),
        large(model.active_params() as f64),
        bytes(model.kv_bytes_per_token() as f64),
        flops(true),
        flops(false),
        count(args.sequence)
    );
    if let Some(TokenLimit { exchange, layer, token }) = limit {
        let [exchange, layer, token] = [exchange, layer, token].map(|time| seconds(time.get()));
        text.push_str(&format!("least time          {exchange} an exchange, {layer} a layer, {token} a token\n"));
    }
    text
}
