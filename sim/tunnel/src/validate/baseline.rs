//! An earlier validation that a new one may not fall behind.

use std::collections::BTreeMap;

use report::Validation;
use report::format::percent;
use serde::Deserialize;

use super::FactsError;

/// What the median error of a family may grow by.
const TOLERANCE: f64 = 0.02;

/// Median absolute errors by family; none of a family whose facts are all used or zero.
type Families = BTreeMap<String, Option<f64>>;

/// The part of an earlier `validate --json` that a new one is held against.
#[derive(Debug, Deserialize)]
pub struct Baseline {
    families: Vec<Row>,
}

#[derive(Debug, Deserialize)]
struct Row {
    family: String,
    median_absolute_error: Option<f64>,
}

impl Baseline {
    /// Reads a `validate --json`; `name` is what messages call it.
    ///
    /// # Errors
    /// A text of another form.
    pub fn parse(name: &str, text: &str) -> Result<Self, FactsError> {
        serde_json::from_str(text)
            .map_err(|error| FactsError::NoBaseline { name: name.to_owned(), reason: error.to_string() })
    }

    /// The families of a validation that are worse by more than two points, in words; none where no family is.
    ///
    /// # Errors
    /// A validation without a family of the baseline's.
    pub fn missed(&self, validation: &Validation) -> Result<Option<String>, FactsError> {
        self.missed_by(&families(validation))
    }

    fn missed_by(&self, now: &Families) -> Result<Option<String>, FactsError> {
        let before = |family: &String| self.families.iter().find(|row| row.family == *family)?.median_absolute_error;
        let both = |(family, error): (&String, &Option<f64>)| Some((family.clone(), before(family)?, (*error)?));
        let both: Vec<(String, f64, f64)> = now.iter().filter_map(both).collect();
        if both.is_empty() {
            return Err(FactsError::NothingInCommon);
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

fn families(validation: &Validation) -> Families {
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
        assert_eq!(baseline.missed_by(&of(0.119)).expect("in common"), None);
        assert_eq!(baseline.missed_by(&of(0.05)).expect("in common"), None);
        let message = baseline.missed_by(&of(0.13)).expect("in common").expect("worse");
        assert!(message.contains("`trace` is 13.0 %, 10.0 % in the baseline"), "{message}");
    }

    #[test]
    fn nothing_in_common_is_a_mistake() {
        let baseline = earlier();
        assert!(baseline.missed_by(&Families::from([("other".to_owned(), Some(0.1))])).is_err());
    }
}
