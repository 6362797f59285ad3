//! When each slot runs, given what it costs.
//!
//! A slot starts when its rank is free and its inputs are there:
//!
//! - F of stage s needs F of stage s-1 of the same micro-batch;
//! - B, whole or input gradient alone, needs B of stage s+1 and F of its own stage;
//! - W needs its own input gradient;
//! - an overlapped pair needs what both halves need, and both results are there when it ends.
//!
//! Messages between stages take no time and no rank waits for memory. Costs may differ by rank and slot.

use super::{Chunk, Schedule, Slot};

/// Costs that are the same on every rank, in any one unit of time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Costs {
    /// Forward alone.
    pub f: f64,
    /// Whole backward alone: input and weight gradient.
    pub b: f64,
    /// The weight-gradient part of `b`.
    pub w: f64,
    /// An overlapped pair.
    pub fb: f64,
}

/// Costs that cannot be.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum CostsError {
    /// Negative or no number.
    #[error("`{name}` = {value} is no cost; give a number from 0 up")]
    NotACost {
        /// Which one.
        name: &'static str,
        /// What was given.
        value: f64,
    },
    /// The part is larger than the whole.
    #[error(
        "the weight-gradient part `w` = {w} is larger than the whole backward `b` = {b}; `b` is input plus weight gradient"
    )]
    PartAboveWhole {
        /// Whole backward.
        b: f64,
        /// Weight-gradient part.
        w: f64,
    },
}

impl Costs {
    /// Costs of a forward, a whole backward, its weight-gradient part and an overlapped pair.
    ///
    /// # Errors
    /// [`CostsError`] where a cost is negative or no number, or `w` above `b`.
    pub fn new(f: f64, b: f64, w: f64, fb: f64) -> Result<Self, CostsError> {
        for (name, value) in [("f", f), ("b", b), ("w", w), ("fb", fb)] {
            if !is_cost(value) {
                return Err(CostsError::NotACost { name, value });
            }
        }
        if w > b {
            return Err(CostsError::PartAboveWhole { b, w });
        }
        Ok(Self { f, b, w, fb })
    }

    /// What a slot costs.
    #[must_use]
    pub fn of(&self, slot: &Slot) -> f64 {
        match slot {
            Slot::Forward(_) => self.f,
            Slot::Backward(_) => self.b,
            Slot::BackwardInput(_) => self.b - self.w,
            Slot::Weight(_) => self.w,
            Slot::Overlapped { .. } => self.fb,
        }
    }
}

/// When everything ran, in the unit of the costs.
#[derive(Clone, Debug, PartialEq)]
pub struct Replay {
    /// End of the last slot of all ranks.
    pub makespan: f64,
    /// What each rank does not work of the makespan, its start and its end included.
    pub idle: Vec<f64>,
    /// The largest of `idle`.
    pub bubble: f64,
    /// Start and end of each slot: `[rank][slot]`.
    pub spans: Vec<Vec<(f64, f64)>>,
}

impl Replay {
    /// Of the rank that takes longest from the start of its first slot to the end of its last: how long it takes, and what
    /// it idles in between. That is the bubble of steps that follow each other on every rank without a barrier.
    #[must_use]
    pub fn without_barrier(&self) -> (f64, f64) {
        let of_rank = |list: &Vec<(f64, f64)>| {
            let (first, last) = list.first().zip(list.last())?;
            let gaps = list.windows(2).map(|pair| pair[1].0 - pair[0].1).sum::<f64>();
            Some((last.1 - first.0, gaps))
        };
        self.spans.iter().filter_map(of_rank).max_by(|a, b| a.0.total_cmp(&b.0)).unwrap_or_default()
    }
}

/// Why slots cannot be run.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ReplayError {
    /// Ranks wait for each other, or for something that nobody runs.
    #[error("rank {rank} waits for ever at its slot {index}, {slot:?}: what it needs is never run before it")]
    Deadlock {
        /// The first rank that waits.
        rank: u32,
        /// Which of its slots, from 0.
        index: usize,
        /// The slot.
        slot: Slot,
    },
    /// The lists are not those of this schedule on this many ranks.
    #[error("{n_lists} lists of slots for {pp} ranks; give one list a rank")]
    Ranks {
        /// Lists given.
        n_lists: usize,
        /// Pipeline ranks.
        pp: u32,
    },
    /// A virtual stage that no rank holds.
    #[error("rank {rank} holds {n_held} stages, but its slot {index} is {slot:?}")]
    NotHeld {
        /// The rank.
        rank: u32,
        /// Which of its slots, from 0.
        index: usize,
        /// The slot.
        slot: Slot,
        /// Stages a rank holds.
        n_held: u8,
    },
    /// A cost that is negative or no number.
    #[error("{slot:?} on rank {rank} costs {cost}; give a number from 0 up")]
    Cost {
        /// The rank.
        rank: u32,
        /// The slot.
        slot: Slot,
        /// What it costs.
        cost: f64,
    },
}

