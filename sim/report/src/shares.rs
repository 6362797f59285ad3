//! Shares of the time, in words.

use std::collections::BTreeMap;

use crate::format::{percent, words};

/// Shares and what has them, as a list.
pub(crate) fn shares(shares: &BTreeMap<String, f64>) -> String {
    let parts: Vec<String> =
        sorted(shares).into_iter().map(|(name, share)| format!("{} {}", words(name), percent(share))).collect();
    if parts.is_empty() { "nothing".to_owned() } else { parts.join(", ") }
}

/// What the time rests on: shares by basis, as a sentence.
pub(crate) fn evidence(shares: &BTreeMap<String, f64>) -> String {
    let sorted = sorted(shares);
    let parts = sorted.iter().enumerate().map(|(index, (name, share))| {
        let of_the_time = if index == 0 { " of the time rests" } else { "" };
        format!("{}{of_the_time} on {}", percent(*share), grounds(name))
    });
    parts.collect::<Vec<_>>().join(", ")
}

/// A basis as the noun that a time can rest on.
fn grounds(basis: &str) -> &str {
    match basis {
        "measured" => "measurements",
        "interpolated" => "interpolation",
        "published" => "published figures",
        "extrapolated" => "extrapolation",
        "assumed" => "assumptions",
        "traced" => "durations in the trace",
        other => other,
    }
}

/// Shares, largest first, equal ones by name; those that would print as zero are left out.
fn sorted(shares: &BTreeMap<String, f64>) -> Vec<(&str, f64)> {
    let mut sorted: Vec<(&str, f64)> =
        shares.iter().map(|(name, share)| (name.as_str(), *share)).filter(|(_, share)| *share >= 0.000_5).collect();
    sorted.sort_by(|a, b| b.1.total_cmp(&a.1));
    sorted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evidence_is_a_sentence_with_the_largest_share_first() {
        let shares = [("assumed", 0.25), ("published", 0.75), ("measured", 0.0)];
        let shares = shares.map(|(name, share)| (name.to_owned(), share)).into();
        assert_eq!(evidence(&shares), "75.0 % of the time rests on published figures, 25.0 % on assumptions");
        assert_eq!(evidence(&BTreeMap::new()), "");
    }
}
