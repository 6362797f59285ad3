//! Multi-head latent attention.

use super::Shape;
use super::attention_core::{Core, input_norm};
use super::shape::Copies;
use super::tape::{BF16, Linear, Tape};
use crate::model::{Attention, Model};
use crate::op::{Axis, Collective, Pass};
use crate::recipe::{InputCasts, MemoryOp};

/// Latent attention's linear layers on this rank. Without a query latent `query_down` is absent and `query_up` reads
/// the residual stream.
#[derive(Clone, Copy)]
pub(super) struct Latent {
    hidden: u64,
    query_down: Option<Linear>,
    query_up: Linear,
    kv_down: Linear,
    kv_up: Linear,
    nope: u64,
    rope: u64,
    core: Core,
}

impl Latent {
    /// From a model with latent attention; sizes are zero for any other.
    pub(super) fn of(model: &Model, shape: &Shape) -> Self {
        let Attention::Mla { heads, query_latent, kv_latent, nope, rope, value } = model.attention else {
            return Self::of(&Model { attention: NONE, ..model.clone() }, shape);
        };
        let (own, all) = (shape.tokens_sequence_parallel(), shape.tokens());
        let (hidden, heads) = (model.hidden, heads / shape.tp.max(1));
        let linear = |names, tokens, inputs, outputs| Linear { names, tokens, inputs, outputs };
        let query_inputs = if query_latent == 0 { hidden } else { query_latent };
        Self {
            hidden,
            query_down: (query_latent > 0)
                .then(|| linear(["query-down", "attention-input", "query-down-gradient"], own, hidden, query_latent)),
            query_up: linear(
                ["query-up", "query-latent", "query-up-gradient"],
                all,
                query_inputs,
                heads * (nope + rope),
            ),
            kv_down: linear(
                ["key-value-down", "attention-input", "key-value-down-gradient"],
                own,
                hidden,
                kv_latent + rope,
            ),
            kv_up: linear(
                ["key-value-up", "key-value-latent", "key-value-up-gradient"],
                all,
                kv_latent,
                heads * (nope + value),
            ),
            nope,
            rope,
            core: Core { hidden, heads, kv_heads: heads, qk: nope + rope, value },
        }
    }

    pub(super) fn forward(&self, tape: &mut Tape<'_>) {
        let pass = Pass::Forward;
        input_norm(tape, pass, self.hidden);
        tape.cast_normed(pass, &["attention-norm"], self.kv_down, false);
        if self.query_down.is_some() && tape.shape.recipe.input_casts == InputCasts::Each {
            tape.cast_input(pass, self.kv_down, Copies::Rows);
        }
        if let Some(down) = self.query_down {
            tape.product(pass, down);
        }
        tape.product(pass, self.kv_down);
        self.latent_norms(tape, pass);
        self.gather_latents(tape, pass);
        self.cast_latents(tape, pass, Copies::Rows);
        self.up(tape, pass);
        self.core.forward(tape);
    }

    /// Input gradient, then weight gradient.
    ///
    /// The norms' outputs and the up-projections come again from the kept latents before the core needs them. A norm
    /// that is recomputed is cast straight to 128x1 (the up-projections' inputs to both, where those run again).
    pub(super) fn backward(&self, tape: &mut Tape<'_>) {
        self.core.backward_output(tape);
        self.latents_again(tape);
        self.core.backward_core(tape);
        self.backward_up(tape);
        self.backward_down(tape);
        self.core.weight_gradient(tape);
        tape.product(Pass::WeightGradient, self.query_up);
        tape.product(Pass::WeightGradient, self.kv_up);
        if let Some(down) = self.query_down {
            tape.product(Pass::WeightGradient, down);
        }
        tape.product(Pass::WeightGradient, self.kv_down);
    }

    fn latents_again(&self, tape: &mut Tape<'_>) {
        let again = tape.shape.pieces_again();
        if self.query_down.is_none() {
            // The up-projection of the queries reads the first norm itself.
            self.input_again(tape, if again.mla_up { Copies::Both } else { Copies::Columns });
        }
        if again.norm {
            self.latent_norms(tape, Pass::Recompute);
        }
        if again.norm || again.mla_up {
            self.gather_latents(tape, Pass::Recompute);
            // Both copies in one read where the up-projections run again.
            self.cast_latents(tape, Pass::Recompute, if again.mla_up { Copies::Both } else { Copies::Columns });
        } else {
            tape.transpose_kept(self.kv_up);
            if self.query_down.is_some() {
                tape.transpose_kept(self.query_up);
            }
        }
        if again.mla_up {
            self.up(tape, Pass::Recompute);
        }
    }

