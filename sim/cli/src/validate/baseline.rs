//! An earlier validation that a new one may not fall behind.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::Path;

use report::Validation;
use report::format::percent;
use scenario::disk::{self, Content};
use serde::Deserialize;

use crate::exit::Failure;

/// What the median error of a family may grow by.
const TOLERANCE: f64 = 0.02;

/// Median absolute errors by family; none of a family whose facts are all used or zero.
pub(super) type Families = BTreeMap<String, Option<f64>>;

/// The part of an earlier `validate --json` that a new one is held against.
#[derive(Debug, Deserialize)]
pub(super) struct Baseline {
    families: Vec<Row>,
}

#[derive(Debug, Deserialize)]
struct Row {
    family: String,
    median_absolute_error: Option<f64>,
}

impl Baseline {
    pub(super) fn read(path: &Path) -> Result<Self, Failure> {
        let name = path.display();
        let text = disk::read_text(path, Content::Results).map_err(|error| match error.kind() {
            ErrorKind::NotFound => Failure::absent(format!("there is no baseline `{name}`")),
            _ => Failure::usage(format!("`{name}` cannot be read: {error}")),
        })?;
        serde_json::from_str(&text).map_err(|error| {
            Failure::usage(format!("`{name}` is no baseline: {error}\nhint: write one with `validate --json`"))
        })
    }

    /// The families that are worse by more than [`TOLERANCE`], in words; none where no family is.
    pub(super) fn missed(&self, now: &Families) -> Result<Option<String>, Failure> {
        let before = |family: &String| self.families.iter().find(|row| row.family == *family)?.median_absolute_error;
        let both = |(family, error): (&String, &Option<f64>)| Some((family.clone(), before(family)?, (*error)?));
        let both: Vec<(String, f64, f64)> = now.iter().filter_map(both).collect();
        if both.is_empty() {
            return Err(Failure::usage("the baseline has no family of facts in common with this validation"));
        }
        let worse = both.iter().filter(|(_, before, now)| now - before > TOLERANCE);
        let words: Vec<String> = worse
            .map(|(family, before, now)| {
                format!("median |error| of `{family}` is {}, {} in the baseline", percent(*now), percent(*before))
            })
            .collect();
        Ok((!words.is_empty()).then(|| words.join("\n")))
    }
}

pub(super) fn families(validation: &Validation) -> Families {
    validation.scores().map(|(family, score)| (family.name.clone(), score.median_absolute_error)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(error: f64) -> Families {
        Families::from([("trace".to_owned(), Some(error)), ("empty".to_owned(), None)])
    }

    fn earlier() -> Baseline {
        let text = r#"{ "families": [{ "family": "trace", "median_absolute_error": 0.1 }] }"#;
        serde_json::from_str(text).expect("a baseline")
    }

    #[test]
    fn two_points_worse_are_forgiven_and_more_are_not() {
        let baseline = earlier();
        assert_eq!(baseline.missed(&of(0.119)).expect("in common"), None);
        assert_eq!(baseline.missed(&of(0.05)).expect("in common"), None);
        let message = baseline.missed(&of(0.13)).expect("in common").expect("worse");
        assert!(message.contains("`trace` is 13.0 %, 10.0 % in the baseline"), "{message}");
    }

    #[test]
    fn nothing_in_common_is_a_mistake() {
        let baseline = earlier();
        assert!(baseline.missed(&Families::from([("other".to_owned(), Some(0.1))])).is_err());
    }
}
