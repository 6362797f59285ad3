//! What was published about the job of a run.

use std::collections::BTreeMap;

use plan::Plan;
use report::{Comparison, Summary};
use scenario::{Ask, Fact, FactFigure, Library, Standing};

use super::asker::ReadQuery;
use super::compare::{figure, row};
use super::facts::FactBook;
use super::observed::Observed;
use crate::ask::{PairMeans, Query, Reply, RunReply};
use crate::error::TunnelError;
use crate::prepare::Prepared;
use crate::sourced::sources;
use crate::summarize::FinishedRun;

/// Which of the published figures are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Those that a key of the summary answers.
    Summary,
    /// All; those of pairs where pairs were recorded.
    All,
}

/// What was published about the job of a run, where facts ask its scenario and no patch makes it another job; else
/// nothing.
///
/// # Errors
/// Mistakes in the files of facts.
pub fn published(
    prepared: &Prepared,
    (run, summary): (&FinishedRun<'_>, &Summary),
    wanted: Wanted,
    library: &Library,
    reading: ReadQuery<'_>,
) -> Result<Vec<Comparison>, TunnelError> {
    let name = &prepared.plan().name;
    let facts = FactBook::read(&[], library)?;
    let asks = of_scenario(&facts, name, reading);
    if asks.is_empty() || !is_same_job(prepared.plan(), (name, &[]), library) {
        return Ok(Vec::new());
    }
    let reply = RunReply { summary: summary.clone(), pair: PairMeans::of(run) };
    let observed = Observed::of(&Reply::Run(Box::new(reply)))?;
    let sources = sources(&prepared.loaded.leaves);
    let has_pairs = !run.outcome.streams.is_empty();
    let is_wanted = |ask: &Ask| match (wanted, &ask.figure) {
        (Wanted::Summary, figure) => matches!(figure, FactFigure::Key(_)),
        (Wanted::All, FactFigure::Pair(_)) => has_pairs,
        (Wanted::All, FactFigure::Key(_) | FactFigure::Ops(_)) => true,
    };
    let row = |(fact, ask): (&Fact, &Ask)| {
        let value = figure(fact, ask, &observed)?;
        Ok(row(fact, ask, value, sources.contains(&fact.id), &facts)?)
    };
    asks.into_iter().filter(|(_, ask)| is_wanted(ask)).map(row).collect()
}

/// Facts whose one command runs a scenario as it is.
fn of_scenario<'a>(facts: &'a FactBook, scenario: &str, reading: ReadQuery<'_>) -> Vec<(&'a Fact, &'a Ask)> {
    // Many facts ask one run, and most commands do not have its name.
    let mut read: BTreeMap<&str, bool> = BTreeMap::new();
    let mut is_run = |command: &'a str| {
        command.contains(scenario) && *read.entry(command).or_insert_with(|| is_bare_run(reading(command), scenario))
    };
    let mut asks = Vec::new();
    for fact in &facts.facts {
        let Standing::Asked(ask) = &fact.standing else { continue };
        if matches!(&ask.commands[..], [command] if is_run(command)) {
            asks.push((fact, ask));
        }
    }
    asks
}

fn is_bare_run(query: Result<Query, TunnelError>, scenario: &str) -> bool {
    matches!(query, Ok(Query::Run(run)) if run.scenario.scenario == scenario && run.scenario.sets.is_empty())
}

/// Whether a plan differs from a scenario with patches over it at most in what was measured, in how it is simulated and in what money buys.
pub(crate) fn is_same_job(plan: &Plan, (scenario, sets): (&str, &[String]), library: &Library) -> bool {
    let Ok(loaded) = scenario::load(scenario, sets, library) else { return false };
    let mut other = loaded.plan.with_profile(plan.site.profile.clone());
    other.simulation.folding = plan.simulation.folding;
    other.simulation.record = plan.simulation.record;
    other.cost = plan.cost;
    other.name.clone_from(&plan.name);
    other == *plan
}
