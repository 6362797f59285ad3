//! The second half of a layer: one network for all tokens, or experts.

use units::Bytes;

use super::experts::ExpertRows;
use super::list::{BF16, FP32, OpList, Weights};
use super::{RankBatch, UnitLayout};
use crate::model::{Activation, Experts, LayerKind, Model};
use crate::op::{Axis, Collective, Op, Precision};
use crate::recipe::MemoryOp;
use crate::step::Dispatcher;

/// The ops of the second half of a layer, in the order in which they run where nothing is overlapped.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FeedForwardOps {
    /// Norm and gate, or the whole network of a dense layer.
    pub before: Vec<Op>,
    /// What brings tokens to their experts by a collective of a library; empty where kernels of an exchange do.
    pub dispatch: Vec<Op>,
    /// Shared experts.
    pub shared: Vec<Op>,
    /// Routed experts.
    pub routed: Vec<Op>,
    /// What brings the results back by a collective.
    pub combine: Vec<Op>,
    /// What is left on the rank's own tokens.
    pub after: Vec<Op>,
}

/// The second half of a layer of one device. `rows` are those of the fullest rank of experts.
#[must_use]
pub fn feed_forward(
    model: &Model,
    layout: &UnitLayout,
    kind: LayerKind,
    batch: &RankBatch,
    rows: &ExpertRows,
) -> FeedForwardOps {
    match &model.experts {
        Some(experts) if kind == LayerKind::Moe => {
            let carried = Carried::of(layout, batch);
            Mixture { model, experts, layout, rows: layout.own_rows(batch.rows()), carried }.ops(rows)
        }
        _ => FeedForwardOps { before: dense(model, layout, batch.rows()), ..FeedForwardOps::default() },
    }
}

fn dense(model: &Model, layout: &UnitLayout, rows: u64) -> Vec<Op> {
    let mut list = OpList::new(layout);
    let own = layout.own_rows(rows);
    list.norm("mlp-norm", own, model.hidden);
    list.gather("mlp-gather", rows, model.hidden);
    network(&mut list, ["gate-up", "swiglu", "down"], rows, (model, model.ffn / layout.tp));
    list.sum("mlp-sum", rows, model.hidden);
    list.residual("mlp-residual", own, model.hidden);
    list.finish()
}

/// A network of so many intermediate values on a device.
fn network(list: &mut OpList<'_>, names: [&'static str; 3], rows: u64, (model, width): (&Model, u64)) {
    let [up, activation, down] = names;
    let (inputs, op) = (model.activation.inputs(), activation_op(model.activation));
    list.linear(rows, Weights { name: up, inputs: model.hidden, outputs: inputs * width });
    list.stream((activation, op), [rows, rows * width], [inputs as f64 * BF16, BF16]);
    list.linear(rows, Weights { name: down, inputs: width, outputs: model.hidden });
}

fn activation_op(activation: Activation) -> MemoryOp {
    match activation {
        Activation::SwiGlu => MemoryOp::SwiGlu,
        Activation::Gelu => MemoryOp::Gelu,
    }
}

/// How tokens come to their experts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Carried {
    /// By the collectives of a library, or not at all: kernels sort rows by experts before, and sum them after.
    Sorted,
    /// By kernels for many tokens: cast before, sorted and summed where they arrive.
    Forwarded,
    /// By kernels for few tokens, which cast what they send, have a slot per expert, and sum at the source.
    Direct,
}

impl Carried {
    fn of(layout: &UnitLayout, batch: &RankBatch) -> Self {
        match layout.dispatcher {
            Dispatcher::DeepEp if layout.ep > 1 && batch.prompts.is_empty() => Self::Direct,
            Dispatcher::DeepEp if layout.ep > 1 => Self::Forwarded,
            Dispatcher::DeepEp | Dispatcher::NcclAllToAll | Dispatcher::NcclAllGather => Self::Sorted,
        }
    }
}

/// A layer of experts on one device.
struct Mixture<'a> {
    model: &'a Model,
    experts: &'a Experts,
    layout: &'a UnitLayout,
    /// The device's own tokens.
    rows: u64,
    carried: Carried,
}

