//! The sequencer of a training step: every pipeline rank of a column is a gang and plays its list of slots.

use std::ops::Range;

use workloads::schedule::Slot;

use super::driver::drive;
use super::gang::{Address, Call, CallId, Gang, GangId, Lane, Next};
use super::outcome::{Beside, ChunkSpan, GangsOutcome, RankTotals};
use super::routines::Routines;
use super::sequencer::{CallPart, Commands, Sequencer};
use super::{Keep, Progress};
use crate::label::{Label, TRAIN_LABELS};
use crate::program::{HalfPlan, Program, SlotPlan};
use crate::routine::Half;
use crate::{PlanError, Recording};

/// Runs one column; what its gangs did, and the chunks of its recorded ranks.
pub(super) fn run(
    program: &Program,
    column: u32,
    keep: Keep,
    progress: &Progress,
) -> Result<(GangsOutcome, Vec<ChunkSpan>), PlanError> {
    // Columns are alike, so one rank of each stage is in the first.
    let ranks = if keep.ranks == Recording::OnePerStage && column > 0 { Recording::None } else { keep.ranks };
    let keep = Keep { ranks, ..keep };
    let gangs = gangs(program);
    let routines = routines(program, column, &gangs);
    let mut train = Train {
        program,
        gangs: &gangs,
        first_replica: routines.first_replica,
        recording: ranks,
        progress,
        beside: vec![None; program.ranks.len()],
        chunks: Vec::new(),
    };
    let mut outcome =
        drive(&routines, &mut train, keep).map_err(|fault| PlanError::Fault(format!("column {column}: {fault}")))?;
    for (gang, totals) in gangs.iter().zip(&mut outcome.gangs) {
        for &beside in &train.beside[members(gang)] {
            totals.add(&RankTotals { beside, ..RankTotals::new(TRAIN_LABELS.len()) });
        }
    }
    Ok((outcome, train.chunks))
}

/// The members of each pipeline rank.
fn gangs(program: &Program) -> Vec<Gang> {
    let n_members = program.n_members;
    let of_rank = |rank| Gang { ranks: rank * n_members..(rank + 1) * n_members, pooled: None };
    (0..program.layout.pp).map(of_rank).collect()
}

fn members(gang: &Gang) -> Range<usize> {
    gang.ranks.start as usize..gang.ranks.end as usize
}

/// What the gangs of a column read.
fn routines<'a>(program: &'a Program, column: u32, gangs: &'a [Gang]) -> Routines<'a> {
    let n_members = program.n_members;
    let group_size = if n_members == 1 { 1 } else { program.layout.ep };
    let halves = program.slots.iter().flatten().flat_map(|slot| [slot.forward, slot.backward]).flatten();
    let n_virtual_stages = halves.map(|half| u32::from(half.chunk.virtual_stage) + 1).max().unwrap_or(1);
    Routines {
        n_labels: TRAIN_LABELS.len(),
        routines: &program.routines,
        n_ops: program.ops.len(),
        kernels: &program.kernels,
        tables: &program.tables,
        rings: &program.rings,
        exchanges: &program.exchanges,
        picks: program.pool.as_ref(),
        group_size,
        first_group: column * (n_members / group_size),
        copy_sms: program.copy_binds.then_some(program.comm_sms),
        message: program.messages.each,
        is_message_waited: program.messages.waited,
        host: program.host,
        n_keys: n_virtual_stages * 2 * program.n_micro_batches,
        first_replica: column * n_members,
        ..Routines::none(&program.resources, &program.ranks, gangs)
    }
}

/// Plays the slots of every pipeline rank of a column.
struct Train<'a> {
    program: &'a Program,
    gangs: &'a [Gang],
    first_replica: u32,
    recording: Recording,
    progress: &'a Progress,
    /// What hides beside chunks, by rank.
    beside: Vec<Option<Beside>>,
    /// Of recorded ranks.
    chunks: Vec<ChunkSpan>,
}

impl Train<'_> {
    fn slots(&self, gang: GangId) -> &[SlotPlan] {
        &self.program.slots[gang.0 as usize]
    }

    fn lane(&self, plan: &HalfPlan, half: Half) -> Lane {
        let micro_batch = plan.chunk.micro_batch;
        let key = |virtual_stage: u8| {
            (u32::from(virtual_stage) * 2 + half as u32) * self.program.n_micro_batches + micro_batch
        };
        Lane {
            micro_batch,
            needs: plan.receives.then(|| key(plan.chunk.virtual_stage)),
            sends: plan.sends_to.map(|(rank, virtual_stage)| Address { gang: GangId(rank), key: key(virtual_stage) }),
        }
    }

    /// When what hides beside chunks may begin and must have come.
    fn note_beside(&mut self, part: &CallPart) {
        let Some(hiding) = self.program.hiding.get(part.call.gang.0 as usize) else { return };
        let first = Beside { completing: part.start, forwarded: part.end };
        let beside = self.beside[part.rank as usize].get_or_insert(first);
        if part.call.number == hiding.completes {
            beside.completing = part.start;
        }
        if part.call.number == hiding.needs {
            beside.forwarded = part.end;
        }
    }
}

impl Sequencer for Train<'_> {
    fn next(&mut self, call: CallId, _now: units::SimTime, _commands: &mut Commands) -> Next {
        let Some(plan) = self.slots(call.gang).get(call.number as usize) else { return Next::Done };
        let lanes = [(plan.forward, Half::Forward), (plan.backward, Half::Backward)];
        Next::Run(Call {
            routine: plan.routine,
            label: label(&plan.slot),
            lanes: lanes.map(|(plan, half)| plan.map(|plan| self.lane(&plan, half))),
        })
    }

    fn rank_ended(&mut self, part: &CallPart) {
        self.progress.step();
        self.note_beside(part);
        let gang = part.call.gang;
        let member = part.rank - self.gangs[gang.0 as usize].ranks.start;
        let is_recorded = match self.recording {
            Recording::None => false,
            Recording::All => true,
            Recording::OnePerStage => member == 0,
        };
        if is_recorded {
            self.chunks.push(ChunkSpan {
                rank: gang.0,
                replica: self.first_replica + member,
                slot: Some(self.slots(gang)[part.call.number as usize].slot),
                start: part.start,
                end: part.end,
            });
        }
    }
}

/// The phase that a slot is of.
fn label(slot: &Slot) -> Label {
    match slot {
        Slot::Forward(_) => Label::FORWARD,
        Slot::Backward(_) | Slot::BackwardInput(_) => Label::BACKWARD,
        Slot::Weight(_) => Label::WEIGHT_GRADIENT,
        Slot::Overlapped { .. } => Label::OVERLAPPED,
    }
}
