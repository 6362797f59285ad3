//! The sizes that a fit has seen, and what lies beyond them.

use std::collections::BTreeMap;

use calibrate::Question;
use calibrate::fit::Miss;
use serde_json::Value;

/// Smallest and largest of each size among the samples that were fitted, by name.
pub(super) fn spans(misses: &[Miss]) -> BTreeMap<String, (u64, u64)> {
    let mut spans: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    for miss in misses.iter().filter(|miss| miss.fitted) {
        for (name, size) in sizes(&miss.question) {
            let span = spans.entry(name).or_insert((size, size));
            *span = (span.0.min(size), span.1.max(size));
        }
    }
    spans
}

/// Held-out samples with a size beyond all that were fitted.
pub(super) fn n_outside(misses: &[Miss]) -> usize {
    let spans = spans(misses);
    let is_inside =
        |(name, size): &(String, u64)| spans.get(name).is_some_and(|(low, high)| (low..=high).contains(&size));
    let held_out = misses.iter().filter(|miss| !miss.fitted);
    held_out.filter(|miss| !sizes(&miss.question).iter().all(is_inside)).count()
}

/// Every number of a question by name; of a list its sum.
fn sizes(question: &Question) -> Vec<(String, u64)> {
    let mut found = Vec::new();
    collect("", &serde_json::to_value(question).unwrap_or_default(), &mut found);
    found
}

fn collect(name: &str, value: &Value, found: &mut Vec<(String, u64)>) {
    match value {
        Value::Number(number) => found.extend(number.as_u64().map(|size| (name.to_owned(), size))),
        Value::Array(items) => found.push((name.to_owned(), items.iter().filter_map(Value::as_u64).sum())),
        Value::Object(fields) => {
            for (field, value) in fields {
                let name = if name.is_empty() { field.clone() } else { format!("{name}-{field}") };
                collect(&name, value, found);
            }
        }
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn miss(bytes: u64, sms: u32, fitted: bool) -> Miss {
        Miss { question: Question::Copy { bytes, sms }, measured: 1.0, predicted: 1.0, fitted }
    }

    #[test]
    fn what_is_beyond_every_fitted_size_is_outside() {
        let misses =
            [miss(16, 4, true), miss(64, 8, true), miss(32, 8, false), miss(128, 8, false), miss(32, 2, false)];
        assert_eq!(spans(&misses), BTreeMap::from([("bytes".into(), (16, 64)), ("sms".into(), (4, 8))]));
        assert_eq!(n_outside(&misses), 2);
    }

    #[test]
    fn lists_count_by_their_sum_and_pairs_by_both() {
        let of = Box::new(Question::Copy { bytes: 7, sms: 1 });
        let beside = Box::new(Question::Swiglu { tokens: 5, dim: 3 });
        let names: Vec<String> = sizes(&Question::Together { of, beside }).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["beside-dim", "beside-tokens", "of-bytes", "of-sms"]);
    }
}
