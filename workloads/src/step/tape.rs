//! Writing ops down: the three lists of a segment, and what every linear layer has in common.

use units::Bytes;

use super::{Passes, Shape};
use crate::op::{Axis, Collective, Op, OpKind, Output, Pass, Precision, Stream};

/// Bytes of an element in BF16.
pub(super) const BF16: f64 = 2.0;
/// Bytes of an element in FP32.
pub(super) const FP32: f64 = 4.0;
/// Bytes of an element of a dropout mask.
pub(super) const MASK: f64 = 1.0;

/// The three lists of a segment while they are written.
pub(super) struct Tape<'a> {
    pub(super) shape: &'a Shape,
    passes: Passes,
}

/// A linear layer: `[tokens, inputs] -> outputs`, the sizes of this rank.
#[derive(Clone, Copy)]
pub(super) struct Linear {
    /// Names of the product, of its input and of its output's gradient.
    pub(super) names: [&'static str; 3],
    pub(super) tokens: u64,
    pub(super) inputs: u64,
    pub(super) outputs: u64,
}

impl<'a> Tape<'a> {
    pub(super) fn new(shape: &'a Shape) -> Self {
        Self { shape, passes: Passes::default() }
    }

    pub(super) fn finish(self) -> Passes {
        self.passes
    }

    /// Puts an op at the end of the list its pass belongs to.
    pub(super) fn push(&mut self, pass: Pass, name: &'static str, kind: OpKind) {
        let list = match pass {
            Pass::Forward => &mut self.passes.forward,
            Pass::Recompute | Pass::InputGradient => &mut self.passes.input_gradient,
            Pass::WeightGradient | Pass::Update => &mut self.passes.weight_gradient,
        };
        list.push(Op { name, pass, kind });
    }

    /// Where whole layers are computed again: the forward list, once more.
    pub(super) fn again_if_full(&mut self) {
        if self.shape.recompute.full {
            let again = self.passes.forward.iter().map(|op| Op { pass: Pass::Recompute, ..op.clone() });
            self.passes.input_gradient.extend(again);
        }
    }

    /// A memory-bound op over `elements`, `reads` and `writes` bytes of each.
    pub(super) fn stream(&mut self, pass: Pass, name: &'static str, what: Stream, elements: u64, widths: [f64; 2]) {
        self.stream_bytes(pass, name, what, widths.map(|width| elements as f64 * width));
    }

    /// A memory-bound op that reads and writes so many bytes.
    pub(super) fn stream_bytes(&mut self, pass: Pass, name: &'static str, what: Stream, bytes: [f64; 2]) {
        let [reads, writes] = bytes.map(Bytes::new);
        self.push(pass, name, OpKind::Stream { what, reads, writes });
    }

    /// Gradients to be summed: `terms` read, one written.
    pub(super) fn sum(&mut self, pass: Pass, name: &'static str, elements: u64, terms: u64) {
        self.stream(pass, name, Stream::Residual, elements, [terms as f64 * BF16, BF16]);
    }

    pub(super) fn norm(&mut self, pass: Pass, name: &'static str, elements: u64) {
        self.stream(pass, name, Stream::Norm, elements, [BF16, BF16]);
    }

    /// Reads the norm's input and the gradient of its output; `residual` adds the gradient that went around it.
    pub(super) fn norm_gradient(&mut self, name: &'static str, elements: u64, residual: bool) {
        let reads = if residual { 3.0 * BF16 } else { 2.0 * BF16 };
        self.stream(Pass::InputGradient, name, Stream::Norm, elements, [reads, BF16]);
    }

    /// A branch joins the residual stream: `terms` read, the sum written, and a mask where there is dropout.
    pub(super) fn residual(&mut self, name: &'static str, elements: u64, terms: u64) {
        let mask = if self.shape.dropout { MASK } else { 0.0 };
        self.stream(Pass::Forward, name, Stream::Residual, elements, [terms as f64 * BF16, BF16 + mask]);
    }

    /// The gradient of the branch, through its mask; nothing without dropout.
    pub(super) fn residual_gradient(&mut self, name: &'static str, elements: u64) {
        if self.shape.dropout {
            self.stream(Pass::InputGradient, name, Stream::Dropout, elements, [BF16 + MASK, BF16]);
        }
    }

    /// A collective of `elements` BF16 elements over `axis`; nothing where the group has one rank.
    ///
    /// Without sequence parallelism every tensor-parallel rank holds all tokens: nothing is gathered, and what is summed
    /// is summed for all.
    pub(super) fn collective(&mut self, pass: Pass, name: &'static str, axis: Axis, what: Collective, elements: u64) {
        let degree = match axis {
            Axis::Tp => self.shape.tp,
            Axis::Cp => self.shape.cp,
            Axis::Ep => self.shape.ep,
            Axis::Dp | Axis::Pp => 1,
        };
        let replicated = axis == Axis::Tp && !self.shape.sequence_parallel;
        let what = match what {
            Collective::AllGather if replicated => return,
            Collective::ReduceScatter if replicated => Collective::AllReduce,
            _ => what,
        };
        if degree > 1 {
            let bytes = Bytes::new(elements as f64 * BF16);
            self.push(pass, name, OpKind::Collective { axis, what, bytes });
        }
    }

