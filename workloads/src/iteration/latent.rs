//! Latent attention: projected up for prompts, absorbed for tokens that are decoded.

use super::list::{BF16, OpList, Weights};
use super::{PromptPart, RankBatch};
use crate::model::{Attention, Model};
use crate::op::OpKind;
use crate::recipe::MemoryOp;
use crate::seen::Seen;

#[derive(Clone, Copy)]
struct Latent {
    heads: u64,
    query_latent: u64,
    kv_latent: u64,
    nope: u64,
    rope: u64,
    value: u64,
}

/// From the normed stream to the output of the core; its width on this device.
pub(super) fn forward(list: &mut OpList<'_>, model: &Model, batch: &RankBatch) -> u64 {
    let Attention::Mla { heads, query_latent, kv_latent, nope, rope, value } = model.attention else { return 0 };
    let latent = Latent { heads: heads / list.layout.tp, query_latent, kv_latent, nope, rope, value };
    latent.projections(list, model.hidden, batch.rows());
    batch.prompts.iter().for_each(|part| latent.prompt(list, *part));
    latent.decoded(list, batch);
    latent.heads * value
}

impl Latent {
    /// One product gives both latents and the shared rotary key; where queries have no latent, the queries too.
    fn projections(self, list: &mut OpList<'_>, hidden: u64, rows: u64) {
        let Self { heads, query_latent, kv_latent, nope, rope, .. } = self;
        let (queries, cached) = (heads * (nope + rope), kv_latent + rope);
        let beside = if query_latent == 0 { queries } else { query_latent };
        list.linear(rows, Weights { name: "latent-down", inputs: hidden, outputs: beside + cached });
        if query_latent > 0 {
            list.norm("query-norm", rows, query_latent);
        }
        list.norm("key-value-norm", rows, kv_latent);
        if query_latent > 0 {
            list.linear(rows, Weights { name: "query-up", inputs: query_latent, outputs: queries });
        }
        // The rotary part of the queries turns in place; the shared key turns, and goes to the cache with the latent.
        let turned = (heads * rope) as f64;
        let kept = cached as f64;
        let bytes = [(turned + kept) * BF16, turned * BF16 + kept * list.layout.cached_width as f64];
        let what = ("rope-and-cache", MemoryOp::CacheWrite);
        list.stream_bytes(what, [rows, rows * (heads * rope + rope)], bytes.map(|bytes| bytes * rows as f64));
    }

    /// Keys and values of a prompt's own and cached tokens are projected up.
    fn prompt(self, list: &mut OpList<'_>, part: PromptPart) {
        let Self { heads, kv_latent, nope, rope, value, .. } = self;
        let keys = part.cached + part.tokens;
        list.linear(keys, Weights { name: "key-value-up", inputs: kv_latent, outputs: heads * (nope + value) });
        let (queries, qk) = (part.tokens, nope + rope);
        list.push(
            "attention",
            OpKind::Attention { heads, kv_heads: heads, queries, keys, qk, value, seen: Seen::Causal },
        );
    }

    /// Queries go down to the latent, one product per head; the latent's sum comes back up, one product per head.
    fn decoded(self, list: &mut OpList<'_>, batch: &RankBatch) {
        let Self { heads, kv_latent, nope, rope, value, .. } = self;
        let decoding = batch.decoding;
        if decoding.requests == 0 {
            return;
        }
        let rows = decoding.requests * decoding.queries;
        list.batched((rows, heads), Weights { name: "query-absorb", inputs: nope, outputs: kv_latent });
        list.push(
            "decode-attention",
            OpKind::CachedAttention {
                requests: decoding.requests,
                heads,
                kv_heads: 1,
                queries: decoding.queries,
                context: decoding.context,
                qk: kv_latent + rope,
                value: kv_latent,
                is_latent: true,
                width: list.layout.cached_width,
            },
        );
        list.batched((rows, heads), Weights { name: "value-absorb", inputs: kv_latent, outputs: value });
    }
}
