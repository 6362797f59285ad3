//! Pipeline schedules: which chunk each rank runs next, as a pure function of ranks and micro-batches.
//!
//! A schedule is an order, not a time: [`Schedule::slots`] says what every rank does one after the other, and
//! [`replay`] finds when, given what each chunk costs. Nothing here knows why a chunk costs what it costs.
//!
//! ```
//! use workloads::schedule::{Costs, Schedule, replay};
//!
//! let schedule = Schedule::DualPipe;
//! let slots = schedule.slots(8, 20)?;
//! let costs = Costs::new(1.0, 2.0, 1.0, 2.5)?;
//! let replay = replay(&slots, schedule, 8, &|_rank, slot| costs.of(slot))?;
//! assert_eq!((replay.makespan, replay.bubble), (59.0, 4.5));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! With F a forward, B a whole backward, W its weight-gradient part and F&B an overlapped pair of one *stage*, `R`
//! pipeline ranks and `v` stages a rank:
//!
//! | schedule | stages | bubble a rank | weights a rank | activation sets a rank |
//! |---|---|---|---|---|
//! | `gpipe` | R | (R-1)(F+B) | 1 stage | micro-batches |
//! | `1f1b` | R | (R-1)(F+B) | 1 stage | R |
//! | `interleaved` | R v | (R-1)(F+B) | v stages | R v + R - 1 |
//! | `zb1p` | R | (R-1)(F+B-2W) | 1 stage | R |
//! | `zb2p` | R | (R-1) max(F, F+B-3W) | 1 stage | 2R-1 |
//! | `dual-pipe` | R | (R/2-1)(F&B+B-3W) | 2 stages | R+1 |
//! | `dual-pipe-v` | 2R | (R-1)(F&B+B-3W) | 2 stages | 2R+1 |
//!
//! The dual-pipe rows are exact where F = B-W = W and F&B = F+B; `zb1p` is exact where B-W >= W, `zb2p` where F >= W and
//! there are 2R-1 micro-batches. Elsewhere [`replay`] is the truth and the formula a guide. Activation sets are counted in
//! chunks of one stage.
//!
//! Bubbles are those of a step that ends on all ranks at once, as its optimizer needs it: rank r waits r F for its first
//! forward, so no schedule whose stages begin at one rank idles less than (R-1) F. Between its first slot and its last a
//! rank of `zb2p` idles (R-1)(F+B-3W), which is the published formula and zero where F = B-W = W
//! ([`Replay::without_barrier`]). Its authors come to that by steps that follow each other on every rank without a
//! barrier: they check the norm of the gradients and for overflow after the update, and take it back where the check
//! fails. That is not modeled.
//!
//! Sources: DeepSeek-V3 technical report, section 3.2.1; the README table and schedules of deepseek-ai/DualPipe;
//! Qi et al., *Zero Bubble Pipeline Parallelism*, arXiv:2401.10241 (`zb1p` is their H1, `zb2p` their H2); Narayanan et al.
//! 2021 (interleaved); Huang et al., *GPipe*, arXiv:1811.06965.

mod dual_pipe;
mod gpipe;
mod in_flight;
mod interleaved;
mod one_f_one_b;
mod replay;
mod zero_bubble;

pub use in_flight::{InFlight, in_flight, in_flight_max, memory_max};
pub use replay::{Costs, CostsError, Replay, ReplayError, replay};

/// Slots a schedule may have over all ranks. A simulated slot takes some hundred bytes and some ten microseconds, so that this many are
/// some minutes, and fit in the memory of any host.
const N_SLOTS_MAX: u64 = 3 << 22;

/// Order of chunks on every rank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Schedule {
    /// One forward, one backward.
    OneFOneB,
    /// All forwards, then all backwards.
    GPipe,
    /// 1F1B with several stages a rank.
    Interleaved {
        /// Stages a rank holds, at least two.
        virtual_stages: u8,
    },
    /// Zero-bubble with 1F1B's memory.
    Zb1p,
    /// Zero-bubble with nearly twice the activations of 1F1B.
    Zb2p,
    /// Two directions at once, two copies of the weights.
    DualPipe,
    /// DualPipe cut in half: a V.
    DualPipeV,
}

/// One stage's work on one micro-batch, as its rank sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Chunk {
    /// Which of the stages its rank holds: an index into [`Schedule::held`].
    pub virtual_stage: u8,
    /// Which micro-batch, from 0; unique over both directions.
    pub micro_batch: u32,
}

