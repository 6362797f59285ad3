//! The hardware whose peaks the fractions are of, and the profile that gives what no sample speaks of.

use std::path::{Component, Path, PathBuf};

use calibrate::{Fingerprint, Profile};
use scenario::{Kind, Library, LoadedDevice, stem};
use topology::Device;

use crate::ask::DeviceQuery;
use crate::error::TunnelError;

/// Profiles of published facts are called so.
const PUBLISHED: &str = "-published";

/// What a fit stands on.
pub struct Ground<'a> {
    /// The name that files know the hardware by.
    pub hardware: String,
    /// The prior, as it was named.
    pub prior: String,
    pub(super) device: Device,
    /// Estimates of the prior.
    pub(super) profile: Profile,
    /// The hardware as it was named.
    reference: String,
    library: &'a Library,
}

impl<'a> Ground<'a> {
    /// Loads hardware and prior by name; without a prior the first profile of published facts that holds for the hardware.
    ///
    /// # Errors
    /// Mistakes in their files.
    pub fn load(reference: &str, prior: Option<&str>, library: &'a Library) -> Result<Self, TunnelError> {
        let hardware = stem(reference);
        let prior = match prior {
            Some(prior) => prior.to_owned(),
            None => usual(&hardware, library)?,
        };
        let LoadedDevice { machine, profile, .. } = load(reference, &prior, library)?;
        Ok(Self { hardware, prior, device: machine.device, profile, reference: reference.to_owned(), library })
    }

    /// Refuses samples of a device that the hardware's file does not describe.
    ///
    /// # Errors
    /// Another count of SMs.
    pub fn check(&self, machine: &Fingerprint) -> Result<(), TunnelError> {
        if machine.sms == self.device.sms {
            return Ok(());
        }
        let Fingerprint { device, sms, .. } = machine;
        let (has, hint) = (self.device.sms, with_sms(*sms));
        let reason = format!("has {has} SMs and {device}, which was measured, has {sms}\nhint: {hint}");
        Err(TunnelError::value("hardware", &self.reference, reason))
    }

    /// The profile of a file on this hardware.
    ///
    /// # Errors
    /// Every mistake in it.
    pub fn with_profile(&self, path: &Path) -> Result<Profile, TunnelError> {
        Ok(load(&self.reference, &path.display().to_string(), self.library)?.profile)
    }

    /// The prior as a file at `out` has to name it.
    pub(super) fn prior_from(&self, out: &Path) -> String {
        seen_from(out, &self.prior)
    }

    /// The hardware as a file at `out` has to name it: by its name, but for a file that is called like a preset and is none.
    pub(super) fn hardware_from(&self, out: &Path) -> String {
        let is_called_like_one = self.library.names(Kind::Hardware).contains(&self.hardware);
        let is_file = is_called_like_one && is_path(&self.reference);
        if is_file { seen_from(out, &self.reference) } else { self.hardware.clone() }
    }
}

fn is_path(reference: &str) -> bool {
    reference.contains(['/', '\\']) || reference.ends_with(".toml")
}

/// A reference of the working folder as a file at `out` has to name it: paths in a file are relative to it.
fn seen_from(out: &Path, reference: &str) -> String {
    let path = Path::new(reference);
    let folder = out.parent().unwrap_or(Path::new(""));
    let is_below = folder.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    if !is_path(reference) || path.is_absolute() {
        reference.to_owned()
    } else if is_below {
        let n_up = folder.components().filter(|part| matches!(part, Component::Normal(_))).count();
        std::iter::repeat_n(Path::new(".."), n_up).chain([path]).collect::<PathBuf>().display().to_string()
    } else {
        std::path::absolute(path).unwrap_or(path.to_owned()).display().to_string()
    }
}

/// Presets that could be meant by a device of so many SMs, in words: nothing here takes one from what a driver calls the device.
#[must_use]
pub fn with_sms(sms: u32) -> String {
    let library = Library::new(Vec::new());
    let prior = published(&library).into_iter().next().unwrap_or_default();
    let has = |name: &String| load(name, &prior, &library).is_ok_and(|known| known.machine.device.sms == sms);
    let fitting: Vec<String> =
        library.names(Kind::Hardware).into_iter().filter(has).map(|name| format!("`{name}`")).collect();
    if fitting.is_empty() {
        format!("no preset has {sms} SMs; write a file of the device like those in `scenarios/hardware`, and name it")
    } else {
        format!("presets of {sms} SMs are {}; another device needs a file of its own", fitting.join(", "))
    }
}

/// The first profile of published facts that holds for the hardware; where none does, the first of all.
fn usual(hardware: &str, library: &Library) -> Result<String, TunnelError> {
    let mut first = None;
    for name in published(library) {
        let text = library.text(Kind::Profile, &name, None)?;
        let file: toml::Table = text.as_str().parse().unwrap_or_default();
        let listed = file.get("hardware").and_then(toml::Value::as_array);
        if listed.is_some_and(|names| names.iter().any(|name| name.as_str() == Some(hardware))) {
            return Ok(name);
        }
        first = first.or(Some(name));
    }
    first.ok_or(TunnelError::NoPrior)
}

fn published(library: &Library) -> Vec<String> {
    library.names(Kind::Profile).into_iter().filter(|name| name.ends_with(PUBLISHED)).collect()
}

fn load(hardware: &str, profile: &str, library: &Library) -> Result<LoadedDevice, TunnelError> {
    let profiles = vec![profile.to_owned()];
    DeviceQuery { hardware: hardware.to_owned(), profiles, ..DeviceQuery::default() }.load(library)
}
