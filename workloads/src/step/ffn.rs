//! The feed-forward segment: a dense network, or the shared part of a layer of experts.

use super::moe;
use super::shape::Copies;
use super::tape::{BF16, Linear, Tape};
use super::{LayerKind, Load, Passes, Shape};
use crate::model::Model;
use crate::op::{Axis, Collective, Pass, Stream};

/// The feed-forward segment of one layer. A dense layer: norm, gate-up, SwiGLU, down, residual; `load` is not read. A
/// layer of experts: what happens between dispatch and combine, the shared experts, and the residual (which a real
/// stream adds when the combine is through).
///
/// SwiGLU is one kernel with the cast of its output; it also writes the FP8 copy of its input that is kept. Its
/// gradient writes both FP8 copies. Its output is computed again straight to 128x1 where the policy says so.
#[must_use]
pub fn mlp(model: &Model, shape: &Shape, kind: LayerKind, load: &Load) -> Passes {
    match (&model.experts, kind) {
        (Some(experts), LayerKind::Moe) => moe::mlp(model, experts, shape, load),
        _ => dense(model, shape),
    }
}

fn dense(model: &Model, shape: &Shape) -> Passes {
    let mut tape = Tape::new(shape);
    let own = shape.tokens_sequence_parallel() * model.hidden;
    let ffn = FeedForward::new(DENSE, shape, model.hidden, model.ffn);
    tape.norm(Pass::Forward, "mlp-norm", own);
    ffn.gather(&mut tape, Pass::Forward, Collective::AllGather);
    tape.cast_normed(Pass::Forward, &["mlp-norm"], ffn.gate_up, false);
    ffn.forward(&mut tape);
    tape.sum(Pass::Forward, "mlp-residual", own, 2);

    tape.again_if_full();
    ffn.gather(&mut tape, Pass::InputGradient, Collective::AllGather);
    tape.cast_gradient(ffn.down);
    ffn.backward(&mut tape);
    let again = shape.pieces_again().norm;
    if again {
        tape.norm(Pass::Recompute, "mlp-norm", own);
    }
    ffn.input_again(&mut tape, again);
    tape.norm_gradient("mlp-norm", own, true);
    ffn.weight_gradient(&mut tape);
    tape.finish()
}

