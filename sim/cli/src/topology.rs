//! `topology`: what a machine's network amounts to, and what the machine costs.

mod compare;

use report::Table;
use report::format::{count, dollars, seconds, watts};
use report::table::{Column, Row};
use topology::{Detail, Survey};
use tunnel::ask::{self, MachineQuery, MachineReply, Query};
use tunnel::networks::{NetworksQuery, networks};

use crate::args::TopologyArgs;
use crate::exit::Failure;
use crate::json::pretty;
use crate::out::{Files, Folder};

/// Counts, bisection, diameter and cost: a table or JSON; with `--out` the network drawn. With `--compare` networks side
/// by side.
pub(crate) fn topology(args: &TopologyArgs) -> Result<String, Failure> {
    let library = args.layers.library()?;
    if let Some(networks_of) = args.networks() {
        let reply = networks(&networks_of, &library)?.reply;
        return Ok(if args.output.json { pretty(&reply.json()) } else { compare::text(&reply) });
    }
    let reply = ask::machine(&args.machine(), &library)?.reply;
    if let Some(out) = &args.output.out {
        let picture = report::figures::machine(&reply.network.picture())?;
        let dot = reply.network.dot(Detail::FirstNode);
        let files = Files::of([("topology.dot", dot), ("topology.svg", picture.file())]);
        Folder::of_files(out, &files)?.write(&files)?;
    }
    Ok(if args.output.json { pretty(&reply.json()) } else { as_text(&reply) })
}

impl TopologyArgs {
    /// What the arguments ask.
    pub(crate) fn query(&self) -> Query {
        self.networks().map_or_else(|| Query::Machine(self.machine()), Query::Networks)
    }

    fn networks(&self) -> Option<NetworksQuery> {
        let networks = self.compare.clone()?;
        let MachineQuery { machine, sets } = self.machine();
        Some(NetworksQuery { networks, machine, sets })
    }

    fn machine(&self) -> MachineQuery {
        MachineQuery { machine: self.machine.clone(), sets: self.layers.sets.clone() }
    }
}

fn as_text(reply: &MachineReply) -> String {
    let MachineReply { name, survey, notes, .. } = reply;
    let Survey { switches, wires, full_size, .. } = survey;
    let counts = table(
        ["", "as built", "full size"],
        &[
            ("devices", Some(survey.n_devices.into()), None),
            ("nodes", Some(survey.n_nodes.into()), None),
            ("NICs (endpoints)", Some(survey.n_nics.into()), Some(full_size.endpoints)),
            ("scale-out switches", Some(switches.scale_out().into()), Some(full_size.switches)),
            ("  leaves", Some(switches.leaf.into()), None),
            ("  spines", Some(switches.spine.into()), None),
            ("  cores", Some(switches.core.into()), None),
            ("wires between them", Some(wires.trunk.into()), Some(full_size.links)),
            ("wires NIC to leaf", Some(wires.nic.into()), None),
            ("scale-up switches", Some(switches.scale_up.into()), None),
            ("wires to them", Some(wires.scale_up.into()), None),
            ("PCIe wires", Some(wires.pcie.into()), None),
        ],
    );
    let ports =
        survey.leaf_ports.map(|ports| format!("leaf ports  {}\n", tunnel::fabric::spelled(ports))).unwrap_or_default();
    let mut text = format!(
        "{name}\n\n{counts}\n\n{ports}bisection   {}, one direction\ndiameter    {} switches, {}\n\n{}\n\nper device    {}\n",
        survey.bisection,
        survey.diameter.switches,
        seconds(survey.diameter.latency.get()),
        bill(reply),
        dollars(reply.usd_per_device()),
    );
    if survey.wires.nic > 0 {
        let usd = dollars(reply.network_usd_per_endpoint());
        text.push_str(&format!("per endpoint  {usd} for switches and wires\n"));
    }
    notes.iter().for_each(|note| text.push_str(&format!("note: {note}\n")));
    text
}

fn table(heads: [&str; 3], rows: &[(&str, Option<u64>, Option<u64>)]) -> Table {
    let column = |(index, name): (usize, &&str)| Column { name: (*name).replace(' ', "\u{a0}"), numeric: index > 0 };
    let cell = |value: &Option<u64>| value.map(count).unwrap_or_default();
    let row = |(name, built, full): &(&str, Option<u64>, Option<u64>)| Row {
        cells: vec![(*name).to_owned(), cell(built), cell(full)],
        strong: false,
    };
    Table { columns: heads.iter().enumerate().map(column).collect(), rows: rows.iter().map(row).collect() }
}

/// What the machine costs and draws, part by part.
fn bill(reply: &MachineReply) -> Table {
    let columns = ["", "price", "power"].into_iter().enumerate();
    let parts = reply.bill.named().into_iter().chain([("all", reply.bill.total())]);
    let row = |(name, part): (&str, topology::Expense)| {
        let cells = vec![name.to_owned(), dollars(part.price.get()), watts(part.power.get())];
        Row { cells, strong: false }
    };
    Table {
        columns: columns.map(|(index, name)| Column { name: name.to_owned(), numeric: index > 0 }).collect(),
        rows: parts.map(row).collect(),
    }
}
