//! The experts of a layer, between dispatch and combine.

use super::activation::{activate, activate_again, activation_gradient};
use super::dispatcher::Dispatcher;
use super::ffn::{FeedForward, SHARED};
use super::shape::Copies;
use super::tape::{BF16, Linear, Tape};
use super::{Load, Passes, Shape};
use crate::model::{Activation, Experts, Model};
use crate::op::{Collective, Pass};
use crate::recipe::MemoryOp;

/// Experts are gated.
const GATED: Activation = Activation::SwiGlu;

/// Shared experts on the rank's own tokens, routed experts on the tokens it received.
///
/// Tokens arrive in the format of the dispatch and are copied into expert-major rows. Where linear layers are FP8 and it is
/// BF16, a kernel casts the rows, whoever casts elsewhere: products of groups read no BF16.
///
/// The outputs are weighted and summed per received token before the combine. Gate weights are applied to the SwiGLU
/// output in the backward pass, where their gradient is a row sum of what the kernel holds anyway, so expert outputs
/// are not kept. The expert-major rows are kept for the weight gradient: in FP8 if they came so, else as other inputs.
pub(super) fn mlp(model: &Model, experts: &Experts, shape: &Shape, load: &Load) -> Passes {
    let mut tape = super::ffn::tape(shape);
    let layer = Layer::of(model, experts, shape, load);
    layer.forward(&mut tape);
    tape.again_if_full();
    layer.backward(&mut tape);
    layer.weight_gradient(&mut tape);
    tape.finish()
}

struct Layer<'a> {
    hidden: u64,
    shared: Option<FeedForward>,
    gate_up: Linear,
    down: Linear,
    top_k: u32,
    load: &'a Load,
}

impl<'a> Layer<'a> {
    fn of(model: &Model, experts: &Experts, shape: &Shape, load: &'a Load) -> Self {
        let (hidden, width, tokens) = (model.hidden, experts.width, load.n_rows());
        let gate_up = ["expert-gate-up", "expert-input", "expert-gate-up-gradient"];
        let down = ["expert-down", "expert-swiglu-output", "expert-output-gradient"];
        let shared = u64::from(experts.shared) * width;
        Self {
            hidden,
            shared: (shared > 0).then(|| FeedForward::new(SHARED, GATED, shape, hidden, shared)),
            gate_up: Linear { names: gate_up, tokens, inputs: hidden, outputs: GATED.inputs() * width },
            down: Linear { names: down, tokens, inputs: width, outputs: hidden },
            top_k: experts.top_k,
            load,
        }
    }

    /// Shared experts first: they do not wait for the dispatch.
    fn forward(&self, tape: &mut Tape<'_>) {
        let pass = Pass::Forward;
        if let Some(shared) = &self.shared {
            if tape.shape.tp > 1 {
                shared.gather(tape, pass, Collective::AllGather);
                tape.cast_input(pass, shared.gate_up, Copies::Rows);
            }
            shared.forward(tape);
        }
        self.permute(tape, pass, "expert-permute");
        if !tape.shape.sends_fp8() {
            tape.cast_to_send(pass, self.gate_up.names[1], self.gate_up.input_elements(), Copies::Rows);
        }
        tape.grouped(pass, self.gate_up, &self.load.rows);
        activate(tape, GATED, "expert-swiglu", self.down.input_elements());
        tape.grouped(pass, self.down, &self.load.rows);
        self.unpermute(tape, pass, "expert-sum");
        let own = tape.shape.tokens_sequence_parallel() * self.hidden;
        // Combined routed experts, shared experts where there are any, and the stream itself.
        tape.residual("mlp-residual", MemoryOp::ExpertResidual, own, if self.shared.is_some() { 3 } else { 2 });
    }

    /// The first cast belongs to the dispatch of the gradient, which the trace counts there; the norm runs again here
    /// because the shared experts' and the gate's weight gradients read its output.
    fn backward(&self, tape: &mut Tape<'_>) {
        let own = tape.shape.tokens_sequence_parallel() * self.hidden;
        let norm_again = tape.shape.pieces_again().norm;
        tape.residual_gradient("mlp-residual", own);
        let one_cast = self.shared.is_some() && tape.shape.tp == 1;
        let copies = if one_cast { Copies::Both } else { Copies::Rows };
        if tape.shape.sends_fp8() || one_cast {
            tape.cast_to_send(Pass::InputGradient, "mlp-output-gradient", own, copies);
        }
        if norm_again {
            tape.norm(Pass::Recompute, "mlp-norm", own);
        }
        if let Some(shared) = &self.shared {
            if tape.shape.tp > 1 {
                shared.gather(tape, Pass::InputGradient, Collective::AllGather);
                tape.cast_gradient(shared.down);
            }
            shared.backward(tape);
            shared.input_again(tape, norm_again);
        }
        self.backward_routed(tape);
    }

