//! One question to the model, typed in and typed out.
//!
//! ```
//! use scenario::Library;
//! use tunnel::ask::{Query, ScenarioQuery, ask};
//!
//! let scenario = ScenarioQuery { scenario: "tiny-moe".to_owned(), sets: Vec::new() };
//! let sourced = ask(&Query::AllToAll(scenario), &Library::built_in())?;
//! assert!(sourced.reply.number("dispatch.seconds").is_some_and(|seconds| seconds > 0.0));
//! # Ok::<(), tunnel::TunnelError>(())
//! ```
//!
//! The way of a question: a [`Query`] names files and values; [`ask`] loads what it names and hands it to one function a
//! kind; the [`Reply`] has the figures in their types, and `json` has them by the names that files and facts use. Beside the reply
//! stand the sources of every input, so that agreement with one of them is never taken for evidence.

mod accumulate;
mod all_to_all;
mod checked;
mod collective;
mod iteration;
mod kernel;
mod machine;
mod model;
mod pair;
mod schedule;

use plan::{Keep, Progress, Recording};
use report::Summary;
use scenario::Library;
use serde_json::Value;

use crate::error::TunnelError;
use crate::networks::{NetworksQuery, NetworksReply, networks};
use crate::prepare::{Prepared, lower};
use crate::sourced::{Sourced, sources};
use crate::summarize;

pub use accumulate::{AccumulateReply, accumulate};
pub use all_to_all::{AllToAllReply, ExchangeReply, all_to_all};
pub use checked::{CheckReply, checked};
pub use collective::{CollectivePlace, CollectiveQuery, LinksReply, collective, links};
pub use iteration::{IterationAsked, IterationQuery, IterationReply, iteration};
pub(crate) use kernel::misaligned;
pub use kernel::{DeviceQuery, KernelQuery, KernelReply, kernel};
pub use machine::{MachineQuery, MachineReply, machine};
pub use model::{DecodeQuery, ModelQuery, ModelReply, model};
pub use pair::PairMeans;
pub use schedule::{ScheduleQuery, ScheduleReply, schedule};

/// A question to the model.
#[derive(Clone, Debug, PartialEq)]
pub enum Query {
    /// A run of a scenario.
    Run(RunQuery),
    /// Whether a scenario can run.
    Check(ScenarioQuery),
    /// What a machine's network amounts to, and what the machine costs.
    Machine(MachineQuery),
    /// Networks side by side at the prices of a machine.
    Networks(NetworksQuery),
    /// One dispatch and one combine of a scenario, alone.
    AllToAll(ScenarioQuery),
    /// One iteration of a unit that serves a model.
    Iteration(IterationQuery),
    /// One kernel alone on a device.
    Kernel(KernelQuery),
    /// One collective on links of bare rates.
    Links(plan::CollectiveQuestion),
    /// One collective alone on known hardware.
    Collective(CollectiveQuery),
    /// What follows from a model's dimensions.
    Model(ModelQuery),
    /// A pipeline schedule with costs as given.
    Schedule(ScheduleQuery),
    /// What a long sum loses in an accumulator.
    Accumulate(numerics::SumQuestion),
}

/// A scenario and what is laid over it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScenarioQuery {
    /// A preset's name or a file.
    pub scenario: String,
    /// Patches, `KEY=VALUE`, a later one over an earlier one.
    pub sets: Vec<String>,
}

/// A run of a scenario.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunQuery {
    /// What runs.
    pub scenario: ScenarioQuery,
    /// Whether means over overlapped pairs are wanted, which takes intervals of one rank per stage.
    pub has_pairs: bool,
}

/// The answer to a [`Query`].
#[derive(Clone, Debug)]
pub enum Reply {
    /// To [`Query::Run`].
    Run(Box<RunReply>),
    /// To [`Query::Check`].
    Check(CheckReply),
    /// To [`Query::Machine`].
    Machine(Box<MachineReply>),
    /// To [`Query::Networks`].
    Networks(Box<NetworksReply>),
    /// To [`Query::AllToAll`].
    AllToAll(AllToAllReply),
    /// To [`Query::Iteration`].
    Iteration(IterationReply),
    /// To [`Query::Kernel`] and [`Query::Collective`].
    Kernel(KernelReply),
    /// To [`Query::Links`].
    Links(LinksReply),
    /// To [`Query::Model`].
    Model(Box<ModelReply>),
    /// To [`Query::Schedule`].
    Schedule(ScheduleReply),
    /// To [`Query::Accumulate`].
    Accumulate(AccumulateReply),
}

/// What a run came to.
#[derive(Clone, Debug, PartialEq)]
pub struct RunReply {
    /// Its numbers.
    pub summary: Summary,
    /// Means over overlapped pairs; not numbers where none was recorded.
    pub pair: PairMeans,
}

