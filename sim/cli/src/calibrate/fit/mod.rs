//! From files of samples to a profile on disk.
//!
//! The fit itself is `calibrate::fit`; here stands what surrounds it: on which hardware and over which profile
//! ([`Ground`]), which samples speak for a family (`choose`), the file (`text`), and what a reader is told (`shown`).

mod choose;
mod ground;
mod shown;
mod span;
mod spell;
mod text;

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use calibrate::fit::{Fitted, families, fit_all, held_out};
use calibrate::{Dimension, EstimateKey, Sample};

use self::choose::Chosen;
use super::samples::Known;
use crate::exit::Failure;
use crate::progress::{Extent, during};

pub(super) use self::ground::Ground;

/// What no file may hold: beyond three standard deviations of a log-normal nothing is known.
const SPREAD_MAX: f64 = 3.0;
/// With fewer samples a free estimate a fit is said to rest on few.
const N_FEW: usize = 4;

/// A family that was fitted.
#[derive(Debug)]
struct Part {
    fitted: Fitted,
    /// What must be known before it is trusted.
    notes: Vec<String>,
}

/// What the samples came to.
#[derive(Debug)]
struct Found {
    parts: Vec<Part>,
    /// Families and samples that are not in the profile, and why.
    left_out: Vec<String>,
}

/// Fits the samples and writes the profile, whole or not at all; the text says what became of each family.
pub(super) fn fit(known: &Known, ground: Option<&Ground>, out: &Path, quiet: bool) -> Result<String, Failure> {
    if known.samples.is_empty() {
        return Err(Failure::absent("there is no sample to fit"));
    }
    let ground = ground.ok_or_else(|| ground::missing(&known.machines))?;
    for machine in known.machines.values() {
        ground.check(machine)?;
    }
    let found = during("fitting", Extent::Unknown, quiet, || find(&known.samples, ground));
    if found.parts.is_empty() {
        return Err(Failure::absent(nothing(&found, known.samples.len())));
    }
    let text = text::profile(&found, known, ground, out)?;
    write(out, &text, &found, ground)?;
    Ok(shown::text(&found, known, ground, out))
}

fn find(samples: &[Sample], ground: &Ground) -> Found {
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
            None => parts.push(Part { fitted, notes }),
        }
    }
    let all = parts.iter().flat_map(|part| part.fitted.estimates.keys().copied()).collect();
    parts.retain(|Part { fitted, .. }| match mixed(fitted, &all, ground) {
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
    Found { parts, left_out }
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
fn mixed(fitted: &Fitted, written: &BTreeSet<EstimateKey>, ground: &Ground) -> Option<String> {
    let tables: BTreeSet<&str> = fitted.estimates.keys().map(|key| text::table(*key)).collect();
    let missing = EstimateKey::ALL.iter().find(|key| {
        let is_of_prior = tables.contains(text::table(**key)) && !written.contains(key);
        is_of_prior && ground.profile.get(**key).implementation.is_some()
    })?;
    let implementation = ground.profile.get(*missing).implementation.as_deref().unwrap_or_default();
    Some(format!(
        "no sample speaks of `{}`, and what `{}` holds of `{implementation}` does not mix with other kernels",
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

fn nothing(found: &Found, n_samples: usize) -> String {
    let mut lines = vec![format!("none of the {n_samples} samples speaks of an estimate that can be fitted")];
    lines.extend(found.left_out.iter().map(|line| format!("  {line}")));
    lines.push("hint: ask more sections, for example `--only memory,stream,gemm`".to_owned());
    lines.join("\n")
}

/// Writes the file under another name, loads it as any scenario would, and gives it its name only then.
fn write(out: &Path, text: &str, found: &Found, ground: &Ground) -> Result<(), Failure> {
    let partial = partial(out);
    let refused = |error: io::Error| Failure::usage(format!("`{}` cannot be written: {error}", out.display()));
    if let Some(folder) = out.parent() {
        fs::create_dir_all(folder).map_err(refused)?;
    }
    let written = fs::write(&partial, text).map_err(refused).and_then(|()| {
        check(&partial, found, ground)?;
        fs::rename(&partial, out).map_err(refused)
    });
    if written.is_err() {
        // What cannot be removed either was not written.
        let _ = fs::remove_file(&partial);
    }
    written
}

/// What a file is called until it is complete: beside `out`, so that its references mean the same.
fn partial(out: &Path) -> PathBuf {
    let stem = out.file_stem().unwrap_or_default().to_string_lossy();
    out.with_file_name(format!("{stem}.partial.toml"))
}

/// Loads what was written: a profile that cannot be used, or says something else than the fit, is our fault.
fn check(path: &Path, found: &Found, ground: &Ground) -> Result<(), Failure> {
    let fault = |message: String| Failure::Fault(anyhow::Error::msg(message));
    let read =
        ground.with_profile(path).map_err(|failure| fault(format!("the profile cannot be loaded: {failure:?}")))?;
    for (key, estimate) in found.parts.iter().flat_map(|part| &part.fitted.estimates) {
        let (meant, is) = (estimate.value, read.value(*key));
        if (is - meant).abs() > spell::ROUNDED * meant.abs() {
            return Err(fault(format!("`{}` is {meant} and was written as {is}", key.name())));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

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

    #[test]
    fn what_is_not_complete_stands_beside_what_it_will_be() {
        assert_eq!(partial(Path::new("a/my.gpu.toml")), Path::new("a/my.gpu.partial.toml"));
    }
}
