//! What a job costs on a machine, rented or owned.

use topology::{Bill, Machine};
use units::{Dollars, DollarsPerJoule, DollarsPerSec, Joules, Seconds};

use crate::PlanError;

/// What is taken for granted about money. The `cost.*` keys.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CostTerms {
    /// What energy costs (`cost.electricity`).
    pub electricity: DollarsPerJoule,
    /// Time over which the price of an owned machine is spread evenly (`cost.lifetime`).
    pub lifetime: Seconds,
    /// Energy of the building over that of the machine, at least 1 (`cost.pue`).
    pub pue: f64,
    /// What a rented device costs, its share of node, network and electricity included (`cost.rental`).
    pub rental: DollarsPerSec,
}

/// What holding a machine for some time costs.
///
/// | figure | is |
/// |---|---|
/// | energy | power at full load x PUE x time |
/// | rental | devices x rental x time |
/// | owned | price x time / lifetime + energy x electricity |
///
/// Every device of the machine counts, whether the job uses it or not. Power is that of full load all the time, so energy
/// is an upper bound. Staff, building, storage, interest, and what the machine is worth at the end are in none.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct JobCost {
    /// What the machine costs and draws.
    pub bill: Bill,
    /// Energy of machine and building.
    pub energy: Joules,
    /// What the energy costs.
    pub electricity: Dollars,
    /// What renting every device costs.
    pub rental: Dollars,
    /// What owning the machine costs: its price over its lifetime, and the electricity.
    pub owned: Dollars,
}

impl JobCost {
    /// The cost of `time` on all of `machine`.
    ///
    /// # Errors
    /// When the machine cannot be wired, so that its switches cannot be counted.
    pub fn of(machine: &Machine, terms: &CostTerms, time: Seconds) -> Result<Self, PlanError> {
        let bill = machine.bill()?;
        let total = bill.total();
        let energy = total.power * time * terms.pue;
        let electricity = energy * terms.electricity;
        Ok(Self {
            bill,
            energy,
            electricity,
            rental: time * terms.rental * machine.n_devices() as f64,
            owned: total.price * (time / terms.lifetime) + electricity,
        })
    }
}

#[cfg(test)]
mod tests {
    use topology::{Expense, FabricKind};
    use units::{BytesPerSec, Watts};

    use super::*;

    const HOUR: f64 = 3600.0;

    /// One rack of 72 devices, 1 kW and 10,000 USD each, beside nothing.
    fn rack() -> Machine {
        let mut machine = Machine::bare(1, 72, BytesPerSec::new(900e9), BytesPerSec::new(50e9));
        machine.fabric.kind = FabricKind::None;
        machine.device.expense = Expense { price: Dollars::new(1e4), power: Watts::new(1e3) };
        machine
    }

    fn terms() -> CostTerms {
        CostTerms {
            electricity: "0.1 USD/kWh".parse().expect("a price"),
            lifetime: Seconds::new(1000.0 * HOUR),
            pue: 1.5,
            rental: "2 USD/h".parse().expect("a price"),
        }
    }

    #[test]
    fn an_hour_of_a_rack_pays_for_every_device() {
        let cost = JobCost::of(&rack(), &terms(), Seconds::new(HOUR)).expect("it is whole");
        let near = |actual: f64, expected: f64| assert!((actual / expected - 1.0).abs() < 1e-12, "{actual} {expected}");
        near(cost.energy.get(), 72.0 * 1e3 * 1.5 * HOUR);
        near(cost.electricity.get(), 72.0 * 1.5 * 0.1);
        near(cost.rental.get(), 72.0 * 2.0);
        near(cost.owned.get(), 72.0 * 1e4 / 1000.0 + 72.0 * 1.5 * 0.1);
    }

    #[test]
    fn twice_the_time_costs_twice() {
        let [one, two] = [1.0, 2.0].map(|hours| JobCost::of(&rack(), &terms(), Seconds::new(hours * HOUR)));
        let (one, two) = (one.expect("it is whole"), two.expect("it is whole"));
        assert_eq!((one.rental * 2.0, one.owned * 2.0, one.energy * 2.0), (two.rental, two.owned, two.energy));
        assert_eq!(one.bill, two.bill);
    }
}
