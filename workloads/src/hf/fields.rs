//! Reading keys, noting every mistake and going on.

use serde_json::{Map, Value};

use super::Problem;

/// The keys of a file and what was wrong with those asked for.
pub(super) struct Fields<'a> {
    object: &'a Map<String, Value>,
    pub(super) problems: Vec<Problem>,
}

impl<'a> Fields<'a> {
    pub(super) fn new(object: &'a Map<String, Value>) -> Self {
        Self { object, problems: Vec::new() }
    }

    /// A value that is there and not null.
    fn value(&self, key: &str) -> Option<&'a Value> {
        self.object.get(key).filter(|value| !value.is_null())
    }

    /// Whether a key is there, and null.
    pub(super) fn is_null(&self, key: &str) -> bool {
        self.object.get(key).is_some_and(Value::is_null)
    }

    /// A whole number that must be there; zero after noting that it is not.
    pub(super) fn count(&mut self, key: &'static str) -> u64 {
        if self.value(key).is_none() {
            self.note(Problem::Missing(key));
            return 0;
        }
        self.count_or(key, 0)
    }

    /// A whole number, or `absent` where the key is missing or null.
    pub(super) fn count_or(&mut self, key: &'static str, absent: u64) -> u64 {
        let Some(value) = self.value(key) else {
            return absent;
        };
        value.as_u64().unwrap_or_else(|| {
            self.wrong(key, "a whole number");
            0
        })
    }

    pub(super) fn small(&mut self, key: &'static str) -> u32 {
        let count = self.count(key);
        self.narrow(key, count)
    }

    pub(super) fn small_or(&mut self, key: &'static str, absent: u32) -> u32 {
        let count = self.count_or(key, u64::from(absent));
        self.narrow(key, count)
    }

    fn narrow(&mut self, key: &'static str, count: u64) -> u32 {
        u32::try_from(count).unwrap_or_else(|_| {
            self.wrong(key, "a number below 2^32");
            0
        })
    }

    pub(super) fn flag_or(&mut self, key: &'static str, absent: bool) -> bool {
        let Some(value) = self.value(key) else {
            return absent;
        };
        value.as_bool().unwrap_or_else(|| {
            self.wrong(key, "`true` or `false`");
            absent
        })
    }

    /// One of several words.
    pub(super) fn word<T: Copy>(
        &mut self,
        key: &'static str,
        words: &[(&str, T)],
        expected: &'static str,
    ) -> Option<T> {
        let Some(value) = self.value(key) else {
            self.note(Problem::Missing(key));
            return None;
        };
        let found = words.iter().find(|(word, _)| value.as_str() == Some(word)).map(|(_, meaning)| *meaning);
        if found.is_none() {
            self.wrong(key, expected);
        }
        found
    }

    pub(super) fn text(&self, key: &str) -> Option<&'a str> {
        self.value(key).and_then(Value::as_str).filter(|text| !text.is_empty())
    }

    /// Whether a key is absent, null or an empty list.
    pub(super) fn empty(&self, key: &str) -> bool {
        self.value(key).is_none_or(|value| value.as_array().is_some_and(Vec::is_empty))
    }

    pub(super) fn wrong(&mut self, key: &'static str, expected: &'static str) {
        let found = self.object.get(key).map_or_else(|| "missing".to_owned(), Value::to_string);
        self.note(Problem::Value { key, found, expected });
    }

    /// Once each, however often a key is read.
    pub(super) fn note(&mut self, problem: Problem) {
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }
}