    /// BF16 to one FP8 copy (1x128), or to `copies` of them in one read. Nothing where linear layers are BF16.
    pub(super) fn cast(&mut self, pass: Pass, name: &'static str, elements: u64, copies: u64) {
        if self.shape.fp8() {
            let writes = copies as f64 * self.shape.fp8_width();
            self.stream(pass, name, Stream::Cast, elements, [BF16, writes]);
        }
    }

    /// An FP8 tensor read back and written anew with 128x1 tiles.
    pub(super) fn transpose(&mut self, name: &'static str, elements: u64) {
        if self.shape.fp8() {
            let width = self.shape.fp8_width();
            self.stream(Pass::InputGradient, name, Stream::CastTranspose, elements, [width, width]);
        }
    }

    /// The 128x1 copy of a kept input, from the form it was kept in.
    pub(super) fn transpose_kept(&mut self, linear: Linear) {
        if self.shape.keep_fp8 {
            self.transpose(linear.names[1], linear.input_elements());
        } else {
            self.cast(Pass::InputGradient, linear.names[1], linear.input_elements(), 1);
        }
    }

    /// The cast of a linear layer's input.
    pub(super) fn cast_input(&mut self, pass: Pass, linear: Linear, copies: u64) {
        self.cast(pass, linear.names[1], linear.input_elements(), copies);
    }

    /// The cast of its output's gradient, both ways in one read.
    pub(super) fn cast_gradient(&mut self, linear: Linear) {
        self.cast(Pass::InputGradient, linear.names[2], linear.tokens * linear.outputs, 2);
    }

    /// The product itself, in the pass asked for, with the linear layers' arithmetic.
    pub(super) fn product(&mut self, pass: Pass, linear: Linear) {
        let precision = self.precision(pass);
        self.gemm(pass, linear, precision, if pass == Pass::WeightGradient { ACCUMULATE } else { Output::Bf16 });
    }

    /// A product in an arithmetic of its own.
    pub(super) fn gemm(&mut self, pass: Pass, linear: Linear, precision: Precision, output: Output) {
        self.push(pass, linear.names[0], linear.gemm(pass, precision, output));
    }

    /// A BF16 product of the backward pass that already runs in the forward list.
    pub(super) fn forward_early(&mut self, pass: Pass, linear: Linear, output: Output) {
        let op = Op { name: linear.names[0], pass, kind: linear.gemm(pass, Precision::Bf16, output) };
        self.passes.forward.push(op);
    }

    /// The products of several experts; `linear.tokens` is not read.
    pub(super) fn grouped(&mut self, pass: Pass, linear: Linear, rows: &[u64]) {
        let (n, k) = match pass {
            Pass::InputGradient => (linear.inputs, linear.outputs),
            Pass::Forward | Pass::Recompute | Pass::WeightGradient | Pass::Update => (linear.outputs, linear.inputs),
        };
        let output = if pass == Pass::WeightGradient { ACCUMULATE } else { Output::Bf16 };
        let kind = OpKind::GroupedGemm { tokens: rows.to_vec(), n, k, precision: self.precision(pass), output };
        self.push(pass, linear.names[0], kind);
    }

    /// Arithmetic of a linear layer in a pass: weight gradients have tiles on both operands.
    fn precision(&self, pass: Pass) -> Precision {
        match (self.shape.linear, pass) {
            (Precision::Fp8Block, Pass::WeightGradient) => Precision::Fp8Tile,
            (precision, _) => precision,
        }
    }
}

/// Weight gradients are added into FP32: 8 bytes moved a weight and micro-batch.
pub(super) const ACCUMULATE: Output = Output::AccumulateFp32;

impl Linear {
    /// The input gradient swaps inner dimension and columns; the weight gradient is `D[outputs, inputs] += dY^T X` with
    /// the tokens inside.
    fn gemm(self, pass: Pass, precision: Precision, output: Output) -> OpKind {
        let Self { tokens, inputs, outputs, .. } = self;
        let (m, n, k) = match pass {
            Pass::Forward | Pass::Recompute | Pass::Update => (tokens, outputs, inputs),
            Pass::InputGradient => (tokens, inputs, outputs),
            Pass::WeightGradient => (outputs, inputs, tokens),
        };
        OpKind::Gemm { m, n, k, precision, output }
    }

    pub(super) fn input_elements(self) -> u64 {
        self.tokens * self.inputs
    }
}
