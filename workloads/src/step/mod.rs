//! The ops of one rank and one micro-batch: which, in which order, with which sizes.
//!
//! A layer is two segments with an all-to-all between them, as a schedule that overlaps needs it: [`attention()`] (up
//! to and with the gate and the cast of what is dispatched), the dispatch, [`mlp`] (the experts), the combine. A dense
//! layer has the same two segments and no exchange. [`embedding`], [`mtp`] and [`head`] are what the first and the last
//! stage do besides; [`update()`] is the optimizer. Every segment is a [`Passes`]: forward, gradient of the input (with
//! what is computed again for it), gradient of the weights.
//!
//! DeepSeek-V3, one sequence of 4,096 tokens, tp = cp = 1 (`[rows, inner] -> columns`; R rows reach this rank's
//! experts):
//!
//! | segment | forward | input gradient | weight gradient |
//! |---|---|---|---|
//! | attention | norm, cast; query-down `[4096,7168]->1536`, key-value-down `->576`; norms, casts; query-up `[4096,1536]->24576`, key-value-up `[4096,512]->32768`; RoPE; core 128 x (192,128); cast (E4M3, E5M6 kept); output `[4096,16384]->7168`; residual | cast of the gradient; output `->16384`; core output back from E5M6; norm, norms, casts, query-up, key-value-up, RoPE again; row sums; core; dQ to BF16; RoPE; casts; query-up `[4096,24576]->1536`, key-value-up `[4096,32768]->512`; norms; casts; query-down `->7168`, key-value-down `->7168`; sum; norm | output, query-up, key-value-up, query-down, key-value-down |
//! | of a MoE layer also | norm, gate `[4096,7168]->256` BF16, top-k, cast | top-k, gate `->7168`, sum of three gradients, norm | gate |
//! | mlp, MoE | shared gate-up `[4096,7168]->4096`, SwiGLU, down `[4096,2048]->7168`; permute, gate-up `[R,7168]->4096`, SwiGLU, down `[R,2048]->7168`, weighted sum; residual | cast of the gradient; norm again; shared: down, SwiGLU, gate-up; permute, transpose of the gradient, down `->2048`, SwiGLU again and gradient, gate-up `->7168`, sum per token; transpose of the rows | shared down, shared gate-up, down, gate-up |
//! | mlp, dense | norm, cast, gate-up `[4096,7168]->36864`, SwiGLU, down `[4096,18432]->7168`, residual | the same back | down, gate-up |
//!
//! Sources: arXiv:2412.19437 sections 3.2 and 3.3 (which GEMMs are FP8, what is cached and recomputed); the kernels of
//! the published training trace (deepseek-ai/profile-data) for where one kernel ends and the next begins. What they
//! leave open and we chose is written at each function. Two choices hold everywhere:
//!
//! - FP8 weights are cast once a step, in [`update()`], in both layouts; no micro-batch casts them.
//! - The 128x1 copies that the weight gradient reads are made in the input-gradient pass: that of a gradient together
//!   with its 1x128 copy (one read, two writes), that of a kept activation by reading its FP8 copy back. The
//!   weight-gradient pass is GEMMs alone; in the trace its span is explained by the GEMMs.
//!
//! Where it breaks: launch gaps and padding are not here (the estimator adds them); kernels that fuse more than these
//! move fewer bytes.

mod activation;
mod attention;
mod attention_core;
mod attention_unfused;
mod dispatcher;
mod element;
mod ends;
mod exchange;
mod ffn;
mod gate;
mod gqa;
mod lora;
mod mla;
mod mlp;
mod moe;
mod overlap;
mod ring;
mod shape;
mod tape;
mod tuning;
mod update;

pub use attention::attention;
pub(crate) use attention_core::kept_core_width;
pub use dispatcher::Dispatcher;
pub use ends::{embedding, head, mtp};
pub use exchange::{Exchange, exchange, handed_over, point_to_point, token_gather};
pub(crate) use lora::kept as kept_by_adapters;
pub use mlp::mlp;
pub use shape::{AttentionKernel, Casting, Gradients, Recompute, Shape, ShapeError};
pub(crate) use tape::kept_operations;
pub use tuning::{Lora, LoraTargets};
pub use update::{HeldParams, Moments, OptimizerState, ReduceClass, Update, Weights, held_params, update, weight_cast};

pub use crate::model::LayerKind;
use crate::model::Model;
use crate::op::Op;

/// The ops of one segment, each list in execution order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Passes {
    /// Forward.
    pub forward: Vec<Op>,
    /// Gradient of the input, with the recomputation it needs ([`crate::op::Pass::Recompute`]) in its place.
    pub input_gradient: Vec<Op>,
    /// Gradient of the weights.
    pub weight_gradient: Vec<Op>,
}

/// What one micro-batch sends to this rank's experts. Number and order of the ops do not depend on it, only sizes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Distinct tokens this rank receives.
    pub received: u64,
    /// Rows of each local expert; a token that picks two of them counts in both. Not padded.
    pub rows: Vec<u64>,
}

impl Load {
    /// A load where every expert gets the same (to one row), as if no token picked two experts of one rank; `received`
    /// is thus an upper bound.
    #[must_use]
    pub fn balanced(model: &Model, shape: &Shape) -> Self {
        let Some(experts) = &model.experts else {
            return Self::default();
        };
        let own = shape.tokens_sequence_parallel();
        let routed = u64::from(experts.routed).max(1);
        let local = routed.div_ceil(shape.ep.max(1));
        // Each rank sends `own x top-k` rows, and gets as many; more where others hold fewer experts.
        let rows = (own * u64::from(experts.top_k) * local * shape.ep.max(1)).div_ceil(routed);
        let share = |index| rows / local + u64::from(index < rows % local);
        Self { received: rows.min(own * shape.ep), rows: (0..local).map(share).collect() }
    }

    /// Rows of all local experts.
    #[must_use]
    pub fn n_rows(&self) -> u64 {
        self.rows.iter().sum()
    }
}

#[cfg(test)]
mod gpt_tests;
#[cfg(test)]
mod tests;
