//! What may change of a job in a search for its best layout: every layout that its devices allow, and the choices that go with one.
//!
//! Values that are given for a key take the place of those that stand here; keys that no rule knows are dimensions of their own. What cannot be
//! laid out is left to the loader, which says why.

mod service;
mod training;
mod words;

use std::collections::BTreeMap;

use plan::Job;
use scenario::Loaded;
use study::{Change, SearchAxis, StudyError};
use toml::Value;

pub use words::{amount, limit, values};

/// Values to try, by key.
pub type Values = BTreeMap<String, Vec<Value>>;

/// What may change of a scenario. Under `only` nothing but the given keys.
///
/// # Errors
/// [`StudyError::Store`] for a job that has no layout.
pub fn dimensions(base: &Loaded, values: &Values, only: bool) -> Result<Vec<SearchAxis>, StudyError> {
    let mut open = Open { given: values.clone(), base };
    let mut dimensions = match &base.plan.job {
        _ if only => Vec::new(),
        Job::Train(job) => training::dimensions(&mut open, job),
        Job::Serve(job) => service::dimensions(&mut open, job),
        Job::Imported(_) => {
            return Err(StudyError::Store(
                "a job that another tool wrote has its layout in its file\nhint: give keys to change, `--over KEY=VALUE,VALUE --only`"
                    .to_owned(),
            ));
        }
    };
    dimensions.extend(open.given.into_iter().map(|(key, values)| of_key(&key, values)));
    dimensions.retain(|dimension| !dimension.options.is_empty());
    Ok(dimensions)
}

/// Values that no rule has taken yet, over a scenario.
struct Open<'a> {
    given: Values,
    base: &'a Loaded,
}

impl Open<'_> {
    /// Values of a key: those given, or else these.
    fn values(&mut self, key: &str, otherwise: Vec<Value>) -> Vec<Value> {
        self.given.remove(key).unwrap_or(otherwise)
    }

    /// Counts of a key, smallest first; those given that are none are left to the loader, as a dimension of its own.
    fn counts(&mut self, key: &str, otherwise: impl IntoIterator<Item = u64>) -> Vec<u64> {
        let given = self.given.get(key);
        let counts: Option<Vec<u64>> = given
            .and_then(|values| values.iter().map(|value| value.as_integer().and_then(|n| n.try_into().ok())).collect());
        let mut counts = match counts {
            Some(counts) => {
                self.given.remove(key);
                counts
            }
            None => otherwise.into_iter().collect(),
        };
        counts.sort_unstable();
        counts.dedup();
        counts
    }

    fn leaf(&self, key: &str) -> Option<&scenario::Leaf> {
        self.base.leaves.iter().find(|leaf| leaf.key == key)
    }

    /// Whether a key was left to be decided.
    fn is_auto(&self, key: &str) -> bool {
        self.leaf(key).is_none_or(|leaf| leaf.written == "\"auto\"")
    }

    /// A change of a key to a value that it does not have yet; none where it has it, or has no such key.
    fn change(&self, key: &str, value: Value) -> Option<Change> {
        let leaf = self.leaf(key)?;
        (leaf.value != value.to_string()).then(|| Change { key: key.to_owned(), value })
    }
}

/// One key, and its values.
fn of_key(key: &str, values: Vec<Value>) -> SearchAxis {
    let option = |value| vec![Change { key: key.to_owned(), value }];
    SearchAxis { name: key.to_owned(), options: values.into_iter().map(option).collect() }
}

/// A count as files write it.
fn count(n: u64) -> Value {
    Value::Integer(n as i64)
}

/// Powers of two from one up to so many.
fn powers(most: u64) -> impl Iterator<Item = u64> {
    (0..u64::BITS).map(|power| 1_u64 << power).take_while(move |n| *n <= most)
}
