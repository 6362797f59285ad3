//! Which published steps a run resembles most, and how far off the model was there.
//!
//! The errors are those of the last validation that was kept, so nothing else is run. No result depends on them.

mod distance;
mod table;
#[cfg(test)]
mod tests;
mod traits;

use report::{Nearest, NearestStep};
use scenario::{Leaf, Library};

use crate::error::TunnelError;
use crate::prepare::Prepared;
use crate::validate::is_same_job;

pub use table::{CheckedStep, CheckedSteps};
pub use traits::{DeviceTraits, JobTraits, Traits};

use distance::{differences, distance};

/// Steps that are named.
const N_NEAREST: usize = 3;
/// Keys that are named where nothing else differs.
const N_KEYS: usize = 3;
/// Namespaces of what was measured, of money, and of how kernels are named: no part of which job it is.
const NO_PART: [&str; 2] = ["profile.", "cost."];

/// The published steps nearest to a training job, and in what the nearest differs.
///
/// # Errors
/// A job that is no training.
pub fn nearest(prepared: &Prepared, library: &Library) -> Result<Nearest, TunnelError> {
    let table = CheckedSteps::embedded()?;
    let mut here = Traits::of(&prepared.loaded)?;
    // A plan that was written down has its values from one file: a device is known by them.
    if let Some(known) = table.devices.iter().find(|known| known.values == here.device.values) {
        here.device.name.clone_from(&known.name);
    }
    let mut all: Vec<Found<'_>> = table.traits().map(|(step, there)| Found::of(step, there, &here)).collect();
    for found in all.iter_mut().filter(|found| found.distance == 0.0) {
        found.is_itself = is_same_job(prepared.plan(), (&found.step.scenario, &found.step.sets), library);
    }
    all.sort_by(|a, b| a.distance.total_cmp(&b.distance).then(b.is_itself.cmp(&a.is_itself)));
    let differs = all.first().map_or_else(Vec::new, |first| first.differs(&here, prepared, library));
    Ok(Nearest {
        is_published: all.first().is_some_and(|first| first.is_itself),
        steps: all.into_iter().take(N_NEAREST).map(Found::row).collect(),
        differs,
    })
}

/// A checked step as seen from a run.
struct Found<'a> {
    step: &'a CheckedStep,
    traits: Traits,
    distance: f64,
    /// Whether it is the very job of the run.
    is_itself: bool,
}

impl<'a> Found<'a> {
    fn of(step: &'a CheckedStep, there: Traits, here: &Traits) -> Self {
        Self { step, distance: distance(&there, here), traits: there, is_itself: false }
    }

    /// In what it differs from the run, in words.
    fn differs(&self, here: &Traits, prepared: &Prepared, library: &Library) -> Vec<String> {
        if self.is_itself {
            return Vec::new();
        }
        let words = differences(&self.traits, here);
        if self.distance > 0.0 {
            return words;
        }
        // Alike in all that is weighed: what is left are keys.
        let Ok(other) = scenario::load(&self.step.scenario, &self.step.sets, library) else { return words };
        let mut keys = others(&other.leaves, &prepared.loaded.leaves);
        let more = keys.len() > N_KEYS;
        keys.truncate(N_KEYS);
        keys.extend(more.then(|| "others".to_owned()));
        if keys.is_empty() { words } else { vec![format!("keys that are not weighed ({})", keys.join(", "))] }
    }

    fn row(self) -> NearestStep {
        let Self { step, traits, distance, .. } = self;
        NearestStep {
            id: step.id.clone(),
            scenario: step.scenario.clone(),
            sets: step.sets.clone(),
            device: traits.device.name,
            n_devices: traits.job.n_devices,
            active_params: traits.job.active_params as f64,
            distance,
            step_error: step.step_error,
        }
    }
}

/// Keys whose values differ.
fn others(there: &[Leaf], here: &[Leaf]) -> Vec<String> {
    let is_part = |leaf: &&Leaf| !leaf.is_label() && !NO_PART.iter().any(|part| leaf.key.starts_with(part));
    let same = |leaf: &&Leaf| there.iter().any(|other| other.key == leaf.key && other.canonical == leaf.canonical);
    here.iter().filter(is_part).filter(|leaf| !same(leaf)).map(|leaf| format!("`{}`", leaf.key)).collect()
}
