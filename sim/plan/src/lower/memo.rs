//! Exchanges that plans of one machine and profile have in common: layouts that differ in their pipeline, their schedule or what they compute again often
//! exchange the same tokens.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use platform::ExchangeTemplate;

use crate::PlanError;

type Templates = Vec<[ExchangeTemplate; 2]>;

/// Dispatch and combine of sampled batches, by all that they depend on beside machine and profile.
#[derive(Debug, Default)]
pub struct ExchangeMemo(Mutex<BTreeMap<String, Templates>>);

impl ExchangeMemo {
    /// Those under a key, made if they are not there; who asks at the same time may make them too, and gets the same.
    pub(super) fn get(
        &self,
        key: String,
        make: impl FnOnce() -> Result<Templates, PlanError>,
    ) -> Result<Templates, PlanError> {
        let known = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = known().get(&key).cloned();
        if let Some(templates) = found {
            return Ok(templates);
        }
        let templates = make()?;
        known().insert(key, templates.clone());
        Ok(templates)
    }
}