impl Mixture<'_> {
    fn ops(&self, rows: &ExpertRows) -> FeedForwardOps {
        FeedForwardOps {
            before: self.gate(),
            dispatch: self.exchange("token-gather", Collective::AllGather),
            shared: self.shared(),
            routed: self.routed(rows),
            combine: self.exchange("result-scatter", Collective::ReduceScatter),
            after: self.after(),
        }
    }

    fn gate(&self) -> Vec<Op> {
        let mut list = OpList::new(self.layout);
        let routed = u64::from(self.experts.routed);
        list.norm("mlp-norm", self.rows, self.model.hidden);
        list.gemm(self.rows, Weights { name: "gate", inputs: self.model.hidden, outputs: routed }, Precision::Bf16);
        // Scores in; out, for each pick, its index (8 bytes) and its weight.
        let picks = f64::from(self.experts.top_k) * 12.0;
        list.stream(("router", MemoryOp::Gate), [self.rows; 2], [routed as f64 * FP32, picks]);
        if self.carried == Carried::Forwarded {
            list.cast_to_send(self.rows, self.model.hidden);
        }
        list.finish()
    }

    /// All tokens of the unit to all ranks, or all results summed back, where a library's collectives bring them.
    fn exchange(&self, name: &'static str, what: Collective) -> Vec<Op> {
        let mut list = OpList::new(self.layout);
        let bytes = |tokens: u64| (tokens * self.model.hidden) as f64 * BF16;
        // Devices of one attention rank have the same tokens: nothing is gathered.
        match self.layout.dispatcher {
            Dispatcher::NcclAllGather if self.layout.dp > 1 => {
                list.collective(name, Axis::Ep, what, bytes(self.rows * self.layout.dp));
            }
            Dispatcher::NcclAllToAll if self.layout.dp > 1 => {
                let picks = self.rows * u64::from(self.experts.top_k);
                list.collective(name, Axis::Ep, Collective::AllToAll, bytes(picks));
            }
            Dispatcher::DeepEp | Dispatcher::NcclAllGather | Dispatcher::NcclAllToAll => {}
        }
        list.finish()
    }

    fn shared(&self) -> Vec<Op> {
        let mut list = OpList::new(self.layout);
        let split = if self.layout.splits_tokens() { 1 } else { self.layout.tp };
        let width = u64::from(self.experts.shared) * self.experts.width / split;
        if width > 0 {
            network(&mut list, ["shared-gate-up", "shared-swiglu", "shared-down"], self.rows, (self.model, width));
        }
        list.finish()
    }

    /// Rows into the order of experts, both products with what stands between them, and the weighted sum per token.
    fn routed(&self, rows: &ExpertRows) -> Vec<Op> {
        let mut list = OpList::new(self.layout);
        let (hidden, width) = (self.model.hidden, self.experts.width / self.layout.expert_tp());
        let (n, precision) = (rows.n_rows(), list.precision());
        let wide = self.sorted(&mut list, n);
        list.grouped(&rows.rows, Weights { name: "expert-gate-up", inputs: hidden, outputs: 2 * width }, precision);
        list.widen("expert-gate-up", wide);
        list.stream(("expert-swiglu", MemoryOp::SwiGlu), [n, n * width], [2.0 * BF16, BF16]);
        let wide = list.cast(n, width);
        list.grouped(&rows.rows, Weights { name: "expert-down", inputs: width, outputs: hidden }, precision);
        list.widen("expert-down", wide);
        if self.carried != Carried::Direct {
            list.stream(("expert-sum", MemoryOp::Unpermute), [n, n * hidden], [BF16, BF16]);
        }
        list.finish()
    }

    /// So many rows in the order of experts, in the form that products read; what those read beyond it.
    fn sorted(&self, list: &mut OpList<'_>, n: u64) -> Bytes {
        let hidden = self.model.hidden;
        match self.carried {
            Carried::Direct => Bytes::ZERO,
            Carried::Forwarded => {
                let width = self.layout.weights.activation_width();
                list.stream(("expert-permute", MemoryOp::Permute), [n, n * hidden], [width; 2]);
                Bytes::ZERO
            }
            Carried::Sorted => {
                list.stream(("expert-permute", MemoryOp::Permute), [n, n * hidden], [BF16, BF16]);
                list.cast(n, hidden)
            }
        }
    }

    fn after(&self) -> Vec<Op> {
        let mut list = OpList::new(self.layout);
        let elements = self.rows * self.model.hidden;
        // Where the devices of an attention rank have the same tokens, each has a part of the sum.
        if !self.layout.splits_tokens() && (self.layout.dp == 1 || self.experts.shared > 0) {
            list.sum("mlp-sum", self.rows, self.model.hidden);
        }
        let additions = if self.experts.shared > 0 { 3.0 } else { 2.0 };
        list.stream(("mlp-residual", MemoryOp::ExpertResidual), [self.rows, elements], [additions * BF16, BF16]);
        list.finish()
    }
}
