//! The interval of a number that is log-normal around its nominal value.

use calibrate::END_DEVIATIONS;

/// From 5 to 95 %: `value x exp(-+1.645 sd)`, with `sd` the standard deviation of the logarithm, which is the relative one while it is small.
#[must_use]
pub(crate) fn interval(value: f64, deviation: f64) -> [f64; 2] {
    [-END_DEVIATIONS, END_DEVIATIONS].map(|deviations| value * (deviation * deviations).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_a_factor_away_and_no_deviation_is_no_width() {
        let [low, high] = interval(8.0, 0.1);
        assert!((low * high - 64.0).abs() < 1e-12 && low < 8.0, "{low} to {high}");
        assert!(((high / 8.0).ln() - 0.1645).abs() < 1e-12, "{high}");
        assert_eq!(interval(8.0, 0.0), [8.0; 2]);
    }
}
