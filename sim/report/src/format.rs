//! How numbers are spelled, the same in tables, figures and pages.

/// Seconds with a unit that keeps one to three digits before the point and four in all: `21.74 s`, `117.0 ms`.
#[must_use]
pub fn seconds(value: f64) -> String {
    scaled(value, &[("s", 1.0), ("ms", 1e-3), ("us", 1e-6), ("ns", 1e-9)])
}

/// A name of the JSON as people read it: `waiting for other ranks`, `all-to-all`, `scale-out send`.
#[must_use]
pub fn words(name: &str) -> String {
    let compounds =
        [("all to all", "all-to-all"), ("scale up", "scale-up"), ("scale out", "scale-out"), ("copy sms", "copy SMs")];
    compounds.into_iter().fold(name.replace('_', " "), |text, (apart, joined)| text.replace(apart, joined))
}

/// Bytes in decimal units, as links carry them: `38.4 GB`.
#[must_use]
pub fn bytes(value: f64) -> String {
    let units: Vec<(&str, f64)> =
        ["PB", "TB", "GB", "MB", "kB"].into_iter().zip((1..=5).rev().map(|power| 1e3_f64.powi(power))).collect();
    if value.abs() < 1e3 { format!("{value:.0} B") } else { scaled(value, &units) }
}

/// Money: `$36,000`, `$66.90 million`.
#[must_use]
pub fn dollars(value: f64) -> String {
    format!("${}", large(value))
}

/// A power: `2.840 MW`, `700.0 W`.
#[must_use]
pub fn watts(value: f64) -> String {
    scaled(value, &[("MW", 1e6), ("kW", 1e3), ("W", 1.0)])
}

/// Bytes in GiB, as memory is sold and filled, two digits after the point and no unit.
#[must_use]
pub fn gib(value: f64) -> String {
    format!("{:.2}", value / (1_u64 << 30) as f64)
}

/// A share as a percentage with one digit after the point: `12.3 %`.
#[must_use]
pub fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

/// A share with its sign: `+12.3 %`; what rounds to nothing is `+0.0 %`.
#[must_use]
pub fn percent_signed(share: f64) -> String {
    let text = format!("{:+.1} %", share * 100.0);
    if text == "-0.0 %" { "+0.0 %".to_owned() } else { text }
}

/// A change with its sign, with a digit more below one percent, so that only no change at all is `0 %`: `-7.7 %`, `-0.07 %`,
/// and `~0 %` for what rounds to nothing.
#[must_use]
pub fn change(share: f64) -> String {
    const PLAIN: f64 = 0.01;
    const NOTHING: f64 = 0.000_05;
    match share.abs() {
        0.0 => "0 %".to_owned(),
        size if size >= PLAIN => percent_signed(share),
        size if size >= NOTHING => format!("{:+.2} %", share * 100.0),
        _ => "~0 %".to_owned(),
    }
}

/// A count with separators: `1,234,567`.
#[must_use]
pub fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// A large number in words: `123.4 billion`.
#[must_use]
pub fn large(value: f64) -> String {
    let names = ["trillion", "billion", "million"];
    for (power, name) in (2..=4).rev().zip(names) {
        let scale = 1e3_f64.powi(power);
        if value.abs() >= scale * 0.999_95 {
            return format!("{} {name}", significant(value / scale, 4));
        }
    }
    if value.abs() < 1e3 { significant(value, 4) } else { count(value.round().max(0.0) as u64) }
}

/// A number with so many significant digits and no exponent; trailing zeros after the point are kept.
#[must_use]
pub fn significant(value: f64, digits: i32) -> String {
    if value == 0.0 || !value.is_finite() {
        return format!("{value}");
    }
    let magnitude = value.abs().log10().floor() as i32 + 1;
    let after_point = (digits - magnitude).clamp(0, 9) as usize;
    format!("{value:.after_point$}")
}

fn scaled(value: f64, units: &[(&str, f64)]) -> String {
    if value == 0.0 {
        let base = units.iter().find(|(_, scale)| *scale == 1.0).unwrap_or(&units[0]);
        return format!("0 {}", base.0);
    }
    let fitting = units.iter().find(|(_, scale)| value.abs() >= scale * 0.999_95);
    let (unit, scale) = fitting.or(units.last()).copied().unwrap_or(("", 1.0));
    format!("{} {unit}", significant(value / scale, 4))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_spelled_for_people() {
        assert_eq!(seconds(21.743), "21.74 s");
        assert_eq!(seconds(0.117_042), "117.0 ms");
        assert_eq!(seconds(0.0), "0 s");
        assert_eq!(seconds(-0.5), "-500.0 ms");
        assert_eq!(bytes(512.0), "512 B");
        assert_eq!(bytes(38.4e9), "38.40 GB");
        assert_eq!(dollars(36_000.0), "$36,000");
        assert_eq!(dollars(66.9e6), "$66.90 million");
        assert_eq!(watts(700.0), "700.0 W");
        assert_eq!(watts(0.0), "0 W");
        assert_eq!(gib(80.0 * 1024.0 * 1024.0 * 1024.0), "80.00");
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(count(999), "999");
        assert_eq!(large(123.4e9), "123.4 billion");
        assert_eq!(large(180_000.0), "180,000");
        assert_eq!(percent_signed(-1e-9), "+0.0 %");
        assert_eq!(significant(0.000_123_456, 3), "0.000123");
        let changes = [-0.077, 0.001, -0.000_123, 0.01, 0.0, -1e-9].map(change);
        assert_eq!(changes, ["-7.7 %", "+0.10 %", "-0.01 %", "+1.0 %", "0 %", "~0 %"]);
    }
}
