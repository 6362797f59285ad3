//! Several times of one thing as a median with percentiles.

/// Fifth percentile, median and ninety-fifth of some times, each the nearest of them; `None` of none.
pub(super) fn percentiles(mut times: Vec<f64>) -> Option<[f64; 3]> {
    times.sort_by(f64::total_cmp);
    let last = times.len().checked_sub(1)?;
    Some([0.05, 0.5, 0.95].map(|share| times[(share * last as f64).round() as usize]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_times_given() {
        assert_eq!(percentiles((0..=100).rev().map(f64::from).collect()), Some([5.0, 50.0, 95.0]));
        assert_eq!(percentiles(vec![3.0]), Some([3.0; 3]));
        assert_eq!(percentiles(Vec::new()), None);
    }
}
