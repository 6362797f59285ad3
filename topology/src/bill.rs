//! What a machine costs and draws, part by part.

use units::Dollars;

use crate::builder;
use crate::{Counts, Expense, Fabric, FabricExpenses, Machine, TopologyError};

/// What the parts of a machine cost and draw, all of each kind together.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Bill {
    /// Devices, those that no job uses too.
    pub devices: Expense,
    /// Nodes beside their devices and NICs.
    pub nodes: Expense,
    /// NICs.
    pub nics: Expense,
    /// Switches of the scale-out network.
    pub switches: Expense,
    /// Wires between them and to the NICs.
    pub links: Expense,
}

impl FabricExpenses {
    /// All switches of a network of this size.
    #[must_use]
    pub fn switches(&self, counts: &Counts) -> Expense {
        self.switch * counts.switches as f64
    }

    /// All wires of a network of this size: between switches, and one an endpoint.
    #[must_use]
    pub fn links(&self, counts: &Counts) -> Expense {
        self.link * counts.links as f64 + self.endpoint_link * counts.endpoints as f64
    }

    /// A network of this size: switches and wires, NICs apart.
    #[must_use]
    pub fn network(&self, counts: &Counts) -> Expense {
        self.switches(counts) + self.links(counts)
    }

    /// The same with the two prices of wires at which two networks cost what they are known to cost, the price of a switch
    /// as it stands: `switches x switch + links x link + endpoints x endpoint link = cost`, twice. `None` where the two
    /// networks tell nothing apart, or where a wire would cost less than nothing.
    #[must_use]
    pub fn solved(&self, known: [(Counts, Dollars); 2]) -> Option<Self> {
        let [(a, a_cost), (b, b_cost)] = known;
        let wires = |counts: &Counts, cost: Dollars| (cost - self.switches(counts).price).get();
        let (a_wires, b_wires) = (wires(&a, a_cost), wires(&b, b_cost));
        let [a_links, a_ends, b_links, b_ends] = [a.links, a.endpoints, b.links, b.endpoints].map(|count| count as f64);
        let determinant = a_links * b_ends - b_links * a_ends;
        let link = (a_wires * b_ends - b_wires * a_ends) / determinant;
        let endpoint_link = (a_links * b_wires - b_links * a_wires) / determinant;
        // Not a number, where the determinant is zero, is not above zero either.
        (link >= 0.0 && endpoint_link >= 0.0 && determinant != 0.0).then(|| Self {
            link: Expense { price: Dollars::new(link), ..self.link },
            endpoint_link: Expense { price: Dollars::new(endpoint_link), ..self.endpoint_link },
            ..*self
        })
    }
}

impl Machine {
    /// The scale-out network as [`crate::Network::build`] wires it, counted without building it; nothing where there is
    /// none.
    ///
    /// # Errors
    /// As [`crate::Network::build`]: the machine cannot be wired.
    pub fn counts(&self) -> Result<Counts, TopologyError> {
        Ok(builder::wiring(self)?.counts(self.n_nodes))
    }

    /// What the machine costs and draws with every device at full load. Every device and NIC of every node counts,
    /// whether a job uses it or not.
    ///
    /// # Errors
    /// As [`Machine::counts`].
    pub fn bill(&self) -> Result<Bill, TopologyError> {
        let counts = self.counts()?;
        let Self { device, node, fabric: Fabric { expenses, .. }, n_nodes } = self;
        let n_nodes = f64::from(*n_nodes);
        Ok(Bill {
            devices: device.expense * (n_nodes * f64::from(node.devices)),
            nodes: node.expense * n_nodes,
            nics: node.nic.expense * (n_nodes * f64::from(node.nic.count)),
            switches: expenses.switches(&counts),
            links: expenses.links(&counts),
        })
    }
}

impl Bill {
    /// Every part by its name, in the order in which they are shown.
    #[must_use]
    pub const fn named(&self) -> [(&'static str, Expense); 5] {
        [
            ("devices", self.devices),
            ("nodes", self.nodes),
            ("NICs", self.nics),
            ("switches", self.switches),
            ("links", self.links),
        ]
    }

    /// All parts.
    #[must_use]
    pub fn total(&self) -> Expense {
        self.named().into_iter().map(|(_, part)| part).sum()
    }

    /// Switches and wires of the scale-out network; NICs belong to the nodes.
    #[must_use]
    pub fn network(&self) -> Expense {
        self.switches + self.links
    }
}

#[cfg(test)]
mod tests {
    use units::Watts;

    use super::*;
    use crate::tests::fixture::machine;
    use crate::{FabricKind, Network};

    const SHAPES: [(FabricKind, u32, u32, u32, u32); 6] = [
        (FabricKind::FatTree, 8, 2, 64, 256),
        (FabricKind::FatTree, 1, 2, 64, 64),
        (FabricKind::RailFatTree, 1, 3, 64, 300),
        (FabricKind::FatTree, 8, 3, 8, 37),
        (FabricKind::FatTree, 4, 2, 16, 5),
        (FabricKind::None, 0, 0, 0, 1),
    ];

