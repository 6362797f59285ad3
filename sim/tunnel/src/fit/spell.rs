//! Numbers as a profile spells them.

use calibrate::{Dimension, EstimateKey};
use scenario::write::{number, text};
use units::{BytesPerSec, Seconds};

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

/// Whether a profile that holds the value can be read: what is too small to be told from zero, or beyond what its key may be, cannot.
pub(super) fn is_readable(key: EstimateKey, value: f64) -> bool {
    let dimension = key.dimension();
    let text = self::value(key, value);
    let text = text.trim_matches('"');
    match dimension {
        Dimension::Seconds => text.parse::<Seconds>().is_ok(),
        Dimension::BytesPerSec => text.parse::<BytesPerSec>().is_ok_and(|rate| rate.get() > 0.0),
        Dimension::Fraction | Dimension::CountAboveZero => value > 0.0 && value <= dimension.most(),
        Dimension::Share | Dimension::Count | Dimension::CountFromOne | Dimension::Tile => {
            (dimension.least()..=dimension.most()).contains(&value)
        }
    }
}

/// In the largest unit that leaves a digit before the point, in the smallest where none does.
fn quantity(value: f64, units: &[(&str, i32)]) -> String {
    let fits = |(_, power): &&(&str, i32)| value >= 10_f64.powi(*power);
    let Some((unit, power)) = units.iter().find(fits).or(units.last()) else { return number(value, 6) };
    // A division keeps the digits that a product with 1e6 would spoil.
    text(&format!("{} {unit}", number(value / 10_f64.powi(*power), 6)))
}

#[cfg(test)]
mod tests {
    use calibrate::GemmTerm;
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

    /// Of every dimension, what is written is read if and only if it is readable.
    #[test]
    fn what_no_profile_can_hold_is_told_before_it_is_written() {
        for key in EstimateKey::ALL.iter().copied() {
            for odd in [f64::NAN, f64::INFINITY, -1.0, 1e40] {
                assert!(!is_readable(key, odd), "{}: {odd}", key.name());
            }
            let one = if key.dimension() == Dimension::Tile { 128.0 } else { 1.0 };
            assert!(is_readable(key, one), "{}", key.name());
            let units = [Dimension::Seconds, Dimension::BytesPerSec].contains(&key.dimension());
            assert!(!(units && is_readable(key, 1e-40)), "{}", key.name());
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
