//! Draws: what a profile could also say.
//!
//! `calibrate` draws a profile from the spreads of its estimates; seed, draw and the estimate's name alone decide a draw, so all points of a
//! study, on both sides of a comparison, and all shapes of an op share it, and the run without draws is the middle one.
//! Assumed: estimates err apart from each other. Where two of them are fitted to the same records, as a GEMM's share of the
//! peak and its overhead, they do not, and the interval comes out wide.

use std::collections::BTreeMap;

use calibrate::Profile;

/// Seeded draws of estimates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Draws {
    /// Seed of all of them.
    pub seed: u64,
    /// How many.
    pub n: u32,
}

impl Draws {
    /// A profile as one draw has it: other values, everything else kept.
    #[must_use]
    pub fn profile(&self, nominal: &Profile, draw: u32) -> Profile {
        nominal.drawn(self.seed, u64::from(draw))
    }

    /// By how much each estimate that has a spread is off in each draw: `ln(drawn / value)`, by key below `profile`.
    #[must_use]
    pub fn deviations(&self, nominal: &Profile) -> BTreeMap<String, Vec<f64>> {
        let mut deviations: BTreeMap<String, Vec<f64>> = BTreeMap::new();
        for draw in 0..self.n {
            let drawn = self.profile(nominal, draw);
            for (key, estimate) in nominal.iter().filter(|(_, estimate)| estimate.spread > 0.0 && estimate.value > 0.0)
            {
                let deviation = (drawn.value(key) / estimate.value).ln();
                deviations.entry(key.name().to_owned()).or_default().push(deviation);
            }
        }
        deviations
    }
}

#[cfg(test)]
mod tests {
    use calibrate::EstimateKey;
    use scenario::{Library, load};

    use super::*;

    #[test]
    fn the_middle_draw_is_the_profile_and_what_has_no_spread_stays() {
        let profile = load("tiny-moe", &[], &Library::built_in()).expect("a preset").plan.profile;
        let deviations = Draws { seed: 1, n: 512 }.deviations(&profile);
        assert!(!deviations.is_empty());
        for (name, mut deviations) in deviations {
            let spread = profile.get(EstimateKey::from_name(&name).expect("a key")).spread;
            deviations.sort_by(f64::total_cmp);
            let median = deviations[deviations.len() / 2];
            assert!(median.abs() < 0.2 * spread, "{name}: expectation 0, actual {median}");
        }
        let still = profile.iter().filter(|(_, estimate)| estimate.spread == 0.0).map(|(key, _)| key);
        let drawn = Draws { seed: 1, n: 1 }.profile(&profile, 0);
        assert!(still.into_iter().all(|key| drawn.value(key) == profile.value(key)));
    }
}
