//! The feed-forward segment: a dense network, or the shared part of a layer of experts.

use super::activation::{activate, activate_again, activation_gradient};
use super::shape::Copies;
use super::tape::{Linear, Tape};
use super::{Passes, Shape};
use crate::model::{Activation, Model};
use crate::op::{Axis, Collective, Pass};
use crate::recipe::{MemoryOp, Projections};

pub(super) fn dense(model: &Model, shape: &Shape) -> Passes {
    let mut tape = tape(shape);
    let own = shape.tokens_sequence_parallel() * model.hidden;
    let names = match model.activation {
        Activation::SwiGlu => DENSE,
        Activation::Gelu => UNGATED,
    };
    let ffn = FeedForward::new(names, model.activation, shape, model.hidden, model.ffn);
    tape.norm(Pass::Forward, "mlp-norm", own);
    ffn.gather(&mut tape, Pass::Forward, Collective::AllGather);
    tape.cast_normed(Pass::Forward, &["mlp-norm"], ffn.gate_up, false);
    ffn.forward(&mut tape);
    tape.residual("mlp-residual", MemoryOp::Residual, own, 2);

    tape.again_if_full();
    tape.residual_gradient("mlp-residual", own);
    if model.has_biases() {
        tape.bias_gradient("down-bias", own);
        tape.bias_gradient("up-bias", ffn.down.input_elements());
    }
    ffn.gather(&mut tape, Pass::InputGradient, Collective::AllGather);
    tape.cast_gradient(ffn.down);
    ffn.backward(&mut tape);
    let again = shape.pieces_again().norm;
    if again {
        tape.norm(Pass::Recompute, "mlp-norm", own);
    }
    ffn.input_again(&mut tape, again);
    tape.norm_gradient("mlp-norm", own, Some("mlp-gradient-sum"));
    ffn.weight_gradient(&mut tape);
    tape.finish_overlapped()
}

/// A tape whose products have adapters where feed-forward networks are tuned.
pub(super) fn tape(shape: &Shape) -> Tape<'_> {
    let tape = Tape::new(shape);
    if shape.trains_feed_forward() { tape.with_adapters() } else { tape }
}

/// Names of a feed-forward network's parts.
#[derive(Clone, Copy)]
pub(super) struct Names {
    gate_up: [&'static str; 3],
    activation: &'static str,
    down: [&'static str; 3],
    gather: &'static str,
    scatter: &'static str,
}

const DENSE: Names = Names {
    gate_up: ["gate-up", "mlp-input", "gate-up-gradient"],
    activation: "swiglu",
    down: ["down", "swiglu-output", "mlp-output-gradient"],
    gather: "mlp-gather",
    scatter: "mlp-scatter",
};

const UNGATED: Names = Names {
    gate_up: ["up", "mlp-input", "up-gradient"],
    activation: "gelu",
    down: ["down", "gelu-output", "mlp-output-gradient"],
    ..DENSE
};

pub(super) const SHARED: Names = Names {
    gate_up: ["shared-gate-up", "mlp-input", "shared-gate-up-gradient"],
    activation: "shared-swiglu",
    down: ["shared-down", "shared-swiglu-output", "mlp-output-gradient"],
    gather: "shared-gather",
    scatter: "shared-scatter",
};

/// A feed-forward network, split over `tp` by its width.
#[derive(Clone, Copy)]
pub(super) struct FeedForward {
    names: Names,
    activation: Activation,
    pub(super) gate_up: Linear,
    pub(super) down: Linear,
}

impl FeedForward {
    pub(super) fn new(names: Names, activation: Activation, shape: &Shape, hidden: u64, width: u64) -> Self {
        let (tokens, width) = (shape.tokens(), width / shape.tp.max(1));
        Self {
            names,
            activation,
            gate_up: Linear { names: names.gate_up, tokens, inputs: hidden, outputs: activation.inputs() * width },
            down: Linear { names: names.down, tokens, inputs: width, outputs: hidden },
        }
    }

    /// From the cast input to the output on the rank's own tokens.
    pub(super) fn forward(&self, tape: &mut Tape<'_>) {
        self.up(tape, Pass::Forward);
        activate(tape, self.activation, self.names.activation, self.down.input_elements());
        tape.product(Pass::Forward, self.down);
        self.scatter(tape, Pass::Forward);
    }

    /// From the cast gradient of the output to the gradient of the input on the rank's own tokens.
    pub(super) fn backward(&self, tape: &mut Tape<'_>) {
        tape.product(Pass::InputGradient, self.down);
        activate_again(tape, self.activation, self.names.activation, self.down);
        activation_gradient(tape, self.activation, self.names.activation, self.down.input_elements());
        self.up(tape, Pass::InputGradient);
        self.scatter(tape, Pass::InputGradient);
    }

    /// The 128x1 copy of the input, from the norm run again or from what was kept, gathered anew where `tp` > 1.
    pub(super) fn input_again(&self, tape: &mut Tape<'_>, norm_again: bool) {
        if !tape.shape.trains_feed_forward() {
            return;
        }
        self.gather(tape, Pass::Recompute, Collective::AllGather);
        if norm_again {
            tape.cast_input(Pass::Recompute, self.gate_up, Copies::Columns);
        } else {
            tape.transpose_kept(self.gate_up);
        }
    }

    pub(super) fn weight_gradient(&self, tape: &mut Tape<'_>) {
        tape.product(Pass::WeightGradient, self.down);
        self.up(tape, Pass::WeightGradient);
    }

    /// The product of gate and up, or both products where the stack keeps them apart; in the backward pass the gradients they give
    /// one input are summed.
    fn up(&self, tape: &mut Tape<'_>, pass: Pass) {
        let parts = self.activation.inputs();
        if parts == 1 || tape.shape.recipe.projections == Projections::Joint {
            return tape.product(pass, self.gate_up);
        }
        let half = Linear { outputs: self.gate_up.outputs / parts, ..self.gate_up };
        for _ in 0..parts {
            tape.product(pass, half);
        }
        if pass == Pass::InputGradient {
            tape.sum(pass, "mlp-input-sum", self.gate_up.input_elements(), parts);
        }
    }

    pub(super) fn gather(&self, tape: &mut Tape<'_>, pass: Pass, what: Collective) {
        tape.collective(pass, self.names.gather, Axis::Tp, what, self.gate_up.input_elements());
    }

    fn scatter(&self, tape: &mut Tape<'_>, pass: Pass) {
        let elements = self.gate_up.input_elements();
        tape.collective(pass, self.names.scatter, Axis::Tp, Collective::ReduceScatter, elements);
    }
}
