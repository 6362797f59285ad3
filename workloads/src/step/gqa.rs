//! Grouped-query attention.

use super::Shape;
use super::attention_core::{Core, input_norm};
use super::shape::Copies;
use super::tape::{BF16, Linear, Tape};
use crate::model::{Attention, Model};
use crate::op::{Axis, Collective, Pass, Stream};

/// Grouped attention on this rank; queries, keys and values come from one product. Biases and query-key norms are left
/// out: they are under a thousandth of a layer's bytes.
#[derive(Clone, Copy)]
pub(super) struct Grouped {
    hidden: u64,
    project: Linear,
    rotary: bool,
    core: Core,
}

impl Grouped {
    /// From a model with grouped attention; sizes are zero for any other.
    pub(super) fn of(model: &Model, shape: &Shape) -> Self {
        let (heads, kv_heads, head, rotary) = match model.attention {
            Attention::Gqa { heads, kv_heads, head, rotary, .. } => (heads, kv_heads, head, rotary),
            Attention::Mla { .. } => (0, 0, 0, false),
        };
        let tp = shape.tp.max(1);
        // A key-value head is held by several ranks where there are more ranks than heads.
        let (heads, kv_heads) = (heads / tp, kv_heads.div_ceil(tp));
        let names = ["query-key-value", "attention-input", "query-key-value-gradient"];
        let outputs = (heads + 2 * kv_heads) * head;
        Self {
            hidden: model.hidden,
            rotary,
            project: Linear { names, tokens: shape.tokens(), inputs: model.hidden, outputs },
            core: Core { hidden: model.hidden, heads, kv_heads, qk: head, value: head },
        }
    }

    pub(super) fn forward(&self, tape: &mut Tape<'_>) {
        let pass = Pass::Forward;
        input_norm(tape, pass, self.hidden);
        self.gather(tape, pass, Collective::AllGather);
        tape.cast_normed(pass, &["attention-norm"], self.project, false);
        tape.product(pass, self.project);
        self.rope(tape, pass);
        self.core.forward(tape);
    }

    pub(super) fn backward(&self, tape: &mut Tape<'_>) {
        self.core.backward_output(tape);
        self.core.backward_core(tape);
        self.rope(tape, Pass::InputGradient);
        tape.cast_gradient(self.project);
        tape.product(Pass::InputGradient, self.project);
        self.gather(tape, Pass::InputGradient, Collective::ReduceScatter);
        let own = tape.shape.tokens_sequence_parallel() * self.hidden;
        if tape.shape.pieces_again().norm {
            input_norm(tape, Pass::Recompute, self.hidden);
            self.gather(tape, Pass::Recompute, Collective::AllGather);
            tape.cast_input(Pass::Recompute, self.project, Copies::Columns);
        } else {
            // What is kept is the rank's own tokens: gathered again for the weight gradient.
            self.gather(tape, Pass::Recompute, Collective::AllGather);
            tape.transpose_kept(self.project);
        }
        tape.norm_gradient("attention-norm", own, true);
        self.core.weight_gradient(tape);
        tape.product(Pass::WeightGradient, self.project);
    }

    fn gather(&self, tape: &mut Tape<'_>, pass: Pass, what: Collective) {
        tape.collective(pass, "attention-gather", Axis::Tp, what, self.project.input_elements());
    }

    /// Queries and keys turn in place.
    fn rope(&self, tape: &mut Tape<'_>, pass: Pass) {
        if !self.rotary {
            return;
        }
        let elements = tape.shape.tokens() * (self.core.heads + self.core.kv_heads) * self.core.qk;
        tape.stream(pass, "rope", Stream::Rope, elements, [BF16, BF16]);
    }
}
