//! Numbers as a profile spells them.

use calibrate::{Dimension, EstimateKey};

/// A number in a file differs from the one meant by at most this share.
pub(super) const ROUNDED: f64 = 1e-5;

/// A value as its key is read: a bare number, or text with a unit.
pub(super) fn value(key: EstimateKey, value: f64) -> String {
    match key.dimension() {
        Dimension::Seconds => quantity(value, &[("s", 0), ("ms", -3), ("us", -6)]),
        Dimension::BytesPerSec => quantity(value, &[("TB/s", 12), ("GB/s", 9), ("MB/s", 6), ("B/s", 0)]),
        Dimension::Fraction
        | Dimension::Share
        | Dimension::Count
        | Dimension::CountAboveZero
        | Dimension::CountFromOne
        | Dimension::Tile => number(value, 6),
    }
}

/// A bare number of so many significant digits, as TOML has them.
pub(super) fn number(value: f64, digits: usize) -> String {
    let rounded: f64 = format!("{value:.*e}", digits.saturating_sub(1)).parse().unwrap_or(value);
    let text = format!("{rounded:?}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

/// In the largest unit that leaves a digit before the point, in the smallest where none does.
fn quantity(value: f64, units: &[(&str, i32)]) -> String {
    let fits = |(_, power): &&(&str, i32)| value >= 10_f64.powi(*power);
    let Some((unit, power)) = units.iter().find(fits).or(units.last()) else { return number(value, 6) };
    // A division keeps the digits that a product with 1e6 would spoil.
    format!("\"{} {unit}\"", number(value / 10_f64.powi(*power), 6))
}

#[cfg(test)]
mod tests {
    use calibrate::GemmTerm;
    use units::{BytesPerSec, Seconds};
    use workloads::op::Precision;

    use super::*;

    #[test]
    fn values_are_spelled_as_their_keys_are_read() {
        for (key, meant, expectation) in [
            (EstimateKey::KernelLatency, 3.1e-6, "\"3.1 us\""),
            (EstimateKey::KernelLatency, 0.0, "\"0 us\""),
            (EstimateKey::KernelLatency, 1.234_567_8e-3, "\"1.23457 ms\""),
            (EstimateKey::MemoryRatePerSm, 28e9, "\"28 GB/s\""),
            (EstimateKey::MemoryFraction, 0.123_456_78, "0.123457"),
            (EstimateKey::Gemm(Precision::Bf16, GemmTerm::Rows), 128.0, "128"),
        ] {
            assert_eq!(value(key, meant), expectation);
        }
    }

    /// From far below any unit to far above: read back, nothing is lost but digits beyond the sixth.
    #[test]
    fn what_is_written_is_read_back() {
        for power in -14..16 {
            let meant = 1.234_567_891 * 10_f64.powi(power);
            let near = |is: f64| assert!((is / meant - 1.0).abs() < ROUNDED, "expectation {meant}, actual {is}");
            let text = |key| value(key, meant).trim_matches('"').to_owned();
            near(text(EstimateKey::KernelLatency).parse::<Seconds>().expect("a duration").get());
            near(text(EstimateKey::MemoryRatePerSm).parse::<BytesPerSec>().expect("a rate").get());
            let toml: toml::Table = format!("x = {}", number(meant, 6)).parse().expect("TOML");
            let number = toml["x"].as_float().or(toml["x"].as_integer().map(|count| count as f64));
            near(number.expect("a number"));
        }
    }
}
