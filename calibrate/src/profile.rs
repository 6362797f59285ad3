//! Named estimates: what a profile holds.

use std::collections::BTreeMap;

use crate::estimate::Estimate;
use crate::key::EstimateKey;

/// Estimates by name, resolved: every key of [`EstimateKey::ALL`] is present, whichever file it came from.
#[derive(Clone, Debug, PartialEq)]
pub struct Profile {
    estimates: BTreeMap<EstimateKey, Estimate>,
}

/// Keys that no file of the scenario's profiles holds.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no profile holds {}", list(.0))]
pub struct MissingEstimates(pub Vec<EstimateKey>);

fn list(keys: &[EstimateKey]) -> String {
    let names: Vec<String> = keys.iter().map(|key| format!("`profile.{}`", key.name())).collect();
    names.join(", ")
}

impl Profile {
    /// From estimates by key.
    ///
    /// # Errors
    /// The keys that are missing.
    pub fn new(estimates: BTreeMap<EstimateKey, Estimate>) -> Result<Self, MissingEstimates> {
        let missing: Vec<EstimateKey> =
            EstimateKey::ALL.iter().copied().filter(|key| !estimates.contains_key(key)).collect();
        if missing.is_empty() { Ok(Self { estimates }) } else { Err(MissingEstimates(missing)) }
    }

    /// The estimate of a key.
    #[must_use]
    pub fn get(&self, key: EstimateKey) -> &Estimate {
        // `new` is the only way in and it checks every key.
        &self.estimates[&key]
    }

    /// The value of a key, in base units.
    #[must_use]
    pub fn value(&self, key: EstimateKey) -> f64 {
        self.get(key).value
    }

    /// The same profile with one estimate replaced.
    #[must_use]
    pub fn with(&self, key: EstimateKey, estimate: Estimate) -> Self {
        let mut estimates = self.estimates.clone();
        estimates.insert(key, estimate);
        Self { estimates }
    }

    /// All estimates in the order of their keys.
    pub fn iter(&self) -> impl Iterator<Item = (EstimateKey, &Estimate)> {
        self.estimates.iter().map(|(key, estimate)| (*key, estimate))
    }
}
