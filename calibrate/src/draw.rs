//! Draws of a whole profile from the spreads of its estimates.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rand_distr::{Distribution, StandardNormal};

use crate::estimate::{Estimate, EstimateKey};
use crate::profile::Profile;

impl Profile {
    /// The profile as it might be: every value times `exp(spread x z)`, with `z` standard normal, one draw an estimate.
    ///
    /// `z` depends on the seed, the number of the draw and the name of the estimate alone, so two profiles that are to be
    /// compared move together. Shares stay at or below one.
    #[must_use]
    pub fn drawn(&self, seed: u64, draw: u64) -> Self {
        let estimates = self.iter().map(|(key, estimate)| (key, moved(key, estimate, normal(seed, draw, key))));
        Self::new(estimates.collect()).unwrap_or_else(|_| self.clone())
    }
}

fn moved(key: EstimateKey, estimate: &Estimate, z: f64) -> Estimate {
    let value = estimate.value * (estimate.spread * z).exp();
    // A share that was above one would be a mistake of the file; a draw must not make one.
    let (least, most) = (key.dimension().least(), key.dimension().most());
    let value = value.clamp(estimate.value.min(least), estimate.value.max(most));
    Estimate { value, ..estimate.clone() }
}

/// The standard normal of one estimate in one draw. Its stream is named by the key's own name, so a new key moves no other.
fn normal(seed: u64, draw: u64, key: EstimateKey) -> f64 {
    let name = key.name().bytes().fold(0_u64, |hash, byte| hash.wrapping_mul(31).wrapping_add(u64::from(byte)));
    let mut rng = ChaCha8Rng::seed_from_u64(seed ^ name.rotate_left(17));
    rng.set_stream(draw);
    StandardNormal.sample(&mut rng)
}
