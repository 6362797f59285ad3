//! How long a step takes at least, from its program alone: every kernel, exchange and collective as long as it takes alone, and no message takes
//! any time.
//!
//! Two levels, as a run has them. A routine's streams wait for each other at their points, which gives its length and when its results may leave; a rank runs its
//! slots in order, each when what it needs has been sent. Sharing, late ranks, messages, the host and the end of the step come on top, so
//! that no run is shorter. Of what depends on sampled traffic it takes the least over all batches and ranks.

use std::collections::BTreeMap;

use platform::ExchangeTemplate;
use units::{Seconds, SimSpan};

use crate::program::{HalfPlan, OpKernel, Program, SlotPlan};
use crate::routine::{Half, Instruction, Routine};

/// A bound below the step.
#[must_use]
pub fn least_step(program: &Program) -> SimSpan {
    let exchanges = [0, 1].map(|kind| least(program.exchanges.iter().map(|kinds| alone(&kinds[kind]))));
    let routines: Vec<Length> =
        program.routines.iter().map(|routine| Length::of(program, routine, exchanges)).collect();
    let mut pipeline = Pipeline::new(program, &routines);
    while pipeline.advance() {}
    let longest = pipeline.free.iter().copied().fold(0.0, f64::max);
    SimSpan::from(Seconds::new(longest))
}

/// The least of some times; nothing of none.
fn least(times: impl Iterator<Item = f64>) -> f64 {
    times.reduce(f64::min).unwrap_or(0.0)
}

fn alone(template: &ExchangeTemplate) -> f64 {
    template.alone.get() + template.latency.seconds()
}

/// How long a routine takes, and when the results of its halves may leave.
#[derive(Clone, Copy, Debug, Default)]
struct Length {
    whole: f64,
    sent: [f64; 2],
}

impl Length {
    fn of(program: &Program, routine: &Routine, exchanges: [f64; 2]) -> Self {
        let mut length = Self::default();
        let mut events: Vec<Option<f64>> = vec![None; usize::from(routine.n_events)];
        let mut streams: Vec<(f64, &[Instruction])> =
            routine.streams.iter().map(|stream| (0.0, stream.as_slice())).collect();
        let mut moves = true;
        while moves {
            moves = false;
            for (now, rest) in &mut streams {
                while let Some((instruction, others)) = rest.split_first() {
                    match *instruction {
                        Instruction::Await(event) => match events[usize::from(event)] {
                            Some(reached) => *now = now.max(reached),
                            None => break,
                        },
                        Instruction::Signal(event) => events[usize::from(event)] = Some(*now),
                        Instruction::Send(half) => length.sent[half as usize] = *now,
                        _ => *now += seconds(program, instruction, exchanges),
                    }
                    *rest = others;
                    moves = true;
                }
            }
        }
        length.whole = streams.iter().map(|(now, _)| *now).fold(0.0, f64::max);
        length
    }
}

fn seconds(program: &Program, instruction: &Instruction, exchanges: [f64; 2]) -> f64 {
    match *instruction {
        Instruction::Kernel(index) => program.kernels.get(index as usize).map_or(0.0, of_kernel),
        Instruction::Loaded { table, .. } => of_table(program, table as usize),
        Instruction::Exchange { kind, .. } => exchanges[kind as usize],
        Instruction::Ring(ring) => {
            program.rings.get(ring as usize).map_or(0.0, |ring| ring.leg.latency.seconds() + ring.leg.shortest)
        }
        Instruction::Signal(_) | Instruction::Await(_) | Instruction::Send(_) => 0.0,
    }
}

fn of_kernel(kernel: &OpKernel) -> f64 {
    kernel.kernel.latency.seconds() + kernel.kernel.shortest.max(kernel.kernel.tensor)
}

/// The shortest kernel of a table, which goes up to the next.
fn of_table(program: &Program, table: usize) -> f64 {
    let first = |index: usize| program.tables.get(index).map(|table| table.first as usize);
    let end = first(table + 1).unwrap_or(program.kernels.len());
    let of_table = first(table).and_then(|first| program.kernels.get(first..end));
    least(of_table.into_iter().flatten().map(of_kernel))
}

/// What has been sent: rank, virtual stage, half, micro-batch.
type Letter = (u32, u8, usize, u32);

/// Ranks that play their slots.
struct Pipeline<'a> {
    program: &'a Program,
    routines: &'a [Length],
    /// The next slot of each rank.
    next: Vec<usize>,
    /// When each rank is free.
    free: Vec<f64>,
    sent: BTreeMap<Letter, f64>,
}

impl<'a> Pipeline<'a> {
    fn new(program: &'a Program, routines: &'a [Length]) -> Self {
        let n_ranks = program.slots.len();
        Self { program, routines, next: vec![0; n_ranks], free: vec![0.0; n_ranks], sent: BTreeMap::new() }
    }

    /// Plays the slots whose results have been sent; whether there were any.
    fn advance(&mut self) -> bool {
        let mut moves = false;
        for rank in 0..self.next.len() {
            while let Some(slot) = self.program.slots[rank].get(self.next[rank]) {
                let Some(start) = self.start(rank, slot) else { break };
                let length = self.routines.get(slot.routine as usize).copied().unwrap_or_default();
                for (half, plan) in halves(slot) {
                    if let Some((to, virtual_stage)) = plan.sends_to {
                        let letter = (to, virtual_stage, half as usize, plan.chunk.micro_batch);
                        self.sent.insert(letter, start + length.sent[half as usize]);
                    }
                }
                self.free[rank] = start + length.whole;
                self.next[rank] += 1;
                moves = true;
            }
        }
        moves
    }

    /// When a rank may begin a slot; none where something that it needs is yet to be sent.
    fn start(&self, rank: usize, slot: &SlotPlan) -> Option<f64> {
        let mut start = self.free[rank];
        for (half, plan) in halves(slot).filter(|(_, plan)| plan.receives) {
            let letter = (rank as u32, plan.chunk.virtual_stage, half as usize, plan.chunk.micro_batch);
            start = start.max(*self.sent.get(&letter)?);
        }
        Some(start)
    }
}

fn halves(slot: &SlotPlan) -> impl Iterator<Item = (Half, HalfPlan)> {
    let lanes = [(slot.forward, Half::Forward), (slot.backward, Half::Backward)];
    lanes.into_iter().filter_map(|(plan, half)| Some((half, plan?)))
}
