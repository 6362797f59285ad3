//! Which estimates decide a difference.
//!
//! The difference over all draws is explained by how far each estimate was off in each: forward selection by least squares.
//! Each step takes the estimate that explains most of the variance that is left, and takes it out of difference and of all
//! other estimates. It stops when the next explains no more than the luckiest of all estimates would by chance. Right while the difference is near linear in the
//! logarithms of the estimates; what it leaves unexplained is the rest to one.

use std::collections::BTreeMap;

use serde::Serialize;

/// One study in so many names an estimate that has nothing to do with a difference.
const CHANCE: f64 = 0.05;
/// The few that decide.
const N_MAX: usize = 4;
/// Fewer draws tell estimates apart no more.
const N_DRAWS_MIN: usize = 16;

/// An estimate that decides a difference.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Decider {
    /// Its key, for example `profile.memory.peak-fraction`.
    pub estimate: String,
    /// Share of the difference's variance over the draws that it explains beyond those before it.
    pub share: f64,
    /// Change of the difference, in its unit, for one standard deviation more.
    pub slope: f64,
}

/// The few estimates that explain how `difference` varies over the draws, the first explains most. `deviations` has, by
/// estimate, how far it was off in each draw ([`crate::Draws::deviations`]). Empty where the difference does not vary, or
/// where draws are too few to tell.
#[must_use]
pub fn deciders(difference: &[f64], deviations: &BTreeMap<String, Vec<f64>>) -> Vec<Decider> {
    if difference.len() < N_DRAWS_MIN {
        return Vec::new();
    }
    let mut rest = centered(difference);
    let total = dot(&rest, &rest);
    // Rounding varies too, and means nothing.
    if total <= f64::EPSILON * dot(difference, difference) {
        return Vec::new();
    }
    let of_all_draws = deviations.iter().filter(|(_, column)| column.len() == difference.len());
    let mut columns: Vec<(&String, Vec<f64>)> = of_all_draws.map(|(name, column)| (name, centered(column))).collect();
    let mut deciders = Vec::new();
    while deciders.len() < N_MAX {
        let least = by_chance(columns.len(), difference.len() - deciders.len()) * dot(&rest, &rest);
        let shares = columns.iter().map(|(_, column)| explained(&rest, column));
        let Some((index, part)) = largest(shares).filter(|(_, part)| *part > least) else { break };
        let share = part / total;
        let (name, column) = columns.remove(index);
        let size = dot(&column, &column);
        let slope = dot(&rest, &column) / size * (size / column.len() as f64).sqrt();
        deciders.push(Decider { estimate: format!("profile.{name}"), share, slope });
        without(&mut rest, &column);
        columns.iter_mut().for_each(|(_, other)| without(other, &column));
    }
    deciders
}

/// The share of a variance over `n_draws` that the luckiest of `n_columns` unrelated columns explains in one study of twenty:
/// one column explains more than `x` with the chance `(1 - x)^((n - 2) / 2)`, as the square of a correlation does.
fn by_chance(n_columns: usize, n_draws: usize) -> f64 {
    1.0 - (CHANCE / n_columns.max(1) as f64).powf(2.0 / (n_draws as f64 - 2.0))
}

fn centered(values: &[f64]) -> Vec<f64> {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    values.iter().map(|value| value - mean).collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// The part of `rest`'s square that lies along `column`.
fn explained(rest: &[f64], column: &[f64]) -> f64 {
    let size = dot(column, column);
    if size > 0.0 { dot(rest, column).powi(2) / size } else { 0.0 }
}

/// Takes away what lies along `column`.
fn without(values: &mut [f64], column: &[f64]) {
    let part = dot(values, column) / dot(column, column);
    values.iter_mut().zip(column).for_each(|(value, column)| *value -= part * column);
}

/// The first of the largest.
fn largest(values: impl Iterator<Item = f64>) -> Option<(usize, f64)> {
    let mut largest: Option<(usize, f64)> = None;
    for (index, value) in values.enumerate() {
        if largest.is_none_or(|(_, most)| value > most) {
            largest = Some((index, value));
        }
    }
    largest
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    /// Columns that have nothing in common: waves of different lengths.
    fn deviations() -> BTreeMap<String, Vec<f64>> {
        let wave =
            |length: f64| (0..64).map(|i| (std::f64::consts::TAU * f64::from(i) * length / 64.0).sin()).collect();
        (1..=9).map(|length| (format!("e{length}"), wave(f64::from(length)))).collect()
    }

    #[test]
    fn what_a_difference_is_made_of_is_found() {
        let columns = deviations();
        let difference: Vec<f64> = (0..64).map(|i| 7.0 - 2.0 * columns["e3"][i] + columns["e5"][i]).collect();
        let found = deciders(&difference, &columns);
        let names: Vec<&str> = found.iter().map(|decider| decider.estimate.as_str()).collect();
        assert_eq!(names, ["profile.e3", "profile.e5"]);
        // A wave of height 1 has a standard deviation of the root of a half.
        for (decider, [share, height]) in found.iter().zip([[0.8, -2.0], [0.2, 1.0]]) {
            let slope = height / 2.0_f64.sqrt();
            assert!((decider.share - share).abs() < 1e-9, "expectation {share}, actual {}", decider.share);
            assert!((decider.slope - slope).abs() < 1e-9, "expectation {slope}, actual {}", decider.slope);
        }
    }

    #[test]
    fn unrelated_estimates_decide_nothing() {
        let mut rng = ChaCha8Rng::seed_from_u64(9);
        // A sum of twelve even numbers is near enough to normal.
        let mut normal = || (0..12).map(|_| rng.random::<f64>()).sum::<f64>() - 6.0;
        let mut draws = || -> Vec<f64> { (0..64).map(|_| normal()).collect() };
        let columns: BTreeMap<String, Vec<f64>> = (0..150).map(|index| (format!("e{index}"), draws())).collect();
        let n_named = (0..200).filter(|_| !deciders(&draws(), &columns).is_empty()).count();
        assert!(n_named <= 20, "{n_named} of 200 differences name an estimate; one in twenty may");
    }

    #[test]
    fn nothing_decides_what_does_not_vary() {
        assert_eq!(deciders(&[0.3; 64], &deviations()), []);
        assert_eq!(deciders(&[0.0; 64], &deviations()), []);
        assert_eq!(deciders(&[1.0, 2.0], &deviations()), []);
    }
}
