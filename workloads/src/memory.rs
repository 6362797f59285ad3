//! Bytes on one rank, item by item.
//!
//! A rank holds stages ([`Held`]) with so many chunks in flight each, as the schedule says. Weights are BF16 (2 bytes a
//! parameter); where linear layers run in FP8 theirs are two FP8 copies, one a layout, beside the BF16 ones or in their
//! place; gradients FP32 (4) or BF16 (2); master weights FP32 (4), where there are any, and moments (4 or 8), each sharded over replicas as `parallel.sharding` has it. Activations are
//! what [`kept()`] lists, times chunks in flight. Source of the formats and of what is recomputed: arXiv:2412.19437
//! sections 3.2.3 and 3.3.3.
//!
//! Assumptions: chunks in flight are all at their fullest at once, and what lives only inside a pass is bounded by the
//! largest op of a forward and of a backward chunk ([`Footprint`] items `exchange`, `workspace` and `weight-gradient
//! operands`). Where it breaks: a schedule that puts off weight gradients past the moment of most chunks in flight
//! keeps more; the fragmentation of an allocator is not counted (leave room in [`FootprintInput::reserved`]).

mod kept;
mod workspace;

use units::Bytes;

pub use kept::kept;

use crate::model::{LayerKind, Model};
use crate::parallel::{Parallelism, Stage};
use crate::step::{Load, OptimizerState, Shape, held_params, point_to_point, update, weight_copy_width};

/// Some bytes and what they are for.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// What they are for.
    pub name: &'static str,
    /// How many.
    pub bytes: Bytes,
}

/// A stage on a rank and the most chunks of it that have run forward but not backward at the same time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// The stage.
    pub stage: Stage,
    /// Chunks in flight, for example from [`crate::schedule::in_flight_max`].
    pub chunks: u32,
}

/// What the memory of a rank depends on.
#[derive(Clone, Copy, Debug)]
pub struct FootprintInput<'a> {
    /// The model.
    pub model: &'a Model,
    /// The layout.
    pub parallel: &'a Parallelism,
    /// One micro-batch, with the policies of keeping and recomputing.
    pub shape: &'a Shape,
    /// The load of a micro-batch to plan for; the largest expected, not the mean.
    pub load: &'a Load,
    /// Pipeline ranks that hold each stage: 2 for DualPipe's mirror, else 1.
    pub copies: u32,
    /// Whether the BF16 weights of FP8 linear layers stay beside their two FP8 copies. If not, they are gathered and
    /// cast layer by layer after the update, through a buffer of one layer that lies in the (then free) activations.
    /// Nothing to say where linear layers are BF16.
    pub keep_bf16_weights: bool,
    /// What the optimizer keeps.
    pub optimizer: OptimizerState,
    /// Bytes that belong to no tensor: driver context, rings and registered buffers of the communication libraries.
    pub reserved: Bytes,
}

/// Bytes on one rank.
#[derive(Clone, Debug, PartialEq)]
pub struct Footprint {
    /// What takes them; the same items in the same order for every rank.
    pub items: Vec<Item>,
}

impl Footprint {
    /// All of them.
    #[must_use]
    pub fn total(&self) -> Bytes {
        self.items.iter().map(|item| item.bytes).sum()
    }
}

/// What a rank that holds the stages `held` needs.
#[must_use]
pub fn footprint(job: &FootprintInput<'_>, held: &[Held]) -> Footprint {
    let mut items = states(job, held);
    items.extend(activations(job, held));
    items.push(item("exchange", workspace::exchange(job)));
    items.push(item("stage messages", 4.0 * point_to_point(job.model, job.shape).get()));
    items.push(item("weight-gradient operands", workspace::weight_gradient_operands(job, held)));
    items.push(item("workspace", workspace::largest_ops(job, held)));
    items.push(item("reserved", job.reserved.get()));
    Footprint { items }
}

/// Weights, their FP8 copies, gradients, optimizer.
fn states(job: &FootprintInput<'_>, held: &[Held]) -> Vec<Item> {
    let stages: Vec<Stage> = held.iter().map(|held| held.stage.clone()).collect();
    let params = held_params(job.model, job.parallel, &stages);
    let all = (params.common + params.experts) as f64;
    let linear = params.linear as f64;
    let copies = if job.shape.fp8() { 2.0 * weight_copy_width(job.shape.linear) } else { 0.0 };
    let weights = if job.shape.fp8() && !job.keep_bf16_weights { all - linear } else { all };
    let update = update(job.model, job.parallel, job.shape, job.optimizer, &stages, job.copies);
    let sharding = job.parallel.sharding;
    let updated: u64 = update.classes.iter().map(|class| class.updated(sharding)).sum();
    let share = update.classes.iter().map(|class| class.share()).sum::<u64>() as f64 / all.max(1.0);
    let of = |is_spread: bool| if is_spread { share } else { 1.0 };
    let [of_weights, of_gradients] = [of(sharding.spreads_weights()), of(sharding.spreads_gradients())];
    let whole = whole_units(job, &stages);
    // A share and what is whole beside it are never more than all.
    let kept = |of: f64, is_spread: bool| if is_spread { (of + whole).min(all) } else { of };
    vec![
        item("weights", 2.0 * kept(weights * of_weights, sharding.spreads_weights())),
        item("FP8 weights", copies * linear * of_weights),
        item("gradients", job.shape.gradients.width() * kept(all * of_gradients, sharding.spreads_gradients())),
        item("optimizer", job.optimizer.width() * updated as f64),
    ]
}

/// Parameters that are whole at the same time where they are spread: of two layers, one in use and one that comes or goes, and of
/// embedding, head and norm, which are one unit that stays.
fn whole_units(job: &FootprintInput<'_>, stages: &[Stage]) -> f64 {
    let params = |stages: &[Stage]| {
        let params = held_params(job.model, job.parallel, stages);
        (params.common + params.experts) as f64
    };
    let layer = |kind: LayerKind| params(&[Stage { embedding: false, layers: vec![kind], mtp: 0, heads: 0 }]);
    let kinds = stages.iter().flat_map(|stage| stage.layers.iter().copied());
    let largest = kinds.map(layer).fold(0.0, f64::max);
    let ends: Vec<Stage> = stages.iter().map(|stage| Stage { layers: Vec::new(), ..stage.clone() }).collect();
    2.0 * largest + params(&ends)
}

/// Kept activations of layers, of MTP modules' inputs, and what the heads keep.
fn activations(job: &FootprintInput<'_>, held: &[Held]) -> Vec<Item> {
    let (mut layers, mut ends, mut logits) = (0.0, 0.0, 0.0_f64);
    for Held { stage, chunks } in held {
        let chunks = f64::from(*chunks);
        let kinds = stage.layers.iter().copied();
        let blocks = (0..stage.mtp).map(|_| job.model.layer_kind(job.model.layers));
        for kind in kinds.chain(blocks) {
            layers += chunks * sum(&kept(job.model, job.shape, kind, job.load));
        }
        ends += chunks * kept::ends(job.model, job.shape, stage);
        let (per_chunk, once) = kept::logits(job.model, job.shape);
        logits += chunks * f64::from(stage.heads) * per_chunk;
        logits = logits.max(if stage.heads > 0 { once } else { 0.0 });
    }
    vec![item("activations of layers", layers), item("activations of ends", ends), item("logits", logits)]
}

fn sum(items: &[Item]) -> f64 {
    items.iter().map(|item| item.bytes.get()).sum()
}

fn item(name: &'static str, bytes: f64) -> Item {
    Item { name, bytes: Bytes::new(bytes) }
}

#[cfg(test)]
mod tests;
