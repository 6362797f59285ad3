//! A collective: on links of bare rates, or on a node of known hardware.

use plan::CollectiveQuestion;
use report::format::{bytes, count, seconds};
use serde_json::json;
use units::{Bytes, BytesPerSec};
use workloads::op;

use super::kernel::Answer;
use super::kernel::device::{self, Names};
use crate::args::{BareArgs, Collective, CollectiveArgs, NodeArgs};
use crate::exit::Failure;
use crate::progress::{Extent, during};
use crate::run::pretty;

/// How long a collective takes.
pub(crate) fn collective(args: &CollectiveArgs) -> Result<String, Failure> {
    let (bare, node) = (given_bare(&args.bare), given_node(&args.node));
    match (bare.first(), node.first()) {
        (Some(one), Some(other)) => Err(Failure::usage(format!(
            "`{one}` is of links of bare rates and `{other}` of a node of known hardware: ask one of them\n{FORMS}"
        ))),
        (None, None) => Err(Failure::usage(format!("the machine is missing\n{FORMS}"))),
        (Some(_), None) => on_bare_links(args),
        (None, Some(_)) => on_a_node(args),
    }
}

const FORMS: &str = "hint: `--nodes N --devices N --scale-up RATE --nic RATE`, or `--hardware NAME --ranks N [--profile NAME] [--sms N]`";

fn given_bare(args: &BareArgs) -> Vec<&'static str> {
    given(&[
        ("--nodes", args.nodes.is_some()),
        ("--devices", args.devices.is_some()),
        ("--scale-up", args.scale_up.is_some()),
        ("--nic", args.nic.is_some()),
    ])
}

fn given_node(args: &NodeArgs) -> Vec<&'static str> {
    given(&[
        ("--hardware", args.hardware.is_some()),
        ("--ranks", args.ranks.is_some()),
        ("--profile", !args.profile.is_empty()),
        ("--sms", args.sms.is_some()),
        ("--implementation", args.implementation.is_some()),
        ("--set", !args.layers.sets.is_empty()),
        ("--library", !args.layers.libraries.is_empty()),
    ])
}

fn given(all: &[(&'static str, bool)]) -> Vec<&'static str> {
    all.iter().filter(|(_, given)| *given).map(|(name, _)| *name).collect()
}

/// One that its form needs.
fn needed<T>(value: Option<T>, name: &str) -> Result<T, Failure> {
    value.ok_or_else(|| Failure::usage(format!("`{name}` is missing\n{FORMS}")))
}

/// How long it takes, and in how many flows.
fn on_bare_links(args: &CollectiveArgs) -> Result<String, Failure> {
    let question = CollectiveQuestion {
        what: args.what.into(),
        n_nodes: needed(args.bare.nodes, "--nodes")?,
        n_devices: needed(args.bare.devices, "--devices")?,
        scale_up: needed(args.bare.scale_up.as_ref(), "--scale-up")?.parse::<BytesPerSec>()?,
        nic: needed(args.bare.nic.as_ref(), "--nic")?.parse::<BytesPerSec>()?,
        bytes: Bytes::new(args.bytes as f64),
    };
    let answer = during("simulating", Extent::Unknown, args.json, || plan::collective(&question))?;
    if args.json {
        return Ok(pretty(&json!({
            "seconds": answer.time.get(),
            "n_flows": answer.n_flows,
            "algorithm_bandwidth": answer.algorithm_bandwidth.get(),
            "bus_bandwidth": answer.bus_bandwidth.get(),
        })));
    }
    Ok(format!(
        "{}   {} flows   {}/s, bus {}/s\n",
        seconds(answer.time.get()),
        count(answer.n_flows),
        bytes(answer.algorithm_bandwidth.get()),
        bytes(answer.bus_bandwidth.get())
    ))
}

/// How long the slowest of some ranks of a node takes, and how sure that is.
fn on_a_node(args: &CollectiveArgs) -> Result<String, Failure> {
    let NodeArgs { hardware, profile, ranks, sms, implementation, layers } = &args.node;
    let hardware = needed(hardware.as_deref(), "--hardware")?;
    let ranks = needed(*ranks, "--ranks")?;
    let names = Names { hardware, profiles: profile, implementation: implementation.as_deref(), layers };
    let known = device::load(names)?;
    let n_devices = known.machine.node.devices;
    if !(2..=n_devices).contains(&ranks) {
        let message = format!("`--ranks {ranks}` is not on one node of {n_devices}: take 2 to {n_devices}");
        return Err(Failure::usage(message));
    }
    if args.bytes == 0 {
        return Err(Failure::usage("`--bytes 0` asks for nothing: take one or more"));
    }
    let all = known.machine.device.sms;
    if let Some(sms) = sms.filter(|sms| !(1..=all).contains(sms)) {
        return Err(Failure::usage(format!("`--sms {sms}` is not on the device: take 1 to {all}")));
    }
    let size = Bytes::new(args.bytes as f64);
    let answer = plan::node_collective(&known.machine.device, &known.profile, args.what.into(), ranks, size, *sms)?;
    Ok(Answer::from(answer).show(args.json))
}

impl From<Collective> for op::Collective {
    fn from(what: Collective) -> Self {
        match what {
            Collective::AllToAll => Self::AllToAll,
            Collective::AllReduce => Self::AllReduce,
            Collective::AllGather => Self::AllGather,
            Collective::ReduceScatter => Self::ReduceScatter,
            Collective::SendRecv => Self::SendRecv,
        }
    }
}
