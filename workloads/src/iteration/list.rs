//! A list of forward ops as it is written.

use units::Bytes;

use super::UnitLayout;
use crate::op::{Axis, Collective, Op, OpKind, Output, Pass, Precision};
use crate::recipe::MemoryOp;
use crate::step::Casting;

/// Bytes of BF16.
pub(super) const BF16: f64 = 2.0;
/// Bytes of FP32.
pub(super) const FP32: f64 = 4.0;

/// Rows and columns of a product.
#[derive(Clone, Copy)]
pub(super) struct Weights {
    pub(super) name: &'static str,
    pub(super) inputs: u64,
    pub(super) outputs: u64,
}

/// Forward ops in their order.
pub(super) struct OpList<'a> {
    pub(super) layout: &'a UnitLayout,
    ops: Vec<Op>,
    /// The last norm: its op, and rows and columns of what it wrote.
    normed: Option<(usize, [u64; 2])>,
}

impl<'a> OpList<'a> {
    pub(super) fn new(layout: &'a UnitLayout) -> Self {
        Self { layout, ops: Vec::new(), normed: None }
    }

    pub(super) fn finish(self) -> Vec<Op> {
        self.ops
    }

    pub(super) fn push(&mut self, name: &'static str, kind: OpKind) {
        self.ops.push(Op::new(name, Pass::Forward, kind));
    }

    /// A product in the arithmetic of the linear layers, whose input is cast first where that is FP8.
    pub(super) fn linear(&mut self, rows: u64, weights: Weights) {
        let wide = self.cast(rows, weights.inputs);
        let precision = self.precision();
        self.gemm(rows, weights, precision);
        self.widen(weights.name, wide);
    }

    /// The product that was written last reads so many bytes beyond its operands.
    pub(super) fn widen(&mut self, name: &'static str, wide: Bytes) {
        if let Some(op) = self.ops.last_mut().filter(|op| op.name == name) {
            op.widened += wide;
        }
    }

    pub(super) fn gemm(&mut self, rows: u64, Weights { name, inputs, outputs }: Weights, precision: Precision) {
        if rows > 0 && outputs > 0 {
            self.push(name, OpKind::Gemm { m: rows, n: outputs, k: inputs, precision, output: Output::Bf16 });
        }
    }

    /// A product per head, in BF16: as many tiles as one whose columns are those of all heads, which reads each head's rows.
    pub(super) fn batched(&mut self, (rows, heads): (u64, u64), Weights { name, inputs, outputs }: Weights) {
        self.gemm(rows, Weights { name, inputs, outputs: heads * outputs }, Precision::Bf16);
        if let Some(op) = self.ops.last_mut().filter(|op| op.name == name) {
            op.widened = Bytes::new((rows * inputs * heads.saturating_sub(1)) as f64 * BF16);
        }
    }

    /// One product per group.
    pub(super) fn grouped(&mut self, tokens: &[u64], Weights { name, inputs, outputs }: Weights, precision: Precision) {
        if tokens.iter().any(|rows| *rows > 0) {
            let tokens = tokens.to_vec();
            self.push(name, OpKind::GroupedGemm { tokens, n: outputs, k: inputs, precision, output: Output::Bf16 });
        }
    }

    /// To FP8 with a scale per 1x128 tile, by whom the machine has for it; nothing where the linear layers are BF16. What the
    /// product reads beyond FP8 where it casts what it reads.
    pub(super) fn cast(&mut self, rows: u64, width: u64) -> Bytes {
        let kept = self.layout.weights.activation_width();
        if !self.layout.weights.is_fp8() {
            return Bytes::ZERO;
        }
        if self.layout.casting == Casting::Product {
            return Bytes::new((rows * width) as f64 * (BF16 - kept));
        }
        if !self.cast_by_norm([rows, width], kept / BF16) {
            self.cast_to_send(rows, width);
        }
        Bytes::ZERO
    }

    /// The same by a kernel, as what travels needs it.
    pub(super) fn cast_to_send(&mut self, rows: u64, width: u64) {
        if self.layout.weights.is_fp8() {
            let widths = [BF16, self.layout.weights.activation_width()];
            // Beside the memory half of what goes in and out does not cross to the device.
            let crossing = if self.layout.casting == Casting::Memory { 0.5 } else { 1.0 };
            self.stream(("cast", MemoryOp::Cast), [rows, rows * width], widths.map(|width| width * crossing));
        }
    }

    /// Whether norms cast, and the last one wrote this tensor; it then writes so much of its bytes.
    fn cast_by_norm(&mut self, sizes: [u64; 2], part: f64) -> bool {
        if self.layout.casting != Casting::Norm {
            return false;
        }
        let Some((index, _)) = self.normed.take_if(|(_, normed)| *normed == sizes) else { return false };
        if let OpKind::Stream { writes, .. } = &mut self.ops[index].kind {
            *writes = *writes * part;
        }
        true
    }

    pub(super) fn precision(&self) -> Precision {
        self.layout.weights.product(Pass::Forward, false)
    }

    /// What memory bounds, by rows and elements, with bytes per element where one kernel does it all.
    pub(super) fn stream(&mut self, what: (&'static str, MemoryOp), sizes: [u64; 2], widths: [f64; 2]) {
        let bytes = widths.map(|width| sizes[1] as f64 * width);
        self.stream_bytes(what, sizes, bytes);
    }

    /// The same of so many bytes read and written.
    pub(super) fn stream_bytes(&mut self, (name, op): (&'static str, MemoryOp), sizes: [u64; 2], bytes: [f64; 2]) {
        if sizes[1] > 0 {
            let kernels = self.layout.recipe.kernels_of(op, sizes, bytes);
            self.ops.extend(Op::in_turn(name, Pass::Forward, kernels));
        }
    }

    /// A norm of rows, by the kernel of the stack.
    pub(super) fn norm(&mut self, name: &'static str, rows: u64, width: u64) {
        self.stream((name, MemoryOp::Norm), [rows, rows * width], [BF16, BF16]);
        self.normed = self.ops.len().checked_sub(1).map(|last| (last, [rows, width]));
    }

    /// A branch joins the residual stream.
    pub(super) fn residual(&mut self, name: &'static str, rows: u64, width: u64) {
        self.stream((name, MemoryOp::Residual), [rows, rows * width], [2.0 * BF16, BF16]);
    }

    /// Before what is split over the devices of an attention rank: they gather its tokens, where each has a part of them.
    pub(super) fn gather(&mut self, name: &'static str, rows: u64, width: u64) {
        if self.layout.splits_tokens() {
            self.collective(name, Axis::Tp, Collective::AllGather, (rows * width) as f64 * BF16);
        }
    }

    /// After it: they sum what each has a part of.
    pub(super) fn sum(&mut self, name: &'static str, rows: u64, width: u64) {
        let what = if self.layout.splits_tokens() { Collective::ReduceScatter } else { Collective::AllReduce };
        self.collective(name, Axis::Tp, what, (rows * width) as f64 * BF16);
    }

    /// A collective of so many bytes; nothing where the axis has one rank.
    pub(super) fn collective(&mut self, name: &'static str, axis: Axis, what: Collective, bytes: f64) {
        let n_ranks = match axis {
            Axis::Tp => self.layout.tp,
            Axis::Ep => self.layout.ep,
            Axis::Cp | Axis::Dp | Axis::Pp => 1,
        };
        if n_ranks > 1 && bytes > 0.0 {
            self.push(name, OpKind::Collective { axis, what, bytes: Bytes::new(bytes) });
        }
    }
}
