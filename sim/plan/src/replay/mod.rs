//! Imported jobs on a machine: the same engine, ports, rings and estimates as everything else.
//!
//! A rank's device runs one node at a time, in the order in which they become ready, and so does its host; collectives and messages
//! run beside them and share the rank's ports. A collective begins when the last of its ranks is there and is a ring
//! ([`platform::Leg`]); a message sets out when its sender is there, and is received when it has come and its receiver waits for
//! it. Arithmetic reaches the shares of the peaks that the
//! profile gives BF16 products in their main loop and kernels bound by memory.
//!
//! A job of one trace for all ranks runs once: they are in lockstep, so each meets the others at once. Where it breaks: groups spread unevenly
//! over nodes are as slow as their thinnest node; streams of a device that run kernels side by side are taken one after the other.

mod cost;
mod driver;

use calibrate::Profile;
use topology::Machine;
use units::{Seconds, SimSpan, SimTime};
use workloads::import::Job;

use crate::{Contradiction, PlanError};
use driver::Replay;

/// What an imported job comes to.
#[derive(Clone, Debug, PartialEq)]
pub struct Replayed {
    /// Until the last node ends.
    pub makespan: Seconds,
    /// Ranks simulated: all, or one that stands for them.
    pub ranks: Vec<RankReplay>,
    /// Nodes of all simulated ranks.
    pub n_nodes: u64,
    /// Tasks of the engine.
    pub n_tasks: u64,
}

/// How one rank spends the makespan: `device`, `exposed` and `idle` add up to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RankReplay {
    /// Its device runs a node.
    pub device: SimSpan,
    /// Its device runs none, but it takes part in a collective or message or waits for a partner there.
    pub exposed: SimSpan,
    /// Neither.
    pub idle: SimSpan,
    /// Takes part in a collective or message, or waits for a partner there, whatever its device does.
    pub communication: SimSpan,
    /// Its host runs a node.
    pub host: SimSpan,
}

/// Runs an imported job; rank `r` is device `r`.
///
/// # Errors
/// When the machine has too few devices, is not connected, or the ranks wait for each other in a circle.
pub fn replay(job: &Job, machine: &Machine, profile: &Profile) -> Result<Replayed, PlanError> {
    let n_devices = machine.n_devices();
    if u64::from(job.n_ranks) > n_devices {
        return Err(Contradiction::Devices { n_ranks: job.n_ranks, n_devices }.into());
    }
    let costs = cost::Costs::new(job, machine, profile)?;
    // Half of what picoseconds can count.
    let (longest, limit) = (costs.longest(job)?, SimTime::MAX.seconds() / 2.0);
    if longest.is_nan() || longest > limit {
        return Err(Contradiction::Longest { longest, limit }.into());
    }
    let mut replay = Replay::new(job, &costs);
    let resources = costs.resources().clone();
    let record =
        engine::run(&resources, &mut replay).map_err(|fault| PlanError::Fault(format!("the imported job: {fault}")))?;
    replay.outcome(&record)
}

#[cfg(test)]
mod tests;
