//! `topology`: what a machine's network amounts to.

use report::Table;
use report::format::{count, seconds};
use report::table::{Column, Row};
use serde_json::json;
use topology::{Detail, Network, Survey};

use crate::args::TopologyArgs;
use crate::exit::Failure;
use crate::out::{Files, Folder};
use crate::run::pretty;

/// Counts, bisection and diameter: a table or JSON; with `--out` the network drawn.
pub(crate) fn topology(args: &TopologyArgs) -> Result<String, Failure> {
    let loaded = scenario::load_machine(&args.machine, &args.layers.sets, &args.layers.library()?)?;
    let network = Network::build(&loaded.machine).map_err(plan::PlanError::from)?;
    let survey = network.survey().map_err(plan::PlanError::from)?;
    if let Some(out) = &args.output.out {
        let picture = report::figures::machine(&network.picture())?;
        let files = Files::of([("topology.dot", network.dot(Detail::FirstNode)), ("topology.svg", picture.file())]);
        Folder::of_files(out, &files)?.write(&files)?;
    }
    Ok(if args.output.json { pretty(&as_json(&loaded.name, &survey)) } else { as_text(&loaded.name, &survey) })
}

fn as_json(name: &str, survey: &Survey) -> serde_json::Value {
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
        "wires": { "scale_up": wires.scale_up, "pcie": wires.pcie, "nic": wires.nic, "trunk": wires.trunk },
        "full_size": { "endpoints": full_size.endpoints, "switches": full_size.switches, "links": full_size.links },
        "bisection_bytes_per_second": survey.bisection.get(),
        "diameter": { "switches": diameter.switches, "latency_seconds": diameter.latency.get() },
    })
}

fn as_text(name: &str, survey: &Survey) -> String {
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
    format!(
        "{name}\n\n{counts}\n\nbisection   {}, one direction\ndiameter    {} switches, {}\n",
        survey.bisection,
        survey.diameter.switches,
        seconds(survey.diameter.latency.get())
    )
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
