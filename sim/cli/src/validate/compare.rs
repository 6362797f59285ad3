//! Published figures and ours, row by row.

use plan::Plan;
use report::{Comparison, Summary};
use scenario::{Fact, Library};

use super::observed::Observed;
use super::predictions::{Answer, Predictions, presets, read};
use crate::args::Layers;
use crate::exit::Failure;
use crate::prepare::Prepared;
use crate::summarize::Finished;

/// What of the published figures is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// Those that a key of the summary answers.
    Summary,
    /// All; those of pairs where pairs were recorded.
    All,
}

/// What was published about the job of a run, where some predictions name its scenario and no patch makes it another
/// job; else nothing.
pub(crate) fn published(
    prepared: &Prepared,
    run: &Finished<'_>,
    summary: &Summary,
    layers: &Layers,
    asked: Asked,
) -> Result<Vec<Comparison>, Failure> {
    let library = layers.library()?;
    for preset in presets() {
        let predictions = read(preset, &layers.libraries)?;
        if predictions.scenario != prepared.plan().name
            || !is_same_job(prepared.plan(), &predictions.scenario, &library)?
        {
            continue;
        }
        let facts = scenario::published(&predictions.facts, &library)?;
        predictions.check(&[], &facts)?;
        let observed = Observed::of(run, summary.clone())?;
        let answers = answers(&predictions, &[]).filter(|(_, _, answer)| match asked {
            Asked::Summary => answer.summary.is_some(),
            Asked::All => answer.pair.is_none() || !run.outcome.streams.is_empty(),
        });
        return compare(&predictions, answers, &facts, &observed, prepared.plan());
    }
    Ok(Vec::new())
}

/// Whether a plan differs from a scenario at most in what was measured, in how it is simulated and in what money buys.
fn is_same_job(plan: &Plan, scenario: &str, library: &Library) -> Result<bool, Failure> {
    let mut other = scenario::load(scenario, &[], library)?.plan;
    other.profile = plan.profile.clone();
    other.policy.folding = plan.policy.folding;
    other.policy.record = plan.policy.record;
    other.cost = plan.cost;
    Ok(other == *plan)
}

/// Answers of some families, or of all where none is named: family, fact, answer, in their order.
pub(super) fn answers<'a>(
    predictions: &'a Predictions,
    families: &'a [String],
) -> impl Iterator<Item = (&'a str, &'a str, &'a Answer)> {
    let is_asked = |family: &String| families.is_empty() || families.contains(family);
    let families = predictions.family.iter().filter(move |(family, _)| is_asked(family));
    families.flat_map(|(family, answers)| {
        answers.iter().map(move |(fact, answer)| (family.as_str(), fact.as_str(), answer))
    })
}

/// One row an answer: by family, then in the order of the facts.
pub(super) fn compare<'a>(
    predictions: &Predictions,
    answers: impl Iterator<Item = (&'a str, &'a str, &'a Answer)>,
    facts: &[Fact],
    observed: &Observed,
    plan: &Plan,
) -> Result<Vec<Comparison>, Failure> {
    let used = sources(plan);
    let mut rows = Vec::new();
    for (family, id, answer) in answers {
        let Some(place) = facts.iter().position(|fact| fact.id == id) else { continue };
        let fact = &facts[place];
        let simulated = observed
            .answer(answer)
            .map_err(|reason| Failure::usage(format!("the prediction of `{id}` cannot be formed: {reason}")))?;
        let row = Comparison {
            id: fact.id.clone(),
            family: family.to_owned(),
            quantity: fact.quantity.clone(),
            unit: fact.unit.clone(),
            published: fact.value,
            simulated: simulated * predictions.scale(&fact.unit)?,
            source: fact.source.clone(),
            key: answer.summary.clone().filter(|_| answer.times.is_none()),
            used: used.contains(&id),
        };
        rows.push((place, row));
    }
    rows.sort_by(|(a, x), (b, y)| x.family.cmp(&y.family).then(a.cmp(b)));
    Ok(rows.into_iter().map(|(_, row)| row).collect())
}

/// Words of the sources of all estimates a plan rests on; ids of facts are among them.
fn sources(plan: &Plan) -> Vec<&str> {
    let is_of_id = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '_';
    let sources = plan.profile.iter().flat_map(move |(_, estimate)| estimate.source.split(move |c| !is_of_id(c)));
    sources.map(|word| word.trim_matches('.')).filter(|word| word.contains('.')).collect()
}
