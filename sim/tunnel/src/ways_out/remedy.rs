//! What is changed of a scenario so that it fits.

use std::collections::BTreeSet;
use std::fmt;

/// Changes that are laid over a scenario together; each is a key and its value as TOML, and those that must follow it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Remedy(Vec<Vec<(String, String)>>);

impl Remedy {
    /// A change of one key.
    pub(super) fn one(key: &str, value: impl ToString) -> Self {
        Self(vec![vec![(key.to_owned(), value.to_string())]])
    }

    /// What must follow the last change.
    pub(super) fn push(&mut self, key: &str, value: impl ToString) {
        self.0.extend(self.0.is_empty().then(Vec::new));
        if let Some(last) = self.0.last_mut() {
            last.push((key.to_owned(), value.to_string()));
        }
    }

    /// Both; none where they change one key.
    pub(super) fn with(&self, other: &Self) -> Option<Self> {
        let keys = |remedy: &Self| remedy.0.iter().flatten().map(|(key, _)| key.clone()).collect::<BTreeSet<_>>();
        keys(self).is_disjoint(&keys(other)).then(|| Self([self.0.as_slice(), &other.0].concat()))
    }

    /// As `--set` takes them.
    #[must_use]
    pub fn sets(&self) -> Vec<String> {
        self.0.iter().flatten().map(|(key, value)| format!("{key}={value}")).collect()
    }

    /// Whether it is of several changes, beside those that must follow.
    pub(super) fn is_several(&self) -> bool {
        self.0.len() > 1
    }
}

impl fmt::Display for Remedy {
    /// `` `parallel.pp = 8` with `parallel.dp = 4` and `policy.moments = "bf16"` ``.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let one = |(key, value): &(String, String)| format!("`{key} = {value}`");
        let change = |keys: &Vec<(String, String)>| keys.iter().map(one).collect::<Vec<_>>().join(" with ");
        f.write_str(&self.0.iter().map(change).collect::<Vec<_>>().join(" and "))
    }
}
