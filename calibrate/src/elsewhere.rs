//! Estimates on a machine other than the one they were measured on.
//!
//! Two machines are the same where all values of [`MachineKey`] are: names do not count. An estimate whose machine has another value `x'` of a key
//! than the `x` it was measured with is [`Basis::Extrapolated`] at best, and may be off by a power of the ratio that nobody knows:
//!
//! `value x (x' / x)^(e z)`, `z` standard normal, one for each estimate and key,
//!
//! a factor with the relative standard deviation `e |ln(x' / x)|`: one at equal values, the same for half and for double. `e` is
//! `profile.elsewhere.exponent`. A reader checks it so: with `e = 0.15`, twice the rate makes an estimate that is measured exactly unsure by 10 %.
//! Assumed: estimates depart each by themselves, and no bias is known, so the middle stays. It breaks where a machine differs in kind and not
//! in degree; words and formats have no ratio, and neither has zero: there the basis falls and the spread stays.

use crate::departure::Departure;
use crate::estimate::Estimate;
use crate::key::EstimateKey;
use crate::machine_key::MachineKey;
use crate::{Basis, Profile};

impl Departure {
    /// Those of several estimates, each once, in the order of keys.
    #[must_use]
    pub fn union<'a>(of_estimates: impl IntoIterator<Item = &'a Estimate>) -> Vec<Self> {
        let mut all: Vec<Self> = Vec::new();
        for departure in of_estimates.into_iter().flat_map(|estimate| &estimate.departures) {
            if !all.contains(departure) {
                all.push(*departure);
            }
        }
        all.sort_by_key(|departure| departure.key);
        all
    }
}

impl Estimate {
    /// The estimate of a key on a machine that departs so from the one it was measured on; what does not concern it is left out.
    #[must_use]
    pub fn elsewhere(mut self, key: EstimateKey, all: &[Departure]) -> Self {
        let subject = key.subject();
        self.departures = all.iter().copied().filter(|departure| subject.is_lowered_by(departure.key)).collect();
        if !self.departures.is_empty() {
            self.basis = self.basis.max(Basis::Extrapolated);
        }
        self
    }
}

impl Profile {
    /// One relative standard deviation of an estimate, that of its machine's departures included.
    #[must_use]
    pub fn spread(&self, key: EstimateKey) -> f64 {
        let added = self.widened(key).map(|(_, spread)| spread * spread).sum::<f64>();
        let own = self.get(key).spread;
        if added > 0.0 { own.hypot(added.sqrt()) } else { own }
    }

