//! Writing ops down: the three lists of a segment, and what every linear layer has in common.

use std::collections::BTreeSet;

use units::Bytes;

pub(super) use super::element::{BF16, FP32, MASK};
use super::overlap::overlap;
use super::shape::Copies;
use super::tuning::Lora;
use super::{Casting, Gradients, Passes, Shape};
use crate::op::{Axis, Collective, Op, OpKind, Output, Pass, Precision};
use crate::recipe::{GradientStream, MemoryOp};

/// The three lists of a segment while they are written.
pub(super) struct Tape<'a> {
    pub(super) shape: &'a Shape,
    passes: Passes,
    /// Operands that products read in BF16 and cast on the way, by name and copy.
    wide: BTreeSet<(&'static str, Copies)>,
    /// The adapters beside this segment's products; none: there are none.
    adapters: Option<Lora>,
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
        Self { shape, passes: Passes::default(), wide: BTreeSet::new(), adapters: None }
    }

    /// With adapters beside its products, where the shape has any.
    pub(super) fn with_adapters(self) -> Self {
        Self { adapters: self.shape.lora, ..self }
    }

    pub(super) fn finish(mut self) -> Passes {
        if self.shape.recipe.weight_gradients == GradientStream::Side {
            self.passes.weight_gradient.iter_mut().for_each(|op| op.is_side = true);
        }
        self.passes
    }

    /// With collectives of tensor parallelism beside products, where the stack runs them so.
    pub(super) fn finish_overlapped(self) -> Passes {
        let Shape { overlaps_tensor, tp, .. } = *self.shape;
        let passes = self.finish();
        if overlaps_tensor && tp > 1 { overlap(passes, tp) } else { passes }
    }

    /// Puts an op at the end of the list its pass belongs to.
    pub(super) fn push(&mut self, pass: Pass, name: &'static str, kind: OpKind) {
        self.push_op(Op::new(name, pass, kind));
    }

    /// Gradients of frozen weights are nobody's.
    pub(super) fn push_op(&mut self, op: Op) {
        if op.pass != Pass::WeightGradient || self.shape.lora.is_none() {
            self.push_trained(op);
        }
    }

    pub(super) fn push_trained(&mut self, op: Op) {
        self.list(op.pass).push(op);
    }

    fn list(&mut self, pass: Pass) -> &mut Vec<Op> {
        match pass {
            Pass::Forward => &mut self.passes.forward,
            Pass::Recompute | Pass::InputGradient => &mut self.passes.input_gradient,
            Pass::WeightGradient | Pass::Update => &mut self.passes.weight_gradient,
        }
    }

    /// Where whole layers are computed again: the forward list, once more, without what was kept of it. The last product runs too,
    /// though nothing reads its result: PyTorch's checkpoints run it whether they re-enter or not (counted on an H200).
    pub(super) fn again_if_full(&mut self) {
        if !self.shape.recompute.layers() {
            return;
        }
        let forward = &self.passes.forward;
        let kept = if self.shape.recompute.operations { kept_operations(forward) } else { vec![false; forward.len()] };
        let again = forward.iter().zip(kept).filter(|(_, kept)| !kept);
        let again = again.map(|(op, _)| Op { pass: Pass::Recompute, ..op.clone() });
        self.passes.input_gradient.extend(again);
    }

    /// A memory-bound op over `elements`, `reads` and `writes` bytes of each, as the kernels of the recipe.
    pub(super) fn stream(&mut self, pass: Pass, name: &'static str, what: MemoryOp, elements: u64, widths: [f64; 2]) {
        self.stream_bytes((pass, name), what, elements, widths.map(|width| elements as f64 * width));
    }

    /// A memory-bound op over `elements` that reads and writes so many bytes where one kernel does it all.
    pub(super) fn stream_bytes(
        &mut self,
        (pass, name): (Pass, &'static str),
        what: MemoryOp,
        elements: u64,
        whole: [f64; 2],
    ) {
        let (shape, rows) = (self.shape, self.rows(what, elements));
        let kernels = shape.recipe.kernels_of(what, [rows, elements], whole);
        Op::in_turn(name, pass, kernels).for_each(|op| self.push_op(op));
    }

    /// A cast of `elements` that leaves `widths` to a kernel, of the `whole` that it has where the machine helps nowhere.
    pub(super) fn cast_left(
        &mut self,
        (pass, name): (Pass, &'static str),
        what: MemoryOp,
        elements: u64,
        [left, whole]: [[f64; 2]; 2],
    ) {
        let shape = self.shape;
        let [left, whole] = [left, whole].map(|widths| widths.map(|width| elements as f64 * width));
        let kernels = shape.recipe.kernels_left(what, [self.rows(what, elements), elements], left, whole);
        self.list(pass).extend(Op::in_turn(name, pass, kernels));
    }

    /// Rows of what kernels work on row by row; 0 of what they do not.
    fn rows(&self, what: MemoryOp, elements: u64) -> u64 {
        match what {
            MemoryOp::Norm | MemoryOp::NormGradient => self.shape.tokens_sequence_parallel(),
            MemoryOp::Softmax | MemoryOp::SoftmaxGradient => elements / self.shape.sequence.max(1),
            MemoryOp::CrossEntropy | MemoryOp::CrossEntropyGradient => {
                self.shape.tokens() / self.shape.logit_pieces.max(1)
            }
            MemoryOp::Gate | MemoryOp::GateGradient => elements,
            _ => 0,
        }
    }

    /// Gradients to be summed: `terms` read, one written.
    pub(super) fn sum(&mut self, pass: Pass, name: &'static str, elements: u64, terms: u64) {
        let whole = [terms as f64 * BF16, BF16].map(|width| elements as f64 * width);
        self.stream_bytes((pass, name), MemoryOp::GradientSum, elements * terms.saturating_sub(1), whole);
    }

    pub(super) fn norm(&mut self, pass: Pass, name: &'static str, elements: u64) {
        self.stream(pass, name, MemoryOp::Norm, elements, [BF16, BF16]);
    }

    /// Reads the norm's input and the gradient of its output; `around` names the sum with the gradient that went around it.
    pub(super) fn norm_gradient(&mut self, name: &'static str, elements: u64, around: Option<&'static str>) {
        self.stream(Pass::InputGradient, name, MemoryOp::NormGradient, elements, [2.0 * BF16, BF16]);
        if let Some(sum) = around {
            self.stream(Pass::InputGradient, sum, MemoryOp::ResidualGradient, elements, [2.0 * BF16, BF16]);
        }
    }

    /// A branch joins the residual stream: `terms` read, the sum written, and a mask where there is dropout.
    pub(super) fn residual(&mut self, name: &'static str, what: MemoryOp, elements: u64, terms: u64) {
        let mask = if self.shape.dropout { MASK } else { 0.0 };
        let whole = [terms as f64 * BF16, BF16 + mask].map(|width| elements as f64 * width);
        self.stream_bytes((Pass::Forward, name), what, elements * terms.saturating_sub(1), whole);
    }

    /// The gradient of the branch, through its mask; nothing without dropout.
    pub(super) fn residual_gradient(&mut self, name: &'static str, elements: u64) {
        if self.shape.dropout {
            self.stream(Pass::InputGradient, name, MemoryOp::DropoutGradient, elements, [BF16 + MASK, BF16]);
        }
    }

    /// The gradient of a bias of a product's output, from so many elements of the output's.
    pub(super) fn bias_gradient(&mut self, name: &'static str, elements: u64) {
        if self.shape.lora.is_some() {
            return;
        }
        self.stream(Pass::InputGradient, name, MemoryOp::BiasGradient, elements, [BF16, 0.0]);
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

    /// BF16 to FP8 on the way to products; the copies that nobody needs are left out, and who then reads BF16 is noted.
    /// Nothing where linear layers are BF16.
    pub(super) fn cast(&mut self, pass: Pass, name: &'static str, elements: u64, copies: Copies) {
        if !self.shape.fp8() {
            return;
        }
        let Some(copies) = self.wanted(copies) else { return };
        // An input that is kept in FP8 is written in any case.
        let kept = pass == Pass::Forward && self.shape.keep_fp8 && !self.shape.norm_again();
        let wide = if kept { &[][..] } else { self.shape.read_wide(copies) };
        self.wide.extend(wide.iter().map(|copy| (name, *copy)));
        if let Some(left) = if kept { Some(copies) } else { self.shape.copies_left(copies) } {
            self.cast_kernel(pass, name, elements, left);
        }
    }

    /// BF16 to FP8 that travels: written whatever products could read.
    pub(super) fn cast_to_send(&mut self, pass: Pass, name: &'static str, elements: u64, copies: Copies) {
        if let Some(copies) = self.wanted(copies).filter(|_| self.shape.fp8()) {
            self.cast_kernel(pass, name, elements, if self.shape.transposed_reads { Copies::Rows } else { copies });
        }
    }

    /// The copies of those asked for that somebody reads: 128x1 tiles are for gradients of weights that are trained.
    fn wanted(&self, copies: Copies) -> Option<Copies> {
        match (self.shape.lora, copies) {
            (None, copies) => Some(copies),
            (Some(_), Copies::Rows | Copies::Both) => Some(Copies::Rows),
            (Some(_), Copies::Columns) => None,
        }
    }

    fn cast_kernel(&mut self, pass: Pass, name: &'static str, elements: u64, copies: Copies) {
        let width = self.shape.fp8_width() * copies.count();
        let what = match copies {
            Copies::Rows => MemoryOp::Cast,
            Copies::Columns => MemoryOp::CastColumns,
            Copies::Both => MemoryOp::CastBoth,
        };
        let whole = [BF16, width];
        self.cast_left((pass, name), what, elements, [self.shape.across_memory(whole), whole]);
    }

    /// The cast of a norm's output that no gather stands before, by `norms` themselves where they can; `shared` where others
    /// read their BF16 output too.
    pub(super) fn cast_normed(&mut self, pass: Pass, norms: &[&'static str], linear: Linear, shared: bool) {
        let width = self.shape.fp8_width();
        if !(self.shape.fp8() && self.shape.casting == Casting::Norm && self.shape.tp == 1) {
            return if shared {
                self.cast_to_send(pass, linear.names[1], linear.input_elements(), Copies::Rows);
            } else {
                self.cast(pass, linear.names[1], linear.input_elements(), Copies::Rows);
            };
        }
        for name in norms {
            let norm = self.list(pass).iter_mut().rev().find(|op| op.name == *name && op.pass == pass);
            if let Some(OpKind::Stream { writes, .. }) = norm.map(|op| &mut op.kind) {
                *writes = *writes * ((width + if shared { BF16 } else { 0.0 }) / BF16);
            }
        }
    }

    /// An FP8 tensor read back and written anew with 128x1 tiles; nothing where products read it transposed.
    pub(super) fn transpose(&mut self, name: &'static str, elements: u64) {
        if self.shape.fp8() && !self.shape.transposed_reads && self.shape.lora.is_none() {
            let whole = [self.shape.fp8_width(); 2];
            let left = self.shape.across_memory(whole);
            self.cast_left((Pass::InputGradient, name), MemoryOp::CastTranspose, elements, [left, whole]);
        }
    }

    /// The 128x1 copy of a kept input, from the form it was kept in.
    pub(super) fn transpose_kept(&mut self, linear: Linear) {
        if self.shape.keep_fp8 {
            self.transpose(linear.names[1], linear.input_elements());
        } else {
            self.cast(Pass::InputGradient, linear.names[1], linear.input_elements(), Copies::Columns);
        }
    }

    /// The cast of a linear layer's input.
    pub(super) fn cast_input(&mut self, pass: Pass, linear: Linear, copies: Copies) {
        self.cast(pass, linear.names[1], linear.input_elements(), copies);
    }

    /// The cast of its output's gradient, both ways in one read.
    pub(super) fn cast_gradient(&mut self, linear: Linear) {
        self.cast(Pass::InputGradient, linear.names[2], linear.tokens * linear.outputs, Copies::Both);
    }

    /// Notes that products read one copy of a tensor in BF16.
    pub(super) fn read_wide(&mut self, name: &'static str, copy: Copies) {
        self.wide.insert((name, copy));
    }

    /// Bytes a product reads beyond FP8 operands: those of its operands that it casts itself.
    fn widened(&self, pass: Pass, linear: Linear) -> Bytes {
        let outputs = linear.tokens * linear.outputs;
        let [input, gradient] = [(linear.names[1], linear.input_elements()), (linear.names[2], outputs)];
        let operands = match pass {
            Pass::Forward | Pass::Recompute | Pass::Update => vec![(input, Copies::Rows)],
            Pass::InputGradient => vec![(gradient, Copies::Rows)],
            Pass::WeightGradient => vec![(input, Copies::Columns), (gradient, Copies::Columns)],
        };
        let wide = operands.into_iter().filter(|((name, _), copy)| self.wide.contains(&(*name, *copy)));
        Bytes::new(wide.map(|((_, elements), _)| elements as f64 * (BF16 - self.shape.fp8_width())).sum())
    }

    /// The product itself, in the pass asked for, with the linear layers' arithmetic.
    pub(super) fn product(&mut self, pass: Pass, linear: Linear) {
        if pass == Pass::InputGradient && self.shape.fp8() {
            self.stream(
                pass,
                MemoryOp::WeightTranspose.name(),
                MemoryOp::WeightTranspose,
                linear.inputs * linear.outputs,
                [1.0, 1.0],
            );
        }
        let kind = linear.gemm(pass, self.precision(pass), self.output(pass));
        self.push_op(Op { widened: self.widened(pass, linear), ..Op::new(linear.names[0], pass, kind) });
        self.add_gradient(pass, linear.inputs * linear.outputs);
        if let Some(lora) = self.adapters.filter(|lora| lora.targets.has(linear.names[0])) {
            self.adapter(pass, linear, lora.rank);
        }
    }

    /// What a product of the linear layers writes.
    pub(super) fn output(&self, pass: Pass) -> Output {
        if pass == Pass::WeightGradient { self.shape.gradients.output() } else { Output::Bf16 }
    }

    /// A weight gradient that its product did not add to that of earlier micro-batches.
    pub(super) fn add_gradient(&mut self, pass: Pass, params: u64) {
        if self.adds(pass) {
            let kernels = self.gradient_add(params);
            kernels.into_iter().for_each(|op| self.push_op(op));
        }
    }

    /// Whether a kernel adds what a product of this pass gives to what earlier micro-batches gave.
    pub(super) fn adds(&self, pass: Pass) -> bool {
        pass == Pass::WeightGradient && self.shape.gradients == Gradients::Bf16 && self.shape.accumulates
    }

    pub(super) fn gradient_add(&self, params: u64) -> Vec<Op> {
        let (op, whole) = (MemoryOp::GradientAdd, [2.0 * BF16, BF16].map(|width| params as f64 * width));
        let kernels = self.shape.recipe.kernels_of(op, [0, params], whole);
        Op::in_turn(op.name(), Pass::WeightGradient, kernels).collect()
    }

    /// A product in an arithmetic of its own.
    pub(super) fn gemm(&mut self, pass: Pass, linear: Linear, precision: Precision, output: Output) {
        self.push(pass, linear.names[0], linear.gemm(pass, precision, output));
    }

    /// A BF16 product of the backward pass that already runs in the forward list.
    pub(super) fn forward_early(&mut self, pass: Pass, linear: Linear, output: Output) {
        if pass == Pass::WeightGradient && self.shape.lora.is_some() {
            return;
        }
        self.passes.forward.push(Op::new(linear.names[0], pass, linear.gemm(pass, Precision::Bf16, output)));
    }

    /// The products of several experts; `linear.tokens` is not read.
    pub(super) fn grouped(&mut self, pass: Pass, linear: Linear, rows: &[u64]) {
        let (n, k) = match pass {
            Pass::InputGradient => (linear.inputs, linear.outputs),
            Pass::Forward | Pass::Recompute | Pass::WeightGradient | Pass::Update => (linear.outputs, linear.inputs),
        };
        let params = linear.inputs * linear.outputs * rows.len() as u64;
        if pass == Pass::Forward && self.shape.fp8() {
            self.stream(pass, MemoryOp::WeightTranspose.name(), MemoryOp::WeightTranspose, params, [1.0, 1.0]);
        }
        let (precision, output) = (self.precision(pass), self.output(pass));
        let whole = |tokens| OpKind::GroupedGemm { tokens, n, k, precision, output };
        let alternates = self.shape.recipe.weight_gradients == GradientStream::Alternating && rows.len() > 1;
        if pass == Pass::WeightGradient && alternates {
            let half = |odd: usize| rows.iter().copied().skip(odd).step_by(2).collect();
            self.push(pass, linear.names[0], whole(half(0)));
            let other = Op::new(linear.names[0], pass, whole(half(1)));
            self.push_op(Op { is_side: true, continues: true, ..other });
        } else {
            self.push(pass, linear.names[0], whole(rows.to_vec()));
        }
        self.add_gradient(pass, params);
    }

    fn precision(&self, pass: Pass) -> Precision {
        self.shape.linear.product(pass, self.shape.forward_left)
    }
}

/// Which ops of a forward list keep their result where layers are computed again by operation.
pub(crate) fn kept_operations(forward: &[Op]) -> Vec<bool> {
    let mut is_kept = false;
    let of = |op: &Op| match op.kind {
        OpKind::Gemm { .. } => {
            is_kept = !is_kept;
            is_kept
        }
        OpKind::Attention { .. }
        | OpKind::CachedAttention { .. }
        | OpKind::Collective { what: Collective::ReduceScatter | Collective::SendRecv, .. } => true,
        // What is merged into an output that is kept.
        OpKind::Stream { .. } if op.name == MemoryOp::AttentionMerge.name() => true,
        OpKind::GroupedGemm { .. } | OpKind::Stream { .. } | OpKind::Collective { .. } => false,
    };
    forward.iter().map(of).collect()
}

impl Linear {
    /// The input gradient swaps inner dimension and columns; the weight gradient is `D[outputs, inputs] += dY^T X` with
    /// the tokens inside.
    pub(super) fn gemm(self, pass: Pass, precision: Precision, output: Output) -> OpKind {
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
