//! From samples to estimates.
//!
//! A [`Family`] is the estimates that one kind of sample speaks of. Fitting one moves its estimates until the model's own
//! answers ([`predict`]) come closest to what was measured: no curve is drawn through the points, the formula of
//! [`crate::Estimator`] is the only shape. A fifth of the samples, chosen by a hash of what was asked, never enters the
//! fit; its errors are what a [`Fitted`] is judged by, and what its spread is taken from.

mod direct;
mod errors;
mod family;
mod fitted;
mod rig;
mod solve;

use std::collections::BTreeMap;

use units::Seconds;

use crate::{EstimateKey, Estimator, Profile, Question, Sample};

pub use errors::{Errors, Miss};
pub use family::{Family, families, fit};
pub use fitted::Fitted;
pub use rig::{Rig, Spreads, impossible, lacks};

/// Fits every family that the samples speak of, one after the other; each sees what those before it found. The second part is
/// the prior with all that was found laid over it.
#[must_use]
pub fn fit_all(samples: &[Sample], rig: Rig<'_>, prior: &Profile) -> (Vec<Fitted>, Profile) {
    let device = rig.device;
    let mut profile = prior.clone();
    let mut all = Vec::new();
    let mut keep = |fitted: Fitted, profile: &mut Profile| {
        *profile = fitted
            .estimates
            .iter()
            .fold(profile.clone(), |profile, (key, estimate)| profile.with(*key, estimate.clone()));
        all.push(fitted);
    };
    let read_off = [
        direct::launch(samples),
        direct::memory_together(samples, device),
        direct::promotion(samples, device),
        direct::copies(samples),
    ];
    for fitted in read_off.into_iter().flatten() {
        keep(fitted, &mut profile);
    }
    for family in families() {
        let of_family: Vec<&Sample> = quickest(samples.iter().filter(|sample| family.holds(&sample.question)));
        if let Some(fitted) = fit(&family.told_by(&of_family), &of_family, rig, &profile) {
            keep(fitted, &mut profile);
        }
    }
    if let Some(fitted) = direct::contention(samples, rig, &profile) {
        keep(fitted, &mut profile);
    }
    (all, profile)
}

/// Of several implementations of one question, the quickest: what a user who looks for it gets.
fn quickest<'a>(samples: impl Iterator<Item = &'a Sample>) -> Vec<&'a Sample> {
    let mut best: BTreeMap<String, &Sample> = BTreeMap::new();
    for sample in samples {
        let asked = serde_json::to_string(&sample.question).unwrap_or_default();
        let slot = best.entry(asked).or_insert(sample);
        if sample.reading.seconds < slot.reading.seconds {
            *slot = sample;
        }
    }
    best.into_values().collect()
}

/// The seconds the model gives a question on a device, and the estimate that sets them; `None` where it has no answer.
#[must_use]
pub fn predict(rig: Rig<'_>, profile: &Profile, question: &Question) -> Option<(Seconds, EstimateKey)> {
    if matches!(question, Question::Collective { .. }) {
        return rig.collective(profile, question);
    }
    let device = rig.device;
    let (op, sms) = question.op(device.sms)?;
    let demand = Estimator::new(device, profile).demand(&op, sms).ok()?;
    let memory = device.memory_rate() * profile.value(EstimateKey::MemoryFraction);
    Some(if matches!(question, Question::Burst { .. }) { demand.burst() } else { demand }.alone(memory))
}

/// Whether a sample is kept out of every fit: one in five, by what was asked alone, so a second run keeps out the same.
#[must_use]
pub fn held_out(sample: &Sample) -> bool {
    let text = serde_json::to_string(&sample.question).unwrap_or_default();
    let hash = text.bytes().fold(0_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    // The low bits of such a hash hardly mix; fold the high ones in.
    (hash ^ (hash >> 15)) % 5 == 0
}
