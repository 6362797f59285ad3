//! Proposals together: what they are worth beside each other.
//!
//! With v(S) the worth of a set, by how much the objective with all of S is better than the base's:
//!
//! - **Shapley share** of i: the mean of v(S + i) - v(S) over all orders in which the proposals could come (Shapley 1953). Shares add
//!   up to v of all.
//! - **interaction** of i and j: v(ij) - v(i) - v(j). Above zero they are complements, below substitutes.
//! - **cheapest set**: least cost (or, where a cost is missing, fewest proposals) whose objective is as good as the target.
//!
//! All subsets are run where `subsets-max` allows; else seeded orders, and all pairs: shares are then means over these
//! orders, and the cheapest set is the cheapest of those that were run.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::criterion::{Criterion, Named};
use crate::manifest::{Manifest, TogetherEntry};
use crate::point::PointKind;
use crate::subsets::{Set, names, pairs, prefixes};

/// What proposals are worth beside each other. Worths are in the unit of the objective, which their keys have: seconds that a step is shorter.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TogetherAnswer {
    /// Whether orders were sampled; else every subset was run.
    pub sampled: bool,
    /// One row a proposal, in the order of the file.
    pub shares: Vec<Share>,
    /// One row a pair.
    pub pairs: Vec<Pair>,
    /// Every set that was run, the smallest first.
    pub sets: Vec<SetOutcome>,
    /// The cheapest set that reaches the target; `None` without a target, or where no set that was run does.
    pub cheapest: Option<SetOutcome>,
    /// The objective to reach.
    #[serde(flatten)]
    pub target: Named<Option<f64>>,
}

/// What one proposal is worth.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Share {
    /// The proposal.
    pub proposal: String,
    /// Alone.
    #[serde(flatten)]
    pub alone: Named<f64>,
    /// As the last one, beside all others; `None` where that set was not run.
    #[serde(flatten)]
    pub last: Named<Option<f64>>,
    /// Its Shapley share.
    #[serde(flatten)]
    pub shapley: Named<f64>,
}

/// What two proposals do to each other.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Pair {
    /// One.
    pub first: String,
    /// The other.
    pub second: String,
    /// What both are worth beyond the sum of each alone.
    #[serde(flatten)]
    pub interaction: Named<f64>,
    /// `complements`, `substitutes`, or `independent` where the two do nothing to each other.
    pub kind: String,
}

/// A set that was run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SetOutcome {
    /// Its proposals.
    pub proposals: Vec<String>,
    /// Its objective.
    #[serde(flatten)]
    pub objective: Named<f64>,
    /// How much better that is than the base's.
    #[serde(flatten)]
    pub worth: Named<f64>,
    /// Sum of costs; `None` where one is missing.
    pub cost: Option<f64>,
}

/// The answer, from the objectives of the points of a manifest.
///
/// # Errors
/// The name of a point without an objective.
pub(crate) fn answer(
    manifest: &Manifest,
    asked: &TogetherEntry,
    criterion: &Criterion,
    values: &BTreeMap<&str, Option<f64>>,
) -> Result<TogetherAnswer, String> {
    let index = |name: &String| asked.proposals.iter().position(|known| known == name);
    let mut worths: BTreeMap<Set, f64> = BTreeMap::from([(0, 0.0)]);
    let missing = |name: &str| format!("`{name}` has no {}", criterion.word());
    let value = |name: &str| values.get(name).copied().flatten().ok_or_else(|| missing(name));
    let base = value(&manifest.points[0].point.name)?;
    for (index, name) in asked.proposals.iter().enumerate() {
        worths.insert(1 << index, criterion.gain(base, value(name)?));
    }
    for entry in manifest.points.iter().filter(|entry| entry.point.kind == PointKind::Together) {
        let set = entry.point.unites.iter().filter_map(index).fold(0, |set, index| set | 1 << index);
        worths.insert(set, criterion.gain(base, value(&entry.point.name)?));
    }
    let row = |set: Set| SetOutcome {
        proposals: names(set, &asked.proposals),
        objective: criterion.named(criterion.after(base, worths[&set])),
        worth: criterion.amount("worth", worths[&set]),
        cost: names(set, &asked.proposals).iter().map(|name| manifest.proposals.get(name)?.cost).sum(),
    };
    let mut rows: Vec<(Set, SetOutcome)> = worths.keys().map(|set| (*set, row(*set))).collect();
    rows.sort_by_key(|(set, _)| (set.count_ones(), *set));
    let rows: Vec<SetOutcome> = rows.into_iter().map(|(_, row)| row).collect();
    Ok(TogetherAnswer {
        sampled: !asked.orders.is_empty(),
        shares: shares(asked, &worths, criterion),
        pairs: interactions(asked, &worths, (base, criterion)),
        cheapest: asked.target.and_then(|target| cheapest(&rows, target, criterion)),
        sets: rows,
        target: criterion.amount("target", asked.target),
    })
}