    /// The 128x1 copy of the first norm's output for the weight gradients.
    fn input_again(&self, tape: &mut Tape<'_>, copies: Copies) {
        if tape.shape.pieces_again().norm {
            input_norm(tape, Pass::Recompute, self.hidden);
            tape.cast_input(Pass::Recompute, self.kv_down, copies);
            if self.query_down.is_some() && tape.shape.recipe.input_casts == InputCasts::Each {
                tape.cast_input(Pass::Recompute, self.kv_down, copies);
            }
        } else {
            tape.transpose_kept(self.kv_down);
        }
    }

    fn backward_up(&self, tape: &mut Tape<'_>) {
        self.rope_gradient(tape);
        for up in [self.query_up, self.kv_up] {
            tape.cast_gradient(up);
            tape.product(Pass::InputGradient, up);
        }
        let latents = self.gathered();
        tape.collective(Pass::InputGradient, "latent-gather", Axis::Tp, Collective::ReduceScatter, latents);
    }

    fn backward_down(&self, tape: &mut Tape<'_>) {
        let own = tape.shape.tokens_sequence_parallel();
        if let Some(down) = self.query_down {
            tape.norm_gradient("query-norm", own * down.outputs, None);
            tape.cast_gradient(down);
            tape.product(Pass::InputGradient, down);
        }
        tape.norm_gradient("key-value-norm", own * self.kv_up.inputs, None);
        tape.cast_gradient(self.kv_down);
        tape.product(Pass::InputGradient, self.kv_down);
        tape.sum(Pass::InputGradient, "attention-input-sum", own * self.hidden, 2);
        if self.query_down.is_some() {
            self.input_again(tape, Copies::Columns);
        }
        tape.norm_gradient("attention-norm", own * self.hidden, Some("attention-gradient-sum"));
    }

    fn latent_norms(&self, tape: &mut Tape<'_>, pass: Pass) {
        let own = tape.shape.tokens_sequence_parallel();
        if let Some(down) = self.query_down {
            tape.norm(pass, "query-norm", own * down.outputs);
        }
        tape.norm(pass, "key-value-norm", own * self.kv_up.inputs);
    }

    /// Elements the tensor-parallel group gathers: latents and the shared rotary key (the residual stream's norm where
    /// queries have no latent).
    fn gathered(&self) -> u64 {
        self.query_up.tokens * (self.query_up.inputs + self.kv_up.inputs + self.rope)
    }

    fn gather_latents(&self, tape: &mut Tape<'_>, pass: Pass) {
        tape.collective(pass, "latent-gather", Axis::Tp, Collective::AllGather, self.gathered());
    }

    fn cast_latents(&self, tape: &mut Tape<'_>, pass: Pass, copies: Copies) {
        // Without a query latent the norm's output is cast already; with tp > 1 it arrives gathered and is cast anew.
        if self.query_down.is_some() || tape.shape.tp > 1 {
            self.cast_latent(tape, pass, "query-norm", self.query_up, copies);
        }
        self.cast_latent(tape, pass, "key-value-norm", self.kv_up, copies);
    }

    fn cast_latent(&self, tape: &mut Tape<'_>, pass: Pass, norm: &'static str, linear: Linear, copies: Copies) {
        match copies {
            Copies::Rows => tape.cast_normed(pass, &[norm], linear, false),
            Copies::Columns | Copies::Both => tape.cast_input(pass, linear, copies),
        }
    }

    /// The up-projections and the rotary position of what they give.
    fn up(&self, tape: &mut Tape<'_>, pass: Pass) {
        tape.product(pass, self.query_up);
        tape.product(pass, self.kv_up);
        // Queries turn in place; keys are copied next to the turned key that all heads share.
        let Core { heads, qk, .. } = self.core;
        let reads = heads * self.rope + heads * self.nope + self.rope;
        let writes = heads * self.rope + heads * qk;
        self.rope_stream(tape, pass, reads, writes);
    }

    /// Back: the query gradient turns in place; key and value gradients are joined for the up-projection, the rotary
    /// part is summed over heads.
    fn rope_gradient(&self, tape: &mut Tape<'_>) {
        let Core { heads, qk, value, .. } = self.core;
        let reads = heads * self.rope + heads * qk + heads * value;
        let writes = heads * self.rope + heads * (self.nope + value) + self.rope;
        self.rope_stream(tape, Pass::InputGradient, reads, writes);
    }

    fn rope_stream(&self, tape: &mut Tape<'_>, pass: Pass, reads: u64, writes: u64) {
        let tokens = tape.shape.tokens();
        let whole = [reads, writes].map(|width| (tokens * width) as f64 * BF16);
        let what = if pass == Pass::InputGradient { MemoryOp::RopeGradient } else { MemoryOp::Rope };
        tape.stream_bytes((pass, "rope"), what, tokens * self.core.heads * self.core.qk, whole);
    }
}

const NONE: Attention = Attention::Mla { heads: 0, query_latent: 0, kv_latent: 0, nope: 0, rope: 0, value: 0 };
