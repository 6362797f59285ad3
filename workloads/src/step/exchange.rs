//! What leaves a rank between segments and between stages.

use units::Bytes;

use super::dispatcher::Dispatcher;
use super::tape::BF16;
use super::{Passes, Shape};
use crate::model::Model;
use crate::op::{Axis, Collective, Op, OpKind, Pass};

/// The gather of all tokens of an expert-parallel group and the sum of their results, in BF16; `None` where another dispatcher moves them, or no
/// token leaves the rank.
#[must_use]
pub fn token_gather(model: &Model, shape: &Shape) -> Option<[Op; 2]> {
    model.experts.as_ref().filter(|_| shape.ep > 1 && shape.dispatcher == Dispatcher::NcclAllGather)?;
    let bytes = Bytes::new((shape.tokens_gathered() * model.hidden) as f64 * BF16);
    let op = |name, what| Op::new(name, Pass::Forward, OpKind::Collective { axis: Axis::Ep, what, bytes });
    Some([op("token-gather", Collective::AllGather), op("token-scatter", Collective::ReduceScatter)])
}

/// Sizes of the all-to-all of a layer of experts. The gradient of the combine is a dispatch of
/// `dispatch_bytes_per_token`, the gradient of the dispatch a combine of `combine_bytes_per_token`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Exchange {
    /// One token to one destination: its hidden vector in FP8 with a scale per 128 elements (7,392 B for a width of
    /// 7,168), or in BF16. Routing indices and weights are left out: under 2 %.
    pub dispatch_bytes_per_token: Bytes,
    /// One partial result back, in BF16.
    pub combine_bytes_per_token: Bytes,
    /// Whether the backward pass dispatches the tokens again because whole layers are computed again.
    pub dispatch_again: bool,
}

/// The all-to-all of a layer of experts; `None` where no token leaves the rank (no experts, or `ep` is 1), or all are gathered.
#[must_use]
pub fn exchange(model: &Model, shape: &Shape) -> Option<Exchange> {
    model.experts.as_ref().filter(|_| shape.ep > 1 && shape.dispatcher != Dispatcher::NcclAllGather)?;
    let hidden = model.hidden as f64;
    Some(Exchange {
        dispatch_bytes_per_token: Bytes::new(hidden * shape.sent_width()),
        combine_bytes_per_token: Bytes::new(hidden * BF16),
        dispatch_again: shape.recompute.layers(),
    })
}

/// What one rank sends to the next stage for one micro-batch (and gets back as a gradient): the residual stream of its
/// own tokens in BF16. Where tensor-parallel ranks hold the same tokens each still sends its share, and the next stage
/// gathers ([`handed_over`]; arXiv:2104.04473 section 4.1).
#[must_use]
pub fn point_to_point(model: &Model, shape: &Shape) -> Bytes {
    Bytes::new((shape.tokens() / shape.tp.max(1) * model.hidden) as f64 * BF16)
}

/// What a stage does with what arrives from its neighbor, forward and backward: nothing where ranks hold tokens of their
/// own, else an all-gather.
#[must_use]
pub fn handed_over(model: &Model, shape: &Shape) -> Passes {
    let gather = |pass| {
        let bytes = Bytes::new((shape.tokens() * model.hidden) as f64 * BF16);
        let kind = OpKind::Collective { axis: Axis::Tp, what: Collective::AllGather, bytes };
        if shape.tp > 1 && !shape.sequence_parallel { vec![Op::new("stage-gather", pass, kind)] } else { Vec::new() }
    };
    Passes { forward: gather(Pass::Forward), input_gradient: gather(Pass::InputGradient), ..Passes::default() }
}