/// Runs the slots of `schedule` over `pp` ranks with `costs(rank, slot)`, each as early as its order and inputs allow.
///
/// # Errors
/// [`ReplayError`]; for the slots of [`Schedule::slots`] only [`ReplayError::Cost`] can happen.
pub fn replay(
    slots: &[Vec<Slot>],
    schedule: Schedule,
    pp: u32,
    costs: &impl Fn(u32, &Slot) -> f64,
) -> Result<Replay, ReplayError> {
    let mut ends = Ends::new(slots, schedule, pp)?;
    let mut spans: Vec<Vec<(f64, f64)>> = slots.iter().map(|list| Vec::with_capacity(list.len())).collect();
    // Each rank's order is fixed, so the times do not depend on which rank is advanced first.
    let mut moved = true;
    while moved {
        moved = false;
        for (rank, list) in (0..pp).zip(slots) {
            let done = &mut spans[rank as usize];
            while let Some(slot) = list.get(done.len()) {
                let Some(ready) = ends.ready(rank, slot) else { break };
                let cost = costs(rank, slot);
                if !is_cost(cost) {
                    return Err(ReplayError::Cost { rank, slot: *slot, cost });
                }
                let start = done.last().map_or(ready, |&(_, end)| ready.max(end));
                done.push((start, start + cost));
                ends.put(rank, slot, start + cost);
                moved = true;
            }
        }
    }
    for (rank, (list, done)) in (0..pp).zip(slots.iter().zip(&spans)) {
        if let Some(&slot) = list.get(done.len()) {
            return Err(ReplayError::Deadlock { rank, index: done.len(), slot });
        }
    }
    Ok(summarize(spans))
}

fn is_cost(value: f64) -> bool {
    value.is_finite() && value >= 0.0
}

fn summarize(spans: Vec<Vec<(f64, f64)>>) -> Replay {
    let makespan = spans.iter().filter_map(|list| list.last()).map(|&(_, end)| end).fold(0.0, f64::max);
    let idle_of = |list: &Vec<(f64, f64)>| {
        // Gaps are summed, not work subtracted: a rank that never waits idles exactly zero.
        let (gaps, end) = list.iter().fold((0.0, 0.0), |(gaps, last), &(start, end)| (gaps + (start - last), end));
        gaps + (makespan - end)
    };
    let idle: Vec<f64> = spans.iter().map(idle_of).collect();
    let bubble = idle.iter().copied().fold(0.0, f64::max);
    Replay { makespan, idle, bubble, spans }
}

/// When the forward and the input gradient of each stage and micro-batch ended; NaN: not yet.
struct Ends {
    schedule: Schedule,
    pp: u32,
    n_stages: u32,
    n_micro_batches: usize,
    forward: Vec<f64>,
    backward: Vec<f64>,
}

impl Ends {
    fn new(slots: &[Vec<Slot>], schedule: Schedule, pp: u32) -> Result<Self, ReplayError> {
        if slots.len() != pp as usize {
            return Err(ReplayError::Ranks { n_lists: slots.len(), pp });
        }
        let mut n_micro_batches = 0;
        for (rank, list) in (0..pp).zip(slots) {
            for (index, slot) in list.iter().enumerate() {
                for chunk in [slot.forward(), slot.backward(), slot.weight()].into_iter().flatten() {
                    if chunk.virtual_stage >= schedule.n_held() {
                        return Err(ReplayError::NotHeld { rank, index, slot: *slot, n_held: schedule.n_held() });
                    }
                    n_micro_batches = n_micro_batches.max(chunk.micro_batch as usize + 1);
                }
            }
        }
        let n_stages = schedule.n_stages(pp);
        let unknown = vec![f64::NAN; n_stages as usize * n_micro_batches];
        Ok(Self { schedule, pp, n_stages, n_micro_batches, forward: unknown.clone(), backward: unknown })
    }

    /// When the inputs of a slot are there; `None` while one is missing.
    fn ready(&self, rank: u32, slot: &Slot) -> Option<f64> {
        match *slot {
            Slot::Forward(chunk) => self.forward_ready(rank, chunk),
            Slot::Backward(chunk) | Slot::BackwardInput(chunk) => self.backward_ready(rank, chunk),
            Slot::Weight(chunk) => self.end(&self.backward, self.stage(rank, chunk), chunk),
            Slot::Overlapped { forward, backward } => {
                Some(self.forward_ready(rank, forward)?.max(self.backward_ready(rank, backward)?))
            }
        }
    }

    fn forward_ready(&self, rank: u32, chunk: Chunk) -> Option<f64> {
        match self.stage(rank, chunk) {
            0 => Some(0.0),
            stage => self.end(&self.forward, stage - 1, chunk),
        }
    }

    fn backward_ready(&self, rank: u32, chunk: Chunk) -> Option<f64> {
        let stage = self.stage(rank, chunk);
        let own = self.end(&self.forward, stage, chunk)?;
        if stage + 1 == self.n_stages {
            Some(own)
        } else {
            Some(own.max(self.end(&self.backward, stage + 1, chunk)?))
        }
    }

    fn put(&mut self, rank: u32, slot: &Slot, end: f64) {
        if let Some(chunk) = slot.forward() {
            let at = self.at(self.stage(rank, chunk), chunk);
            self.forward[at] = end;
        }
        if let Some(chunk) = slot.backward() {
            let at = self.at(self.stage(rank, chunk), chunk);
            self.backward[at] = end;
        }
    }

    fn stage(&self, rank: u32, chunk: Chunk) -> u32 {
        self.schedule.stage(self.pp, rank, chunk.virtual_stage)
    }

    fn end(&self, ends: &[f64], stage: u32, chunk: Chunk) -> Option<f64> {
        let end = ends[self.at(stage, chunk)];
        (!end.is_nan()).then_some(end)
    }

    fn at(&self, stage: u32, chunk: Chunk) -> usize {
        stage as usize * self.n_micro_batches + chunk.micro_batch as usize
    }
}
