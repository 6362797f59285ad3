//! From samples to estimates.
//!
//! A [`Family`] is the estimates that one kind of sample speaks of. Fitting one moves its estimates until the model's own
//! answers ([`predict`]) come closest to what was measured: no curve is drawn through the points, the formula of
//! [`crate::Estimator`] is the only shape. A fifth of the samples, chosen by a hash of what was asked, never enters the
//! fit; its errors are what a [`Fitted`] is judged by, and what its spread is taken from.

mod direct;
mod errors;
mod family;
mod solve;

use topology::Device;
use units::{Bytes, Seconds};

use crate::{Call, EstimateKey, Estimator, Profile, Question, Sample, Spread};

pub use errors::{Errors, Miss};
pub use family::{Family, Fitted, families, fit, fit_all};

/// The seconds the model gives a question on a device, and the estimate that sets them; `None` where it has no answer.
#[must_use]
pub fn predict(device: &Device, profile: &Profile, question: &Question) -> Option<(Seconds, EstimateKey)> {
    let estimator = Estimator::new(device, profile);
    if let Question::Collective { what, ranks, bytes, sms } = question {
        let call = Call { what: *what, bytes: Bytes::new(*bytes as f64), sms: *sms };
        let demand = estimator.collective(&call, &Spread::node(*ranks));
        return Some((demand.alone(), demand.limit));
    }
    let (op, sms) = question.op(device.sms)?;
    let demand = estimator.demand(&op, sms).ok()?;
    Some(demand.alone(device.memory_rate() * profile.value(EstimateKey::MemoryFraction)))
}

/// Whether a sample is kept out of every fit: one in five, by what was asked alone, so a second run keeps out the same.
#[must_use]
pub fn held_out(sample: &Sample) -> bool {
    let text = serde_json::to_string(&sample.question).unwrap_or_default();
    let hash = text.bytes().fold(0_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    // The low bits of such a hash hardly mix; fold the high ones in.
    (hash ^ (hash >> 15)) % 5 == 0
}
