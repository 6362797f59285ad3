//! Draws of a whole profile from the spreads of its estimates, and the interval of what follows from them.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rand_distr::{Distribution, StandardNormal};

use crate::estimate::Estimate;
use crate::key::EstimateKey;
use crate::machine_key::MachineKey;
use crate::profile::Profile;

impl Profile {
    /// The profile as it might be: every value times `exp(spread x z)`, with `z` standard normal, one draw per estimate, and times the factors of
    /// its machine's departures ([`crate::Departure`]), one draw per estimate and key of the machine.
    ///
    /// `z` depends on the seed, the number of the draw and the names of estimate and key alone, so two profiles that are to be
    /// compared move together, and where only one of them departs, only it has the factor. Shares stay at or below one.
    #[must_use]
    pub fn drawn(&self, seed: u64, draw: u64) -> Self {
        let moved = |(key, estimate): (EstimateKey, &Estimate)| {
            let own = estimate.spread * normal(seed, draw, key.name().bytes());
            let elsewhere = self.widened(key).map(|(machine, spread)| spread * carried(seed, draw, key, machine));
            (key, moved(key, estimate, own + elsewhere.sum::<f64>()))
        };
        Self::new(self.iter().map(moved).collect()).unwrap_or_else(|_| self.clone())
    }
}

/// The standard normal of how an estimate carries to another value of a machine's key, in one draw: what the logarithm of its factor is a multiple of.
#[must_use]
pub fn carried(seed: u64, draw: u64, key: EstimateKey, machine: MachineKey) -> f64 {
    normal(seed, draw, key.name().bytes().chain([b' ']).chain(machine.name().bytes()))
}

fn moved(key: EstimateKey, estimate: &Estimate, logarithm: f64) -> Estimate {
    let value = estimate.value * logarithm.exp();
    // A share that was above one would be a mistake of the file; a draw must not make one.
    let (least, most) = (key.dimension().least(), key.dimension().most());
    let value = value.clamp(estimate.value.min(least), estimate.value.max(most));
    Estimate { value, ..estimate.clone() }
}

/// The ends of an interval: a twentieth of the draws lie below it, a twentieth above.
const ENDS: [f64; 2] = [0.05, 0.95];

/// As many deviations of a normal from its middle they lie.
pub const END_DEVIATIONS: f64 = 1.645;

/// The interval of a number over its draws, which always holds the `nominal` number, that of the estimates as they stand; `None` without draws.
///
/// The nominal number need not lie among the draws. Where a result is the longest of several times that are alike, it grows whichever of them grows and
/// seldom shrinks; and a share that stands at one only falls. Then nearly all draws lie on one side of it, and the end on the other side is
/// the nominal number itself.
#[must_use]
pub fn interval(draws: &[f64], nominal: f64) -> Option<[f64; 2]> {
    let [low, high] = units::quantiles(draws, ENDS)?;
    Some([low.min(nominal), high.max(nominal)])
}

/// The standard normal of one name in one draw. Its stream is named by the name itself, so a new one moves no other.
fn normal(seed: u64, draw: u64, name: impl Iterator<Item = u8>) -> f64 {
    let name = name.fold(0_u64, |hash, byte| hash.wrapping_mul(31).wrapping_add(u64::from(byte)));
    let mut rng = ChaCha8Rng::seed_from_u64(seed ^ name.rotate_left(17));
    rng.set_stream(draw);
    StandardNormal.sample(&mut rng)
}
