//! Intervals over draws.

use serde::{Deserialize, Serialize};

/// Where a number lies over all draws.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Interval {
    /// Mean of the draws.
    pub mean: f64,
    /// A twentieth of the draws lie below; never above the nominal number.
    pub low: f64,
    /// A twentieth of the draws lie above; never below the nominal number.
    pub high: f64,
}

impl Interval {
    /// Of the numbers of all draws and the nominal one, as [`calibrate::interval`] has it; `None` without a draw.
    #[must_use]
    pub fn of(draws: &[f64], nominal: f64) -> Option<Self> {
        let [low, high] = calibrate::interval(draws, nominal)?;
        Some(Self { mean: draws.iter().sum::<f64>() / draws.len() as f64, low, high })
    }
}

/// What the draws say about the sign of a difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_quantiles() {
        let draws: Vec<f64> = (0..=100).rev().map(f64::from).collect();
        assert_eq!(Interval::of(&draws, 50.0), Some(Interval { mean: 50.0, low: 5.0, high: 95.0 }));
        assert_eq!(Interval::of(&[3.0], 3.0), Some(Interval { mean: 3.0, low: 3.0, high: 3.0 }));
        assert_eq!(Interval::of(&[], 3.0), None);
    }

    #[test]
    fn an_interval_holds_its_nominal_number() {
        let draws: Vec<f64> = (0..=100).map(f64::from).collect();
        for nominal in [-7.0, 0.0, 5.0, 50.0, 95.0, 99.0, 300.0] {
            let Interval { low, high, .. } = Interval::of(&draws, nominal).expect("draws");
            assert!(low <= nominal && nominal <= high, "{low} <= {nominal} <= {high}");
            assert_eq!((low, high), (nominal.min(5.0), nominal.max(95.0)));
        }
    }

    #[test]
    fn what_crosses_zero_is_undecided() {
        let verdict = |draws: &[f64]| Verdict::of(draws, &Interval::of(draws, draws[0]).expect("draws"));
        assert_eq!(verdict(&[-3.0, -2.0, -1.0]), Verdict::Less);
        assert_eq!(verdict(&[1.0, 2.0, 3.0]), Verdict::More);
        assert_eq!(verdict(&[0.0; 8]), Verdict::Nothing);
        assert_eq!(verdict(&[-1.0, 0.0, 1.0]), Verdict::Undecided);
        assert_eq!(verdict(&[-1.0, 0.0, 0.0, 0.0]), Verdict::Undecided);
        assert!(!verdict(&[-1.0, 1.0]).is_decided());
    }
}
