//! Intervals over draws.

use serde::Serialize;

/// The ends of an interval: five draws of a hundred lie below it, five above.
const ENDS: [f64; 2] = [0.05, 0.95];

/// Where a number lies over all draws.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Interval {
    /// Mean of the draws.
    pub mean: f64,
    /// A twentieth of the draws lie below.
    pub low: f64,
    /// A twentieth of the draws lie above.
    pub high: f64,
}

impl Interval {
    /// Of the numbers of all draws; `None` without a draw.
    #[must_use]
    pub fn of(draws: &[f64]) -> Option<Self> {
        if draws.is_empty() {
            return None;
        }
        let mut sorted = draws.to_vec();
        sorted.sort_by(f64::total_cmp);
        let [low, high] = ENDS.map(|share| quantile(&sorted, share));
        Some(Self { mean: draws.iter().sum::<f64>() / draws.len() as f64, low, high })
    }
}

/// What the draws say about the sign of a difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The interval lies below zero.
    Less,
    /// The interval lies above zero.
    More,
    /// No draw differs from zero at all.
    Nothing,
    /// The interval touches or crosses zero.
    Undecided,
}

impl Verdict {
    /// Of the numbers of all draws and their interval.
    #[must_use]
    pub fn of(draws: &[f64], interval: &Interval) -> Self {
        if draws.iter().all(|value| *value == 0.0) {
            Self::Nothing
        } else if interval.high < 0.0 {
            Self::Less
        } else if interval.low > 0.0 {
            Self::More
        } else {
            Self::Undecided
        }
    }

    /// Whether the conclusion survives what is not known.
    #[must_use]
    pub const fn is_decided(self) -> bool {
        match self {
            Self::Less | Self::More | Self::Nothing => true,
            Self::Undecided => false,
        }
    }
}

/// Between the two neighbors of a place, in proportion.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let place = share * (sorted.len() - 1) as f64;
    let (below, part) = (place.floor() as usize, place.fract());
    let above = (below + 1).min(sorted.len() - 1);
    sorted[below] + (sorted[above] - sorted[below]) * part
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_quantiles() {
        let draws: Vec<f64> = (0..=100).rev().map(f64::from).collect();
        assert_eq!(Interval::of(&draws), Some(Interval { mean: 50.0, low: 5.0, high: 95.0 }));
        assert_eq!(Interval::of(&[3.0]), Some(Interval { mean: 3.0, low: 3.0, high: 3.0 }));
        assert_eq!(Interval::of(&[]), None);
    }

    #[test]
    fn what_crosses_zero_is_undecided() {
        let verdict = |draws: &[f64]| Verdict::of(draws, &Interval::of(draws).expect("draws"));
        assert_eq!(verdict(&[-3.0, -2.0, -1.0]), Verdict::Less);
        assert_eq!(verdict(&[1.0, 2.0, 3.0]), Verdict::More);
        assert_eq!(verdict(&[0.0; 8]), Verdict::Nothing);
        assert_eq!(verdict(&[-1.0, 0.0, 1.0]), Verdict::Undecided);
        assert_eq!(verdict(&[-1.0, 0.0, 0.0, 0.0]), Verdict::Undecided);
        assert!(!verdict(&[-1.0, 1.0]).is_decided());
    }
}
