//! Low-rank adapters beside frozen weights.

use super::Shape;
use super::tape::{BF16, Linear, Tape};
use super::tuning::OUTPUT;
use super::{Load, Passes, attention, mlp};
use crate::model::{LayerKind, Model};
use crate::op::{Axis, Collective, Op, OpKind, Pass, Precision};
use crate::parallel::Stage;

/// Products whose inputs tensor parallelism splits; it splits the outputs of all others.
const BY_ROWS: [&str; 3] = [OUTPUT, "down", "shared-down"];
const DOWN: &str = "adapter-down";
const UP: &str = "adapter-up";

impl Linear {
    fn adapter(self, rank: u64) -> [Self; 2] {
        let [_, input, gradient] = self.names;
        [
            Self { names: [DOWN, input, "adapter-gradient"], outputs: rank, ..self },
            Self { names: [UP, "adapter-inner", gradient], inputs: rank, ..self },
        ]
    }
}

impl Tape<'_> {
    /// The adapter beside a product, in the pass asked for.
    pub(super) fn adapter(&mut self, pass: Pass, linear: Linear, rank: u64) {
        let [down, up] = linear.adapter(rank);
        // What one of both products gives is a part of a sum where tensor parallelism splits its inner side.
        let by_rows = BY_ROWS.contains(&linear.names[0]);
        let inner = linear.tokens * rank;
        match pass {
            Pass::Forward | Pass::Recompute | Pass::Update => {
                self.adapting(pass, down);
                if by_rows {
                    self.collective(pass, "adapter-reduce", Axis::Tp, Collective::AllReduce, inner);
                }
                self.adapting(pass, up);
                self.sum(pass, "adapter-sum", linear.tokens * linear.outputs, 2);
            }
            Pass::InputGradient => {
                self.adapting(pass, up);
                if !by_rows {
                    self.collective(pass, "adapter-reduce", Axis::Tp, Collective::AllReduce, inner);
                }
                self.adapting(pass, down);
                self.sum(pass, "adapter-sum", linear.input_elements(), 2);
            }
            Pass::WeightGradient => [up, down].into_iter().for_each(|linear| self.adapting(pass, linear)),
        }
    }

    fn adapting(&mut self, pass: Pass, linear: Linear) {
        let output = self.output(pass);
        self.push_trained(Op::new(linear.names[0], pass, linear.gemm(pass, Precision::Bf16, output)));
        if self.adds(pass) {
            let params = linear.inputs * linear.outputs;
            let kernels = self.gradient_add(params);
            kernels.into_iter().for_each(|op| self.push_trained(op));
        }
    }
}

/// Parameters of adapters on one rank that holds the stages `held`: what its weight gradients are of.
#[must_use]
pub(super) fn params_held(model: &Model, shape: &Shape, held: &[Stage]) -> u64 {
    let layer = |kind: LayerKind| -> u64 {
        let passes = [attention(model, shape, kind), mlp(model, shape, kind, &Load::default())];
        passes.iter().map(params).sum()
    };
    let kinds = held.iter().flat_map(|stage| {
        let blocks = (0..stage.mtp).map(|_| model.layer_kind(model.layers));
        stage.layers.iter().copied().chain(blocks)
    });
    let mut of_kind = [None; 2];
    kinds.map(|kind| *of_kind[kind as usize].get_or_insert_with(|| layer(kind))).sum()
}

fn params(passes: &Passes) -> u64 {
    let product = |op: &Op| match op.kind {
        OpKind::Gemm { m, n, .. } if [DOWN, UP].contains(&op.name) => m * n,
        _ => 0,
    };
    passes.weight_gradient.iter().map(product).sum()
}

/// Bytes that adapters keep of one micro-batch: what is between their two products.
pub(crate) fn kept(model: &Model, shape: &Shape, kind: LayerKind) -> f64 {
    let passes = [attention(model, shape, kind), mlp(model, shape, kind, &Load::default())];
    let inner = |op: &Op| match op.kind {
        OpKind::Gemm { m, n, .. } if op.name == DOWN => (m * n) as f64 * BF16,
        _ => 0.0,
    };
    passes.iter().flat_map(|passes| &passes.forward).map(inner).sum()
}
