//! The attention core as products and a softmax, with the scores in memory between them.
//!
//! Per head of `q` queries and `k` keys, of widths `w` (queries, keys) and `v` (values), in BF16:
//!
//! | forward | backward |
//! |---|---|
//! | `S[q,k] = Q K^T`; `P = softmax(S)`; dropout; `O[q,v] = P V` | `dP[q,k] = dO V^T`, `dV[k,v] = P^T dO`; dropout; `dS = dsoftmax(dP, P)`; `dQ[q,w] = dS K`, `dK[k,w] = dS^T Q` |
//!
//! The products compute the whole square; the softmax reads the causal triangle and writes zeros beyond it, as the fused
//! scale, mask and softmax kernels of Megatron-LM do. With `recompute.core` the forward list runs again before the backward
//! one. Source: arXiv:2205.05198 section 4 (what is computed, kept and computed again). Breaks where a library skips tiles
//! beyond the diagonal.

use super::Shape;
use super::attention_core::Core;
use super::tape::{BF16, MASK, Tape};
use crate::op::{OpKind, Output, Pass, Precision};
use crate::recipe::MemoryOp;

/// Share of the square of scores that the causal triangle is.
const TRIANGLE: f64 = 0.5;

/// Sizes of the core on this rank: heads of all sequences, queries and keys of each.
#[derive(Clone, Copy)]
struct Square {
    heads: u64,
    queries: u64,
    keys: u64,
}

impl Core {
    pub(super) fn unfused(self, tape: &mut Tape<'_>, pass: Pass) {
        let square = self.square(tape.shape);
        let Square { queries, keys, .. } = square;
        square.product(tape, pass, "attention-scores", [queries, keys, self.qk]);
        square.stream(tape, pass, "attention-softmax", MemoryOp::Softmax, [TRIANGLE * BF16, BF16]);
        if tape.shape.dropout {
            square.stream(tape, pass, "attention-dropout", MemoryOp::Dropout, [BF16, BF16 + MASK]);
        }
        square.product(tape, pass, "attention-context", [queries, self.value, keys]);
        let context = square.heads * queries * self.value;
        tape.stream(pass, MemoryOp::ContextOrder.name(), MemoryOp::ContextOrder, context, [BF16, BF16]);
    }

    pub(super) fn unfused_backward(self, tape: &mut Tape<'_>) {
        let pass = Pass::InputGradient;
        let square = self.square(tape.shape);
        let Square { queries, keys, .. } = square;
        if tape.shape.pieces_again().core {
            self.unfused(tape, Pass::Recompute);
        }
        square.product(tape, pass, "attention-context", [queries, keys, self.value]);
        square.product(tape, pass, "attention-context", [keys, self.value, queries]);
        if tape.shape.dropout {
            square.stream(tape, pass, "attention-dropout", MemoryOp::DropoutGradient, [BF16 + MASK, BF16]);
        }
        square.stream(tape, pass, "attention-softmax", MemoryOp::SoftmaxGradient, [2.0 * TRIANGLE * BF16, BF16]);
        square.product(tape, pass, "attention-scores", [queries, self.qk, keys]);
        square.product(tape, pass, "attention-scores", [keys, self.qk, queries]);
        let gradients = square.heads * (queries * self.qk + keys * (self.qk + self.value));
        tape.stream(pass, MemoryOp::QueryOrder.name(), MemoryOp::QueryOrder, gradients, [BF16, BF16]);
    }

    fn square(self, shape: &Shape) -> Square {
        let queries = shape.sequence / shape.cp.max(1);
        Square { heads: self.heads * shape.micro_batch, queries, keys: shape.sequence }
    }
}

impl Square {
    /// One product a head, `[rows, inner] -> columns`.
    fn product(self, tape: &mut Tape<'_>, pass: Pass, name: &'static str, [rows, columns, inner]: [u64; 3]) {
        let kind = OpKind::GroupedGemm {
            tokens: vec![rows; self.heads as usize],
            n: columns,
            k: inner,
            precision: Precision::Bf16,
            output: Output::Bf16,
        };
        tape.push(pass, name, kind);
    }

    fn stream(self, tape: &mut Tape<'_>, pass: Pass, name: &'static str, what: MemoryOp, widths: [f64; 2]) {
        tape.stream(pass, name, what, self.heads * self.queries * self.keys, widths);
    }
}
