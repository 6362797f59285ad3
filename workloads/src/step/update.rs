//! The optimizer: what a rank holds, what is reduced and gathered, what is updated.

use units::Bytes;

use super::shape::Gradients;
use super::tape::{BF16, FP32};
use super::{Shape, lora};
use crate::model::Model;
use crate::op::{LinearPrecision, Op, Pass};
use crate::parallel::{Parallelism, Sharding, Stage};
use crate::recipe::{MemoryOp, Recipe};

/// Parameters that the same ranks hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weights {
    /// All but routed experts.
    Common,
    /// Routed experts.
    Experts,
}

/// Parameters that are reduced over one group of ranks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReduceClass {
    /// Which.
    pub weights: Weights,
    /// Parameters of this class on one rank.
    pub params: u64,
    /// Those of them that are trained: all, or those of adapters.
    pub trained: u64,
    /// Ranks that hold the same ones, this one included.
    pub replicas: u32,
    /// Ranks of those over which they are spread, where they are.
    pub shards: u32,
}

impl ReduceClass {
    /// The gradients: what a reduce-scatter or an all-reduce takes in.
    #[must_use]
    pub fn gradient_bytes(&self, gradients: Gradients) -> Bytes {
        Bytes::new(self.trained as f64 * gradients.width())
    }

    /// The BF16 weights, 2 bytes per parameter: what an all-gather gives.
    #[must_use]
    pub fn weight_bytes(&self) -> Bytes {
        Bytes::new(self.params as f64 * BF16)
    }

    /// The BF16 weights that an update has written.
    #[must_use]
    pub fn trained_bytes(&self) -> Bytes {
        Bytes::new(self.trained as f64 * BF16)
    }

    /// A rank's share of the gradients.
    #[must_use]
    pub fn shard_bytes(&self, gradients: Gradients) -> Bytes {
        self.gradient_bytes(gradients) / f64::from(self.shards.max(1))
    }

    /// A rank's share of the parameters, rounded up.
    #[must_use]
    pub fn share(&self) -> u64 {
        self.params.div_ceil(u64::from(self.shards).max(1))
    }

    /// Parameters this rank updates.
    #[must_use]
    pub fn updated(&self, sharding: Sharding) -> u64 {
        if sharding == Sharding::None { self.trained } else { self.trained.div_ceil(u64::from(self.shards).max(1)) }
    }
}

/// How the optimizer keeps its two moments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moments {
    /// 2 bytes each (arXiv:2412.19437 section 3.3.3).
    Bf16,
    /// 4 bytes each, the usual mixed-precision recipe.
    Fp32,
}

impl Moments {
    /// Bytes of both moments of a parameter.
    #[must_use]
    pub fn width(self) -> f64 {
        match self {
            Self::Bf16 => 2.0 * BF16,
            Self::Fp32 => 2.0 * FP32,
        }
    }
}

/// What the optimizer keeps of a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OptimizerState {
    /// Both moments.
    pub moments: Moments,
    /// Whether it keeps an FP32 copy of the BF16 weight; else it updates the weight itself.
    pub master_weights: bool,
}

impl OptimizerState {
    /// Bytes of a parameter.
    #[must_use]
    pub fn width(self) -> f64 {
        self.moments.width() + if self.master_weights { FP32 } else { 0.0 }
    }

    /// Bytes that an update reads and writes per parameter: the gradient, the state, the BF16 weight.
    fn update(self, gradients: Gradients) -> [f64; 2] {
        let weight_read = if self.master_weights { 0.0 } else { BF16 };
        [gradients.width() + self.width() + weight_read, self.width() + BF16]
    }
}

/// The optimizer's part of a step: the gradients of every class are summed, [`Update::sharded`], its weights gathered, [`Update::whole`].
#[derive(Clone, Debug, PartialEq)]
pub struct Update {
    /// What is reduced over which ranks; classes without parameters are left out.
    pub classes: Vec<ReduceClass>,
    /// On the rank's shard, between the collectives.
    pub sharded: Vec<Op>,
    /// On all it holds, after them.
    pub whole: Vec<Op>,
}