    fn backward_routed(&self, tape: &mut Tape<'_>) {
        let pass = Pass::InputGradient;
        self.permute(tape, pass, "expert-sum");
        if tape.shape.sends_fp8() {
            tape.transpose(self.down.names[2], self.gate_up.input_elements());
        } else {
            tape.cast_to_send(pass, self.down.names[2], self.gate_up.input_elements(), Copies::Both);
        }
        tape.grouped(pass, self.down, &self.load.rows);
        activate_again(tape, GATED, "expert-swiglu", self.down);
        activation_gradient(tape, GATED, "expert-swiglu", self.down.input_elements());
        tape.grouped(pass, self.gate_up, &self.load.rows);
        self.unpermute(tape, pass, "expert-permute");
        if tape.shape.sends_fp8() {
            tape.transpose(self.gate_up.names[1], self.gate_up.input_elements());
        } else {
            tape.transpose_kept(self.gate_up);
        }
    }

    fn weight_gradient(&self, tape: &mut Tape<'_>) {
        if let Some(shared) = &self.shared {
            shared.weight_gradient(tape);
        }
        tape.grouped(Pass::WeightGradient, self.down, &self.load.rows);
        tape.grouped(Pass::WeightGradient, self.gate_up, &self.load.rows);
    }

    /// Tokens to rows in the order of the experts, in the dispatch's format: of those that came, and before a library's all-to-all of a rank's own.
    fn permute(&self, tape: &mut Tape<'_>, pass: Pass, name: &'static str) {
        let width = tape.shape.sent_width();
        let rows = self.row_bytes(width);
        match tape.shape.dispatcher {
            Dispatcher::DeepEp => {
                self.stream(tape, (pass, name), MemoryOp::Permute, [self.received_bytes(width), rows]);
            }
            Dispatcher::NcclAllToAll => {
                let own = self.own(tape.shape, width);
                self.stream(tape, (pass, "token-permute"), MemoryOp::Permute, [own.picked, own.picked]);
                self.sort_chunks(tape, (pass, name));
            }
            Dispatcher::NcclAllGather => self.stream(tape, (pass, name), MemoryOp::Permute, [rows, rows]),
        }
    }

    /// Rows summed per token, in BF16: of each token received, of each of a rank's own after a library's all-to-all, or into all tokens of the
    /// group, most of which get nothing.
    fn unpermute(&self, tape: &mut Tape<'_>, pass: Pass, name: &'static str) {
        let rows = self.row_bytes(BF16);
        match tape.shape.dispatcher {
            Dispatcher::DeepEp => {
                self.stream(tape, (pass, name), MemoryOp::Unpermute, [rows, self.received_bytes(BF16)]);
            }
            Dispatcher::NcclAllToAll => {
                self.sort_chunks(tape, (pass, name));
                let own = self.own(tape.shape, BF16);
                self.stream(tape, (pass, "token-sum"), MemoryOp::Unpermute, [own.picked, own.tokens]);
            }
            Dispatcher::NcclAllGather => {
                let all = (tape.shape.tokens_gathered() * self.hidden) as f64 * BF16;
                self.stream(tape, (pass, name), MemoryOp::Unpermute, [rows, rows + all]);
            }
        }
    }

    /// What came from each rank is sorted by expert; with one expert it lies in order.
    fn sort_chunks(&self, tape: &mut Tape<'_>, what: (Pass, &'static str)) {
        if self.load.rows.len() > 1 {
            let rows = self.row_bytes(BF16);
            self.stream(tape, what, MemoryOp::Permute, [rows, rows]);
        }
    }

    fn stream(&self, tape: &mut Tape<'_>, what: (Pass, &'static str), op: MemoryOp, bytes: [f64; 2]) {
        tape.stream_bytes(what, op, self.load.n_rows() * self.hidden, bytes);
    }

    fn received_bytes(&self, width: f64) -> f64 {
        (self.load.received * self.hidden) as f64 * width
    }

    fn row_bytes(&self, width: f64) -> f64 {
        (self.load.n_rows() * self.hidden) as f64 * width
    }

    /// Bytes of a rank's own tokens, and of a copy of each for every expert it picked.
    fn own(&self, shape: &Shape, width: f64) -> Own {
        let tokens = (shape.tokens_sequence_parallel() * self.hidden) as f64 * width;
        Own { tokens, picked: tokens * f64::from(self.top_k) }
    }
}

struct Own {
    tokens: f64,
    picked: f64,
}
