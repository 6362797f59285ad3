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
//! operands`). A schedule that runs one chunk at a time is fullest in the loss, in a layer or before the update, and the items are of that
//! moment. Where it breaks: a schedule that puts off weight gradients past the moment of most chunks in flight
//! keeps more; the fragmentation of an allocator is not counted (leave room in [`FootprintInput::reserved`]).

mod kept;
mod moments;
mod workspace;

use units::Bytes;

pub use kept::kept;

use crate::model::{LayerKind, Model};
use crate::parallel::{Parallelism, Sharding, Stage};
use crate::step::{HeldParams, Load, OptimizerState, ReduceClass, Shape, held_params, point_to_point, update};

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
    /// Whether a forward chunk runs beside a backward one, so that what lives only in one is there with what lives in the other.
    pub overlaps: bool,
    /// Whether gradients of weights are put off behind those of a layer's or a chunk's inputs, so that their operands wait.
    pub defers: bool,
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

/// What a rank that holds the stages `held` needs at its fullest moment.
#[must_use]
pub fn footprint(job: &FootprintInput<'_>, held: &[Held]) -> Footprint {
    let always = always(job, held);
    let moments = moments::of(job, held).into_iter().map(|moment| moment.items());
    let total = |items: &Vec<Item>| items.iter().map(|item| item.bytes.get()).sum::<f64>();
    let fullest = moments.max_by(|a, b| total(a).total_cmp(&total(b))).unwrap_or_default();
    Footprint { items: always.into_iter().chain(fullest).collect() }
}

/// What is there at every moment: weights, their FP8 copies, optimizer, messages, what belongs to no tensor.
fn always(job: &FootprintInput<'_>, held: &[Held]) -> Vec<Item> {
    let states = States::of(job, held);
    let all = states.all;
    let linear = states.params.linear as f64;
    let copies = if job.shape.fp8() { 2.0 * job.shape.linear.weight_width() } else { 0.0 };
    let weights = if job.shape.fp8() && !job.keep_bf16_weights { all - linear } else { all };
    let is_spread = job.parallel.sharding.spreads_weights();
    let of_weights = if is_spread { states.share } else { 1.0 };
    // Weights that are cast when they are gathered have no BF16 copy where FP32 ones are kept, and FP8 copies only while they are whole.
    let own = if states.share < 1.0 && is_spread && job.optimizer.master_weights { 0.0 } else { weights * of_weights };
    let of_linear =
        if states.share < 1.0 && is_spread { (linear * states.whole / all.max(1.0)).min(linear) } else { linear };
    vec![
        item("weights", 2.0 * states.kept(own, is_spread)),
        item("FP8 weights", copies * of_linear),
        item("optimizer", job.optimizer.width() * states.updated),
        item("exchange", workspace::exchange(job)),
        item("stage messages", 4.0 * point_to_point(job.model, job.shape).get()),
        item("reserved", job.reserved.get()),
    ]
}

/// The parameters of a rank, and how much of them it keeps.
struct States {
    params: HeldParams,
    all: f64,
    /// Those that are trained.
    trained: f64,
    /// Its own part, of all.
    share: f64,
    updated: f64,
    /// Parameters that are whole at a time where they are spread.
    whole: f64,
}

impl States {
    fn of(job: &FootprintInput<'_>, held: &[Held]) -> Self {
        let stages: Vec<Stage> = held.iter().map(|held| held.stage.clone()).collect();
        let params = held_params(job.model, job.parallel, &stages);
        let update = update(job.model, job.parallel, job.shape, job.optimizer, &stages, job.copies);
        let sharding = job.parallel.sharding;
        let updated: u64 = update.classes.iter().map(|class| class.updated(sharding)).sum();
        let sum = |of: fn(&ReduceClass) -> u64| update.classes.iter().map(of).sum::<u64>() as f64;
        let (all, trained) = (sum(|class| class.params), sum(|class| class.trained));
        let share = update.classes.iter().map(|class| class.share()).sum::<u64>() as f64 / all.max(1.0);
        Self { params, all, trained, share, updated: updated as f64, whole: whole_units(job, &stages) }
    }

    /// A share and what is whole beside it, never more than all.
    fn kept(&self, of: f64, is_spread: bool) -> f64 {
        if is_spread { (of + self.whole).min(self.all) } else { of }
    }

    /// Gradients in the middle of a step.
    fn gradients(&self, sharding: Sharding) -> f64 {
        let is_spread = sharding.spreads_gradients();
        let whole = if self.all > 0.0 { self.whole * self.trained / self.all } else { 0.0 };
        let own = self.trained * if is_spread { self.share } else { 1.0 };
        if is_spread { (own + whole).min(self.trained) } else { own }
    }
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

fn sum(items: &[Item]) -> f64 {
    items.iter().map(|item| item.bytes.get()).sum()
}

fn item(name: &'static str, bytes: f64) -> Item {
    Item { name, bytes: Bytes::new(bytes) }
}

#[cfg(test)]
mod tests;
