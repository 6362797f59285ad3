//! `topology --compare`: networks side by side, at the prices of a machine, beside what was published.

use report::format::{count, dollars, percent_signed, significant};
use report::table::{Column, Row, Table};
use topology::FabricExpenses;
use tunnel::networks::{NetworksReply, PricedNetwork, error_of};
use units::Dollars;

const THOUSAND: f64 = 1e3;
const MILLION: f64 = 1e6;
/// Headings of what a network costs, of what is published about it, and of the error; then the same an endpoint.
const COSTS: [&str; 6] = ["cost\u{a0}M$", "published", "error", "k$\u{a0}per\u{a0}endpoint", "published", "error"];

/// Two tables: counts and costs at the prices of the machine, and costs at solved ones.
pub(super) fn text(reply: &NetworksReply) -> String {
    let mut text = format!("{}\n\n{}\n", reply.about, quoted(reply));
    let list = |prices: &FabricExpenses| {
        let [switch, link, end] =
            [prices.switch, prices.link, prices.endpoint_link].map(|part| dollars(part.price.get()));
        format!("{switch} per switch, {link} per wire between switches, {end} per wire to a NIC")
    };
    text.push_str(&format!("at {}; NICs not included\n", list(&reply.prices)));
    if let Some(solved) = &reply.solved {
        text.push_str(&format!("\n{}\n", at_solved(reply)));
        text.push_str(&format!("at {}; the last two prices are solved from the rows marked used\n", list(solved)));
    }
    text
}

/// Counts and costs at the prices of the machine.
fn quoted(reply: &NetworksReply) -> Table {
    let row = |line: &PricedNetwork| {
        let (counts, published) = (&line.counts, &line.published);
        let counted = [
            counted(counts.endpoints, published.endpoints),
            counted(counts.switches, published.switches),
            counted(counts.links, published.links),
        ];
        [vec![line.about.clone()], counted.to_vec(), costs(line, line.expense.price)].concat()
    };
    table(&[&["network", "endpoints", "switches", "links"][..], &COSTS].concat(), reply.networks.iter().map(row))
}

/// Costs at solved prices.
fn at_solved(reply: &NetworksReply) -> Table {
    let row = |line: &PricedNetwork| {
        let used = if line.used { "used" } else { "" };
        let costs = costs(line, line.solved.unwrap_or_default());
        [vec![line.about.clone()], costs, vec![used.to_owned()]].concat()
    };
    table(&[&["network"][..], &COSTS, &[""]].concat(), reply.networks.iter().map(row))
}

/// Cells of [`COSTS`].
fn costs(line: &PricedNetwork, price: Dollars) -> Vec<String> {
    let per_endpoint = line.usd_per_endpoint(price);
    let beside = |ours: f64, published: Option<f64>, scale: f64| {
        [
            significant(ours / scale, 4),
            published.map(|published| significant(published / scale, 4)).unwrap_or_default(),
            error_of(ours, published).map(percent_signed).unwrap_or_default(),
        ]
    };
    let whole = beside(price.get(), line.published.usd, MILLION);
    [whole, beside(per_endpoint, line.published.usd_per_endpoint, THOUSAND)].concat()
}

/// A count, with the published one where they differ.
fn counted(ours: u64, published: Option<f64>) -> String {
    match published {
        Some(published) if published != ours as f64 => format!("{} (published {published})", count(ours)),
        _ => count(ours),
    }
}

fn table(heads: &[&str], rows: impl Iterator<Item = Vec<String>>) -> Table {
    let column = |(index, name): (usize, &&str)| Column { name: (*name).to_owned(), numeric: index > 0 };
    Table {
        columns: heads.iter().enumerate().map(column).collect(),
        rows: rows.map(|cells| Row { cells, strong: false }).collect(),
    }
}