/// Names of a feed-forward network's parts.
#[derive(Clone, Copy)]
pub(super) struct Names {
    gate_up: [&'static str; 3],
    swiglu: &'static str,
    down: [&'static str; 3],
    gather: &'static str,
    scatter: &'static str,
}

const DENSE: Names = Names {
    gate_up: ["gate-up", "mlp-input", "gate-up-gradient"],
    swiglu: "swiglu",
    down: ["down", "swiglu-output", "mlp-output-gradient"],
    gather: "mlp-gather",
    scatter: "mlp-scatter",
};

pub(super) const SHARED: Names = Names {
    gate_up: ["shared-gate-up", "mlp-input", "shared-gate-up-gradient"],
    swiglu: "shared-swiglu",
    down: ["shared-down", "shared-swiglu-output", "mlp-output-gradient"],
    gather: "shared-gather",
    scatter: "shared-scatter",
};

/// A gated feed-forward network, split over `tp` by its width.
#[derive(Clone, Copy)]
pub(super) struct FeedForward {
    names: Names,
    pub(super) gate_up: Linear,
    pub(super) down: Linear,
}

impl FeedForward {
    pub(super) fn new(names: Names, shape: &Shape, hidden: u64, width: u64) -> Self {
        let (tokens, width) = (shape.tokens(), width / shape.tp.max(1));
        Self {
            names,
            gate_up: Linear { names: names.gate_up, tokens, inputs: hidden, outputs: 2 * width },
            down: Linear { names: names.down, tokens, inputs: width, outputs: hidden },
        }
    }

    /// From the cast input to the output on the rank's own tokens.
    pub(super) fn forward(&self, tape: &mut Tape<'_>) {
        tape.product(Pass::Forward, self.gate_up);
        swiglu(tape, self.names.swiglu, self.down.input_elements());
        tape.product(Pass::Forward, self.down);
        self.scatter(tape, Pass::Forward);
    }

    /// From the cast gradient of the output to the gradient of the input on the rank's own tokens.
    pub(super) fn backward(&self, tape: &mut Tape<'_>) {
        tape.product(Pass::InputGradient, self.down);
        swiglu_again(tape, self.names.swiglu, self.down, self.down.input_elements());
        swiglu_gradient(tape, self.names.swiglu, self.down.input_elements());
        tape.product(Pass::InputGradient, self.gate_up);
        self.scatter(tape, Pass::InputGradient);
    }

    /// The 128x1 copy of the input, from the norm run again or from what was kept, gathered anew where `tp` > 1.
    pub(super) fn input_again(&self, tape: &mut Tape<'_>, norm_again: bool) {
        self.gather(tape, Pass::Recompute, Collective::AllGather);
        if norm_again {
            tape.cast_input(Pass::Recompute, self.gate_up, Copies::Columns);
        } else {
            tape.transpose_kept(self.gate_up);
        }
    }

    pub(super) fn weight_gradient(&self, tape: &mut Tape<'_>) {
        tape.product(Pass::WeightGradient, self.down);
        tape.product(Pass::WeightGradient, self.gate_up);
    }

    pub(super) fn gather(&self, tape: &mut Tape<'_>, pass: Pass, what: Collective) {
        tape.collective(pass, self.names.gather, Axis::Tp, what, self.gate_up.input_elements());
    }

    fn scatter(&self, tape: &mut Tape<'_>, pass: Pass) {
        let elements = self.gate_up.input_elements();
        tape.collective(pass, self.names.scatter, Axis::Tp, Collective::ReduceScatter, elements);
    }
}

/// The gated activation over `elements` of output, with the cast of the output and the kept copy of the input.
pub(super) fn swiglu(tape: &mut Tape<'_>, name: &'static str, elements: u64) {
    let shape = tape.shape;
    let writes = match (shape.fp8(), shape.keep_fp8) {
        (false, _) => BF16,
        (true, true) => 3.0 * shape.fp8_width(),
        // The input is kept as it is; the output too, where it is not computed again.
        (true, false) if shape.recompute.swiglu || shape.recompute.full => shape.fp8_width(),
        (true, false) => shape.fp8_width() + BF16,
    };
    tape.stream(Pass::Forward, name, Stream::SwiGlu, elements, [2.0 * BF16, writes]);
}

/// Its output once more for the weight gradient of `down`, with 128x1 tiles.
pub(super) fn swiglu_again(tape: &mut Tape<'_>, name: &'static str, down: Linear, elements: u64) {
    let shape = tape.shape;
    if shape.pieces_again().swiglu {
        let writes = if shape.fp8() { shape.fp8_width() } else { BF16 };
        tape.stream(Pass::Recompute, name, Stream::SwiGlu, elements, [2.0 * shape.kept_width(), writes]);
    } else if shape.keep_fp8 {
        tape.transpose(down.names[1], elements);
    } else {
        tape.cast(Pass::InputGradient, down.names[1], elements, Copies::Columns);
    }
}

/// Its gradient: kept input and output gradient in, input gradient out in both FP8 copies.
pub(super) fn swiglu_gradient(tape: &mut Tape<'_>, name: &'static str, elements: u64) {
    let shape = tape.shape;
    let copies = if shape.transposed_reads { 1.0 } else { 2.0 };
    let writes = if shape.fp8() { copies * 2.0 * shape.fp8_width() } else { 2.0 * BF16 };
    let widths = [2.0 * shape.kept_width() + BF16, writes];
    tape.stream(Pass::InputGradient, name, Stream::SwiGlu, elements, widths);
}
