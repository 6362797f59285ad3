//! Attention: tiles of queries that walk over keys.
//!
//! Queries are cut in tiles of `R` (`tile-queries`); where a head has fewer, those of the heads that share a key-value
//! head fill one tile together. A tile multiplies with every key it sees, whole tiles on the diagonal included, and costs
//! as much again as `K0` keys (`key-overhead`) at its start and end. Tiles are many or their keys are split, so SMs share
//! the work evenly:
//!
//! `2 R (width) (keys seen + K0) x tiles / (f P n)` seconds on `n` SMs of peak `P`, `f` the main loop's share,
//!
//! with the width `qk + value` forward and `3 qk + 2 value` backward, each rounded up to multiples of `width-step`, and the exponential of a
//! score as much as `score-width` of it. Values wider than `narrow-width` leave room for smaller tiles alone and take `wide-slowdown` times as long. Memory alone is held to `memory-fraction`. Source of the
//! form: the tiling of FlashAttention; its numbers are fitted. Breaks for shapes that leave most SMs without a tile and whose keys
//! are not split. Power holds the useful products to `sustained-fraction` of the peak.

use topology::Device;
use units::{Bytes, Seconds};
use workloads::op::{Op, OpKind, Pass};

use super::{Asked, Estimator};
use crate::{AttentionTerm as Term, Direction, EstimateKey};

impl Estimator<'_> {
    pub(super) fn attention(&self, op: &Op, sms: u32) -> Option<Asked> {
        let OpKind::Attention { heads, kv_heads, queries, keys, qk, value, seen } = op.kind else { return None };
        let backward = op.pass == Pass::InputGradient;
        let direction = if backward { Direction::Backward } else { Direction::Forward };
        let key = |term| EstimateKey::Attention(direction, term);
        let estimate = |term| self.profile.value(key(term));
        let rows = estimate(Term::Rows);
        let (heads, shared) = (heads as f64, kv_heads as f64);
        let (n_tiles, walked) = if (queries as f64) < rows {
            ((shared * (heads / shared * queries as f64 / rows).ceil()), keys as f64)
        } else {
            (heads * (queries as f64 / rows).ceil(), seen.walked(queries, keys, rows))
        };
        let step = estimate(Term::Step);
        let [padded_qk, padded_value] = [qk, value].map(|width| (width as f64 / step).ceil() * step);
        let products = if backward { 3.0 * padded_qk + 2.0 * padded_value } else { padded_qk + padded_value };
        let slowdown = if value as f64 > estimate(Term::Narrow) { estimate(Term::Wide) } else { 1.0 };
        let width = (products + estimate(Term::Scores)) * slowdown;
        let flops = 2.0 * rows * width * (walked + estimate(Term::Overhead)) * n_tiles;
        let products = Seconds::new(flops / (per_sm(self.device) * estimate(Term::Fraction) * f64::from(sms)));
        // Queries, output and their gradients once a query head, keys and values once a key-value head.
        let tensors = if backward { 2.0 } else { 1.0 };
        let elements = (qk + value) as f64 * (heads * queries as f64 + shared * keys as f64);
        let memory = Bytes::new(tensors * elements * 2.0);
        let streamed = memory / (self.device.memory_rate() * estimate(Term::Memory));
        let (shortest, limit) =
            if streamed > products { (streamed, key(Term::Memory)) } else { (products, key(Term::Fraction)) };
        let power = op.flops() / (self.device.peak_bf16() * estimate(Term::Sustained)) + self.memory_power(memory);
        Some(Asked { power, memory, shortest, limit, latency: Seconds::new(estimate(Term::Latency)) })
    }
}

fn per_sm(device: &Device) -> f64 {
    device.peak_bf16().get() / f64::from(device.sms)
}
