//! Which sets of proposals are run together.

use std::collections::{BTreeMap, BTreeSet};

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use units::Seconds;

use crate::knob::Change;
use crate::point::{Point, PointKind};
use crate::proposal::Proposal;

/// The `[together]` table.
#[derive(Clone, Debug, PartialEq)]
pub struct Together {
    /// Names, in the order of the file.
    pub proposals: Vec<String>,
    /// Most subsets to run; where there are more, seeded orders of the proposals are sampled.
    pub subsets_max: usize,
    /// Seed of that sample.
    pub seed: u64,
    /// Duration of a step that the cheapest set must reach.
    pub target: Option<Seconds>,
}

/// A set of proposals: bit i is proposal i of the list.
pub(crate) type Set = u32;

/// Points of all sets of at least two that must be run; singles are points of the study anyhow.
pub(crate) fn points(asked: &Together, proposals: &[(String, Proposal)]) -> Vec<Point> {
    let of = |name: &String| proposals.iter().find(|(known, _)| known == name).map(|(_, proposal)| proposal.changes());
    let changes: Vec<Vec<Change>> = asked.proposals.iter().filter_map(of).collect();
    let point = |set: Set| {
        let unites: Vec<String> = names(set, &asked.proposals);
        let patch: BTreeMap<&String, &Change> =
            members(set).flat_map(|index| &changes[index]).map(|change| (&change.key, change)).collect();
        let patch = patch.into_values().cloned().collect();
        Point { unites, ..Point::new(&names(set, &asked.proposals).join(" + "), PointKind::Together, patch, 0) }
    };
    sets(asked).into_iter().filter(|set| set.count_ones() >= 2).map(point).collect()
}

/// Orders to sample; none where all subsets are run.
pub(crate) fn orders(asked: &Together) -> Vec<Vec<usize>> {
    let n = asked.proposals.len();
    if 1_usize << n <= asked.subsets_max {
        return Vec::new();
    }
    let mut rng = ChaCha8Rng::seed_from_u64(asked.seed);
    let mut orders = Vec::new();
    let mut sets: BTreeSet<Set> =
        (0..n).map(|i| 1 << i).chain(pairs(n).map(|(i, j)| 1 << i | 1 << j)).chain([0]).collect();
    while orders.len() < asked.subsets_max {
        let mut order: Vec<usize> = (0..n).collect();
        order.shuffle(&mut rng);
        sets.extend(prefixes(&order));
        if sets.len() > asked.subsets_max {
            break;
        }
        orders.push(order);
    }
    orders
}

/// The fewest subsets that `subsets-max` may allow for `n` proposals: all, or none, singles, pairs and one order.
pub(crate) const fn subsets_min(n: usize) -> usize {
    let all = 1 << n;
    let sampled = 1 + n + n * (n - 1) / 2 + n - 2;
    if all < sampled { all } else { sampled }
}

/// Every set to be run, the smallest first.
pub(crate) fn sets(asked: &Together) -> Vec<Set> {
    let n = asked.proposals.len();
    let orders = orders(asked);
    let mut sets: Vec<Set> = if orders.is_empty() {
        (0..1 << n).collect()
    } else {
        let all: BTreeSet<Set> =
            pairs(n).map(|(i, j)| 1 << i | 1 << j).chain(orders.iter().flat_map(|order| prefixes(order))).collect();
        all.into_iter().collect()
    };
    sets.sort_by_key(|set| (set.count_ones(), *set));
    sets
}

pub(crate) fn pairs(n: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..n).flat_map(move |i| (i + 1..n).map(move |j| (i, j)))
}

/// The sets that grow as proposals come in an order, the empty one left out.
pub(crate) fn prefixes(order: &[usize]) -> impl Iterator<Item = Set> {
    order.iter().scan(0, |set: &mut Set, index| {
        *set |= 1 << index;
        Some(*set)
    })
}

pub(crate) fn members(set: Set) -> impl Iterator<Item = usize> {
    (0..Set::BITS as usize).filter(move |index| set >> index & 1 == 1)
}

pub(crate) fn names(set: Set, proposals: &[String]) -> Vec<String> {
    members(set).filter_map(|index| proposals.get(index).cloned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subsets_are_all_or_a_seeded_sample_within_bounds() {
        let asked = |n: usize, subsets_max| Together {
            proposals: (0..n).map(|index| format!("p{index}")).collect(),
            subsets_max,
            seed: 5,
            target: None,
        };
        assert_eq!(sets(&asked(3, 8)).len(), 8);
        let many = asked(12, 300);
        let sampled = sets(&many);
        // Of what is left after the empty set, the last order did not fit.
        assert!((300 - 12..300).contains(&sampled.len()), "{}", sampled.len());
        assert_eq!(sampled, sets(&many));
        for n in 2..=20 {
            assert!(n < 5 || !orders(&asked(n, subsets_min(n))).is_empty(), "{n}");
            assert!(sets(&asked(n, subsets_min(n))).len() <= subsets_min(n), "{n}");
        }
    }
}
