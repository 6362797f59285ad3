//! A schedule with costs as given.

use report::format::significant;
use serde_json::json;
use workloads::schedule::{Costs, Replay, Schedule, in_flight_max, replay};

use crate::args::ScheduleArgs;
use crate::exit::Failure;
use crate::run::pretty;

/// Makespan and idle time of every rank.
pub(crate) fn schedule(args: &ScheduleArgs) -> Result<String, Failure> {
    let usage = |error: &dyn std::error::Error| Failure::usage(error.to_string());
    let schedule = Schedule::from_name(&args.schedule, args.virtual_stages).map_err(|error| usage(&error))?;
    let pp = n_ranks(schedule, args.stages)?;
    let fb = args.fb.unwrap_or(args.f + args.b);
    let costs = Costs::new(args.f, args.b, args.w, fb).map_err(|error| usage(&error))?;
    let slots = schedule.slots(pp, args.micro_batches).map_err(|error| usage(&error))?;
    let replay =
        replay(&slots, schedule, pp, &|_, slot| costs.of(slot)).map_err(|error| Failure::Fault(error.into()))?;
    let Replay { makespan, bubble, idle, .. } = &replay;
    if args.json {
        return Ok(pretty(&json!({
            "makespan": makespan,
            "bubble": bubble,
            "bubble_rate": bubble / makespan,
            "idle": idle,
            "in_flight_max": slots.iter().map(|slots| in_flight_max(slots).iter().sum::<u32>()).max(),
        })));
    }
    Ok(text(schedule, pp, &costs, &replay))
}

/// Pipeline ranks: all schedules are asked for by them but `dual-pipe-v`, which has two stages on each.
fn n_ranks(schedule: Schedule, stages: u32) -> Result<u32, Failure> {
    match schedule {
        Schedule::DualPipeV if !stages.is_multiple_of(2) => Err(Failure::usage(format!(
            "`dual-pipe-v` has two stages a rank, so `--stages {stages}` cannot be; take an even number"
        ))),
        Schedule::DualPipeV => Ok(stages / 2),
        Schedule::OneFOneB | Schedule::Interleaved { .. } | Schedule::Zb1p | Schedule::DualPipe => Ok(stages),
    }
}

fn text(schedule: Schedule, pp: u32, costs: &Costs, replay: &Replay) -> String {
    let (formula, expected) = closed_form(schedule, f64::from(pp), costs);
    let number = |value| significant(value, 4);
    let idle: Vec<String> = replay.idle.iter().map(|idle| number(*idle)).collect();
    format!(
        "{} on {pp} ranks\n\nmakespan      {}\nbubble\n  expectation {}   {formula}\n  actual      {}   the largest of\n\
         idle by rank  {}\n",
        schedule.name(),
        number(replay.makespan),
        number(expected),
        number(replay.bubble),
        idle.join(", ")
    )
}

/// The published bubble. Exact where F = B-W = W and F&B = F+B; elsewhere a guide.
fn closed_form(schedule: Schedule, pp: f64, costs: &Costs) -> (&'static str, f64) {
    let Costs { f, b, w, fb } = *costs;
    match schedule {
        Schedule::OneFOneB | Schedule::Interleaved { .. } => ("(R-1)(F+B)", (pp - 1.0) * (f + b)),
        Schedule::Zb1p => ("(R-1)(F+B-2W)", (pp - 1.0) * (f + b - 2.0 * w)),
        Schedule::DualPipe => ("(R/2-1)(F&B+B-3W)", (pp / 2.0 - 1.0) * (fb + b - 3.0 * w)),
        Schedule::DualPipeV => ("(R-1)(F&B+B-3W)", (pp - 1.0) * (fb + b - 3.0 * w)),
    }
}
