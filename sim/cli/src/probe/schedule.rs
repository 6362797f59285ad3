//! A schedule with costs as given.

use report::format::significant;
use tunnel::ask::{self, ScheduleQuery, ScheduleReply};
use workloads::schedule::Schedule;

use crate::args::ScheduleArgs;
use crate::exit::Failure;
use crate::json::pretty;

/// Makespan and idle time of every rank.
pub(crate) fn schedule(args: &ScheduleArgs) -> Result<String, Failure> {
    let reply = ask::schedule(&args.query()?)?;
    Ok(if args.json { pretty(&reply.json()) } else { text(&reply) })
}

impl ScheduleArgs {
    /// What the arguments ask.
    pub(crate) fn query(&self) -> Result<ScheduleQuery, Failure> {
        let schedule = Schedule::from_name(&self.schedule, self.virtual_stages);
        Ok(ScheduleQuery {
            schedule: schedule.map_err(|error| Failure::usage(error.to_string()))?,
            n_stages: self.stages,
            n_micro_batches: self.micro_batches,
            f: self.f,
            b: self.b,
            w: self.w,
            fb: self.fb,
        })
    }
}

fn text(reply: &ScheduleReply) -> String {
    let ScheduleReply { schedule, n_ranks, replay, expectation: (formula, expected), .. } = reply;
    let number = |value| significant(value, 4);
    let idle: Vec<String> = replay.idle.iter().map(|idle| number(*idle)).collect();
    format!(
        "{} on {n_ranks} ranks\n\nmakespan      {}\nbubble\n  expectation {}   {formula}\n  actual      {}   the largest of\n\
         idle by rank  {}\n",
        schedule.name(),
        number(replay.makespan),
        number(*expected),
        number(replay.bubble),
        idle.join(", ")
    )
}
