//! `topology --compare`: networks side by side, at the prices of a machine, beside what was published.

use report::format::{count, dollars, percent_signed, significant};
use report::table::{Column, Row, Table};
use scenario::Library;
use serde_json::{Value, json};
use topology::{Counts, Expense, Fabric, FabricExpenses};
use units::Dollars;

use super::networks::{self, Networks, Published};
use crate::exit::Failure;

const THOUSAND: f64 = 1e3;
const MILLION: f64 = 1e6;
/// Headings of what a network costs, of what is published about it, and of the error; then the same an endpoint.
const COSTS: [&str; 6] = ["cost\u{a0}M$", "published", "error", "k$\u{a0}an\u{a0}endpoint", "published", "error"];

/// Networks at the prices of a fabric.
pub(super) struct Compared {
    about: String,
    prices: FabricExpenses,
    /// The prices at which two of the networks cost what is published.
    solved: Option<FabricExpenses>,
    /// Smallest first.
    lines: Vec<Line>,
}

/// One network.
struct Line {
    name: String,
    about: String,
    counts: Counts,
    expense: Expense,
    /// At solved prices.
    solved: Option<Dollars>,
    /// Whether the solved prices rest on it or on a copy of it, so that agreement proves nothing.
    used: bool,
    published: Published,
}

/// The networks of a file at the prices of `fabric`, the fabric of `machine`.
pub(super) fn compare(reference: &str, machine: &str, fabric: &Fabric, library: &Library) -> Result<Compared, Failure> {
    let networks = networks::read(reference, library)?;
    let (ports, priced) = (networks.ports, fabric.switch_ports);
    if ports != priced {
        return Err(Failure::usage(format!(
            "`{reference}` is of {ports}-port switches, and `{machine}` has prices of {priced}-port ones \
             (`fabric.switch-ports`)\nhint: name a machine with such switches"
        )));
    }
    let facts = scenario::published(&networks.facts, library)?;
    let prices = fabric.expenses;
    let mut lines = Vec::new();
    for (name, network) in &networks.network {
        let counts = network.counts(name, ports)?;
        lines.push(Line {
            name: name.clone(),
            about: network.about.clone(),
            counts,
            expense: prices.network(&counts),
            solved: None,
            used: false,
            published: network.published(name, &networks, &facts.facts)?,
        });
    }
    let solved = solve(&networks, &prices, &lines)?;
    let rows = networks.solved.iter().flat_map(|solved| &solved.rows);
    let used = |line: &Line| {
        rows.clone().any(|row| lines.iter().any(|other: &Line| other.name == *row && line.is_copy(other)))
    };
    let used: Vec<bool> = lines.iter().map(used).collect();
    for (line, used) in lines.iter_mut().zip(used) {
        line.used = used;
        line.solved = solved.map(|solved| solved.network(&line.counts).price);
    }
    lines.sort_by_key(|line| line.counts.endpoints);
    Ok(Compared { about: networks.about, prices, solved, lines })
}

fn solve(networks: &Networks, prices: &FabricExpenses, lines: &[Line]) -> Result<Option<FabricExpenses>, Failure> {
    let Some(solved) = &networks.solved else { return Ok(None) };
    let row = |name: &String| {
        let line = lines.iter().find(|line| line.name == *name);
        let known = line.and_then(|line| Some((line.counts, Dollars::new(line.published.usd?))));
        known.ok_or_else(|| Failure::usage(format!("`solved.rows` names `{name}`, of which no cost is published")))
    };
    let [a, b] = &solved.rows;
    match prices.solved([row(a)?, row(b)?]) {
        Some(solved) => Ok(Some(solved)),
        None => Err(Failure::usage(format!(
            "the costs of `{a}` and `{b}` give no prices of wires at {} a switch\nhint: take two networks with other \
             shares of wires, or another `fabric.switch-price`",
            dollars(prices.switch.price.get())
        ))),
    }
}

impl Compared {
    pub(super) fn json(&self) -> Value {
        let prices = |prices: &FabricExpenses| {
            json!({
                "switch_usd": prices.switch.price.get(),
                "link_usd": prices.link.price.get(),
                "endpoint_link_usd": prices.endpoint_link.price.get(),
            })
        };
        let lines: Vec<Value> = self.lines.iter().map(Line::json).collect();
        json!({
            "about": self.about,
            "prices": prices(&self.prices),
            "solved_prices": self.solved.as_ref().map(prices),
            "networks": lines,
        })
    }

