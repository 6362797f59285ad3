//! The attention core and the output projection, shared by latent and grouped attention.

use std::collections::BTreeMap;

use super::shape::Copies;
use super::tape::{BF16, FP32, Linear, Tape};
use super::{AttentionKernel, Shape};
use crate::op::{Axis, Collective, OpKind, Pass};
use crate::recipe::MemoryOp;
use crate::seen::Seen;

/// Bytes of an element in E5M6, the 12-bit format the core's output is kept in, without its scale.
const E5M6: f64 = 1.5;

/// The name of the core's ops.
pub(super) const CORE: &str = "attention-core";

/// The core's sizes on this rank.
#[derive(Clone, Copy)]
pub(super) struct Core {
    pub(super) hidden: u64,
    pub(super) heads: u64,
    pub(super) kv_heads: u64,
    pub(super) qk: u64,
    pub(super) value: u64,
}

impl Core {
    /// The core, the cast of its output, the output projection, the residual.
    ///
    /// In FP8 the cast writes two copies: E4M3 for the product and, where activations are kept in FP8, E5M6 to keep
    /// (arXiv:2412.19437 section 3.3.3).
    pub(super) fn forward(self, tape: &mut Tape<'_>) {
        self.gather_keys(tape, Pass::Forward);
        match tape.shape.attention {
            AttentionKernel::Fused => self.op(tape, Pass::Forward),
            AttentionKernel::Unfused => self.unfused(tape, Pass::Forward),
        }
        let output = self.output(tape.shape);
        self.cast_output(tape, output);
        tape.product(Pass::Forward, output);
        tape.collective(Pass::Forward, "attention-scatter", Axis::Tp, Collective::ReduceScatter, self.residual(tape));
        tape.residual("attention-residual", MemoryOp::Residual, self.own(tape.shape), 2);
    }

    fn cast_output(self, tape: &mut Tape<'_>, output: Linear) {
        if !tape.shape.fp8() {
            return;
        }
        let kept = if tape.shape.keep_fp8 { kept_core_width(tape.shape) } else { 0.0 };
        let product = tape.shape.copies_left(Copies::Rows).map_or(0.0, Copies::count) * tape.shape.fp8_width();
        for copy in tape.shape.read_wide(Copies::Rows) {
            tape.read_wide(output.names[1], *copy);
        }
        if kept + product > 0.0 {
            let left = tape.shape.across_memory([BF16, product + kept]);
            let whole = [BF16, tape.shape.fp8_width() + kept];
            let named = (Pass::Forward, output.names[1]);
            tape.cast_left(named, MemoryOp::CastOutput, output.input_elements(), [left, whole]);
        }
    }

    /// From the residual's gradient to that of the core's output, which also comes back from where it was kept.
    pub(super) fn backward_output(self, tape: &mut Tape<'_>) {
        let output = self.output(tape.shape);
        let all = self.residual(tape);
        tape.residual_gradient("attention-residual", self.own(tape.shape));
        tape.collective(Pass::InputGradient, "attention-scatter", Axis::Tp, Collective::AllGather, all);
        tape.cast_gradient(output);
        tape.product(Pass::InputGradient, output);
        if tape.shape.fp8() && tape.shape.keep_fp8 {
            // One read of E5M6 gives the BF16 copy for the row sums and the 128x1 copy for the weight gradient.
            let product = tape.shape.copies_left(Copies::Columns).map_or(0.0, Copies::count) * tape.shape.fp8_width();
            for copy in tape.shape.read_wide(Copies::Columns) {
                tape.read_wide(output.names[1], *copy);
            }
            let left = tape.shape.across_memory([kept_core_width(tape.shape), BF16 + product]);
            let whole = [kept_core_width(tape.shape), BF16 + tape.shape.fp8_width()];
            let named = (Pass::InputGradient, output.names[1]);
            tape.cast_left(named, MemoryOp::CastBack, output.input_elements(), [left, whole]);
        } else {
            tape.cast_input(Pass::InputGradient, output, Copies::Columns);
        }
    }

    /// From the gradient of the core's output to those of queries, keys and values.
    pub(super) fn backward_core(self, tape: &mut Tape<'_>) {
        self.gather_keys(tape, Pass::Recompute);
        match tape.shape.attention {
            AttentionKernel::Fused => self.fused_backward(tape),
            AttentionKernel::Unfused => self.unfused_backward(tape),
        }
        if !tape.shape.ring_attention {
            let keys = self.gathered_keys(tape.shape);
            tape.collective(Pass::InputGradient, "key-value-gather", Axis::Cp, Collective::ReduceScatter, keys);
        }
    }

