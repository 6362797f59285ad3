//! Quantiles, of which the whole house has one definition.

/// The numbers below which shares of some numbers lie: for each of `shares`, from 0 to 1, in their order; `None` of no numbers.
///
/// With the `n` numbers in rising order, counted from 0, a share `q` is at the place `q (n - 1)`, and between two neighbors the
/// answer lies in proportion (the type 7 of Hyndman and Fan 1996, <https://doi.org/10.2307/2684934>, and the default of NumPy and R).
/// So the median of an even count is the mean of the two in the middle, and no answer lies outside the numbers. Assumed: the numbers are a sample, and
/// no value is more likely than its neighbors. It breaks for the tails of few numbers: of ten, the 95th percentile is hardly below
/// the largest.
///
/// ```
/// assert_eq!(units::quantiles(&[4.0, 1.0, 3.0, 2.0], [0.0, 0.5, 1.0]), Some([1.0, 2.5, 4.0]));
/// ```
#[must_use]
pub fn quantiles<const N: usize>(numbers: &[f64], shares: [f64; N]) -> Option<[f64; N]> {
    let mut rising = numbers.to_vec();
    rising.sort_by(f64::total_cmp);
    let last = rising.len().checked_sub(1)?;
    Some(shares.map(|share| {
        let place = share.clamp(0.0, 1.0) * last as f64;
        let (below, part) = (place.floor() as usize, place.fract());
        // At a number itself nothing is added: its neighbor may be infinite.
        if part > 0.0 { rising[below] + (rising[below + 1] - rising[below]) * part } else { rising[below] }
    }))
}

/// The quantile of one half.
#[must_use]
pub fn median(numbers: &[f64]) -> Option<f64> {
    quantiles(numbers, [0.5]).map(|[median]| median)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_of_a_line_are_on_the_line() {
        let line: Vec<f64> = (0..=100).rev().map(f64::from).collect();
        for share in [0.0, 0.05, 0.5, 0.733, 0.95, 1.0] {
            let [actual] = quantiles(&line, [share]).expect("numbers");
            assert!((actual - 100.0 * share).abs() < 1e-9, "expectation {}, actual {actual}", 100.0 * share);
        }
    }

    #[test]
    fn a_median_has_as_many_numbers_on_either_side() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 3.0, 2.0]), Some(2.5));
        assert_eq!(median(&[7.0]), Some(7.0));
        assert_eq!(median(&[]), None);
    }

    #[test]
    fn what_lies_at_a_number_does_not_ask_its_neighbor() {
        let numbers = [1.0, 2.0, f64::INFINITY];
        assert_eq!(quantiles(&numbers, [0.0, 0.5, 1.0]), Some([1.0, 2.0, f64::INFINITY]));
        assert_eq!(quantiles(&numbers, [-1.0, 2.0]), Some([1.0, f64::INFINITY]));
    }
}
