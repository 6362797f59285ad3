//! Published figures and ours, fact by fact.

use std::collections::BTreeMap;

use report::{Case, Comparison, FamilyOf, Uncovered, Validation};
use scenario::{Ask, Fact, FactFigure, Standing};

use super::FactsError;
use super::asker::Asker;
use super::facts::FactBook;
use super::observed::Observed;
use crate::error::TunnelError;

/// Every fact asked, repeated or left out.
pub(super) fn validation(facts: &FactBook, asker: &Asker<'_>) -> Result<Validation, TunnelError> {
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

fn case(fact: &Fact, ask: &Ask, facts: &FactBook, asker: &Asker<'_>) -> Result<Case, TunnelError> {
    let mut sum = 0.0;
    // What takes long takes long in all commands: the ends add up, and the interval is wide rather than narrow.
    let mut ends = Some([0.0; 2]);
    let mut used = false;
    for command in &ask.commands {
        let answered = asker.answer(command).map_err(|error| error.within(&format!("`{}`", fact.id)))?;
        sum += figure(fact, ask, &answered.observed)?;
        let interval = answered.observed.interval(&ask.figure);
        ends = ends.zip(interval).map(|([low, high], more)| [low + more[0], high + more[1]]);
        used |= answered.sources.contains(&fact.id);
    }
    let scale = facts.scale(&fact.unit)?;
    let case = Case::new(row(fact, ask, sum, used, facts)?, fact.conditions.clone(), ask.commands.clone());
    Ok(Case { interval: ends.map(|ends| interval(ask, ends, scale)), ..case })
}

/// The ends of a fact's figure in its unit, the lower one first.
fn interval(ask: &Ask, ends: [f64; 2], scale: f64) -> [f64; 2] {
    let [a, b] = ends.map(|end| predicted(ask, end) * scale);
    [a.min(b), a.max(b)]
}

/// What a fact asks, of an answer that came to `sum`, base units.
fn predicted(ask: &Ask, sum: f64) -> f64 {
    match ask.over {
        Some(work) => work / sum,
        None => sum * ask.times,
    }
}

pub(super) fn figure(fact: &Fact, ask: &Ask, observed: &Observed) -> Result<f64, FactsError> {
    observed.figure(&ask.figure).map_err(|reason| FactsError::NoFigure { fact: fact.id.clone(), reason })
}

/// A row of a fact whose answer came to `sum`, base units.
pub(super) fn row(fact: &Fact, ask: &Ask, sum: f64, used: bool, facts: &FactBook) -> Result<Comparison, FactsError> {
    Ok(Comparison {
        id: fact.id.clone(),
        family: fact.family.clone(),
        quantity: fact.quantity.clone(),
        unit: fact.unit.clone(),
        published: fact.value,
        simulated: predicted(ask, sum) * facts.scale(&fact.unit)?,
        source: fact.source.clone(),
        key: match &ask.figure {
            FactFigure::Key(key) if ask.times == 1.0 && ask.over.is_none() => Some(key.clone()),
            _ => None,
        },
        used,
    })
}
