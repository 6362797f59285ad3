//! A schedule with costs as given.

use serde_json::{Value, json};
use workloads::schedule::{Costs, Replay, Schedule, in_flight_max, replay};

use crate::error::TunnelError;

/// A pipeline schedule and the costs of its chunks, in any unit of time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScheduleQuery {
    /// Which.
    pub schedule: Schedule,
    /// Pipeline ranks; for [`Schedule::DualPipeV`], stages: two per rank.
    pub n_stages: u32,
    /// Micro-batches of a step, both directions together.
    pub n_micro_batches: u32,
    /// A forward chunk.
    pub f: f64,
    /// A whole backward chunk: input and weight gradient.
    pub b: f64,
    /// The weight-gradient part of it.
    pub w: f64,
    /// An overlapped pair; none: both halves one after the other.
    pub fb: Option<f64>,
}

/// Makespan and idle time.
#[derive(Clone, Debug, PartialEq)]
pub struct ScheduleReply {
    /// Which schedule.
    pub schedule: Schedule,
    /// Pipeline ranks.
    pub n_ranks: u32,
    /// When each slot runs, and what is left.
    pub replay: Replay,
    /// The published bubble, as a formula and its value.
    pub expectation: (&'static str, f64),
    /// Micro-batches that the fullest rank keeps at once.
    pub in_flight_max: Option<u32>,
}

/// Plays a schedule.
///
/// # Errors
/// A schedule that cannot be on these stages, costs that are none.
pub fn schedule(query: &ScheduleQuery) -> Result<ScheduleReply, TunnelError> {
    let ScheduleQuery { schedule, n_stages, n_micro_batches, f, b, w, fb } = *query;
    let n_ranks = n_ranks(schedule, n_stages)?;
    let costs = Costs::new(f, b, w, fb.unwrap_or(f + b))?;
    let slots = schedule.slots(n_ranks, n_micro_batches)?;
    Ok(ScheduleReply {
        schedule,
        n_ranks,
        replay: replay(&slots, schedule, n_ranks, &|_, slot| costs.of(slot))?,
        expectation: closed_form(schedule, f64::from(n_ranks), &costs),
        in_flight_max: slots.iter().map(|slots| in_flight_max(slots).iter().sum::<u32>()).max(),
    })
}

/// Pipeline ranks: all schedules are asked for by them but `dual-pipe-v`, which has two stages on each.
fn n_ranks(schedule: Schedule, n_stages: u32) -> Result<u32, TunnelError> {
    match schedule {
        Schedule::DualPipeV if !n_stages.is_multiple_of(2) => Err(TunnelError::value(
            "stages",
            n_stages,
            "cannot be: `dual-pipe-v` has two stages a rank; take an even number",
        )),
        Schedule::DualPipeV => Ok(n_stages / 2),
        Schedule::OneFOneB
        | Schedule::GPipe
        | Schedule::Interleaved { .. }
        | Schedule::Zb1p
        | Schedule::Zb2p
        | Schedule::DualPipe => Ok(n_stages),
    }
}

/// The published bubble. Exact where F = B-W = W and F&B = F+B; elsewhere a guide.
fn closed_form(schedule: Schedule, pp: f64, costs: &Costs) -> (&'static str, f64) {
    let Costs { f, b, w, fb } = *costs;
    match schedule {
        Schedule::OneFOneB | Schedule::GPipe | Schedule::Interleaved { .. } => ("(R-1)(F+B)", (pp - 1.0) * (f + b)),
        Schedule::Zb1p => ("(R-1)(F+B-2W)", (pp - 1.0) * (f + b - 2.0 * w)),
        Schedule::Zb2p => ("(R-1) max(F, F+B-3W)", (pp - 1.0) * f.max(f + b - 3.0 * w)),
        Schedule::DualPipe => ("(R/2-1)(F&B+B-3W)", (pp / 2.0 - 1.0) * (fb + b - 3.0 * w)),
        Schedule::DualPipeV => ("(R-1)(F&B+B-3W)", (pp - 1.0) * (fb + b - 3.0 * w)),
    }
}

impl ScheduleReply {
    /// By the names that files and facts use.
    #[must_use]
    pub fn json(&self) -> Value {
        let Replay { makespan, bubble, idle, .. } = &self.replay;
        let (longest, gaps) = self.replay.without_barrier();
        json!({
            "makespan": makespan,
            "bubble": bubble,
            "bubble_rate": bubble / makespan,
            "bubble_without_barrier": gaps,
            "bubble_rate_without_barrier": gaps / longest,
            "idle": idle,
            "in_flight_max": self.in_flight_max,
        })
    }
}
