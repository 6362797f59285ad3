//! `topology`: what a machine's network amounts to, and what the machine costs.

mod compare;
mod networks;

use report::Table;
use report::format::{count, dollars, seconds, watts};
use report::table::{Column, Row};
use serde_json::json;
use topology::{Bill, Detail, Machine, Network, Survey};

use crate::args::TopologyArgs;
use crate::exit::Failure;
use crate::out::{Files, Folder};
use crate::run::pretty;

/// Counts, bisection, diameter and cost: a table or JSON; with `--out` the network drawn. With `--compare` networks side
/// by side.
pub(crate) fn topology(args: &TopologyArgs) -> Result<String, Failure> {
    let library = args.layers.library()?;
    let loaded = scenario::load_machine(&args.machine, &args.layers.sets, &library)?;
    if let Some(reference) = &args.compare {
        let compared = compare::compare(reference, &args.machine, &loaded.machine.fabric, &library)?;
        return Ok(if args.output.json { pretty(&compared.json()) } else { compared.text() });
    }
    let network = Network::build(&loaded.machine).map_err(plan::PlanError::from)?;
    let survey = network.survey().map_err(plan::PlanError::from)?;
    if let Some(out) = &args.output.out {
        let picture = report::figures::machine(&network.picture())?;
        let files = Files::of([("topology.dot", network.dot(Detail::FirstNode)), ("topology.svg", picture.file())]);
        Folder::of_files(out, &files)?.write(&files)?;
    }
    let expenses = Expenses::of(&loaded.machine, &survey)?;
    let notes = tunnel::fabric::notes(&loaded.machine);
    Ok(if args.output.json {
        let mut answer = as_json(&loaded.name, &survey, &expenses);
        answer["notes"] = json!(notes);
        pretty(&answer)
    } else {
        let notes: String = notes.iter().map(|note| format!("note: {note}\n")).collect();
        as_text(&loaded.name, &survey, &expenses) + &notes
    })
}

/// What the machine costs and draws, all of it and a share.
struct Expenses {
    bill: Bill,
    usd_per_device: f64,
    /// Of switches and wires alone; zero without a network.
    network_usd_per_endpoint: f64,
}

impl Expenses {
    fn of(machine: &Machine, survey: &Survey) -> Result<Self, Failure> {
        let bill = machine.bill().map_err(plan::PlanError::from)?;
        Ok(Self {
            usd_per_device: bill.total().price.get() / f64::from(survey.n_devices),
            network_usd_per_endpoint: bill.network().price.get() / f64::from(survey.wires.nic.max(1)),
            bill,
        })
    }

    fn json(&self) -> serde_json::Value {
        let parts = self.bill.named().into_iter().chain([("total", self.bill.total())]);
        let part = |(name, part): (&str, topology::Expense)| {
            (name.to_lowercase(), json!({ "usd": part.price.get(), "watts": part.power.get() }))
        };
        let mut object: serde_json::Map<_, _> = parts.map(part).collect();
        object.insert("usd_per_device".to_owned(), self.usd_per_device.into());
        object.insert("network_usd_per_endpoint".to_owned(), self.network_usd_per_endpoint.into());
        object.into()
    }

    fn table(&self) -> Table {
        let columns = ["", "price", "power"].into_iter().enumerate();
        let parts = self.bill.named().into_iter().chain([("all", self.bill.total())]);
        let row = |(name, part): (&str, topology::Expense)| {
            let cells = vec![name.to_owned(), dollars(part.price.get()), watts(part.power.get())];
            Row { cells, strong: false }
        };
        Table {
            columns: columns.map(|(index, name)| Column { name: name.to_owned(), numeric: index > 0 }).collect(),
            rows: parts.map(row).collect(),
        }
    }
}

fn as_json(name: &str, survey: &Survey, expenses: &Expenses) -> serde_json::Value {
    let Survey { switches, wires, full_size, diameter, .. } = survey;
    json!({
        "name": name,
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
        "cost": expenses.json(),
    })
}

fn as_text(name: &str, survey: &Survey, expenses: &Expenses) -> String {
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
        "{name}\n\n{counts}\n\n{ports}bisection   {}, one direction\ndiameter    {} switches, {}\n\n{}\n\na device    {}\n",
        survey.bisection,
        survey.diameter.switches,
        seconds(survey.diameter.latency.get()),
        expenses.table(),
        dollars(expenses.usd_per_device),
    );
    if survey.wires.nic > 0 {
        text.push_str(&format!("an endpoint {} of switches and wires\n", dollars(expenses.network_usd_per_endpoint)));
    }
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
