//! What a feed-forward layer does between its products.

use super::shape::Copies;
use super::tape::{BF16, Linear, Tape};
use crate::model::Activation;
use crate::op::Pass;
use crate::recipe::MemoryOp;

/// The activation over `elements` of output, with the cast of the output and the kept copy of the input.
pub(super) fn activate(tape: &mut Tape<'_>, activation: Activation, name: &'static str, elements: u64) {
    let shape = tape.shape;
    let inputs = activation.inputs() as f64;
    let writes = match (shape.fp8(), shape.keep_fp8) {
        (false, _) => BF16,
        (true, true) => (1.0 + inputs) * shape.fp8_width(),
        // The input is kept as it is; the output too, where it is not computed again.
        (true, false) if shape.recompute.swiglu || shape.recompute.layers() => shape.fp8_width(),
        (true, false) => shape.fp8_width() + BF16,
    };
    tape.stream(Pass::Forward, name, op(activation), elements, [inputs * BF16, writes]);
}

/// Its output once more for the weight gradient of `down`, with 128x1 tiles.
pub(super) fn activate_again(tape: &mut Tape<'_>, activation: Activation, name: &'static str, down: Linear) {
    let shape = tape.shape;
    let elements = down.input_elements();
    if shape.pieces_again().swiglu {
        let reads = activation.inputs() as f64 * shape.kept_width();
        let writes = if shape.fp8() { shape.fp8_width() } else { BF16 };
        tape.stream(Pass::Recompute, name, again(activation), elements, [reads, writes]);
    } else if shape.keep_fp8 {
        tape.transpose(down.names[1], elements);
    } else {
        tape.cast(Pass::InputGradient, down.names[1], elements, Copies::Columns);
    }
}

/// Its gradient: kept input and output gradient in, input gradient out in both FP8 copies, or in the one that serves both ways.
pub(super) fn activation_gradient(tape: &mut Tape<'_>, activation: Activation, name: &'static str, elements: u64) {
    let shape = tape.shape;
    let inputs = activation.inputs() as f64;
    let widths = |copies: f64| {
        let writes = if shape.fp8() { copies * shape.fp8_width() } else { BF16 };
        [inputs * shape.kept_width() + BF16, inputs * writes]
    };
    let left = widths(if shape.transposed_reads { 1.0 } else { 2.0 });
    tape.cast_left((Pass::InputGradient, name), gradient(activation), elements, [left, widths(2.0)]);
}

fn op(activation: Activation) -> MemoryOp {
    match activation {
        Activation::SwiGlu => MemoryOp::SwiGlu,
        Activation::Gelu => MemoryOp::Gelu,
    }
}

fn again(activation: Activation) -> MemoryOp {
    match activation {
        Activation::SwiGlu => MemoryOp::SwiGluAgain,
        Activation::Gelu => MemoryOp::GeluAgain,
    }
}

fn gradient(activation: Activation) -> MemoryOp {
    match activation {
        Activation::SwiGlu => MemoryOp::SwiGluGradient,
        Activation::Gelu => MemoryOp::GeluGradient,
    }
}
