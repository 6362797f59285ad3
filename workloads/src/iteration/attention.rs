//! Attention of one layer, from the norm before it to the sum after it.

use super::latent;
use super::list::{BF16, OpList, Weights};
use super::{RankBatch, UnitLayout};
use crate::model::{Attention, Model};
use crate::op::{Op, OpKind};
use crate::recipe::MemoryOp;
use crate::seen::Seen;

/// Attention of one layer of one device: norm, projections, rotary position with the write into the cache, the core, the output
/// projection, and the sum over the devices of the attention rank.
#[must_use]
pub fn attention(model: &Model, layout: &UnitLayout, batch: &RankBatch) -> Vec<Op> {
    let mut list = OpList::new(layout);
    let rows = batch.rows();
    let own = layout.own_rows(rows);
    list.norm("attention-norm", own, model.hidden);
    list.gather("attention-gather", rows, model.hidden);
    let core_width = match model.attention {
        Attention::Mla { .. } => latent::forward(&mut list, model, batch),
        Attention::Gqa { heads, kv_heads, head, rotary, .. } => {
            let (heads, kv_heads) = (heads / layout.tp, kv_heads.div_ceil(layout.tp));
            let grouped = Grouped { heads, kv_heads, head, rotary };
            grouped.forward(&mut list, model.hidden, batch);
            heads * head
        }
    };
    list.linear(rows, Weights { name: "output-projection", inputs: core_width, outputs: model.hidden });
    list.sum("attention-sum", rows, model.hidden);
    list.residual("attention-residual", own, model.hidden);
    list.finish()
}

/// Heads of grouped attention on one device.
#[derive(Clone, Copy)]
struct Grouped {
    heads: u64,
    kv_heads: u64,
    head: u64,
    rotary: bool,
}

impl Grouped {
    fn forward(self, list: &mut OpList<'_>, hidden: u64, batch: &RankBatch) {
        let Self { heads, kv_heads, head, rotary } = self;
        let rows = batch.rows();
        let outputs = (heads + 2 * kv_heads) * head;
        list.linear(rows, Weights { name: "query-key-value", inputs: hidden, outputs });
        // Queries and keys turn, keys and values go to the cache.
        let cached = list.layout.cached_width as f64;
        let (turned, kept) = ((heads + kv_heads) * head, 2 * kv_heads * head);
        let reads = if rotary { outputs as f64 * BF16 } else { kept as f64 * BF16 };
        let writes = if rotary { (heads * head) as f64 * BF16 } else { 0.0 } + kept as f64 * cached;
        list.stream_bytes(
            ("rope-and-cache", MemoryOp::CacheWrite),
            [rows, rows * turned],
            [reads, writes].map(|b| b * rows as f64),
        );
        for part in &batch.prompts {
            let keys = part.cached + part.tokens;
            let kind = OpKind::Attention {
                heads,
                kv_heads,
                queries: part.tokens,
                keys,
                qk: head,
                value: head,
                seen: Seen::Causal,
            };
            list.push("attention", kind);
        }
        if batch.decoding.requests > 0 {
            list.push("decode-attention", self.cached(list.layout, batch));
        }
    }

    fn cached(self, layout: &UnitLayout, batch: &RankBatch) -> OpKind {
        let decoding = batch.decoding;
        OpKind::CachedAttention {
            requests: decoding.requests,
            heads: self.heads,
            kv_heads: self.kv_heads,
            queries: decoding.queries,
            context: decoding.context,
            qk: self.head,
            value: self.head,
            is_latent: false,
            width: layout.cached_width,
        }
    }
}