fn shares(asked: &TogetherEntry, worths: &BTreeMap<Set, f64>, criterion: &Criterion) -> Vec<Share> {
    let n = asked.proposals.len();
    let all: Set = (1 << n) - 1;
    let shapley = if asked.orders.is_empty() { exact(n, worths) } else { sampled(n, &asked.orders, worths) };
    let share = |(index, (proposal, shapley)): (usize, (&String, f64))| {
        let others = worths.get(&(all & !(1 << index)));
        Share {
            proposal: proposal.clone(),
            alone: criterion.amount("alone", worths.get(&(1 << index)).copied().unwrap_or_default()),
            last: criterion.amount("last", worths.get(&all).zip(others).map(|(all, others)| all - others)),
            shapley: criterion.amount("shapley", shapley),
        }
    };
    asked.proposals.iter().zip(shapley).enumerate().map(share).collect()
}

/// `sum over S without i of |S|! (n - |S| - 1)! / n! x (v(S + i) - v(S))`.
fn exact(n: usize, worths: &BTreeMap<Set, f64>) -> Vec<f64> {
    let weight = |size: u32| {
        // 1 / (n x binomial(n - 1, size)), without factorials that overflow.
        let binomial = (0..size).fold(1.0, |binomial, k| binomial * (n as f64 - 1.0 - f64::from(k)) / f64::from(k + 1));
        1.0 / (n as f64 * binomial)
    };
    let share = |index: usize| {
        let without = worths.iter().filter(|(set, _)| *set >> index & 1 == 0);
        without.map(|(set, worth)| weight(set.count_ones()) * (worths[&(set | 1 << index)] - worth)).sum()
    };
    (0..n).map(share).collect()
}

/// The mean over the orders that were sampled.
fn sampled(n: usize, orders: &[Vec<usize>], worths: &BTreeMap<Set, f64>) -> Vec<f64> {
    let mut shares = vec![0.0; n];
    for order in orders {
        let mut before = 0.0;
        for (index, set) in order.iter().zip(prefixes(order)) {
            let worth = worths.get(&set).copied().unwrap_or(before);
            shares[*index] += (worth - before) / orders.len() as f64;
            before = worth;
        }
    }
    shares
}

fn interactions(asked: &TogetherEntry, worths: &BTreeMap<Set, f64>, (base, criterion): (f64, &Criterion)) -> Vec<Pair> {
    let pair = |(i, j): (usize, usize)| {
        let worth = |set: Set| worths.get(&set).copied();
        let interaction = worth(1 << i | 1 << j)? - worth(1 << i)? - worth(1 << j)?;
        let kind = match interaction {
            // Rounding of times to picoseconds.
            small if small.abs() <= base * 1e-9 => "independent",
            more if more > 0.0 => "complements",
            _ => "substitutes",
        };
        let name = |index: usize| asked.proposals[index].clone();
        let interaction = criterion.amount("interaction", interaction);
        Some(Pair { first: name(i), second: name(j), interaction, kind: kind.to_owned() })
    };
    pairs(asked.proposals.len()).filter_map(pair).collect()
}

