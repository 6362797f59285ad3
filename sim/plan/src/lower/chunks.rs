//! Which routine each slot of a pipeline rank runs, and where its results go. [`super::writer`] writes the routines.

use std::collections::BTreeMap;

use platform::ExchangeKind;
use workloads::model::LayerKind;
use workloads::parallel::Stage;
use workloads::schedule::{Chunk, Schedule, Slot};

use super::Context;
use super::hidden;
use super::kernels::Kernels;
use super::segments::Segments;
use super::sharded;
use super::writer::{Means, Unit, Writer};
use crate::PlanError;
use crate::program::{Ending, HalfPlan, Hiding, SlotPlan};
use crate::routine::Routine;

const KINDS: [ExchangeKind; 2] = [ExchangeKind::Dispatch, ExchangeKind::Combine];

/// Routines, the slots of each pipeline rank that refer to them, and beside which of them rings hide.
pub(super) struct Chunks {
    pub(super) routines: Vec<Routine>,
    pub(super) slots: Vec<Vec<SlotPlan>>,
    pub(super) hiding: Vec<Hiding>,
}

/// Lays out the chunks of every pipeline rank; `endings` are what follows the last.
pub(super) fn chunks(
    context: &Context<'_>,
    kernels: &mut Kernels,
    endings: &[Vec<Ending>],
) -> Result<Chunks, PlanError> {
    let plan = context.plan;
    let schedule = plan.job.policy.schedule;
    let n_micro_batches = super::n_micro_batches(plan)?;
    let slots = schedule.slots(plan.job.parallel.pp, n_micro_batches)?;
    let all = plan.site.machine.device.sms;
    let pair_sms = all.saturating_sub(context.comm_sms()).max(1);
    let hiding = hidden::hiding(context, &slots);
    let sharded = sharded::sharded(context, kernels)?;
    let beside = match &sharded {
        Some(sharded) => sharded::beside(context, kernels, sharded)?,
        None => hidden::beside(context, endings, &hiding, &slots)?,
    };
    let mut library = Library {
        means: Means::new(context, kernels, sharded)?,
        lone: Segments::new(context, kernels, all)?,
        hiding: beside.map(|beside| Segments::beside(context, kernels, all, beside)).transpose()?,
        pair: Segments::new(context, kernels, pair_sms)?,
        lone_comm_sms: KINDS.map(|kind| context.held(context.lone_comm_sms(), kind)),
        comm_sms: KINDS.map(|kind| context.held(context.comm_sms(), kind)),
        stages: &context.stages,
        first_layers: first_layers(&context.stages),
        n_layers: plan.job.model.layers as u16,
        has_experts: plan.job.model.experts.is_some(),
        neighbors: plan.job.parallel.pp > 1,
        routines: Vec::new(),
        index: BTreeMap::new(),
    };
    let place = Place { schedule, pp: plan.job.parallel.pp, n_stages: context.stages.len() as u32, n_micro_batches };
    let plans = library.plans(&place, &slots, &hiding);
    check_length(context, &library.routines)?;
    Ok(Chunks { routines: library.routines, slots: plans, hiding })
}

fn check_length(context: &Context<'_>, routines: &[Routine]) -> Result<(), PlanError> {
    let job = context.plan.job;
    if routines.iter().any(|routine| routine.n_events == u16::MAX) {
        let (layers, mtp_modules) = (job.model.layers, job.model.mtp_modules);
        return Err(PlanError::LongStage { layers, mtp_modules, pp: job.parallel.pp });
    }
    Ok(())
}

/// Where chunks run and where their results go.
struct Place {
    schedule: Schedule,
    pp: u32,
    n_stages: u32,
    n_micro_batches: u32,
}

impl Place {
    fn forward(&self, rank: u32, chunk: Chunk) -> HalfPlan {
        let stage = self.schedule.stage(self.pp, rank, chunk.virtual_stage);
        let next = (stage + 1 < self.n_stages).then(|| self.at(stage + 1, chunk));
        HalfPlan { chunk, stage, receives: stage > 0, sends_to: next }
    }

    /// `sends` is false for a weight gradient alone, which waits for nobody and has no result for others.
    fn backward(&self, rank: u32, chunk: Chunk, sends: bool) -> HalfPlan {
        let stage = self.schedule.stage(self.pp, rank, chunk.virtual_stage);
        let next = (sends && stage > 0).then(|| self.at(stage - 1, chunk));
        HalfPlan { chunk, stage, receives: sends && stage + 1 < self.n_stages, sends_to: next }
    }

    fn at(&self, stage: u32, chunk: Chunk) -> (u32, u8) {
        let direction = self.schedule.direction(self.n_micro_batches, chunk.micro_batch);
        self.schedule.place(self.pp, stage, direction)
    }
}

fn first_layers(stages: &[Stage]) -> Vec<u16> {
    let mut next = 0;
    stages
        .iter()
        .map(|stage| {
            let first = next;
            next += stage.layers.len() as u16;
            first
        })
        .collect()
}

