//! From samples to the text of a profile.
//!
//! The fit itself is `calibrate::fit`; here stands what surrounds it: on which hardware and over which profile
//! ([`Ground`]), which samples speak for a family (`choose`), what became of each ([`ProfileFit`]), the file (`text`).

mod choose;
mod ground;
mod span;
mod spell;
mod text;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use calibrate::fit::{Fitted, families, fit_all, held_out};
use calibrate::{Dimension, EstimateKey, Fingerprint, Profile, Sample};

use self::choose::Chosen;
use crate::error::TunnelError;

pub use self::ground::{Ground, with_sms};
pub use self::text::table;

/// What no file may hold: beyond three standard deviations of a log-normal nothing is known.
const SPREAD_MAX: f64 = 3.0;
/// With fewer samples a free estimate a fit is said to rest on few.
const N_FEW: usize = 4;

/// A family that was fitted.
#[derive(Debug)]
pub struct FittedPart {
    /// Its estimates and their errors.
    pub fitted: Fitted,
    /// What must be known before it is trusted.
    pub notes: Vec<String>,
}

/// What samples came to.
#[derive(Debug)]
pub struct ProfileFit {
    /// Families that are in the profile.
    pub parts: Vec<FittedPart>,
    /// Families and samples that are not, and why.
    pub left_out: Vec<String>,
}

impl ProfileFit {
    /// Fits samples on some ground.
    #[must_use]
    pub fn of(samples: &[Sample], ground: &Ground<'_>) -> Self {
        find(samples, ground)
    }

    /// The profile as TOML, for a file at `out`; `known` is how many samples there were, and the machines that they come from.
    #[must_use]
    pub fn profile_toml(
        &self,
        known: (usize, &BTreeMap<String, Fingerprint>),
        ground: &Ground<'_>,
        out: &Path,
    ) -> String {
        text::profile(self, known, ground, out)
    }

    /// Whether a profile that was written and read again says what the fit says.
    ///
    /// # Errors
    /// The first estimate that differs, which is a fault of the program.
    pub fn check(&self, read: &Profile) -> Result<(), TunnelError> {
        for (key, estimate) in self.parts.iter().flat_map(|part| &part.fitted.estimates) {
            let (meant, is) = (estimate.value, read.value(*key));
            if (is - meant).abs() > spell::ROUNDED * meant.abs() {
                return Err(TunnelError::Fault(format!("`{}` is {meant} and was written as {is}", key.name())));
            }
        }
        Ok(())
    }
}

fn find(samples: &[Sample], ground: &Ground<'_>) -> ProfileFit {
    let mut left_out = Vec::new();
    let mut chosen = Vec::new();
    for family in families() {
        let Some(of_family) = choose::samples(&family, samples) else { continue };
        left_out.extend(of_family.left_out.clone());
        chosen.push((family, of_family));
    }
    let for_fit: Vec<Sample> = choose::all(samples, &chosen).cloned().collect();
    let mut parts = Vec::new();
    let mut names = BTreeSet::new();
    for mut fitted in fit_all(&for_fit, &ground.device, &ground.profile).0 {
        names.insert(fitted.name);
        let mut notes = Vec::new();
        if let Some((family, of_family)) = chosen.iter().find(|(family, _)| family.name == fitted.name) {
            of_family.sign(&mut fitted);
            let unmoved = choose::unmoved(family, &mut fitted, &ground.profile);
            notes.extend(unmoved.iter().map(|name| format!("no sample depends on `{name}`: it is not measured")));
            notes.extend(doubts(&fitted, family.keys.len()));
        }
        match fault(&fitted) {
            Some(fault) => left_out.push(format!("{}: not written: {fault}", fitted.name)),
            None => parts.push(FittedPart { fitted, notes }),
        }
    }
    let all = parts.iter().flat_map(|part| part.fitted.estimates.keys().copied()).collect();
    parts.retain(|FittedPart { fitted, .. }| match mixed(fitted, &all, ground) {
        Some(fault) => {
            left_out.push(format!("{}: not written: {fault}", fitted.name));
            false
        }
        None => true,
    });
    for (family, Chosen { samples, .. }) in chosen.iter().filter(|(family, _)| !names.contains(family.name)) {
        let (n_seen, n_free) = (samples.iter().filter(|sample| !held_out(sample)).count(), family.keys.len());
        left_out.push(format!("{}: {n_seen} samples to fit are too few for {n_free} estimates", family.name));
    }
    ProfileFit { parts, left_out }
}

