//! What the first and the last stage do besides layers.

use super::shape::Copies;
use super::tape::{BF16, FP32, Linear, Tape};
use super::{Passes, Shape};
use crate::model::Model;
use crate::op::{Axis, Collective, Output, Pass, Precision};
use crate::recipe::MemoryOp;

/// The embedding: rows of the table forward; in the backward pass the rows' gradients are added into the table's FP32
/// gradient. With `tp` > 1 the table is split by vocabulary and the sum reduce-scattered.
#[must_use]
pub fn embedding(model: &Model, shape: &Shape) -> Passes {
    let mut tape = Tape::new(shape);
    look_up(&mut tape, model);
    look_up_gradient(&mut tape, model);
    tape.finish()
}

fn look_up(tape: &mut Tape<'_>, model: &Model) {
    let all = tape.shape.tokens() * model.hidden;
    tape.stream(Pass::Forward, "embedding", MemoryOp::Embedding, all, [BF16, BF16]);
    tape.collective(Pass::Forward, "embedding-scatter", Axis::Tp, Collective::ReduceScatter, all);
}

fn look_up_gradient(tape: &mut Tape<'_>, model: &Model) {
    let all = tape.shape.tokens() * model.hidden;
    tape.collective(Pass::InputGradient, "embedding-scatter", Axis::Tp, Collective::AllGather, all);
    tape.stream(Pass::WeightGradient, "embedding", MemoryOp::EmbeddingGradient, all, tape.shape.gradients.added(BF16));
}

/// The head: final norm, logits in BF16 with FP32 output, cross-entropy, and their gradients.
///
/// In one piece the FP32 logits are kept from forward to backward, and the weight gradient is apart. In several
/// (`logit_pieces`) each piece of tokens goes through logits, loss, input gradient and weight gradient in the *forward*
/// pass, so that only one piece is in memory and nothing is computed twice (as fused cross-entropy kernels do); only
/// the gradient of the head's input is kept, and the backward pass starts at the final norm. The report of DeepSeek-V3
/// does not say which it does. Cross-entropy reads the logits twice (maximum and sum, then the gradient) and writes the
/// BF16 gradient; with `tp` > 1 the vocabulary is split and maxima and sums are reduced.
#[must_use]
pub fn head(model: &Model, shape: &Shape) -> Passes {
    let mut tape = Tape::new(shape);
    let head = Head { hidden: model.hidden, vocabulary: model.vocabulary / shape.tp.max(1) };
    let own = shape.tokens_sequence_parallel() * model.hidden;
    tape.norm(Pass::Forward, "final-norm", own);
    head.gather(&mut tape, Pass::Forward, Collective::AllGather);
    if shape.logit_pieces > 1 {
        head.in_pieces(&mut tape);
    } else {
        head.in_one(&mut tape);
    }
    if shape.logit_pieces <= 1 && shape.pieces_again().norm {
        tape.norm(Pass::Recompute, "final-norm", own);
        head.gather(&mut tape, Pass::Recompute, Collective::AllGather);
    }
    tape.norm_gradient("final-norm", own, None);
    tape.finish()
}

struct Head {
    hidden: u64,
    vocabulary: u64,
}

impl Head {
    fn in_one(&self, tape: &mut Tape<'_>) {
        let linear = self.linear(tape.shape.tokens());
        tape.gemm(Pass::Forward, linear, Precision::Bf16, Output::Fp32);
        self.loss(tape, Pass::Forward, linear.tokens, [FP32, 0.0]);
        self.loss(tape, Pass::InputGradient, linear.tokens, [FP32, BF16]);
        tape.gemm(Pass::InputGradient, linear, Precision::Bf16, Output::Bf16);
        self.gather(tape, Pass::InputGradient, Collective::ReduceScatter);
        tape.gemm(Pass::WeightGradient, linear, Precision::Bf16, tape.shape.gradients.output());
        tape.add_gradient(Pass::WeightGradient, self.hidden * self.vocabulary);
    }