/// Least cost, then fewest proposals, then the best objective; of equal ones the first.
fn cheapest(rows: &[SetOutcome], target: f64, criterion: &Criterion) -> Option<SetOutcome> {
    let priced = rows.iter().all(|row| row.cost.is_some());
    let price = |row: &SetOutcome| if priced { row.cost.unwrap_or_default() } else { row.proposals.len() as f64 };
    let order = |a: &&SetOutcome, b: &&SetOutcome| {
        let few = a.proposals.len().cmp(&b.proposals.len());
        price(a).total_cmp(&price(b)).then(few).then(criterion.order(a.objective.value, b.objective.value))
    };
    rows.iter().filter(|row| criterion.reaches(row.objective.value, target)).min_by(order).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(n: usize, orders: Vec<Vec<usize>>) -> TogetherEntry {
        let proposals = (0..n).map(|index| format!("p{index}")).collect();
        TogetherEntry { proposals, orders, target: None }
    }

    /// Two complements worth 6 only together, and one worth 2 anyhow.
    fn glove(set: Set) -> f64 {
        f64::from(set & 3 == 3) * 6.0 + f64::from(set >> 2 & 1) * 2.0
    }

    #[test]
    fn shapley_shares_are_the_closed_form_and_add_up() {
        let worths = (0..8).map(|set| (set, glove(set))).collect();
        let shares = shares(&asked(3, Vec::new()), &worths, &Criterion::less("step_seconds"));
        for (share, expectation) in shares.iter().zip([3.0, 3.0, 2.0]) {
            let actual = share.shapley.value;
            assert!((actual - expectation).abs() < 1e-12, "expectation {expectation}, actual {actual}");
        }
        assert_eq!(shares[0].last.value, Some(6.0));
    }

    #[test]
    fn all_orders_sampled_are_all_subsets() {
        let worths = (0..8).map(|set| (set, glove(set))).collect();
        let orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
        let sampled = sampled(3, &orders.map(|order| order.to_vec()), &worths);
        assert!(sampled.iter().zip(exact(3, &worths)).all(|(a, b)| (a - b).abs() < 1e-12), "{sampled:?}");
    }

    #[test]
    fn complements_and_substitutes_have_opposite_signs() {
        let worths: BTreeMap<Set, f64> = (0..8).map(|set| (set, glove(set))).collect();
        let kinds: Vec<String> = interactions(&asked(3, Vec::new()), &worths, (1.0, &Criterion::less("step_seconds")))
            .into_iter()
            .map(|p| p.kind)
            .collect();
        assert_eq!(kinds, ["complements", "independent", "independent"]);
        let either = BTreeMap::from([(1, 3.0), (2, 3.0), (3, 4.0)]);
        assert_eq!(
            interactions(&asked(2, Vec::new()), &either, (1.0, &Criterion::less("step_seconds")))[0].kind,
            "substitutes"
        );
    }

    #[test]
    fn the_cheapest_set_is_by_cost_and_else_by_count() {
        let criterion = Criterion::less("step_seconds");
        let row = |names: &[&str], step: f64, cost| SetOutcome {
            proposals: names.iter().map(|name| (*name).to_owned()).collect(),
            objective: criterion.named(step),
            worth: criterion.amount("worth", 0.0),
            cost,
        };
        let mut rows = vec![row(&["a"], 9.0, Some(9.0)), row(&["b", "c"], 8.0, Some(2.0)), row(&["d"], 7.0, Some(9.0))];
        assert_eq!(cheapest(&rows, 9.0, &criterion).expect("one").proposals, ["b", "c"]);
        rows[0].cost = None;
        assert_eq!(cheapest(&rows, 9.0, &criterion).expect("one").proposals, ["d"]);
        assert_eq!(cheapest(&rows, 6.0, &criterion), None);
        let more = Criterion::more("rate");
        assert_eq!(cheapest(&rows, 9.0, &more).expect("one").proposals, ["a"]);
    }
}
