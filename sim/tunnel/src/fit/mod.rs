//! From samples to the text of a profile.
//!
//! The fit itself is `calibrate::fit`; here stands what surrounds it: on which hardware and over which profile
//! ([`Ground`]), which samples speak for a family (`choose`), what became of each ([`ProfileFit`]), the file (`text`).

mod account;
mod choose;
mod ground;
mod span;
mod spell;
mod text;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use calibrate::fit::{Family, Fitted, Rig, families, fit_all, held_out};
use calibrate::{Dimension, EstimateKey, Fingerprint, Profile, Sample};

use self::account::Account;
use self::choose::Chosen;
use crate::error::TunnelError;

pub use self::ground::{Ground, with_sms};
pub use self::text::table;

/// What no file may hold: beyond three standard deviations of a log-normal nothing is known.
const SPREAD_MAX: f64 = 3.0;
/// What a run counts: a picosecond.
const SECONDS_COUNTED: f64 = 1e-12;
/// With fewer samples per free estimate, a note names the fit as one that rests on few.
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
    /// Families that are not, and why.
    pub left_out: Vec<String>,
    /// Samples that an estimate rests on, or that judge one.
    pub n_used: usize,
    /// All others, by what they ask and why no estimate rests on them.
    pub unused: BTreeMap<String, usize>,
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

    /// Whether a profile that was written and read again holds the values of the fit.
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
    let spreads = ground.spreads(samples);
    let rig = Rig { device: &ground.machine.device, spreads: &spreads };
    let mut account = Account::of(samples, rig, ground.machine.node.devices);
    let possible = account.left(samples);
    let mut left_out = Vec::new();
    let mut chosen = Vec::new();
    for family in families() {
        let Some(of_family) = choose::samples(&family, &possible) else { continue };
        left_out.extend(of_family.left_out.clone());
        chosen.push((family.told_by(&of_family.samples), of_family));
    }
    account.choose(&possible, &chosen);
    let for_fit: Vec<Sample> = choose::all(&possible, &chosen).cloned().collect();
    let mut parts = Vec::new();
    let mut names = BTreeSet::new();
    for fitted in fit_all(&for_fit, rig, &ground.profile).0 {
        names.insert(fitted.name);
        match part(fitted, &chosen, ground) {
            Ok(part) => parts.push(part),
            Err(fault) => left_out.push(fault),
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
    let (n_used, unused) = account.close(&for_fit, &parts, &chosen);
    ProfileFit { parts, left_out, n_used, unused }
}

/// A fit as it is written, with what must be known of it; in words why it is not.
fn part(mut fitted: Fitted, chosen: &[(Family, Chosen<'_>)], ground: &Ground<'_>) -> Result<FittedPart, String> {
    let mut notes = settled(&mut fitted);
    if let Some((family, of_family)) = chosen.iter().find(|(family, _)| family.name == fitted.name) {
        of_family.sign(&mut fitted);
        let unmoved = choose::unmoved(family, &mut fitted, &ground.profile);
        notes.extend(unmoved.iter().map(|name| format!("no sample depends on `{name}`: it is not measured")));
        notes.extend(doubts(&fitted, family.keys.len()));
    }
    let step = EstimateKey::CollectiveScaleOutLatency;
    if !ground.is_joined() && fitted.estimates.remove(&step).is_some() {
        notes.push(format!(
            "`{}` is not written: it is what a step takes beside the path, and the path is that of a network: name it with `--cluster`",
            step.name()
        ));
    }
    match fault(&fitted) {
        Some(fault) => Err(format!("{}: not written: {fault}", fitted.name)),
        None => Ok(FittedPart { fitted, notes }),
    }
}

/// Durations that end below what a run counts are none: a fit nears zero and never reaches it. A note for each.
fn settled(fitted: &mut Fitted) -> Vec<String> {
    let mut notes = Vec::new();
    for (key, estimate) in &mut fitted.estimates {
        let is_duration = key.dimension() == Dimension::Seconds;
        if is_duration && estimate.value > 0.0 && estimate.value < SECONDS_COUNTED {
            estimate.value = 0.0;
            notes.push(format!("`{}` ends at 0: no sample shows it", key.name()));
        }
    }
    notes
}

/// Why what a fit came to is no profile.
fn fault(fitted: &Fitted) -> Option<String> {
    let odd = |(key, value): (&EstimateKey, f64)| {
        format!(
            "the fit ends at {value:.3e} for `{}`, which no profile can hold; the samples may be of another machine than `--hardware` \
             describes, or too few: name the hardware that was measured, or ask more sections",
            key.name()
        )
    };
    let values = fitted.estimates.iter().map(|(key, estimate)| (key, estimate.value));
    let spread = fitted.estimates.values().map(|estimate| estimate.spread).fold(0.0, f64::max);
    if let Some(worst) = values.into_iter().find(|(key, value)| !spell::is_readable(**key, *value)) {
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
        let estimate = Estimate { value, spread, basis, implementation: None, source, stands_for: None, departures };
        let estimates = BTreeMap::from([(EstimateKey::KernelLatency, estimate)]);
        Fitted { name: "kernel", implementation: "mine".to_owned(), estimates, misses: Vec::new() }
    }

    /// Whatever a fit ends at, the profile can be read, or the family is left out.
    #[test]
    fn a_duration_that_nears_zero_is_none() {
        for power in -300..0 {
            let mut fitted = fitted(10_f64.powi(power), 0.1);
            let notes = settled(&mut fitted);
            let value = fitted.estimates[&EstimateKey::KernelLatency].value;
            assert_eq!(notes.len(), usize::from(value == 0.0), "1e{power} s: {notes:?}");
            assert_eq!(value == 0.0, power < -12, "1e{power} s");
            assert_eq!(fault(&fitted), None, "1e{power} s");
        }
    }

    #[test]
    fn a_fit_that_went_astray_is_no_profile() {
        assert_eq!(fault(&fitted(3e-6, 0.1)), None);
        assert_eq!(fault(&fitted(0.0, 0.1)), None);
        for value in [f64::NAN, f64::INFINITY, -1e-6, 6.7e-44, 1e31] {
            let text = fault(&fitted(value, 0.1)).unwrap_or_else(|| panic!("{value} s is no latency"));
            assert!(text.contains("kernel.latency") && text.contains("--hardware"), "{text}");
        }
        assert!(fault(&fitted(3e-6, 3.1)).is_some_and(|text| text.contains("factor of 22")));
    }
}