struct Library<'a> {
    means: Means,
    lone: Segments,
    /// Of lone chunks beside which rings run.
    hiding: Option<Segments>,
    pair: Segments,
    /// SMs that a dispatch and a combine hold.
    lone_comm_sms: [u32; 2],
    comm_sms: [u32; 2],
    stages: &'a [Stage],
    first_layers: Vec<u16>,
    n_layers: u16,
    has_experts: bool,
    /// Whether stages that follow each other are on different ranks.
    neighbors: bool,
    routines: Vec<Routine>,
    /// Routine by kind of slot and stages.
    index: BTreeMap<(u8, u32, u32, bool), u32>,
}

impl Library<'_> {
    /// The slots of every pipeline rank.
    fn plans(&mut self, place: &Place, slots: &[Vec<Slot>], hiding: &[Hiding]) -> Vec<Vec<SlotPlan>> {
        let is_sharded = self.means.sharded.is_some();
        let of_rank = |(rank, of): (usize, &Vec<Slot>)| {
            let hides =
                |index, slot| is_sharded || hiding.get(rank).is_some_and(|hiding| hidden::hides(hiding, index, slot));
            let plan = |(index, slot): (usize, &Slot)| self.plan(slot, place, rank as u32, hides(index, *slot));
            of.iter().enumerate().map(plan).collect()
        };
        slots.iter().enumerate().map(of_rank).collect()
    }

    fn plan(&mut self, slot: &Slot, place: &Place, rank: u32, hides: bool) -> SlotPlan {
        let forward = slot.forward().map(|chunk| place.forward(rank, chunk));
        let backward = match (slot.backward(), slot.weight()) {
            (Some(chunk), _) => Some(place.backward(rank, chunk, true)),
            (None, Some(chunk)) => Some(place.backward(rank, chunk, false)),
            (None, None) => None,
        };
        let kind = match slot {
            Slot::Forward(_) => 0,
            Slot::Backward(_) => 1,
            Slot::BackwardInput(_) => 2,
            Slot::Weight(_) => 3,
            Slot::Overlapped { .. } => 4,
        };
        let stages = [forward, backward].map(|half| half.map_or(0, |half| half.stage));
        let hides = hides && self.hiding.is_some();
        let key = (kind, stages[0], stages[1], hides);
        let routine = match self.index.get(&key) {
            Some(&routine) => routine,
            None => {
                let routine = self.routine(slot, stages, hides);
                self.routines.push(routine);
                let id = self.routines.len() as u32 - 1;
                self.index.insert(key, id);
                id
            }
        };
        SlotPlan { routine, slot: *slot, forward, backward }
    }

    fn routine(&self, slot: &Slot, [forward_stage, backward_stage]: [u32; 2], hides: bool) -> Routine {
        let mut forward = self.units(forward_stage);
        let mut backward = self.units(backward_stage);
        backward.reverse();
        if self.neighbors && forward_stage > 0 {
            forward.insert(0, Unit::Handed);
        }
        if self.neighbors && (backward_stage as usize) + 1 < self.stages.len() {
            backward.insert(0, Unit::Handed);
        }
        let overlapped = matches!(slot, Slot::Overlapped { .. });
        let segments = match &self.hiding {
            Some(hiding) if hides => hiding,
            _ if overlapped => &self.pair,
            _ => &self.lone,
        };
        let comm_sms = if overlapped { self.comm_sms } else { self.lone_comm_sms };
        let mut writer = Writer::new(&self.means, segments, comm_sms);
        match slot {
            Slot::Forward(_) => {
                writer.gather_ends(forward_stage);
                writer.forward(&forward);
            }
            Slot::Backward(_) => {
                writer.backward(&backward, true);
                writer.reduce_ends(backward_stage);
            }
            Slot::BackwardInput(_) => writer.backward(&backward, false),
            Slot::Weight(_) => writer.weight(&backward),
            Slot::Overlapped { .. } => writer.pair(&forward, &backward),
        }
        writer.routine
    }

    fn units(&self, stage: u32) -> Vec<Unit> {
        let index = stage as usize;
        let stage = &self.stages[index];
        let mut units = Vec::new();
        if stage.embedding {
            units.push(Unit::Embedding);
        }
        for (i, kind) in stage.layers.iter().enumerate() {
            units.push(match kind {
                LayerKind::Dense => Unit::Dense,
                LayerKind::Moe => Unit::Moe(self.first_layers[index] + i as u16),
            });
        }
        if stage.heads > 0 {
            units.push(Unit::Head);
        }
        for module in 0..stage.mtp {
            units.push(Unit::Mtp);
            units.push(if self.has_experts { Unit::Moe(self.n_layers + module as u16) } else { Unit::Dense });
            units.push(Unit::Head);
        }
        units
    }
}
