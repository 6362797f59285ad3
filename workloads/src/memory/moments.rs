//! When a rank is fullest.

use super::{FootprintInput, Held, Item, States, item, kept, sum, workspace};
use crate::parallel::Stage;
use crate::step::{Recompute, Shape, held_params};

/// What comes and goes, at one moment of a step.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    gradients: f64,
    layers: f64,
    ends: f64,
    logits: f64,
    operands: f64,
    workspace: f64,
}

impl Moment {
    /// The same items in the same order at every moment.
    pub(super) fn items(self) -> Vec<Item> {
        vec![
            item("gradients", self.gradients),
            item("activations of layers", self.layers),
            item("activations of ends", self.ends),
            item("logits", self.logits),
            item("weight-gradient operands", self.operands),
            item("workspace", self.workspace),
        ]
    }
}

/// The moments of which one is the fullest: in the loss, in a layer's backward pass, and before the update. Where chunks overlap,
/// the first two are one.
pub(super) fn of(job: &FootprintInput<'_>, held: &[Held]) -> Vec<Moment> {
    let width = job.shape.gradients.width();
    let all = width * States::of(job, held).gradients(job.parallel.sharding);
    let frees = frees_gradients(job);
    let kept = Kept::of(job, held);
    let operands = if job.defers { workspace::weight_gradient_operands(job, held) } else { 0.0 };
    let workspace = workspace::largest_ops(job, held) + of_layer_again(job, held);
    let loss = Moment {
        gradients: if frees { 0.0 } else { all },
        layers: kept.layers,
        ends: kept.ends,
        logits: kept.logits_max,
        operands: 0.0,
        workspace: 0.0,
    };
    let first = if frees { (width * of_first_layer(job, held)).min(all) } else { all };
    let layer = Moment { gradients: first, logits: kept.logits_others, operands, workspace, ..loss };
    let both = Moment { operands, workspace, ..loss };
    let update = Moment { gradients: all, layers: 0.0, ends: 0.0, logits: 0.0, operands: 0.0, workspace: 0.0 };
    if job.overlaps { vec![both, update] } else { vec![loss, layer, update] }
}

/// Whether no gradient is there when a step's first backward pass begins: none that a later micro-batch adds to, and none in the buffers
/// that replicas reduce.
fn frees_gradients(job: &FootprintInput<'_>) -> bool {
    let replicas = job.parallel.dp * job.parallel.cp * job.copies;
    let buckets = replicas > 1 && !job.parallel.sharding.spreads_gradients();
    job.shape.recipe.keeping.frees_gradients && !job.shape.accumulates && !buckets
}

/// Parameters whose gradients are there in the backward pass of the first layer that has one: its own and those of the ends.
fn of_first_layer(job: &FootprintInput<'_>, held: &[Held]) -> f64 {
    let last = held.iter().filter_map(|held| held.stage.layers.last().copied()).next_back();
    let ends = held.iter().map(|held| Stage { layers: Vec::new(), ..held.stage.clone() });
    let layer = last.map(|kind| Stage { embedding: false, layers: vec![kind], mtp: 0, heads: 0 });
    let params = held_params(job.model, job.parallel, &ends.chain(layer).collect::<Vec<_>>());
    (params.common + params.experts) as f64
}

/// Bytes of a layer that is computed again as a whole: all that its backward pass reads is there then.
fn of_layer_again(job: &FootprintInput<'_>, held: &[Held]) -> f64 {
    if !job.shape.recompute.layers() {
        return 0.0;
    }
    let whole = Shape { recompute: Recompute::default(), ..job.shape.clone() };
    let kinds = held.iter().flat_map(|held| held.stage.layers.iter().copied());
    let of = |kind, shape: &Shape| sum(&kept::kept(job.model, shape, kind, job.load));
    kinds.map(|kind| of(kind, &whole) - of(kind, job.shape)).fold(0.0, f64::max)
}

/// What is kept from forward to backward.
struct Kept {
    layers: f64,
    ends: f64,
    /// While the loss of one micro-batch runs.
    logits_max: f64,
    /// Of the other micro-batches in flight.
    logits_others: f64,
}

impl Kept {
    /// Of layers, of MTP modules' inputs, and what the heads keep.
    fn of(job: &FootprintInput<'_>, held: &[Held]) -> Self {
        let mut all = Self { layers: 0.0, ends: 0.0, logits_max: 0.0, logits_others: 0.0 };
        for Held { stage, chunks } in held {
            let (n_chunks, heads) = (f64::from(*chunks), f64::from(stage.heads));
            let kinds = stage.layers.iter().copied();
            let blocks = (0..stage.mtp).map(|_| job.model.layer_kind(job.model.layers));
            for kind in kinds.chain(blocks) {
                all.layers += n_chunks * sum(&kept::kept(job.model, job.shape, kind, job.load));
            }
            all.ends += n_chunks * kept::ends(job.model, job.shape, stage);
            let (per_chunk, once) = kept::logits(job.model, job.shape);
            let others = (n_chunks - 1.0).max(0.0) * heads * per_chunk;
            // The other heads of this micro-batch keep theirs.
            let own = if stage.heads > 0 { once + (heads - 1.0) * per_chunk } else { 0.0 };
            all.logits_others += others;
            all.logits_max += if *chunks > 0 { others + own } else { 0.0 };
        }
        all
    }
}