    /// What each departure adds: the standard deviation of the logarithm of its factor, with the sign of the ratio's logarithm. An estimate without
    /// a spread of its own is a choice, such as the side of a tile, and is the same everywhere.
    pub(crate) fn widened(&self, key: EstimateKey) -> impl Iterator<Item = (MachineKey, f64)> {
        let estimate = self.get(key);
        let exponent = self.value(EstimateKey::ElsewhereExponent);
        let concerns =
            move |departure: &&Departure| estimate.spread > 0.0 && key.subject().is_widened_by(departure.key);
        let departures = estimate.departures.iter().filter(concerns);
        departures.filter_map(move |departure| Some((departure.key, exponent * departure.log_ratio()?)))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use topology::Machine;
    use units::{BytesPerSec, Hertz};

    use super::*;
    use crate::machine_key::{MachinePart, MachineValue, values};

    fn machine() -> Machine {
        let mut machine = Machine::bare(1, 8, BytesPerSec::new(1e11), BytesPerSec::new(1e10));
        machine.device.clock = Hertz::new(1e9);
        machine.device.tensor.bf16_flops_per_sm_clock = 1024.0;
        machine.device.memory.rate_per_stack = BytesPerSec::new(1e12);
        machine.node.host.pcie_rate = BytesPerSec::new(1e10);
        machine
    }

    /// Every estimate in the middle of its range, moved from one machine to another.
    fn profile(measured: &Machine, here: &Machine) -> Profile {
        let departures = Departure::all((&measured.device, &measured.node), (&here.device, &here.node));
        let estimate = |key: EstimateKey| {
            let is_of_others = key.subject() == crate::Subject::Elsewhere;
            let spread = if is_of_others { 0.0 } else { 0.1 };
            let (basis, source) = (Basis::Measured, "a test".to_owned());
            let estimate = Estimate {
                value: 0.15,
                spread,
                basis,
                implementation: None,
                source,
                stands_for: None,
                departures: Vec::new(),
            };
            (key, estimate.elsewhere(key, &departures))
        };
        let estimates: BTreeMap<_, _> = EstimateKey::ALL.iter().copied().map(estimate).collect();
        Profile::new(estimates).expect("every key")
    }

    /// A machine with another value of one key.
    type Turn = fn(&mut Machine, f64);

    const TURNS: [(MachineKey, Turn); 6] = [
        (MachineKey::Clock, |machine, factor| machine.device.clock = machine.device.clock * factor),
        (MachineKey::Bf16Rate, |machine, factor| machine.device.tensor.bf16_flops_per_sm_clock *= factor),
        (MachineKey::StackRate, |machine, factor| {
            machine.device.memory.rate_per_stack = machine.device.memory.rate_per_stack * factor;
        }),
        (MachineKey::ScaleUpRate, |machine, factor| {
            machine.device.scale_up.rate_per_link = machine.device.scale_up.rate_per_link * factor;
        }),
        (MachineKey::NicRate, |machine, factor| machine.node.nic.rate = machine.node.nic.rate * factor),
        (MachineKey::PcieRate, |machine, factor| machine.node.host.pcie_rate = machine.node.host.pcie_rate * factor),
    ];

    fn turned(turn: Turn, factor: f64) -> Machine {
        let mut machine = machine();
        turn(&mut machine, factor);
        machine
    }

    #[test]
    fn the_added_spread_is_none_at_ratio_one_even_and_grows() {
        let base = profile(&machine(), &machine());
        assert!(
            base.iter().all(|(key, estimate)| base.spread(key) == estimate.spread && estimate.departures.is_empty())
        );
        for (machine_key, turn) in TURNS {
            let spreads = |factor| profile(&machine(), &turned(turn, factor));
            let mut before = base.clone();
            for factor in [1.01, 1.1, 2.0, 7.0] {
                let (less, more) = (spreads(1.0 / factor), spreads(factor));
                for key in EstimateKey::ALL.iter().copied() {
                    let (less, more, smaller) = (less.spread(key), more.spread(key), before.spread(key));
                    assert!((less - more).abs() < 1e-12, "{}: {less} and {more}", key.name());
                    let concerns = key.subject().is_widened_by(machine_key);
                    assert_eq!(more > smaller, concerns, "{}: {smaller}, then {more}", key.name());
                    // Closed form: the squares of independent spreads add up.
                    let added = if concerns { 0.15 * f64::ln(factor) } else { 0.0 };
                    let own = base.get(key).spread;
                    assert!((more - own.hypot(added)).abs() < 1e-12, "{}", key.name());
                }
                before = more;
            }
        }
    }

    #[test]
    fn a_draw_has_the_factor_only_where_the_machine_departs() {
        let base = profile(&machine(), &machine());
        for (machine_key, turn) in TURNS {
            let [half, same, double] = [0.5, 1.0, 2.0].map(|factor| profile(&machine(), &turned(turn, factor)));
            assert_eq!(same, base, "{}", machine_key.name());
            for draw in 0..8 {
                let [half, double, drawn] = [&half, &double, &base].map(|profile| profile.drawn(3, draw));
                assert_eq!(same.drawn(3, draw), drawn);
                // A value at the limit of its kind stays there whatever it is multiplied by.
                let is_free = |key: &EstimateKey| {
                    let (least, most) = (key.dimension().least(), key.dimension().most());
                    let values = [&half, &double, &drawn].map(|profile| profile.value(*key));
                    values.iter().all(|value| least < *value && *value < most)
                };
                for key in EstimateKey::ALL.iter().copied().filter(is_free) {
                    let [less, more] = [&half, &double].map(|profile| profile.value(key) / drawn.value(key));
                    assert!((less * more - 1.0).abs() < 1e-9, "{}: factors {less} and {more}", key.name());
                    assert_eq!(more != 1.0, key.subject().is_widened_by(machine_key) && base.get(key).spread > 0.0);
                }
            }
        }
    }

    #[test]
    fn every_ratio_of_the_device_lowers_all_and_no_other_lowers_a_kernel() {
        for key in EstimateKey::ALL.iter().copied().filter(|key| key.subject() != crate::Subject::Elsewhere) {
            for machine_key in MachineKey::ALL.iter().copied() {
                let (subject, is_ratio) = (key.subject(), machine_key.part() != MachinePart::Ability);
                if is_ratio && machine_key.is_of_device() {
                    assert!(subject.is_lowered_by(machine_key), "{}: {}", machine_key.name(), key.name());
                }
                // What is spread wider is no longer measured.
                assert!(!subject.is_widened_by(machine_key) || subject.is_lowered_by(machine_key));
            }
        }
    }

    #[test]
    fn nothing_has_no_ratio() {
        let departure = |measured, here| Departure {
            key: MachineKey::ScaleUpLatency,
            measured: MachineValue::Number(measured),
            here: MachineValue::Number(here),
        };
        assert_eq!(departure(1e-6, 0.0).log_ratio(), None);
        assert_eq!(departure(0.0, 1e-6).log_ratio(), None);
        assert_eq!(departure(1e-6, 2e-6).to_string(), "`gpu.scale-up.latency` 1 us -> 2 us");
    }

    #[test]
    fn every_key_is_read_from_a_machine_once_and_in_order() {
        let Machine { device, node, .. } = machine();
        let keys = values(&device, &node).map(|(key, _)| key);
        assert_eq!(keys.as_slice(), MachineKey::ALL);
    }
}
