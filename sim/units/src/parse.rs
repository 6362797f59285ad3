//! Reading and printing `number unit` strings.

use std::fmt;

/// One spelling of a unit and how many base units it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spelling {
    pub(crate) unit: &'static str,
    pub(crate) scale: f64,
    /// Whether printing may choose it.
    pub(crate) shown: bool,
}

/// Why a string is not the quantity that was asked for, and what would be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {kind}: {reason}")]
pub struct ParseError {
    text: String,
    kind: &'static str,
    reason: String,
    hint: String,
}

impl ParseError {
    /// The way out: a spelling that would be read.
    #[must_use]
    pub fn hint(&self) -> &str {
        &self.hint
    }
}

/// Base units beyond which nothing is, and below one over which nothing is told from zero. The products and ratios of several
/// such quantities are still numbers.
const BASE_MAX: f64 = 1e30;

pub(crate) fn parse(text: &str, kind: &'static str, spellings: &[Spelling]) -> Result<f64, ParseError> {
    let fail = |reason: String| ParseError { text: text.to_owned(), kind, reason, hint: hint(spellings) };
    let trimmed = text.trim();
    let split = trimmed
        .find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | '-' | '+' | '_') || is_exponent(trimmed, c)))
        .unwrap_or(trimmed.len());
    let (digits, unit) = trimmed.split_at(split);
    let unit = unit.trim();
    let number: f64 =
        digits.replace('_', "").parse().map_err(|_| fail("it does not start with a number".to_owned()))?;
    if !number.is_finite() || number < 0.0 {
        return Err(fail("it must be zero or more".to_owned()));
    }
    match spellings.iter().find(|spelling| spelling.unit == unit) {
        Some(spelling) => match number * spelling.scale {
            base if base == 0.0 && number == 0.0 => Ok(base),
            base if (1.0 / BASE_MAX..=BASE_MAX).contains(&base) => Ok(base),
            _ => Err(fail("nothing is as large or as small; is a unit or an exponent mistyped".to_owned())),
        },
        None if unit.is_empty() => Err(fail("it has no unit".to_owned())),
        None => Err(fail(format!("`{unit}` is no unit of it"))),
    }
}

/// `e` between digits belongs to the number (`1e9`), elsewhere it starts the unit.
fn is_exponent(text: &str, c: char) -> bool {
    if c != 'e' {
        return false;
    }
    let mut parts = text.splitn(2, 'e');
    let before = parts.next().unwrap_or("");
    let after = parts.next().unwrap_or("");
    before.chars().all(|c| c.is_ascii_digit() || c == '.')
        && after.trim_start_matches(['-', '+']).starts_with(|c: char| c.is_ascii_digit())
}

fn hint(spellings: &[Spelling]) -> String {
    let units: Vec<String> = spellings.iter().map(|spelling| format!("`{}`", spelling.unit)).collect();
    match units.as_slice() {
        [only] => format!("write a number, a space and {only}"),
        units => format!("write a number, a space and one of {}", units.join(", ")),
    }
}

/// Prints with the largest unit that keeps at least one digit before the point, at most three after it.
pub(crate) fn print(f: &mut fmt::Formatter<'_>, value: f64, spellings: &[Spelling]) -> fmt::Result {
    let mut shown = spellings.iter().filter(|spelling| spelling.shown);
    let smallest = spellings.iter().rfind(|spelling| spelling.shown);
    let unit = if value == 0.0 {
        spellings.iter().find(|spelling| spelling.scale == 1.0).or(smallest)
    } else {
        shown.find(|spelling| value.abs() >= spelling.scale * 0.9995).or(smallest)
    };
    let Some(unit) = unit else {
        return write!(f, "{value}");
    };
    let number = format!("{:.3}", value / unit.scale);
    let number = number.trim_end_matches('0').trim_end_matches('.');
    if unit.unit.is_empty() { write!(f, "{number}") } else { write!(f, "{number} {}", unit.unit) }
}

#[cfg(test)]
mod tests {
    use crate::{Bytes, BytesPerSec};

    #[test]
    fn a_wrong_unit_says_which_are_right() {
        let error = "400 Gbps".parse::<BytesPerSec>().expect_err("Gbps is ambiguous");
        assert_eq!(error.to_string(), "`400 Gbps` is not a rate: `Gbps` is no unit of it");
        assert!(error.hint().contains("`Gbit/s`"));
    }

    #[test]
    fn a_bare_number_has_no_unit() {
        let error = "50".parse::<BytesPerSec>().expect_err("no unit");
        assert!(error.to_string().ends_with("it has no unit"));
    }

    #[test]
    fn what_no_machine_has_is_refused() {
        for text in ["1e300 B", "1e30 TB", "1e-31 B", "1e-320 GB"] {
            let error = text.parse::<Bytes>().expect_err("beyond counting");
            assert!(error.to_string().contains("mistyped"), "{error}");
        }
        assert_eq!("0 TB".parse(), Ok(Bytes::ZERO));
        assert_eq!("1e30 B".parse(), Ok(Bytes::new(1e30)));
    }

    #[test]
    fn words_and_negatives_are_refused() {
        assert!("many B".parse::<Bytes>().is_err());
        assert!("-1 B".parse::<Bytes>().is_err());
        assert_eq!("1e3 B".parse(), Ok(Bytes::new(1000.0)));
    }
}
