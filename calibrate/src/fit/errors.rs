//! How far answers are from measurements.

use crate::{END_DEVIATIONS, Question};

/// A deviation of a normal is this many median absolute ones.
const OF_MEDIAN: f64 = 1.4826;

/// Errors of some samples, as shares of what was measured.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Errors {
    /// Samples.
    pub n: usize,
    /// Median absolute error.
    pub median: f64,
    /// Ninetieth percentile of the absolute error.
    pub p90: f64,
    /// Mean signed error: above zero where the model is slow.
    pub bias: f64,
}

/// One sample beside its answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Miss {
    /// What was asked.
    pub question: Question,
    /// Seconds measured.
    pub measured: f64,
    /// Seconds the model gives.
    pub predicted: f64,
    /// Whether the fit saw it.
    pub fitted: bool,
}

impl Miss {
    /// Predicted over measured, less one.
    #[must_use]
    pub fn error(&self) -> f64 {
        self.predicted / self.measured - 1.0
    }
}

impl Errors {
    /// Of some misses.
    #[must_use]
    pub fn of<'a>(misses: impl IntoIterator<Item = &'a Miss>) -> Self {
        let signed: Vec<f64> = misses.into_iter().map(Miss::error).collect();
        let n = signed.len();
        if n == 0 {
            return Self::default();
        }
        let bias = signed.iter().sum::<f64>() / n as f64;
        let absolute: Vec<f64> = signed.into_iter().map(f64::abs).collect();
        let [median, p90] = units::quantiles(&absolute, [0.5, 0.9]).unwrap_or_default();
        Self { n, median, p90, bias }
    }

    /// The standard deviation of a normal as wide as these. Errors of kernels have fatter tails than one, and an interval from 5 to 95 % is read at
    /// its ends: the wider of what the middle and the ends give.
    #[must_use]
    pub fn deviation(&self) -> f64 {
        (self.median * OF_MEDIAN).max(self.p90 / END_DEVIATIONS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_the_absolute_errors() {
        let misses: Vec<Miss> = (1..=10)
            .map(|percent| Miss {
                question: Question::Launch,
                measured: 1.0,
                predicted: 1.0 + f64::from(percent) / 100.0 * if percent % 2 == 0 { 1.0 } else { -1.0 },
                fitted: true,
            })
            .collect();
        let errors = Errors::of(&misses);
        let near = |a: f64, b: f64| (a - b).abs() < 1e-12;
        assert!(near(errors.median, 0.055) && near(errors.p90, 0.091) && near(errors.bias, 0.005), "{errors:?}");
    }
}