    /// As FlashAttention's backward does it: row sums of dO x O and clearing of the FP32 dQ, the core, dQ to BF16. The
    /// bytes of the two explain their times in the published trace at memory speed.
    fn fused_backward(self, tape: &mut Tape<'_>) {
        let tokens = tape.shape.tokens();
        let (queries, values) = (tokens * self.heads * self.qk, tokens * self.heads * self.value);
        let sums = [values as f64 * 2.0 * BF16, (tokens * self.heads) as f64 * FP32 + queries as f64 * FP32];
        tape.stream_bytes((Pass::InputGradient, MemoryOp::CoreBefore.name()), MemoryOp::CoreBefore, values, sums);
        self.op(tape, Pass::InputGradient);
        tape.stream(Pass::InputGradient, MemoryOp::CoreAfter.name(), MemoryOp::CoreAfter, queries, [FP32, BF16]);
    }

    /// The output projection's weight gradient.
    pub(super) fn weight_gradient(self, tape: &mut Tape<'_>) {
        tape.product(Pass::WeightGradient, self.output(tape.shape));
    }

    fn output(self, shape: &Shape) -> Linear {
        let names = ["output-projection", "attention-output", "output-projection-gradient"];
        Linear { names, tokens: shape.tokens(), inputs: self.heads * self.value, outputs: self.hidden }
    }

    fn residual(self, tape: &Tape<'_>) -> u64 {
        tape.shape.tokens() * self.hidden
    }

    /// Elements of the residual stream that this rank adds to.
    fn own(self, shape: &Shape) -> u64 {
        shape.tokens_sequence_parallel() * self.hidden
    }

    fn gathered_keys(self, shape: &Shape) -> u64 {
        shape.tokens() * shape.cp * self.kv_heads * (self.qk + self.value)
    }

    fn gather_keys(self, tape: &mut Tape<'_>, pass: Pass) {
        if !tape.shape.ring_attention {
            let keys = self.gathered_keys(tape.shape);
            tape.collective(pass, "key-value-gather", Axis::Cp, Collective::AllGather, keys);
        }
    }

    /// A context-parallel rank holds two pieces of the sequence, as far from its start as from its end, so that all ranks have
    /// an even share of the causal triangle: here the first and the last of `2 cp` pieces, whose queries see their own keys
    /// and all keys.
    fn op(self, tape: &mut Tape<'_>, pass: Pass) {
        let &Shape { sequence, cp, .. } = tape.shape;
        if cp <= 1 {
            let mut lengths = BTreeMap::new();
            for tokens in &tape.shape.documents {
                *lengths.entry(*tokens).or_insert(0) += 1;
            }
            if lengths.is_empty() {
                lengths.insert(sequence, 1);
            }
            return lengths.into_iter().for_each(|(tokens, n)| self.core(tape, pass, [tokens, tokens], n));
        }
        if tape.shape.ring_attention {
            return self.ring(tape, pass);
        }
        let own = sequence / cp;
        self.core(tape, pass, [own / 2, own / 2], 1);
        self.core(tape, pass, [own - own / 2, sequence], 1);
    }

    /// The core of `n` pieces per sequence. Pieces of several lengths run as one kernel per length.
    fn core(self, tape: &mut Tape<'_>, pass: Pass, sizes: [u64; 2], n: u64) {
        tape.push(pass, CORE, self.kind(sizes, n * tape.shape.micro_batch, Seen::Causal));
    }

    /// The core of `n` pieces of so many queries and keys each.
    pub(super) fn kind(self, [queries, keys]: [u64; 2], n: u64, seen: Seen) -> OpKind {
        let (heads, kv_heads) = (self.heads * n, self.kv_heads * n);
        OpKind::Attention { heads, kv_heads, queries, keys, qk: self.qk, value: self.value, seen }
    }
}

/// Bytes an element of the core's output takes while it is kept: 12 bits and a scale per 1x128 tile where activations
/// are kept in FP8, else BF16.
pub(crate) fn kept_core_width(shape: &Shape) -> f64 {
    if shape.fp8() && shape.keep_fp8 { E5M6 + shape.scale_width() } else { BF16 }
}

/// The norm before the projections, forward or again.
pub(super) fn input_norm(tape: &mut Tape<'_>, pass: Pass, hidden: u64) {
    tape.norm(pass, "attention-norm", tape.shape.tokens_sequence_parallel() * hidden);
}
