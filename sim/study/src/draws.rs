//! Draws: what a profile could also say.
//!
//! `calibrate` draws a profile from the spreads of its estimates; seed, draw and the estimate's name alone decide a draw, so all points of a
//! study, on both sides of a comparison, and all shapes of an op share it, and the run without draws is the middle one.
//! Where the machine of a point is not the one that an estimate was measured on, the estimate has a factor more ([`calibrate::Departure`]), drawn by itself: what
//! both sides share still cancels, and only what the change of the machine makes unsure is added.
//! Assumed: estimates err apart from each other. Where two of them are fitted to the same records, as a GEMM's share of the
//! peak and its overhead, they do not, and the interval comes out wide.

use std::collections::{BTreeMap, BTreeSet};

use calibrate::{Departure, EstimateKey, MachineKey, Profile, carried};

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

    /// How the estimates named in `deviations` carry to other values of some keys of a machine, in each draw: columns to set beside them.
    #[must_use]
    pub fn carried(&self, deviations: &BTreeMap<String, Vec<f64>>, keys: &[String]) -> BTreeMap<String, Vec<f64>> {
        let estimates = || deviations.keys().filter_map(|name| EstimateKey::from_name(name));
        let machines = keys.iter().filter_map(|name| MachineKey::from_name(name));
        let pairs = machines.flat_map(|machine| estimates().map(move |key| (key, machine)));
        let pairs = pairs.filter(|(key, machine)| key.subject().is_widened_by(*machine));
        let column = |(key, machine): (EstimateKey, MachineKey)| {
            let column = (0..self.n).map(|draw| carried(self.seed, u64::from(draw), key, machine));
            (format!("{} on another {}", key.name(), machine.name()), column.collect())
        };
        pairs.map(column).collect()
    }
}

/// The keys of machines of which estimates have a ratio on one side of a comparison that they do not have on the other.
pub(crate) fn departing(a: &Profile, b: &Profile) -> Vec<String> {
    let all = |profile: &Profile| Departure::union(profile.iter().map(|(_, estimate)| estimate));
    let (a, b) = (all(a), all(b));
    let only = |these: &[Departure], those: &[Departure]| -> Vec<MachineKey> {
        let only = these.iter().filter(|departure| !those.contains(departure) && departure.log_ratio().is_some());
        only.map(|departure| departure.key).collect()
    };
    let keys: BTreeSet<MachineKey> = only(&a, &b).into_iter().chain(only(&b, &a)).collect();
    keys.into_iter().map(|key| key.name().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use scenario::{Library, load};

    use super::*;

    #[test]
    fn the_middle_draw_is_the_profile_and_what_has_no_spread_stays() {
        let profile = load("tiny-moe", &[], &Library::built_in()).expect("a preset").plan.site.profile;
        let deviations = Draws { seed: 1, n: 512 }.deviations(&profile);
        assert!(!deviations.is_empty());
        for (name, mut deviations) in deviations {
            let spread = profile.spread(EstimateKey::from_name(&name).expect("a key"));
            deviations.sort_by(f64::total_cmp);
            let median = deviations[deviations.len() / 2];
            assert!(median.abs() < 0.2 * spread, "{name}: expectation 0, actual {median}");
        }
        let still = profile.iter().filter(|(_, estimate)| estimate.spread == 0.0).map(|(key, _)| key);
        let drawn = Draws { seed: 1, n: 1 }.profile(&profile, 0);
        assert!(still.into_iter().all(|key| drawn.value(key) == profile.value(key)));
    }

    fn profile(sets: &[&str]) -> Profile {
        let sets: Vec<String> = sets.iter().map(|set| (*set).to_owned()).collect();
        load("llama-3.1-8b-8", &sets, &Library::built_in()).expect("a preset").plan.site.profile
    }

    #[test]
    fn points_with_equal_machines_have_equal_draws_and_others_share_what_is_common() {
        let draws = Draws { seed: 5, n: 4 };
        let base = profile(&[]);
        let (more, again) = (profile(&["gpu.sms=144"]), profile(&["gpu.sms=144", "gpu.price=1 USD"]));
        assert_eq!(departing(&base, &more), ["gpu.sms"]);
        assert!(departing(&more, &again).is_empty());
        for draw in 0..draws.n {
            let [base, more, again] = [&base, &more, &again].map(|profile| draws.profile(profile, draw));
            assert_eq!(more, again);
            // What no SM has a part in is common to both.
            let of = |profile: &Profile| {
                let free = profile.iter().filter(|(key, _)| !key.subject().is_widened_by(MachineKey::Sms));
                free.map(|(_, estimate)| estimate.value).collect::<Vec<_>>()
            };
            assert_eq!(of(&base), of(&more));
            let sustained = EstimateKey::from_name("gemm.bf16.sustained-fraction").expect("a key");
            assert_ne!(base.value(sustained), more.value(sustained));
        }
    }

    /// A small step of the machine adds a small part to the spread that both sides share, so it does not become undecided by it.
    #[test]
    fn what_a_change_adds_to_a_ratio_is_as_small_as_the_change() {
        let draws = Draws { seed: 5, n: 256 };
        let base = profile(&[]);
        let exponent = base.value(EstimateKey::ElsewhereExponent);
        for sms in [128_u32, 144, 264] {
            let more = profile(&[&format!("gpu.sms={sms}")]);
            let key = EstimateKey::from_name("gemm.bf16.sustained-fraction").expect("a key");
            let factor = |draw| (draws.profile(&more, draw).value(key) / draws.profile(&base, draw).value(key)).ln();
            let square: f64 = (0..draws.n).map(|draw| factor(draw).powi(2)).sum::<f64>() / f64::from(draws.n);
            let expectation = exponent * (f64::from(sms) / 132.0).ln().abs();
            let actual = square.sqrt();
            assert!((actual / expectation - 1.0).abs() < 0.2, "{sms}: expectation {expectation}, actual {actual}");
        }
    }
}
