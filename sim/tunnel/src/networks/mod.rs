//! Networks side by side, at the prices of a machine, beside what was published.
//!
//! `file` reads a file of `scenarios/topologies/` into shapes, and shapes into counts; [`networks`] prices them.

mod error;
mod file;

use scenario::Library;
use serde_json::{Value, json};
use topology::{Counts, Expense, FabricExpenses};
use units::Dollars;

pub use error::NetworksError;
pub use file::PublishedNetwork;

use crate::error::TunnelError;
use crate::sourced::{Sourced, sources};
use file::Networks;

/// A file of networks and the machine that prices them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworksQuery {
    /// A preset's name, such as `64-ports`, or a file.
    pub networks: String,
    /// Whose switches and wires have prices: a cluster or a scenario, a preset's name or a file.
    pub machine: String,
    /// Patches of it, `KEY=VALUE`.
    pub sets: Vec<String>,
}

/// Networks at the prices of a fabric.
#[derive(Clone, Debug, PartialEq)]
pub struct NetworksReply {
    /// What the file is about.
    pub about: String,
    /// Prices of the machine.
    pub prices: FabricExpenses,
    /// The prices at which two of the networks cost what is published.
    pub solved: Option<FabricExpenses>,
    /// Smallest first.
    pub networks: Vec<PricedNetwork>,
}

/// One network.
#[derive(Clone, Debug, PartialEq)]
pub struct PricedNetwork {
    /// Its name in the file.
    pub name: String,
    /// What tables call it.
    pub about: String,
    /// What it is built of.
    pub counts: Counts,
    /// What it costs and draws, NICs apart.
    pub expense: Expense,
    /// At solved prices.
    pub solved: Option<Dollars>,
    /// Whether the solved prices rest on it or on a copy of it, so that agreement proves nothing.
    pub used: bool,
    /// What was published about it.
    pub published: PublishedNetwork,
}

/// The networks of a file at the prices of a machine.
///
/// # Errors
/// Mistakes in files and patches, networks that cannot be, a machine of other switches.
pub fn networks(query: &NetworksQuery, library: &Library) -> Result<Sourced<NetworksReply>, TunnelError> {
    let NetworksQuery { machine, sets, .. } = query;
    let loaded = scenario::load_machine(machine, sets, library)?;
    let fabric = &loaded.machine.fabric;
    let networks = file::read(&query.networks, library)?;
    if networks.ports != fabric.switch_ports {
        return Err(NetworksError::Ports {
            networks: query.networks.clone(),
            ports: networks.ports,
            machine: machine.clone(),
            priced: fabric.switch_ports,
        }
        .into());
    }
    let facts = scenario::published(&networks.facts, library)?;
    let prices = fabric.expenses;
    let mut lines = Vec::new();
    for (name, network) in &networks.network {
        let counts = network.counts(name, networks.ports)?;
        lines.push(PricedNetwork {
            name: name.clone(),
            about: network.about.clone(),
            counts,
            expense: prices.network(&counts),
            solved: None,
            used: false,
            published: network.published(name, &networks, &facts.facts)?,
        });
    }
    let solved = at_solved(&networks, &prices, &mut lines)?;
    lines.sort_by_key(|line| line.counts.endpoints);
    let reply = NetworksReply { about: networks.about, prices, solved, networks: lines };
    Ok(Sourced { reply, sources: sources(&loaded.leaves) })
}

/// The solved prices where the file asks for them, and what each network costs at them.
fn at_solved(
    networks: &Networks,
    prices: &FabricExpenses,
    lines: &mut [PricedNetwork],
) -> Result<Option<FabricExpenses>, NetworksError> {
    let solved = solve(networks, prices, lines)?;
    let rows = networks.solved.iter().flat_map(|solved| &solved.rows);
    let used = |line: &PricedNetwork| {
        rows.clone().any(|row| lines.iter().any(|other| other.name == *row && line.is_copy(other)))
    };
    let used: Vec<bool> = lines.iter().map(used).collect();
    for (line, used) in lines.iter_mut().zip(used) {
        line.used = used;
        line.solved = solved.map(|solved| solved.network(&line.counts).price);
    }
    Ok(solved)
}

fn solve(
    networks: &Networks,
    prices: &FabricExpenses,
    lines: &[PricedNetwork],
) -> Result<Option<FabricExpenses>, NetworksError> {
    let Some(solved) = &networks.solved else { return Ok(None) };
    let row = |name: &String| {
        let line = lines.iter().find(|line| line.name == *name);
        let known = line.and_then(|line| Some((line.counts, Dollars::new(line.published.usd?))));
        known.ok_or_else(|| NetworksError::NoCost(name.clone()))
    };
    let [a, b] = &solved.rows;
    match prices.solved([row(a)?, row(b)?]) {
        Some(solved) => Ok(Some(solved)),
        None => Err(NetworksError::Unsolved { a: a.clone(), b: b.clone(), switch: prices.switch.price }),
    }
}

impl NetworksReply {
    /// By the names that files and facts use.
    #[must_use]
    pub fn json(&self) -> Value {
        let prices = |prices: &FabricExpenses| {
            json!({
                "switch_usd": prices.switch.price.get(),
                "link_usd": prices.link.price.get(),
                "endpoint_link_usd": prices.endpoint_link.price.get(),
            })
        };
        let networks: Vec<Value> = self.networks.iter().map(PricedNetwork::json).collect();
        json!({
            "about": self.about,
            "prices": prices(&self.prices),
            "solved_prices": self.solved.as_ref().map(prices),
            "networks": networks,
        })
    }
}

impl PricedNetwork {
    /// A price over its endpoints.
    #[must_use]
    pub fn usd_per_endpoint(&self, price: Dollars) -> f64 {
        price.get() / self.counts.endpoints as f64
    }

    /// Whether another network is this one, or some copies of it: whatever the prices, it costs as much an endpoint.
    fn is_copy(&self, other: &Self) -> bool {
        let [a, b] = [&self.counts, &other.counts]
            .map(|counts| [counts.endpoints, counts.switches, counts.links].map(u128::from));
        a[0] * b[1] == b[0] * a[1] && a[0] * b[2] == b[0] * a[2]
    }

    fn json(&self) -> Value {
        let Self { counts, published, .. } = self;
        let usd = self.expense.price;
        let usd_per_endpoint = self.usd_per_endpoint(usd);
        json!({
            "name": self.name,
            "about": self.about,
            "endpoints": counts.endpoints,
            "switches": counts.switches,
            "links": counts.links,
            "cost_usd": usd.get(),
            "cost_usd_per_endpoint": usd_per_endpoint,
            "power_watts": self.expense.power.get(),
            "solved_cost_usd": self.solved.map(Dollars::get),
            "solved_cost_usd_per_endpoint": self.solved.map(|usd| self.usd_per_endpoint(usd)),
            "used": self.used,
            "published": {
                "endpoints": published.endpoints,
                "switches": published.switches,
                "links": published.links,
                "cost_usd": published.usd,
                "cost_usd_per_endpoint": published.usd_per_endpoint,
            },
            "error": {
                "cost": error_of(usd.get(), published.usd),
                "cost_per_endpoint": error_of(usd_per_endpoint, published.usd_per_endpoint),
                "solved_cost": self.solved.and_then(|usd| error_of(usd.get(), published.usd)),
            },
        })
    }
}

/// (ours - published) / published.
#[must_use]
pub fn error_of(ours: f64, published: Option<f64>) -> Option<f64> {
    published.filter(|published| *published > 0.0).map(|published| ours / published - 1.0)
}
