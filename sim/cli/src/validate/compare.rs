//! Published figures and ours, fact by fact.

use std::collections::BTreeMap;

use plan::Plan;
use report::{Case, Comparison, FamilyOf, Summary, Uncovered, Validation};
use scenario::{Ask, Fact, Figure, Library, Standing};
use tunnel::{Finished, Prepared};

use super::answer::{Answered, Asker, drawn};
use super::facts::Facts;
use super::observed::Observed;
use super::words::words;
use crate::args::Layers;
use crate::exit::Failure;

/// What of the published figures is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// Those that a key of the summary answers.
    Summary,
    /// All; those of pairs where pairs were recorded.
    All,
}

/// Every fact asked, repeated or left out.
pub(super) fn validation(facts: &Facts, asker: &Asker<'_>) -> Result<Validation, Failure> {
    let mut validation = Validation::default();
    let mut uncovered: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for fact in facts.facts.iter().filter(|fact| !fact.family.is_empty()) {
        match &fact.standing {
            Standing::Asked(ask) => {
                let case = case(fact, ask, facts, asker)?;
                if ask.repeats.is_some() { validation.repeats.push(case) } else { validation.cases.push(case) }
            }
            Standing::Unpredicted(reason) => {
                let family = facts.families.get(&fact.family);
                let of_family = family.map_or("", |family| family.unpredicted.as_str());
                *uncovered.entry((&fact.family, if reason.is_empty() { of_family } else { reason })).or_default() += 1;
            }
        }
    }
    let is_compared = |name: &str| validation.cases.iter().any(|case| case.row.family == name);
    let shown = facts.families.values().filter(|family| is_compared(&family.name));
    validation.families = shown
        .map(|family| FamilyOf { name: family.name.clone(), about: family.about.clone(), group: family.group.clone() })
        .collect();
    validation.families.sort_by(|a, b| a.group.cmp(&b.group).then_with(|| a.name.cmp(&b.name)));
    let row = |((family, reason), n): ((&str, &str), usize)| Uncovered {
        family: family.to_owned(),
        n,
        reason: reason.to_owned(),
    };
    validation.uncovered = uncovered.into_iter().map(row).collect();
    Ok(validation)
}

fn case(fact: &Fact, ask: &Ask, facts: &Facts, asker: &Asker<'_>) -> Result<Case, Failure> {
    let mut sum = 0.0;
    let mut used = false;
    for command in &ask.commands {
        let answered = asker.answer(command).map_err(|failure| failure.within(&format!("`{}`", fact.id)))?;
        sum += figure(fact, ask, &answered.observed)?;
        used |= answered.drawn.contains(&fact.id);
    }
    let row = row(fact, ask, sum, used, facts)?;
    Ok(Case::new(row, fact.conditions.clone(), ask.commands.clone()))
}

fn figure(fact: &Fact, ask: &Ask, observed: &Observed) -> Result<f64, Failure> {
    observed
        .figure(&ask.figure)
        .map_err(|reason| Failure::usage(format!("the prediction of `{}` cannot be formed: {reason}", fact.id)))
}

/// A row of a fact whose answer came to `sum`, base units.
fn row(fact: &Fact, ask: &Ask, sum: f64, used: bool, facts: &Facts) -> Result<Comparison, Failure> {
    let value = match ask.over {
        Some(work) => work / sum,
        None => sum * ask.times,
    };
    Ok(Comparison {
        id: fact.id.clone(),
        family: fact.family.clone(),
        quantity: fact.quantity.clone(),
        unit: fact.unit.clone(),
        published: fact.value,
        simulated: value * facts.scale(&fact.unit)?,
        source: fact.source.clone(),
        key: match &ask.figure {
            Figure::Key(key) if ask.times == 1.0 && ask.over.is_none() => Some(key.clone()),
            _ => None,
        },
        used,
    })
}

/// What was published about the job of a run, where facts ask its scenario and no patch makes it another job; else
/// nothing.
pub(crate) fn published(
    prepared: &Prepared,
    run: &Finished<'_>,
    summary: &Summary,
    layers: &Layers,
    asked: Asked,
) -> Result<Vec<Comparison>, Failure> {
    let library = layers.library()?;
    let name = &prepared.plan().name;
    let facts = Facts::read(&[], &library)?;
    let is_of_run = |ask: &Ask| matches!(&ask.commands[..], [command] if is_run(command, name));
    let of_run = |fact: &'_ Fact| match &fact.standing {
        Standing::Asked(ask) if is_of_run(ask) => Some(ask.clone()),
        _ => None,
    };
    let asks: Vec<(&Fact, Ask)> = facts.facts.iter().filter_map(|fact| Some((fact, of_run(fact)?))).collect();
    if asks.is_empty() || !is_same_job(prepared.plan(), name, &library) {
        return Ok(Vec::new());
    }
    let observed = Observed::of_run(run, summary)?;
    let answered = Answered { observed, drawn: drawn(&prepared.loaded.leaves) };
    let has_pairs = !run.outcome.streams.is_empty();
    let wanted = |ask: &Ask| match (asked, &ask.figure) {
        (Asked::Summary, figure) => matches!(figure, Figure::Key(_)),
        (Asked::All, Figure::Pair(_)) => has_pairs,
        (Asked::All, Figure::Key(_) | Figure::Ops(_)) => true,
    };
    let row = |(fact, ask): (&Fact, Ask)| {
        let value = figure(fact, &ask, &answered.observed)?;
        row(fact, &ask, value, answered.drawn.contains(&fact.id), &facts)
    };
    asks.into_iter().filter(|(_, ask)| wanted(ask)).map(row).collect()
}

/// Whether a command runs a scenario as it is.
fn is_run(command: &str, scenario: &str) -> bool {
    words(command).is_ok_and(|words| words == ["run", scenario])
}

/// Whether a plan differs from a scenario at most in what was measured, in how it is simulated and in what money buys.
fn is_same_job(plan: &Plan, scenario: &str, library: &Library) -> bool {
    let Ok(loaded) = scenario::load(scenario, &[], library) else { return false };
    let mut other = loaded.plan;
    other.profile = plan.site.profile.clone();
    other.policy.folding = plan.simulation.folding;
    other.policy.record = plan.simulation.record;
    other.cost = plan.cost;
    other == *plan
}