    fn expense(price: f64, power: f64) -> Expense {
        Expense { price: Dollars::new(price), power: Watts::new(power) }
    }

    #[test]
    fn what_is_counted_is_what_is_built() {
        let at = |ratio| SHAPES.map(|shape| (shape, ratio));
        for ((kind, planes, tiers, ports, n_nodes), ratio) in [at(1.0), at(2.0), at(6.0)].concat() {
            let mut machine = machine(kind, planes, tiers, ports, n_nodes);
            machine.fabric.oversubscription = if kind == FabricKind::None { 1.0 } else { ratio };
            let survey = Network::build(&machine).expect("it is whole").survey().expect("it is joined");
            let built = Counts {
                endpoints: survey.wires.nic.into(),
                switches: survey.switches.scale_out().into(),
                links: survey.wires.trunk.into(),
            };
            assert_eq!(machine.counts().expect("it is whole"), built, "{kind:?} of {n_nodes} nodes at {ratio} : 1");
        }
    }

    /// 96 nodes of eight on eight planes at 3 : 1, 48 ports down and 16 up: two leaves with 16 wires each, one spine.
    #[test]
    fn fewer_uplinks_cost_less() {
        let mut machine = machine(FabricKind::FatTree, 8, 2, 64, 96);
        machine.fabric.expenses =
            FabricExpenses { switch: expense(3e4, 800.0), link: expense(1e3, 17.0), endpoint_link: expense(5e2, 18.0) };
        machine.fabric.oversubscription = 3.0;
        let bill = machine.bill().expect("it is whole");
        assert_eq!(bill.switches, expense(24.0 * 3e4, 24.0 * 800.0));
        assert_eq!(bill.links, expense(256.0 * 1e3 + 768.0 * 5e2, 256.0 * 17.0 + 768.0 * 18.0));
    }

    /// 256 nodes of eight on eight planes: 8 x (8 leaves + 4 spines) switches, 8 x 8 x 32 wires between them.
    #[test]
    fn a_bill_is_counts_times_prices() {
        let mut machine = machine(FabricKind::FatTree, 8, 2, 64, 256);
        machine.device.expense = expense(1e4, 700.0);
        machine.node.expense = expense(5e4, 4000.0);
        machine.node.nic.expense = expense(1e3, 25.0);
        machine.fabric.expenses =
            FabricExpenses { switch: expense(3e4, 800.0), link: expense(1e3, 17.0), endpoint_link: expense(5e2, 18.0) };
        let bill = machine.bill().expect("it is whole");
        assert_eq!(bill.devices, expense(2048.0 * 1e4, 2048.0 * 700.0));
        assert_eq!(bill.nodes, expense(256.0 * 5e4, 256.0 * 4000.0));
        assert_eq!(bill.nics, expense(2048.0 * 1e3, 2048.0 * 25.0));
        assert_eq!(bill.switches, expense(96.0 * 3e4, 96.0 * 800.0));
        assert_eq!(bill.links, expense(2048.0 * 1.5e3, 2048.0 * 35.0));
        assert_eq!(bill.network().price, Dollars::new(96.0 * 3e4 + 2048.0 * 1.5e3));
        let sum: f64 = bill.named().iter().map(|(_, part)| part.price.get()).sum();
        assert_eq!(bill.total().price, Dollars::new(sum));
    }

    #[test]
    fn prices_that_two_networks_were_made_with_are_found() {
        let made = FabricExpenses {
            switch: expense(3e4, 800.0),
            link: expense(1900.0, 17.0),
            endpoint_link: expense(800.0, 18.0),
        };
        let (tree, dragonfly) = (Counts::fat_tree(64, 2), Counts::dragonfly(511, 32, 16, 16));
        let known = [tree, dragonfly].map(|counts| (counts, made.network(&counts).price));
        let blank = FabricExpenses { link: expense(0.0, 17.0), endpoint_link: expense(0.0, 18.0), ..made };
        let found = blank.solved(known).expect("they differ");
        for counts in [tree, dragonfly, Counts::fat_tree(64, 3)] {
            let (found, made) = (found.network(&counts), made.network(&counts));
            assert!((found.price / made.price - 1.0).abs() < 1e-9, "{} {}", found.price, made.price);
            assert_eq!(found.power, made.power);
        }
        // Eight planes are one tree eight times: nothing is told apart.
        let planes = tree.times(8);
        assert_eq!(blank.solved([known[0], (planes, made.network(&planes).price)]), None);
        assert_eq!(blank.solved([(tree, Dollars::ZERO), known[1]]), None);
    }

    #[test]
    fn spare_devices_are_paid_for() {
        let mut machine = Machine::bare(1, 72, "900 GB/s".parse().expect("a rate"), "50 GB/s".parse().expect("a rate"));
        machine.device.expense = expense(3e4, 1200.0);
        machine.fabric.kind = FabricKind::None;
        assert_eq!(machine.bill().expect("it is whole").total(), expense(72.0 * 3e4, 72.0 * 1200.0));
    }
}
