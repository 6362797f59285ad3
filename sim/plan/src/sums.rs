//! The FP8 products of a plan, as arithmetic: how their sums are kept, and how long they are.

use std::collections::BTreeMap;

use topology::BlockScaling;
use workloads::model::LayerKind;
use workloads::op::{LinearPrecision, Op, OpKind, Pass, Precision};
use workloads::step::{self, Load, Passes, Shape};

use crate::TrainPlan;
use crate::lower::shape;

/// How a plan adds the products of its linear layers, and over how many of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Sums {
    /// Arithmetic of the linear layers.
    pub precision: LinearPrecision,
    /// Fraction bits that the FP8 accumulator keeps (`gpu.tensor.fp8.accumulate`).
    pub fraction_bits: u32,
    /// Whether the tensor core applies tile and block scales itself (`gpu.tensor.fp8.block-scaling`); else sums leave it
    /// wherever a scale changes.
    pub scales_inside: bool,
    /// Products between promotions to FP32 as the policy has it; none: never.
    pub promote: Option<u32>,
    /// Every length of an FP8 sum, by scales, then length. Empty where linear layers run in BF16.
    pub lengths: Vec<Length>,
}

/// Which elements of the operands share a scale.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scales {
    /// Tiles of 1x128 of one, blocks of 128x128 of the other.
    Block,
    /// Tiles of 1x128 of both: the weight gradient.
    Tile,
    /// All of a tensor.
    Tensor,
    /// All of a tensor, and the sum leaves the tensor core at its end, whatever [`Sums::promote`] says.
    TensorLeft,
}

/// FP8 products of one inner dimension and one kind of scales.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Length {
    /// Which elements share a scale.
    pub scales: Scales,
    /// Inner dimension: products of a sum.
    pub k: u64,
    /// Which products have it, for example `query-up` in [`Pass::Forward`], in the order of a layer.
    pub products: Vec<(&'static str, Pass)>,
}

/// How a plan adds, and the inner dimension of every FP8 product of its model on one rank: forward, gradient of the input,
/// gradient of the weights.
///
/// The weight gradient sums over tokens: those of a micro-batch, and for experts those that each gets where all get the
/// same. What is computed again has the lengths of the forward pass.
#[must_use]
pub fn sums(plan: TrainPlan<'_>) -> Sums {
    let shape = shape(plan);
    let mut products: BTreeMap<(Scales, u64), Vec<(&'static str, Pass)>> = BTreeMap::new();
    for passes in segments(plan, &shape) {
        for op in [passes.forward, passes.input_gradient, passes.weight_gradient].iter().flatten() {
            let Some(length) = length(op).filter(|_| op.pass != Pass::Recompute) else { continue };
            let same = products.entry(length).or_default();
            if !same.contains(&(op.name, op.pass)) {
                same.push((op.name, op.pass));
            }
        }
    }
    let fp8 = &plan.site.machine.device.tensor.fp8;
    Sums {
        precision: plan.job.precision,
        fraction_bits: fp8.accumulate,
        scales_inside: match fp8.block_scaling {
            BlockScaling::None => false,
            BlockScaling::Native => true,
        },
        promote: plan.job.policy.promote,
        lengths: products.into_iter().map(|((scales, k), products)| Length { scales, k, products }).collect(),
    }
}

/// One of every kind of segment that the model has.
fn segments(plan: TrainPlan<'_>, shape: &Shape) -> Vec<Passes> {
    let model = &plan.job.model;
    let stages = workloads::parallel::stage_layers(model, &plan.job.parallel.stages);
    let load = Load::balanced(model, shape);
    let mut segments = Vec::new();
    for kind in [LayerKind::Dense, LayerKind::Moe] {
        if stages.iter().any(|stage| stage.layers.contains(&kind)) {
            segments.extend([step::attention(model, shape, kind), step::mlp(model, shape, kind, &load)]);
        }
    }
    if model.mtp_modules > 0 {
        segments.push(step::mtp(model, shape));
    }
    segments
}

/// Scales and inner dimension of an FP8 product; none for anything else.
fn length(op: &Op) -> Option<(Scales, u64)> {
    let (precision, k) = match &op.kind {
        OpKind::Gemm { k, precision, .. } => (*precision, *k),
        OpKind::GroupedGemm { tokens, precision, .. } if op.pass == Pass::WeightGradient => {
            // Equal to one row: the longest stands for all.
            (*precision, tokens.iter().copied().max()?)
        }
        OpKind::GroupedGemm { k, precision, .. } => (*precision, *k),
        OpKind::Attention { .. }
        | OpKind::CachedAttention { .. }
        | OpKind::Stream { .. }
        | OpKind::Collective { .. } => return None,
    };
    let scales = match precision {
        Precision::Fp8Block => Scales::Block,
        Precision::Fp8Tile => Scales::Tile,
        Precision::Fp8Tensor => Scales::Tensor,
        Precision::Fp8TensorFast => Scales::TensorLeft,
        Precision::Bf16 => return None,
    };
    (k > 0).then_some((scales, k))
}