/// What a rank does in one step of its order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Slot {
    /// Forward alone.
    Forward(Chunk),
    /// Whole backward alone: input and weight gradient.
    Backward(Chunk),
    /// Input gradient alone; the weight gradient waits in a queue.
    BackwardInput(Chunk),
    /// Weight gradient alone: the oldest one of the queue.
    Weight(Chunk),
    /// A forward and a whole backward side by side; both start and end together.
    Overlapped {
        /// The forward half.
        forward: Chunk,
        /// The backward half.
        backward: Chunk,
    },
}

/// The multiples of `of` on both sides of `n` that are not zero, as a hint: `4 or 8`.
#[must_use]
pub fn multiples(n: impl Into<u64>, of: impl Into<u64>) -> String {
    let (n, of) = (n.into(), of.into().max(1));
    let (below, above) = (n / of * of, (n / of + 1) * of);
    if below == 0 { above.to_string() } else { format!("{below} or {above}") }
}

/// Why a schedule cannot be laid out. Each message says what to change.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// No rank or no micro-batch.
    #[error("a pipeline needs at least one rank and one micro-batch, not {pp} and {n_micro_batches}")]
    Empty {
        /// Pipeline ranks asked for.
        pp: u32,
        /// Micro-batches asked for.
        n_micro_batches: u32,
    },
    /// DualPipe mirrors rank r on rank `pp-1-r`.
    #[error("`dual-pipe` needs an even number of pipeline ranks, not {pp}; take {}, or `dual-pipe-v`", multiples(*pp, 2_u32))]
    OddRanks {
        /// Pipeline ranks asked for.
        pp: u32,
    },
    /// DualPipe sends half of the micro-batches each way.
    #[error("`dual-pipe` needs an even number of micro-batches, not {n_micro_batches}; take {}", multiples(*n_micro_batches, 2_u32))]
    OddMicroBatches {
        /// Micro-batches asked for.
        n_micro_batches: u32,
    },
    /// Too few micro-batches to fill the pipe.
    #[error(
        "`{schedule}` over {pp} ranks needs at least {needed} micro-batches, not {n_micro_batches}; raise the global batch or lower `parallel.pp`"
    )]
    TooFew {
        /// Name of the schedule.
        schedule: &'static str,
        /// Pipeline ranks asked for.
        pp: u32,
        /// Micro-batches asked for.
        n_micro_batches: u32,
        /// The fewest that work.
        needed: u64,
    },
    /// Interleaving walks the micro-batches in rounds of `pp`.
    #[error(
        "`interleaved` needs a multiple of {pp} micro-batches (one round of the pipeline), not {n_micro_batches}; take {}",
        multiples(*n_micro_batches, *pp)
    )]
    UnevenRounds {
        /// Pipeline ranks asked for.
        pp: u32,
        /// Micro-batches asked for.
        n_micro_batches: u32,
    },
    /// Interleaving one stage a rank is 1F1B.
    #[error("`interleaved` needs at least 2 virtual stages a rank, not {virtual_stages}; with one it is `1f1b`")]
    VirtualStages {
        /// Stages a rank asked for.
        virtual_stages: u8,
    },
    /// More slots than a list can hold.
    #[error("{n_stages} stages x {n_micro_batches} micro-batches are more chunks than anybody waits for; at most {max}: lower `job.global-batch`, or raise `job.micro-batch` or `parallel.dp`", max = N_SLOTS_MAX / 3)]
    TooMany {
        /// Stages asked for.
        n_stages: u64,
        /// Micro-batches asked for.
        n_micro_batches: u32,
    },
    /// No schedule has this name.
    #[error(
        "no schedule is called `{name}`; there are `1f1b`, `gpipe`, `interleaved`, `zb1p`, `zb2p`, `dual-pipe` and `dual-pipe-v`"
    )]
    UnknownName {
        /// What was asked for.
        name: String,
    },
}

