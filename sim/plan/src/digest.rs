//! The identity of a plan.

use crate::Plan;

/// A digest of everything that was decided, as 64 hexadecimal digits: equal plans have equal digests. The name is for
/// people and left out.
#[must_use]
pub fn digest(plan: &Plan) -> String {
    // `Debug` of floats is their shortest exact form, so it tells apart what differs in the last bit.
    let Plan { name: _, machine, model, parallel, job, policy, traffic, profile, cost } = plan;
    let text = format!("{machine:?}{model:?}{parallel:?}{job:?}{policy:?}{traffic:?}{profile:?}{cost:?}");
    blake3::hash(text.as_bytes()).to_hex().to_string()
}