/// Loads what a question names, and answers it.
///
/// # Errors
/// Mistakes in what it names, values that cannot be served, plans that cannot run.
pub fn ask(query: &Query, library: &Library) -> Result<Sourced<Reply>, TunnelError> {
    Ok(match query {
        Query::Run(query) => run(query, library)?.map(|reply| Reply::Run(Box::new(reply))),
        Query::Check(query) => {
            let prepared = query.prepared(library)?;
            Sourced { sources: sources(&prepared.loaded.leaves), reply: Reply::Check(checked(&prepared)?) }
        }
        Query::Machine(query) => machine(query, library)?.map(|reply| Reply::Machine(Box::new(reply))),
        Query::Networks(query) => networks(query, library)?.map(|reply| Reply::Networks(Box::new(reply))),
        Query::AllToAll(query) => all_to_all(query, library)?.map(Reply::AllToAll),
        Query::Iteration(query) => iteration(query, library)?.map(Reply::Iteration),
        Query::Kernel(query) => kernel(query, library)?.map(Reply::Kernel),
        Query::Links(question) => Sourced::without(Reply::Links(links(question)?)),
        Query::Collective(query) => collective(query, library)?.map(Reply::Kernel),
        Query::Model(query) => Sourced::without(Reply::Model(Box::new(model(query, library)?))),
        Query::Schedule(query) => Sourced::without(Reply::Schedule(schedule(query)?)),
        Query::Accumulate(question) => Sourced::without(Reply::Accumulate(accumulate(question)?)),
    })
}

/// Runs a scenario.
fn run(query: &RunQuery, library: &Library) -> Result<Sourced<RunReply>, TunnelError> {
    let prepared = query.scenario.prepared(library)?;
    if prepared.plan().serving().is_ok() {
        let summary = summarize::service(prepared.plan(), &prepared.digest)?;
        let reply = RunReply { summary, pair: PairMeans::NONE };
        return Ok(Sourced { reply, sources: sources(&prepared.loaded.leaves) });
    }
    let ranks = if query.has_pairs { Recording::OnePerStage } else { Recording::None };
    let simulated = lower(prepared.plan())?.run(Keep { ranks, streams: query.has_pairs }, &Progress::default())?;
    let finished = simulated.finished(&prepared)?;
    let reply = RunReply { summary: summarize::summary(&finished)?, pair: PairMeans::of(&finished) };
    Ok(Sourced { reply, sources: sources(&prepared.loaded.leaves) })
}

impl Query {
    /// Lays patches over the scenario that is asked, after its own. Machines, devices and models stay as they are.
    pub fn lay_over(&mut self, sets: &[String]) {
        match self {
            Self::Run(RunQuery { scenario, .. })
            | Self::Check(scenario)
            | Self::AllToAll(scenario)
            | Self::Iteration(IterationQuery { scenario, .. }) => {
                scenario.sets.extend_from_slice(sets);
            }
            Self::Machine(_)
            | Self::Networks(_)
            | Self::Kernel(_)
            | Self::Links(_)
            | Self::Collective(_)
            | Self::Model(_)
            | Self::Schedule(_)
            | Self::Accumulate(_) => {}
        }
    }
}

impl ScenarioQuery {
    fn prepared(&self, library: &Library) -> Result<Prepared, TunnelError> {
        Prepared::load(&self.scenario, &self.sets, library)
    }
}

impl Reply {
    /// All figures, by the names that files and facts use.
    ///
    /// # Errors
    /// A summary that cannot be written, which is a fault of the program.
    pub fn json(&self) -> Result<Value, TunnelError> {
        Ok(match self {
            Self::Run(reply) => {
                serde_json::to_value(&reply.summary).map_err(|error| TunnelError::Fault(error.to_string()))?
            }
            Self::Check(reply) => reply.json(),
            Self::Machine(reply) => reply.json(),
            Self::Networks(reply) => reply.json(),
            Self::AllToAll(reply) => reply.json(),
            Self::Iteration(reply) => reply.json(),
            Self::Kernel(reply) => reply.json(),
            Self::Links(reply) => reply.json(),
            Self::Model(reply) => reply.json(),
            Self::Schedule(reply) => reply.json(),
            Self::Accumulate(reply) => reply.json(),
        })
    }

    /// One figure by its key, dots between levels; none where the reply has no such number.
    #[must_use]
    pub fn number(&self, key: &str) -> Option<f64> {
        number(&self.json().ok()?, key)
    }
}

/// A number of some JSON by its key, dots between levels.
pub(crate) fn number(json: &Value, key: &str) -> Option<f64> {
    json.pointer(&format!("/{}", key.replace('.', "/"))).and_then(Value::as_f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tiny() -> ScenarioQuery {
        ScenarioQuery { scenario: "tiny-moe".to_owned(), sets: Vec::new() }
    }

    #[test]
    fn patches_go_over_scenarios_and_nothing_else() {
        let sets = ["gpu.sms=144".to_owned()];
        let mut check = Query::Check(tiny());
        check.lay_over(&sets);
        assert_eq!(check, Query::Check(ScenarioQuery { sets: sets.to_vec(), ..tiny() }));
        let machine = Query::Machine(MachineQuery { machine: "h800-64-mpft".to_owned(), sets: Vec::new() });
        let mut patched = machine.clone();
        patched.lay_over(&sets);
        assert_eq!(patched, machine);
    }

    #[test]
    fn means_over_pairs_take_recorded_pairs() {
        let run = |has_pairs| {
            let query = Query::Run(RunQuery { scenario: tiny(), has_pairs });
            ask(&query, &Library::built_in()).expect("a run").reply
        };
        let (without, with) = (run(false), run(true));
        assert_eq!(without.number("step_seconds"), with.number("step_seconds"));
        let pair = |reply: &Reply| match reply {
            Reply::Run(run) => run.pair.named("duration"),
            _ => unreachable!("a run"),
        };
        assert!(pair(&without).is_err() && pair(&with).is_ok_and(|seconds| seconds > 0.0));
    }
}
