//! What a machine's network amounts to, and what the machine costs.

use plan::PlanError;
use scenario::Library;
use serde_json::{Value, json};
use topology::{Bill, Expense, Network, Survey};

use crate::error::TunnelError;
use crate::fabric;
use crate::sourced::{Sourced, sources};

/// A machine and what is laid over it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MachineQuery {
    /// A cluster or a scenario: a preset's name or a file.
    pub machine: String,
    /// Patches, `KEY=VALUE`.
    pub sets: Vec<String>,
}

/// Counts, bisection, diameter and cost.
#[derive(Clone, Debug)]
pub struct MachineReply {
    /// The machine's name.
    pub name: String,
    /// The network, wired.
    pub network: Network,
    /// What was counted of it.
    pub survey: Survey,
    /// What the machine costs and draws.
    pub bill: Bill,
    /// What a reader must know of the network.
    pub notes: Vec<String>,
}

/// Builds a machine's network, and counts.
///
/// # Errors
/// Mistakes in its files and patches, or a machine that cannot be wired.
pub fn machine(query: &MachineQuery, library: &Library) -> Result<Sourced<MachineReply>, TunnelError> {
    let loaded = scenario::load_machine(&query.machine, &query.sets, library)?;
    let network = Network::build(&loaded.machine).map_err(PlanError::from)?;
    let survey = network.survey().map_err(PlanError::from)?;
    let bill = loaded.machine.bill().map_err(PlanError::from)?;
    let notes = fabric::notes(&loaded.machine);
    let reply = MachineReply { name: loaded.name, network, survey, bill, notes };
    Ok(Sourced { reply, sources: sources(&loaded.leaves) })
}

impl MachineReply {
    /// A device's share of the price of everything.
    #[must_use]
    pub fn usd_per_device(&self) -> f64 {
        self.bill.total().price.get() / f64::from(self.survey.n_devices)
    }

    /// A NIC's share of the price of switches and wires alone; zero without a network.
    #[must_use]
    pub fn network_usd_per_endpoint(&self) -> f64 {
        self.bill.network().price.get() / f64::from(self.survey.wires.nic.max(1))
    }

    /// By the names that files and facts use.
    #[must_use]
    pub fn json(&self) -> Value {
        let survey = &self.survey;
        let Survey { switches, wires, full_size, diameter, .. } = survey;
        json!({
            "name": self.name,
            "n_devices": survey.n_devices,
            "n_nodes": survey.n_nodes,
            "n_nics": survey.n_nics,
            "switches": {
                "scale_up": switches.scale_up, "leaf": switches.leaf, "spine": switches.spine, "core": switches.core,
                "scale_out": switches.scale_out(),
            },
            "leaf_ports": survey.leaf_ports.map(|ports| json!({ "down": ports.down, "up": ports.up })),
            "wires": { "scale_up": wires.scale_up, "pcie": wires.pcie, "nic": wires.nic, "trunk": wires.trunk },
            "full_size": { "endpoints": full_size.endpoints, "switches": full_size.switches, "links": full_size.links },
            "bisection_bytes_per_second": survey.bisection.get(),
            "diameter": { "switches": diameter.switches, "latency_seconds": diameter.latency.get() },
            "cost": self.cost(),
            "notes": self.notes,
        })
    }

    fn cost(&self) -> Value {
        let parts = self.bill.named().into_iter().chain([("total", self.bill.total())]);
        let part = |(name, part): (&str, Expense)| {
            (name.to_lowercase(), json!({ "usd": part.price.get(), "watts": part.power.get() }))
        };
        let mut object: serde_json::Map<_, _> = parts.map(part).collect();
        object.insert("usd_per_device".to_owned(), self.usd_per_device().into());
        object.insert("network_usd_per_endpoint".to_owned(), self.network_usd_per_endpoint().into());
        object.into()
    }
}
