//! What hides beside chunks, and what it takes from them.
//!
//! Reductions and gathers that run beside chunks are kernels of a collective library, which hold SMs (`profile.collective.sms`). A chunk's kernels
//! have fewer for the share of their time in which the rings run: what rings of a rank take alone over what the chunks do that they hide under.
//! Kernels are mixed in that share of both times. Assumed: rings spread evenly over those chunks, and all pipeline ranks are like their mean. It leaves
//! out ports: a chunk's own messages meet no ring.

use calibrate::{CannotRun, EstimateKey};
use platform::Kernel;
use units::SimSpan;
use workloads::op::{Op, OpKind, Pass};
use workloads::schedule::{Chunk, Slot};

use super::beside::RingsBeside;
use super::{Context, ending, segments};
use crate::DataParallel;
use crate::program::{Ending, Hiding};

/// Rings beside the first forward and the last backward chunks; none where nothing hides or nothing would be slower.
pub(super) fn beside(
    context: &Context<'_>,
    endings: &[Vec<Ending>],
    hiding: &[Hiding],
    slots: &[Vec<Slot>],
) -> Result<Option<RingsBeside>, CannotRun> {
    let sms = context.plan.site.profile.value(EstimateKey::CollectiveSms).round() as u32;
    if hiding.is_empty() || sms == 0 {
        return Ok(None);
    }
    let layer = layer_seconds(context)?;
    let mut shares = [0.0; 2];
    for ((endings, hiding), slots) in endings.iter().zip(hiding).zip(slots) {
        for (share, own) in shares.iter_mut().zip(of_rank(endings, hiding, slots, layer)) {
            *share += own / f64::from(context.layout.pp);
        }
    }
    Ok(Some(RingsBeside { sms, shares }))
}

/// Whether a slot of a pipeline rank has rings beside it: a backward chunk once gradients are complete, a forward one until all weights have come.
pub(super) fn hides(hiding: &Hiding, index: usize, slot: Slot) -> bool {
    match slot {
        Slot::Forward(_) => index <= hiding.needs as usize,
        Slot::Backward(_) | Slot::BackwardInput(_) | Slot::Weight(_) => index >= hiding.completes as usize,
        Slot::Overlapped { .. } => false,
    }
}

/// Seconds of the layer that most stages hold, forward and backward, on the whole device.
pub(super) fn layer_seconds(context: &Context<'_>) -> Result<[f64; 2], CannotRun> {
    let sms = context.plan.site.machine.device.sms;
    let mut seconds = [0.0; 2];
    for op in segments::layer(context).iter().filter(|op| !matches!(op.kind, OpKind::Collective { .. })) {
        let Kernel { shortest, latency, .. } = context.platform.kernel(op, sms)?;
        seconds[usize::from(is_backward(op))] += shortest + latency.seconds();
    }
    Ok(seconds)
}

fn is_backward(op: &Op) -> bool {
    op.pass != Pass::Forward
}

/// Shares of the time of a rank's forward and backward chunks in which rings run.
fn of_rank(endings: &[Ending], hiding: &Hiding, slots: &[Slot], layer: [f64; 2]) -> [f64; 2] {
    let rings = |endings: &[Ending]| {
        let seconds = |ending: &Ending| match ending {
            Ending::Ring(ring) => ring.layer.map_or(0.0, |layer| layer.shortest + SimSpan::seconds(layer.latency)),
            Ending::Kernel(_) | Ending::Barrier => 0.0,
        };
        endings.iter().map(seconds).sum::<f64>() * f64::from(hiding.n_layers.saturating_sub(1))
    };
    let barrier = endings.iter().position(|ending| matches!(ending, Ending::Barrier)).unwrap_or(endings.len());
    let (reduced, gathered) = (rings(&endings[..barrier]), rings(&endings[barrier..]));
    let beside = |is_forward: bool| {
        let counts = slots
            .iter()
            .enumerate()
            .filter(|&(index, slot)| hides(hiding, index, *slot) && matches!(slot, Slot::Forward(_)) == is_forward);
        counts.count() as f64
    };
    let n_stages = slots.iter().filter_map(|slot| run(*slot)).map(|chunk| chunk.virtual_stage).max().unwrap_or(0) + 1;
    let layers = f64::from(hiding.n_layers) / f64::from(n_stages);
    let share = |rings: f64, chunks: f64| if chunks > 0.0 { (rings / chunks).min(1.0) } else { 0.0 };
    [share(gathered, beside(true) * layers * layer[0]), share(reduced, beside(false) * layers * layer[1])]
}

/// RingsBeside which slots the rings of each pipeline rank run; empty where they run after the last.
pub(super) fn hiding(context: &Context<'_>, slots: &[Vec<Slot>]) -> Vec<Hiding> {
    let plan = context.plan;
    let of_rank = |(rank, slots): (usize, &Vec<Slot>)| {
        let held = plan.job.policy.schedule.held(plan.job.parallel.pp, rank as u32);
        let stages = 0..held.len() as u8;
        let last =
            |stage| slots.iter().rposition(|slot| completed(*slot).is_some_and(|chunk| chunk.virtual_stage == stage));
        let first = |stage| slots.iter().position(|slot| run(*slot).is_some_and(|chunk| chunk.virtual_stage == stage));
        Hiding {
            completes: stages.clone().filter_map(last).min().unwrap_or(0) as u32,
            needs: stages.filter_map(first).max().unwrap_or(0) as u32,
            n_layers: ending::n_layers(held.iter().map(|&stage| &context.stages[stage as usize])),
        }
    };
    match plan.job.policy.data_parallel {
        DataParallel::Waited => Vec::new(),
        DataParallel::Hidden => slots.iter().enumerate().map(of_rank).collect(),
    }
}

/// The chunk whose weight gradient a slot makes.
const fn completed(slot: Slot) -> Option<Chunk> {
    match slot {
        Slot::Backward(chunk) | Slot::Weight(chunk) | Slot::Overlapped { backward: chunk, .. } => Some(chunk),
        Slot::Forward(_) | Slot::BackwardInput(_) => None,
    }
}

/// The chunk that a slot runs forward.
const fn run(slot: Slot) -> Option<Chunk> {
    match slot {
        Slot::Forward(chunk) | Slot::Overlapped { forward: chunk, .. } => Some(chunk),
        Slot::Backward(_) | Slot::Weight(_) | Slot::BackwardInput(_) => None,
    }
}