/// Why what a fit came to is no profile.
fn fault(fitted: &Fitted) -> Option<String> {
    let odd = |(key, value): (&EstimateKey, f64)| format!("the fit ends at {value} for `{}`", key.name());
    let values = fitted.estimates.iter().map(|(key, estimate)| (key, estimate.value));
    let spread = fitted.estimates.values().map(|estimate| estimate.spread).fold(0.0, f64::max);
    if let Some(worst) = values.into_iter().find(|(_, value)| !(value.is_finite() && *value >= 0.0)) {
        Some(odd(worst))
    } else if spread > SPREAD_MAX {
        Some(format!("the fit is off by a factor of {:.0} and more", spread.exp()))
    } else {
        None
    }
}

/// Why a family cannot stand over the prior: estimates of a named implementation do not mix with others, so it needs all of
/// its table.
fn mixed(fitted: &Fitted, written: &BTreeSet<EstimateKey>, ground: &Ground<'_>) -> Option<String> {
    let tables: BTreeSet<&str> = fitted.estimates.keys().map(|key| text::table(*key)).collect();
    let missing = EstimateKey::ALL.iter().find(|key| {
        let is_of_prior = tables.contains(text::table(**key)) && !written.contains(key);
        is_of_prior && ground.profile.get(**key).implementation.is_some()
    })?;
    let implementation = ground.profile.get(*missing).implementation.as_deref().unwrap_or_default();
    Some(format!(
        "no sample belongs to `{}`, and what `{}` holds of `{implementation}` does not mix with other kernels",
        missing.name(),
        ground.prior
    ))
}

/// What makes a fit of some free estimates less than it looks.
fn doubts(fitted: &Fitted, n_free: usize) -> Vec<String> {
    let n_seen = fitted.errors(true).n;
    let n_outside = span::n_outside(&fitted.misses);
    let is_share = |key: &EstimateKey| matches!(key.dimension(), Dimension::Fraction | Dimension::Share);
    let at_most = fitted.estimates.iter().filter(|(key, estimate)| is_share(key) && estimate.value >= 1.0);
    let at_most: Vec<String> = at_most.map(|(key, _)| format!("`{}`", key.name())).collect();
    let mut notes = Vec::new();
    if !at_most.is_empty() {
        notes.push(format!("at 1, their most, end {}: they bind nothing, or a peak is too low", at_most.join(", ")));
    }
    if n_seen > 0 && n_seen < N_FEW * n_free {
        notes.push(format!("few samples: {n_seen} for {n_free} estimates"));
    }
    if n_outside > 0 {
        notes.push(format!("extrapolates to {n_outside} of those held out"));
    }
    if n_seen > 0 && fitted.errors(false).n == 0 {
        notes.push("no sample is held out: its error is not known".to_owned());
    }
    notes
}

#[cfg(test)]
mod tests {
    use calibrate::{Basis, Estimate};

    use super::*;

    fn fitted(value: f64, spread: f64) -> Fitted {
        let (basis, source) = (Basis::Measured, "a test".to_owned());
        let departures = Vec::new();
        let estimate = Estimate { value, spread, basis, implementation: None, source, departures };
        let estimates = BTreeMap::from([(EstimateKey::KernelLatency, estimate)]);
        Fitted { name: "kernel", implementation: "mine".to_owned(), estimates, misses: Vec::new() }
    }

    #[test]
    fn a_fit_that_went_astray_is_no_profile() {
        assert_eq!(fault(&fitted(3e-6, 0.1)), None);
        assert_eq!(fault(&fitted(0.0, 0.1)), None);
        assert!(fault(&fitted(f64::NAN, 0.1)).is_some_and(|text| text.contains("kernel.latency")));
        assert!(fault(&fitted(3e-6, 3.1)).is_some_and(|text| text.contains("factor of 22")));
    }
}
