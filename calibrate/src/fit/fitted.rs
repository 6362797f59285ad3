//! What a fit comes to.

use std::collections::BTreeMap;

use super::errors::{Errors, Miss};
use crate::{Estimate, EstimateKey, Sample};

/// The spread of a fitted estimate is never below this: two machines of one make differ by as much.
pub(super) const SPREAD_MIN: f64 = 0.02;

/// What a fit came to.
#[derive(Clone, Debug)]
pub struct Fitted {
    /// Name of the family.
    pub name: &'static str,
    /// Who made the kernels measured.
    pub implementation: String,
    /// Its estimates.
    pub estimates: BTreeMap<EstimateKey, Estimate>,
    /// Every sample beside its answer.
    pub misses: Vec<Miss>,
}

impl Fitted {
    /// Errors of the samples the fit saw, or of those it did not.
    #[must_use]
    pub fn errors(&self, fitted: bool) -> Errors {
        Errors::of(self.misses.iter().filter(|miss| miss.fitted == fitted))
    }
}

/// Whose kernel a sample is of: the library without its version.
pub(super) fn implementation(sample: &Sample) -> String {
    sample.reading.implementation.split_whitespace().next().unwrap_or_default().to_lowercase()
}
