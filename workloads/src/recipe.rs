//! Which kernels a software stack runs for mathematics that memory bounds.
//!
//! [`crate::step`] writes down mathematics: a norm over so many elements, the gradient of a gated activation. One stack runs it as one
//! kernel, another as seven that pass it through memory again and again. A [`Recipe`] has, for each [`MemoryOp`], the kernels in
//! their order with the bytes each reads and writes per element. Where it has nothing, one kernel reads every operand and
//! writes every result once.

mod memory_op;
mod piece;

use std::collections::BTreeMap;

use units::Bytes;

use crate::op::OpKind;

pub use memory_op::MemoryOp;
pub use piece::{Piece, PieceError};

/// How a software stack runs the mathematics of a layer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Recipe {
    /// The kernels of each op that does not run as one.
    pub kernels: BTreeMap<MemoryOp, Vec<Piece>>,
    /// How many products the projections of one input are.
    pub projections: Projections,
    /// How often the input of the two down-projections of latent attention is cast.
    pub input_casts: InputCasts,
    /// Which stream gradients of weights run on.
    pub weight_gradients: GradientStream,
    /// What grids are sized for.
    pub grids: Grids,
    /// What it keeps in memory.
    pub keeping: Keeping,
}

/// What a software stack keeps in memory beyond what its backward pass needs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Keeping {
    /// Bytes per logit at the fullest moment of the loss and its gradient, the logits among them.
    pub logit_bytes: f64,
    /// Whether SiLU of the gate is kept beside the gate, as where a kernel of its own multiplies.
    pub silu: bool,
    /// Whether gradients are freed between steps, so that a step's first backward pass begins without any.
    pub frees_gradients: bool,
}

impl Default for Keeping {
    /// FP32 logits and their BF16 gradient; gradients in a buffer that stays.
    fn default() -> Self {
        Self { logit_bytes: 6.0, silu: false, frees_gradients: false }
    }
}

/// What grids of kernels are sized for that run beside others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Grids {
    /// Of matrix products.
    pub products: Grid,
    /// Of norms and their gradients.
    pub norms: Grid,
}

/// What a grid is sized for where other kernels hold some of the SMs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Grid {
    /// The SMs that are free.
    #[default]
    Free,
    /// The whole device: blocks that find no SM begin when others have ended.
    Whole,
}

/// Which stream gradients of weights run on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GradientStream {
    /// The one that computes.
    #[default]
    Compute,
    /// Of a layer's experts every second one's on a stream beside it, which is waited for before anything else runs.
    Alternating,
    /// All on a stream beside it; a chunk ends when both have.
    Side,
}

/// How often an input that several products read is cast to FP8.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum InputCasts {
    /// Once for all.
    #[default]
    Once,
    /// For each product anew.
    Each,
}

/// How many products the projections of one input are: queries, keys and values; gate and up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Projections {
    /// One, of weights side by side.
    #[default]
    Joint,
    /// One per projection; the gradients of the input are then summed.
    Apart,
}

impl Recipe {
    /// The kernels of an op over so many rows and elements, in their order; `whole` are the bytes read and written by one that does it all.
    pub fn kernels_of(
        &self,
        op: MemoryOp,
        [rows, elements]: [u64; 2],
        whole: [f64; 2],
    ) -> impl Iterator<Item = OpKind> + '_ {
        self.kernels_left(op, [rows, elements], whole, whole)
    }

    /// The kernels of an op of which an ability of the machine leaves `left` to do, of the bytes that one kernel reads and writes without it
    /// (`whole`): each kernel has that share left of its own.
    pub fn kernels_left(
        &self,
        op: MemoryOp,
        [rows, elements]: [u64; 2],
        left: [f64; 2],
        whole: [f64; 2],
    ) -> impl Iterator<Item = OpKind> + '_ {
        let [some, all] = [left, whole].map(|[reads, writes]| reads + writes);
        let share = if all > 0.0 { some / all } else { 0.0 };
        self.pieces(op).iter().flat_map(move |piece| {
            let bytes = piece.widths.map_or(left, |widths| widths.map(|width| elements as f64 * share * width));
            let [reads, writes] = bytes.map(Bytes::new);
            let kernel = piece.kernel.unwrap_or_else(|| op.kernel(reads, writes));
            (0..piece.n).map(move |_| OpKind::Stream { kernel, rows, reads, writes })
        })
    }

    fn pieces(&self, op: MemoryOp) -> &[Piece] {
        let whole: &[Piece] = if op.is_extra() { &[] } else { &[Piece::WHOLE] };
        self.kernels.get(&op).map_or(whole, Vec::as_slice)
    }
}
