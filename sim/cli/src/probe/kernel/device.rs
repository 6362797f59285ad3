//! A device and its profile by name.

pub(crate) use scenario::LoadedDevice as Known;

use crate::args::Layers;
use crate::exit::Failure;

/// What names them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Names<'a> {
    /// A hardware preset's name or a file.
    pub(crate) hardware: &'a str,
    /// Profiles, an earlier one before a later; none: the one named like the hardware.
    pub(crate) profiles: &'a [String],
    /// Whose kernels; none: those that the profiles measured.
    pub(crate) implementation: Option<&'a str>,
    /// Patches and folders.
    pub(crate) layers: &'a Layers,
}

/// Loads hardware, profiles and patches.
pub(crate) fn load(names: Names<'_>) -> Result<Known, Failure> {
    let Names { hardware, profiles, implementation, layers } = names;
    let implementations: Vec<String> = implementation.map(str::to_owned).into_iter().collect();
    Ok(scenario::load_device(hardware, profiles, &implementations, &layers.sets, &layers.library()?)?)
}