    /// All of it in the forward list; the ops say by their pass what they are.
    fn in_pieces(&self, tape: &mut Tape<'_>) {
        let linear = self.linear(tape.shape.tokens() / tape.shape.logit_pieces);
        for _ in 0..tape.shape.logit_pieces {
            tape.gemm(Pass::Forward, linear, Precision::Bf16, Output::Fp32);
            self.loss(tape, Pass::Forward, linear.tokens, [2.0 * FP32, BF16]);
            tape.forward_early(Pass::InputGradient, linear, Output::Bf16);
            tape.forward_early(Pass::WeightGradient, linear, tape.shape.gradients.output());
        }
        self.gather(tape, Pass::Forward, Collective::ReduceScatter);
    }

    fn linear(&self, tokens: u64) -> Linear {
        let names = ["head", "head-input", "logits-gradient"];
        Linear { names, tokens, inputs: self.hidden, outputs: self.vocabulary }
    }

    fn loss(&self, tape: &mut Tape<'_>, pass: Pass, tokens: u64, widths: [f64; 2]) {
        let what = if pass == Pass::Forward { MemoryOp::CrossEntropy } else { MemoryOp::CrossEntropyGradient };
        tape.stream(pass, "cross-entropy", what, tokens * self.vocabulary, widths);
        if pass == Pass::Forward {
            // A maximum and a sum a token, in FP32: the size of four BF16 elements.
            tape.collective(pass, "cross-entropy-reduce", Axis::Tp, Collective::AllReduce, tokens * 4);
        }
    }

    fn gather(&self, tape: &mut Tape<'_>, pass: Pass, what: Collective) {
        tape.collective(pass, "head-gather", Axis::Tp, what, tape.shape.tokens() * self.hidden);
    }
}

/// What a multi-token-prediction module does around its block, which is a layer of experts like any other, and its use
/// of the head, which is another [`head`]: the embedding of the next token, a norm of it and one of the stream, both
/// side by side through a linear layer of `2 hidden -> hidden` (arXiv:2412.19437 section 2.2), on the rank's own tokens
/// with a copy of the weights where `tp` > 1.
#[must_use]
pub fn mtp(model: &Model, shape: &Shape) -> Passes {
    let mut tape = Tape::new(shape);
    let own = shape.tokens_sequence_parallel();
    let elements = own * model.hidden;
    let names = ["mtp-projection", "mtp-input", "mtp-projection-gradient"];
    let project = Linear { names, tokens: own, inputs: 2 * model.hidden, outputs: model.hidden };
    look_up(&mut tape, model);
    norms(&mut tape, Pass::Forward, elements);
    tape.cast_normed(Pass::Forward, &["mtp-norm-hidden", "mtp-norm-embedding"], project, false);
    tape.product(Pass::Forward, project);

    tape.cast_gradient(project);
    tape.product(Pass::InputGradient, project);
    if shape.recompute.norm || shape.recompute.layers() {
        norms(&mut tape, Pass::Recompute, elements);
        tape.cast_input(Pass::Recompute, project, Copies::Columns);
    } else {
        tape.transpose_kept(project);
    }
    tape.norm_gradient("mtp-norm-hidden", elements, None);
    tape.norm_gradient("mtp-norm-embedding", elements, None);
    // The stream also feeds the model's own head, or the next module.
    tape.sum(Pass::InputGradient, "mtp-stream-sum", elements, 2);
    tape.product(Pass::WeightGradient, project);
    look_up_gradient(&mut tape, model);
    tape.finish()
}

/// Each writes its half of the projection's input, so there is no copy to join them.
fn norms(tape: &mut Tape<'_>, pass: Pass, elements: u64) {
    tape.norm(pass, "mtp-norm-hidden", elements);
    tape.norm(pass, "mtp-norm-embedding", elements);
}
