//! The gate: what stands between attention and the dispatch.

use super::tape::{BF16, FP32, Linear, Tape};
use super::{LayerKind, Shape};
use crate::model::Model;
use crate::op::{Output, Pass, Precision};
use crate::recipe::MemoryOp;

/// The norm before the experts, the gate, and the cast of what is dispatched.
pub(super) struct Router {
    gate: Linear,
    top_k: u64,
    shared: bool,
}

impl Router {
    /// `None` in a dense layer.
    pub(super) fn of(model: &Model, shape: &Shape, kind: LayerKind) -> Option<Self> {
        let experts = model.experts.as_ref().filter(|_| kind == LayerKind::Moe)?;
        let names = ["gate", "mlp-input", "gate-gradient"];
        let (tokens, outputs) = (shape.tokens_sequence_parallel(), u64::from(experts.routed));
        let gate = Linear { names, tokens, inputs: model.hidden, outputs };
        Some(Self { gate, top_k: u64::from(experts.top_k), shared: experts.shared > 0 })
    }

    /// The gate's product is BF16 with FP32 scores, as in the trace. One cast serves the dispatch, unless it is of BF16, and
    /// the shared expert.
    pub(super) fn forward(&self, tape: &mut Tape<'_>) {
        tape.norm(Pass::Forward, "mlp-norm", self.gate.input_elements());
        tape.gemm(Pass::Forward, self.gate, Precision::Bf16, Output::Fp32);
        // Scores in; out, for each pick, its index (8 bytes) and its weight.
        let picks = (self.top_k * 8 + self.top_k * 4) as f64;
        let widths = [self.gate.outputs as f64 * FP32, picks];
        tape.stream(Pass::Forward, "top-k", MemoryOp::Gate, self.gate.tokens, widths);
        if tape.shape.sends_fp8() || (self.shared && tape.shape.tp == 1) {
            tape.cast_normed(Pass::Forward, &["mlp-norm"], self.gate, true);
        }
    }

    /// The gradients of the routed experts' input, the shared expert's and the gate's are summed, then taken through
    /// the norm. The norm's output was computed again in [`super::mlp`], which needs it first.
    pub(super) fn backward(&self, tape: &mut Tape<'_>) {
        let pass = Pass::InputGradient;
        let scores = self.gate.outputs as f64 * FP32;
        let widths = [scores + (self.top_k * 12) as f64, self.gate.outputs as f64 * BF16];
        tape.stream(pass, "top-k", MemoryOp::GateGradient, self.gate.tokens, widths);
        tape.gemm(pass, self.gate, Precision::Bf16, Output::Bf16);
        tape.sum(pass, "mlp-input-sum", self.gate.input_elements(), if self.shared { 3 } else { 2 });
        tape.norm_gradient("mlp-norm", self.gate.input_elements(), Some("mlp-gradient-sum"));
        tape.gemm(Pass::WeightGradient, self.gate, Precision::Bf16, tape.shape.gradients.output());
        tape.add_gradient(Pass::WeightGradient, self.gate.inputs * self.gate.outputs);
    }
}
