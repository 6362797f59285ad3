//! What a job is judged by: one of its numbers, by name, and which way is better.

use std::cmp::Ordering;

use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};

/// The objective of a job. All comparisons are made of it: of a training step its duration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Criterion {
    /// Its name among the numbers of the results; empty where there are no results.
    pub name: String,
    /// Whether less of it is better.
    pub less_is_better: bool,
}

impl Criterion {
    /// A number of which less is better.
    #[must_use]
    pub fn less(name: &str) -> Self {
        Self { name: name.to_owned(), less_is_better: true }
    }

    /// A number of which more is better.
    #[must_use]
    pub fn more(name: &str) -> Self {
        Self { name: name.to_owned(), less_is_better: false }
    }

    /// What sentences call it: its name without the service and without the unit of time.
    pub(crate) fn word(&self) -> &str {
        let name = self.name.strip_prefix("serving.").unwrap_or(&self.name);
        name.strip_suffix("_seconds").unwrap_or(name)
    }

    /// A value under the objective's name.
    pub(crate) fn named<T>(&self, value: T) -> Named<T> {
        Named { name: self.name.clone(), value }
    }

    /// An amount of it under a name of its own, with the unit that the objective's name has: `worth_seconds`.
    pub(crate) fn amount<T>(&self, what: &str, value: T) -> Named<T> {
        let unit = ["usd", "joules"].into_iter().find(|unit| self.name.contains(unit)).unwrap_or("seconds");
        Named { name: format!("{what}_{unit}"), value }
    }

    /// How much better a value is than the base's.
    pub(crate) fn gain(&self, base: f64, value: f64) -> f64 {
        if self.less_is_better { base - value } else { value - base }
    }

    /// The value that is better than the base's by so much.
    pub(crate) fn after(&self, base: f64, gain: f64) -> f64 {
        if self.less_is_better { base - gain } else { base + gain }
    }

    /// The better value first.
    pub(crate) fn order(&self, a: f64, b: f64) -> Ordering {
        if self.less_is_better { a.total_cmp(&b) } else { b.total_cmp(&a) }
    }

    /// Whether a value is as good as a target.
    pub(crate) fn reaches(&self, value: f64, target: f64) -> bool {
        if self.less_is_better { value <= target } else { value >= target }
    }
}

/// A value that stands in JSON under a name of its own, on the level of the fields beside it.
#[derive(Clone, Debug, PartialEq)]
pub struct Named<T> {
    /// The key.
    pub name: String,
    /// What stands there.
    pub value: T,
}

impl<T: Serialize> Serialize for Named<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry(&self.name, &self.value)?;
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gain_and_the_value_after_it_undo_each_other_both_ways() {
        for criterion in [Criterion::less("seconds"), Criterion::more("rate")] {
            let (base, value) = (8.0, 6.0);
            let gain = criterion.gain(base, value);
            assert_eq!(gain > 0.0, criterion.less_is_better);
            assert_eq!(criterion.after(base, gain), value);
            assert_eq!(criterion.order(value, base) == Ordering::Less, gain > 0.0);
            assert_eq!(criterion.reaches(value, base), gain > 0.0);
            assert!(criterion.reaches(base, base));
        }
    }

    #[test]
    fn a_named_value_is_a_field_of_its_own_name() {
        #[derive(Serialize)]
        struct Row {
            first: u8,
            #[serde(flatten)]
            objective: Named<Option<f64>>,
            last: u8,
        }
        let row = |value| Row { first: 1, objective: Criterion::less("step_seconds").named(value), last: 2 };
        let json = |value| serde_json::to_string(&row(value)).expect("JSON");
        assert_eq!(json(Some(0.5)), r#"{"first":1,"step_seconds":0.5,"last":2}"#);
        assert_eq!(json(None), r#"{"first":1,"step_seconds":null,"last":2}"#);
    }
}