impl Schedule {
    /// Names of all schedules, as [`Schedule::name`] gives them.
    pub const NAMES: [&'static str; 7] = ["1f1b", "gpipe", "interleaved", "zb1p", "zb2p", "dual-pipe", "dual-pipe-v"];

    /// The name in files (`policy.schedule`).
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Schedule::OneFOneB => "1f1b",
            Schedule::GPipe => "gpipe",
            Schedule::Interleaved { .. } => "interleaved",
            Schedule::Zb1p => "zb1p",
            Schedule::Zb2p => "zb2p",
            Schedule::DualPipe => "dual-pipe",
            Schedule::DualPipeV => "dual-pipe-v",
        }
    }

    /// The schedule of a name; `virtual_stages` counts for `interleaved` only.
    ///
    /// # Errors
    /// [`ScheduleError::UnknownName`], which lists the names, and [`ScheduleError::VirtualStages`].
    pub fn from_name(name: &str, virtual_stages: u8) -> Result<Schedule, ScheduleError> {
        match name {
            "1f1b" => Ok(Schedule::OneFOneB),
            "gpipe" => Ok(Schedule::GPipe),
            "interleaved" if virtual_stages < 2 => Err(ScheduleError::VirtualStages { virtual_stages }),
            "interleaved" => Ok(Schedule::Interleaved { virtual_stages }),
            "zb1p" => Ok(Schedule::Zb1p),
            "zb2p" => Ok(Schedule::Zb2p),
            "dual-pipe" => Ok(Schedule::DualPipe),
            "dual-pipe-v" => Ok(Schedule::DualPipeV),
            _ => Err(ScheduleError::UnknownName { name: name.to_owned() }),
        }
    }

    /// Stages a rank holds.
    #[must_use]
    pub fn n_held(self) -> u8 {
        match self {
            Schedule::OneFOneB | Schedule::GPipe | Schedule::Zb1p | Schedule::Zb2p => 1,
            Schedule::Interleaved { virtual_stages } => virtual_stages,
            Schedule::DualPipe | Schedule::DualPipeV => 2,
        }
    }

    /// Copies of every weight over the pipeline.
    #[must_use]
    pub fn n_weight_copies(self) -> u32 {
        match self {
            Schedule::DualPipe => 2,
            Schedule::OneFOneB
            | Schedule::GPipe
            | Schedule::Interleaved { .. }
            | Schedule::Zb1p
            | Schedule::Zb2p
            | Schedule::DualPipeV => 1,
        }
    }

    /// Stages the model is cut in, over `pp` ranks.
    #[must_use]
    pub fn n_stages(self, pp: u32) -> u32 {
        pp * u32::from(self.n_held()) / self.n_weight_copies()
    }

    /// Stages that `rank` of `pp` holds, by virtual stage.
    #[must_use]
    pub fn held(self, pp: u32, rank: u32) -> Vec<u32> {
        (0..self.n_held()).map(|virtual_stage| self.stage(pp, rank, virtual_stage)).collect()
    }

    /// The stage that is `virtual_stage` on `rank` of `pp`.
    #[must_use]
    pub fn stage(self, pp: u32, rank: u32, virtual_stage: u8) -> u32 {
        match (self, virtual_stage) {
            (Schedule::OneFOneB | Schedule::GPipe | Schedule::Zb1p | Schedule::Zb2p, _) => rank,
            (Schedule::Interleaved { .. }, v) => rank + u32::from(v) * pp,
            (Schedule::DualPipe | Schedule::DualPipeV, 0) => rank,
            (Schedule::DualPipe, _) => pp - 1 - rank,
            (Schedule::DualPipeV, _) => 2 * pp - 1 - rank,
        }
    }

    /// Where `stage` of a micro-batch travelling in `direction` runs: its rank and the virtual stage it is there.
    /// `direction` counts for `dual-pipe` only, which holds every stage twice.
    #[must_use]
    pub fn place(self, pp: u32, stage: u32, direction: u8) -> (u32, u8) {
        match self {
            Schedule::OneFOneB | Schedule::GPipe | Schedule::Zb1p | Schedule::Zb2p => (stage, 0),
            Schedule::Interleaved { .. } => (stage % pp, (stage / pp) as u8),
            Schedule::DualPipe if direction == 0 => (stage, 0),
            Schedule::DualPipe => (pp - 1 - stage, 1),
            Schedule::DualPipeV if stage < pp => (stage, 0),
            Schedule::DualPipeV => (2 * pp - 1 - stage, 1),
        }
    }

    /// Rank that runs `stage` for `micro_batch` of `n_micro_batches`.
    #[must_use]
    pub fn rank_of(self, pp: u32, n_micro_batches: u32, stage: u32, micro_batch: u32) -> u32 {
        self.place(pp, stage, self.direction(n_micro_batches, micro_batch)).0
    }

    /// Which way a micro-batch travels: 0 enters at rank 0. Only `dual-pipe` knows direction 1, its second half of the
    /// micro-batches, which enters at the last rank.
    #[must_use]
    pub fn direction(self, n_micro_batches: u32, micro_batch: u32) -> u8 {
        u8::from(self == Schedule::DualPipe && micro_batch >= n_micro_batches / 2)
    }

    /// Whether `pp` ranks and `n_micro_batches` can be laid out.
    ///
    /// # Errors
    /// The first reason why not, with its numbers and the way out.
    pub fn check(self, pp: u32, n_micro_batches: u32) -> Result<(), ScheduleError> {
        if pp == 0 || n_micro_batches == 0 {
            return Err(ScheduleError::Empty { pp, n_micro_batches });
        }
        let n_stages = u64::from(pp) * u64::from(self.n_held());
        if n_stages * u64::from(n_micro_batches) > N_SLOTS_MAX / 3 {
            return Err(ScheduleError::TooMany { n_stages, n_micro_batches });
        }
        match self {
            Schedule::OneFOneB | Schedule::GPipe | Schedule::Zb1p | Schedule::Zb2p => Ok(()),
            Schedule::Interleaved { virtual_stages } if virtual_stages < 2 => {
                Err(ScheduleError::VirtualStages { virtual_stages })
            }
            Schedule::Interleaved { .. } if !n_micro_batches.is_multiple_of(pp) => {
                Err(ScheduleError::UnevenRounds { pp, n_micro_batches })
            }
            Schedule::Interleaved { .. } => Ok(()),
            Schedule::DualPipe if pp % 2 == 1 => Err(ScheduleError::OddRanks { pp }),
            Schedule::DualPipe if n_micro_batches % 2 == 1 => Err(ScheduleError::OddMicroBatches { n_micro_batches }),
            Schedule::DualPipe | Schedule::DualPipeV if u64::from(n_micro_batches) < 2 * u64::from(pp) => {
                let needed = 2 * u64::from(pp);
                Err(ScheduleError::TooFew { schedule: self.name(), pp, n_micro_batches, needed })
            }
            Schedule::DualPipe | Schedule::DualPipeV => Ok(()),
        }
    }

    /// What every rank does, in order: `[rank][slot]`.
    ///
    /// Each chunk's forward and backward stand in exactly one slot of the rank that holds its stage; where the backward
    /// is split, [`Slot::Weight`] names the chunk whose weight gradient it runs, first in, first out.
    ///
    /// # Errors
    /// As [`Schedule::check`].
    pub fn slots(self, pp: u32, n_micro_batches: u32) -> Result<Vec<Vec<Slot>>, ScheduleError> {
        self.check(pp, n_micro_batches)?;
        let of_rank = |rank| match self {
            Schedule::OneFOneB => one_f_one_b::slots(pp, n_micro_batches, rank),
            Schedule::GPipe => gpipe::slots(n_micro_batches),
            Schedule::Interleaved { virtual_stages } => {
                interleaved::slots(pp, n_micro_batches, rank, u32::from(virtual_stages))
            }
            Schedule::Zb1p => zero_bubble::slots(pp, n_micro_batches, rank, 1),
            Schedule::Zb2p => zero_bubble::slots(pp, n_micro_batches, rank, 2),
            Schedule::DualPipe => dual_pipe::slots(pp, n_micro_batches, rank),
            Schedule::DualPipeV => dual_pipe::slots_v(pp, n_micro_batches, rank),
        };
        Ok((0..pp).map(of_rank).collect())
    }
}

impl Slot {
    /// The chunk whose forward runs here.
    #[must_use]
    pub fn forward(&self) -> Option<Chunk> {
        match *self {
            Slot::Forward(chunk) | Slot::Overlapped { forward: chunk, .. } => Some(chunk),
            Slot::Backward(_) | Slot::BackwardInput(_) | Slot::Weight(_) => None,
        }
    }

    /// The chunk whose input gradient runs here, alone or with the weight gradient.
    #[must_use]
    pub fn backward(&self) -> Option<Chunk> {
        match *self {
            Slot::Backward(chunk) | Slot::BackwardInput(chunk) | Slot::Overlapped { backward: chunk, .. } => {
                Some(chunk)
            }
            Slot::Forward(_) | Slot::Weight(_) => None,
        }
    }

    /// The chunk whose weight gradient runs here, alone or with the input gradient.
    #[must_use]
    pub fn weight(&self) -> Option<Chunk> {
        match *self {
            Slot::Backward(chunk) | Slot::Weight(chunk) | Slot::Overlapped { backward: chunk, .. } => Some(chunk),
            Slot::Forward(_) | Slot::BackwardInput(_) => None,
        }
    }
}

#[cfg(test)]
mod tests;
