//! Grouped-query attention.

use super::Shape;
use super::attention_core::{Core, input_norm};
use super::shape::Copies;
use super::tape::{BF16, Linear, Tape};
use crate::model::{Attention, Model};
use crate::op::{Axis, Collective, Pass};
use crate::recipe::{MemoryOp, Projections};

/// Grouped attention on this rank; queries, keys and values come from one product, or from three where the stack keeps them apart.
/// Biases take time where the stack has kernels for them; query-key norms are left out, under a thousandth of a layer's bytes.
#[derive(Clone, Copy)]
pub(super) struct Grouped {
    hidden: u64,
    project: Linear,
    rotary: bool,
    bias: bool,
    /// Whether all products have biases, as in GPTs.
    all_biased: bool,
    core: Core,
}

impl Grouped {
    /// From a model with grouped attention; sizes are zero for any other.
    pub(super) fn of(model: &Model, shape: &Shape) -> Self {
        let (heads, kv_heads, head, rotary, bias) = match model.attention {
            Attention::Gqa { heads, kv_heads, head, rotary, bias } => (heads, kv_heads, head, rotary, bias),
            Attention::Mla { .. } => (0, 0, 0, false, false),
        };
        let tp = shape.tp.max(1);
        // A key-value head is held by several ranks where there are more ranks than heads.
        let (heads, kv_heads) = (heads / tp, kv_heads.div_ceil(tp));
        let names = ["query-key-value", "attention-input", "query-key-value-gradient"];
        let outputs = (heads + 2 * kv_heads) * head;
        Self {
            hidden: model.hidden,
            rotary,
            bias,
            all_biased: model.has_biases(),
            project: Linear { names, tokens: shape.tokens(), inputs: model.hidden, outputs },
            core: Core { hidden: model.hidden, heads, kv_heads, qk: head, value: head },
        }
    }

    pub(super) fn forward(&self, tape: &mut Tape<'_>) {
        let pass = Pass::Forward;
        input_norm(tape, pass, self.hidden);
        self.gather(tape, pass, Collective::AllGather);
        tape.cast_normed(pass, &["attention-norm"], self.project, false);
        self.products(tape, pass);
        if self.bias {
            tape.stream(pass, MemoryOp::Bias.name(), MemoryOp::Bias, self.projected(), [BF16, BF16]);
        }
        self.rope(tape, pass);
        self.core.forward(tape);
    }

    pub(super) fn backward(&self, tape: &mut Tape<'_>) {
        let own = tape.shape.tokens_sequence_parallel() * self.hidden;
        if self.all_biased {
            tape.bias_gradient("output-projection-bias", own);
        }
        self.core.backward_output(tape);
        self.core.backward_core(tape);
        self.rope(tape, Pass::InputGradient);
        if self.bias {
            tape.bias_gradient("query-key-value-bias", self.projected());
        }
        tape.cast_gradient(self.project);
        self.products(tape, Pass::InputGradient);
        self.gather(tape, Pass::InputGradient, Collective::ReduceScatter);
        if tape.shape.pieces_again().norm {
            input_norm(tape, Pass::Recompute, self.hidden);
            self.gather(tape, Pass::Recompute, Collective::AllGather);
            tape.cast_input(Pass::Recompute, self.project, Copies::Columns);
        } else {
            // What is kept is the rank's own tokens: gathered again for the weight gradient.
            self.gather(tape, Pass::Recompute, Collective::AllGather);
            tape.transpose_kept(self.project);
        }
        tape.norm_gradient("attention-norm", own, Some("attention-gradient-sum"));
        self.core.weight_gradient(tape);
        self.products(tape, Pass::WeightGradient);
    }

    /// Elements of queries, keys and values.
    fn projected(&self) -> u64 {
        self.project.tokens * self.project.outputs
    }

    /// The products of queries, keys and values; in the backward pass the gradients they give one input are summed.
    fn products(&self, tape: &mut Tape<'_>, pass: Pass) {
        match tape.shape.recipe.projections {
            Projections::Joint => tape.product(pass, self.project),
            Projections::Apart => {
                let Core { heads, kv_heads, qk, .. } = self.core;
                let parts = [("query", heads), ("key", kv_heads), ("value", kv_heads)];
                let [_, input, gradient] = self.project.names;
                for (name, heads) in parts {
                    let linear = Linear { names: [name, input, gradient], outputs: heads * qk, ..self.project };
                    tape.product(pass, linear);
                }
                if pass == Pass::InputGradient {
                    tape.sum(pass, "attention-input-sum", self.project.input_elements(), parts.len() as u64);
                }
            }
        }
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
        let what = if pass == Pass::InputGradient { MemoryOp::RopeGradient } else { MemoryOp::Rope };
        tape.stream(pass, "rope", what, elements, [BF16, BF16]);
    }
}
