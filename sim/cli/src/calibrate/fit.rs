//! From samples to a profile on disk: the fit is the library's, the file is written here.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use calibrate::Fingerprint;
use tunnel::fit::{Ground, ProfileFit, with_sms};

use super::samples::Known;
use super::shown;
use crate::exit::Failure;
use crate::progress::{Extent, during};

/// Fits the samples and writes the profile, whole or not at all; the text has one line per family, fitted or left out.
pub(super) fn fit(known: &Known, ground: Option<&Ground<'_>>, out: &Path, quiet: bool) -> Result<String, Failure> {
    if known.samples.is_empty() {
        return Err(Failure::absent("there is no sample to fit"));
    }
    let ground = ground.ok_or_else(|| missing(&known.machines))?;
    for machine in known.machines.values() {
        ground.check(machine)?;
    }
    let fit = during("fitting", Extent::Unknown, quiet, || ProfileFit::of(&known.samples, ground));
    if fit.parts.is_empty() {
        return Err(Failure::absent(nothing(&fit, known.samples.len())));
    }
    let text = fit.profile_toml((known.samples.len(), &known.machines), ground, out);
    write(out, &text, &fit, ground)?;
    Ok(shown::text(&fit, known.samples.len(), ground, out))
}

/// No hardware was named.
fn missing(machines: &BTreeMap<String, Fingerprint>) -> Failure {
    let sms = machines.values().next().map(|machine| machine.sms);
    let hint = sms.map_or_else(|| "name a preset or a file".to_owned(), with_sms);
    Failure::usage(format!(
        "`--hardware` is missing: a profile holds shares of its peaks, so the samples are kept and not fitted\nhint: {hint}"
    ))
}

fn nothing(fit: &ProfileFit, n_samples: usize) -> String {
    let mut lines = vec![format!("none of the {n_samples} samples belongs to an estimate that can be fitted")];
    lines.extend(fit.left_out.iter().map(|line| format!("  {line}")));
    lines.extend(fit.unused.iter().map(|(reason, n)| format!("  {n} samples of {reason}")));
    lines.push("hint: measure more sections, for example `--only memory,stream,gemm`".to_owned());
    lines.join("\n")
}

/// Writes the file under another name, loads it as any scenario would, and gives it its name only then.
fn write(out: &Path, text: &str, fit: &ProfileFit, ground: &Ground<'_>) -> Result<(), Failure> {
    let partial = partial(out);
    let refused = |error: io::Error| Failure::usage(format!("`{}` cannot be written: {error}", out.display()));
    if let Some(folder) = out.parent() {
        fs::create_dir_all(folder).map_err(refused)?;
    }
    let written = fs::write(&partial, text).map_err(refused).and_then(|()| {
        check(&partial, fit, ground)?;
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

/// Loads the profile that was written: one that cannot be used, or holds other values than the fit, is our fault.
fn check(path: &Path, fit: &ProfileFit, ground: &Ground<'_>) -> Result<(), Failure> {
    let fault =
        |failure: Failure| Failure::Fault(anyhow::Error::msg(format!("the profile cannot be loaded: {failure:?}")));
    let read = ground.with_profile(path).map_err(|error| fault(error.into()))?;
    Ok(fit.check(&read)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_complete_stands_beside_what_it_will_be() {
        assert_eq!(partial(Path::new("a/my.gpu.toml")), Path::new("a/my.gpu.partial.toml"));
    }
}