/// The update of a rank that holds the stages `held`.
///
/// AdamW, on as much as `parallel.sharding` leaves a rank of what is trained. Of a parameter that it updates, the gradient is read once for
/// its norm; then gradient and state are read, state and BF16 weight written. Then, on all the rank holds: where linear layers are FP8, their
/// weights are read in BF16 and written in FP8 128x128 blocks in both layouts; gradients are cleared, a rank's own where it keeps no others.
///
/// `copies` is how many pipeline ranks hold each stage: 2 for DualPipe's mirror, else 1. What tensor parallelism
/// replicates (norms, latent down-projections) is not reduced over `tp` here. A table that first and last stage share on different
/// ranks is reduced between them besides, which is not here.
#[must_use]
pub fn update(
    model: &Model,
    parallel: &Parallelism,
    shape: &Shape,
    state: OptimizerState,
    held: &[Stage],
    copies: u32,
) -> Update {
    let params = held_params(model, parallel, held);
    let ranks = parallel.dp * parallel.cp * copies;
    let adapters = shape.lora.map(|_| lora::params_held(model, shape, held));
    let (common, experts) = adapters.map_or((params.common, params.experts), |adapters| (adapters, 0));
    let shards = parallel.shard_ranks.map(|ranks| [ranks, parallel.expert_shard_ranks(ranks).unwrap_or(1)]);
    let class = |weights, [params, trained]: [u64; 2], replicas| {
        let shards = shards.map_or(replicas, |shards| shards[weights as usize].min(replicas));
        ReduceClass { weights, params, trained, replicas, shards }
    };
    let classes: Vec<ReduceClass> = [
        class(Weights::Common, [params.common + adapters.unwrap_or(0), common], ranks),
        class(Weights::Experts, [params.experts, experts], ranks * parallel.tp / parallel.ep.max(1)),
    ]
    .into_iter()
    .filter(|class| class.params > 0)
    .collect();
    let sharding = parallel.sharding;
    let shard: u64 = classes.iter().map(|class| class.updated(sharding)).sum();
    let (gradients, recipe) = (shape.gradients, &shape.recipe);
    let mut sharded = Vec::new();
    if shape.linear == LinearPrecision::Fp16 {
        sharded.extend(streams(recipe, MemoryOp::GradientUnscale, shard, [gradients.width(); 2]));
    }
    sharded.extend(streams(recipe, MemoryOp::GradientNorm, shard, [gradients.width(), 0.0]));
    sharded.extend(streams(recipe, MemoryOp::Update, shard, state.update(gradients)));
    let mut whole = Vec::new();
    // Frozen weights were cast once for all, and those that are gathered are when they come.
    let gathered = sharding.spreads_weights() && classes.iter().any(|class| class.shards > 1);
    if shape.fp8() && shape.lora.is_none() && !gathered {
        whole.extend(weight_cast(shape, Pass::Update, params.linear));
    }
    let held = if sharding.spreads_gradients() { shard } else { common + experts };
    whole.extend(streams(recipe, MemoryOp::GradientClear, held, [0.0, gradients.width()]));
    Update { classes, sharded, whole }
}

/// The kernels that cast so many weights to FP8 in both layouts.
#[must_use]
pub fn weight_cast(shape: &Shape, pass: Pass, params: u64) -> Vec<Op> {
    let (what, width) = (MemoryOp::WeightCast, 2.0 * shape.linear.weight_width());
    let kernels = shape.recipe.kernels_of(what, [0, params], [BF16, width].map(|width| params as f64 * width));
    Op::in_turn(what.name(), pass, kernels).collect()
}

/// The kernels of an op of the update, named like it.
fn streams(recipe: &Recipe, what: MemoryOp, elements: u64, widths: [f64; 2]) -> Vec<Op> {
    let whole = widths.map(|width| elements as f64 * width);
    Op::in_turn(what.name(), Pass::Update, recipe.kernels_of(what, [0, elements], whole)).collect()
}

/// Parameters on one rank.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HeldParams {
    /// All but routed experts.
    pub common: u64,
    /// Routed experts.
    pub experts: u64,
    /// Those of both that linear layers in FP8 read: not norms, gates, embedding and head.
    pub linear: u64,
}

/// Parameters on one rank that holds the stages `held`: tensor-parallel parts divided by `tp`, routed experts by `ep`.
/// Embedding (also read by MTP modules) and head are counted once however many of the stages use them, and once
/// together where they are tied.
#[must_use]
pub fn held_params(model: &Model, parallel: &Parallelism, held: &[Stage]) -> HeldParams {
    let (tp, ep) = (u64::from(parallel.tp).max(1), u64::from(parallel.ep).max(1));
    let mut sum = HeldParams::default();
    for stage in held {
        for kind in &stage.layers {
            sum.add(model.layer_params_held(*kind, tp, ep));
        }
        for _ in 0..stage.mtp {
            sum.add(model.mtp_params_held(tp, ep));
        }
    }
    let embedding = held.iter().any(|stage| stage.embedding || stage.mtp > 0);
    let head = held.iter().any(|stage| stage.heads > 0);
    let tables = if model.tied { u64::from(embedding || head) } else { u64::from(embedding) + u64::from(head) };
    let final_norm = if head { model.hidden } else { 0 };
    sum.common += tables * model.table_params() / tp + final_norm;
    sum
}

impl HeldParams {
    fn add(&mut self, other: Self) {
        self.common += other.common;
        self.experts += other.experts;
        self.linear += other.linear;
    }
}
