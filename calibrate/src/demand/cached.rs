//! Attention of the last queries of requests over their caches: keys split over blocks, parts merged by a second kernel.
//!
//! The queries of the heads that share a key-value head fill tiles of rows: as few doublings of sixteen as hold them, up to `tile-queries`, or several tiles. A block walks
//! over keys in tiles of `K` (`tile-keys`). Keys are split until there are `b` blocks per SM (`blocks-per-sm`), evenly and none empty, or into parts of one tile. So
//! with `u` tiles of queries over all requests, of `R` rows each, and `c` keys of each request,
//!
//! `walk = ceil(ceil(c / K) / ceil(b SMs / u))` tiles of keys, `parts = ceil(ceil(c / K) / walk)`, `waves = ceil(u parts / (b SMs))`,
//!
//! and the time is the longest of three, after a latency and `parts` times `merge-latency`:
//!
//! - `waves walk (t + R r)`: a block takes `t` (`tile-latency`) and `r` (`row-latency`) for each tile of keys, however few others there are;
//! - the cache, read once, at `memory-fraction` of the memory peak;
//! - the products of whole tiles at `peak-fraction` of the tensor peak of the SMs held.
//!
//! A latent is key and value in one and is read once. Requests are as long as their mean: of one far longer than the others the last
//! block ends later than this. Source of the form: split-KV decoding kernels; its numbers are fitted.

use units::{Bytes, Seconds};
use workloads::op::{Op, OpKind};

use super::{Asked, Estimator};
use crate::{CacheKind, CachedTerm as Term, EstimateKey};

impl Estimator<'_> {
    pub(super) fn cached_attention(&self, op: &Op, sms: u32) -> Option<Asked> {
        let OpKind::CachedAttention { requests, heads, kv_heads, queries, context, qk, value, is_latent, width } =
            op.kind
        else {
            return None;
        };
        let key = |term| EstimateKey::Cached(CacheKind::of(is_latent), term);
        let estimate = |term| self.profile.value(key(term));
        let [requests, heads, shared, queries, context] =
            [requests, heads, kv_heads, queries, context].map(|n| n as f64);
        let keys = estimate(Term::Keys);
        let shared_rows = heads / shared * queries;
        let rows = tile_rows(shared_rows, estimate(Term::Rows));
        let units = requests * shared * (shared_rows / rows).ceil();
        let blocks = (estimate(Term::Blocks) * f64::from(sms)).max(1.0);
        let walks = (context / requests / keys).ceil().max(1.0);
        let walk = (walks / (blocks / units).ceil().max(1.0)).ceil();
        let parts = (walks / walk).ceil();
        let waves = (units * parts / blocks).ceil();
        let chain = waves * walk * (estimate(Term::Tile) + rows * estimate(Term::Row));
        let per_sm = self.device.peak_bf16().get() / f64::from(self.device.sms);
        let flops = 2.0 * rows * (qk + value) as f64 * (walks * keys) * units;
        let products = flops / (per_sm * estimate(Term::Fraction) * f64::from(sms));
        let read = if is_latent { qk } else { qk + value };
        let cache = context * shared * (read * width) as f64;
        // Queries in and results out, in BF16.
        let memory = Bytes::new(cache + requests * heads * queries * (qk + value) as f64 * 2.0);
        let streamed = (memory / (self.device.memory_rate() * estimate(Term::Memory))).get();
        let bounds = [(chain, Term::Tile), (products, Term::Fraction), (streamed, Term::Memory)];
        let longest =
            bounds.into_iter().fold(bounds[0], |longest, bound| if bound.0 > longest.0 { bound } else { longest });
        let power = op.flops() / self.device.peak_bf16() + self.memory_power(memory);
        let latency = Seconds::new(estimate(Term::Latency) + parts * estimate(Term::Merge));
        Some(Asked { power, memory, shortest: Seconds::new(longest.0), limit: key(longest.1), latency })
    }
}

/// Rows of a tile that holds so many queries: a doubling of the fewest that tensor cores multiply, up to the largest tile.
fn tile_rows(queries: f64, most: f64) -> f64 {
    const FEWEST: f64 = 16.0;
    (FEWEST * (queries / FEWEST).log2().ceil().max(0.0).exp2()).min(most)
}