    pub(super) fn text(&self) -> String {
        let mut text = format!("{}\n\n{}\n", self.about, self.quoted());
        let list = |prices: &FabricExpenses| {
            let [switch, link, end] =
                [prices.switch, prices.link, prices.endpoint_link].map(|part| dollars(part.price.get()));
            format!("{switch} a switch, {link} a wire between switches, {end} a wire to a NIC")
        };
        text.push_str(&format!("at {}; NICs apart\n", list(&self.prices)));
        if let Some(solved) = &self.solved {
            text.push_str(&format!("\n{}\n", self.at_solved()));
            text.push_str(&format!("at {}: the last two solved from rows marked used\n", list(solved)));
        }
        text
    }

    /// Counts and costs at the prices of the machine.
    fn quoted(&self) -> Table {
        let row = |line: &Line| {
            let (counts, published) = (&line.counts, &line.published);
            let counted = [
                counted(counts.endpoints, published.endpoints),
                counted(counts.switches, published.switches),
                counted(counts.links, published.links),
            ];
            [vec![line.about.clone()], counted.to_vec(), line.costs(line.expense.price)].concat()
        };
        table(&[&["network", "endpoints", "switches", "links"][..], &COSTS].concat(), self.lines.iter().map(row))
    }

    /// Costs at solved prices.
    fn at_solved(&self) -> Table {
        let row = |line: &Line| {
            let used = if line.used { "used" } else { "" };
            let costs = line.costs(line.solved.unwrap_or_default());
            [vec![line.about.clone()], costs, vec![used.to_owned()]].concat()
        };
        table(&[&["network"][..], &COSTS, &[""]].concat(), self.lines.iter().map(row))
    }
}

impl Line {
    /// Cells of [`COSTS`].
    fn costs(&self, price: Dollars) -> Vec<String> {
        let per_endpoint = self.usd_per_endpoint(price);
        let beside = |ours: f64, published: Option<f64>, scale: f64| {
            [
                significant(ours / scale, 4),
                published.map(|published| significant(published / scale, 4)).unwrap_or_default(),
                error(ours, published).map(percent_signed).unwrap_or_default(),
            ]
        };
        let whole = beside(price.get(), self.published.usd, MILLION);
        [whole, beside(per_endpoint, self.published.usd_per_endpoint, THOUSAND)].concat()
    }

    /// Whether another network is this one, or some copies of it: whatever the prices, it costs as much an endpoint.
    fn is_copy(&self, other: &Self) -> bool {
        let [a, b] = [&self.counts, &other.counts]
            .map(|counts| [counts.endpoints, counts.switches, counts.links].map(u128::from));
        a[0] * b[1] == b[0] * a[1] && a[0] * b[2] == b[0] * a[2]
    }

    fn usd_per_endpoint(&self, price: Dollars) -> f64 {
        price.get() / self.counts.endpoints as f64
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
                "cost": error(usd.get(), published.usd),
                "cost_per_endpoint": error(usd_per_endpoint, published.usd_per_endpoint),
                "solved_cost": self.solved.and_then(|usd| error(usd.get(), published.usd)),
            },
        })
    }
}

/// A count, with the published one where they differ.
fn counted(ours: u64, published: Option<f64>) -> String {
    match published {
        Some(published) if published != ours as f64 => format!("{} (published {published})", count(ours)),
        _ => count(ours),
    }
}

/// (ours - published) / published.
fn error(ours: f64, published: Option<f64>) -> Option<f64> {
    published.filter(|published| *published > 0.0).map(|published| ours / published - 1.0)
}

fn table(heads: &[&str], rows: impl Iterator<Item = Vec<String>>) -> Table {
    let column = |(index, name): (usize, &&str)| Column { name: (*name).to_owned(), numeric: index > 0 };
    Table {
        columns: heads.iter().enumerate().map(column).collect(),
        rows: rows.map(|cells| Row { cells, strong: false }).collect(),
    }
}
