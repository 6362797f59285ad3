//! A collective: on links of bare rates, on a node of known hardware, or over nodes of a known cluster.

use calibrate::{Call, Spread};
use plan::CollectiveQuestion;
use platform::{Placement, Platform};
use report::format::{bytes, count, seconds};
use serde_json::json;
use topology::Routing;
use units::{Bytes, BytesPerSec};
use workloads::op;

use super::kernel::Answer;
use super::kernel::device::{self, Known, Names};
use crate::args::{Algorithm, BareArgs, Collective, CollectiveArgs, NodeArgs};
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
        (Some(_), None) if args.algorithm != Algorithm::Auto => Err(Failure::usage(format!(
            "`--algorithm` is of known hardware; on links of bare rates all-to-alls are pairwise and the others rings\n{FORMS}"
        ))),
        (Some(_), None) => on_bare_links(args),
        (None, Some(_)) => on_known_hardware(args),
    }
}

const FORMS: &str = "hint: `--nodes N --devices N --scale-up RATE --nic RATE`, or `--hardware NAME --ranks N` or `--cluster NAME --ranks N`, with `[--profile NAME] [--sms N] [--algorithm NAME]`";

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
        ("--cluster", args.cluster.is_some()),
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

/// How long the slowest of some ranks takes, how sure that is, and by which algorithm.
fn on_known_hardware(args: &CollectiveArgs) -> Result<String, Failure> {
    let NodeArgs { hardware, cluster, ranks, sms, .. } = &args.node;
    let ranks = needed(*ranks, "--ranks")?;
    let known = match (hardware, cluster) {
        (Some(_), Some(_)) => {
            return Err(Failure::usage(format!(
                "`--hardware` is one node and `--cluster` has many: take one of them\n{FORMS}"
            )));
        }
        (_, None) => on_a_node(&args.node, ranks)?,
        (None, Some(cluster)) => on_a_cluster(&args.node, cluster, ranks)?,
    };
    if args.bytes == 0 {
        return Err(Failure::usage("`--bytes 0` asks for nothing: take one or more"));
    }
    let device = &known.machine.device;
    if let Some(sms) = sms.filter(|sms| !(1..=device.sms).contains(sms)) {
        return Err(Failure::usage(format!("`--sms {sms}` is not on the device: take 1 to {}", device.sms)));
    }
    let call = Call { what: args.what.into(), bytes: Bytes::new(args.bytes as f64), sms: *sms };
    let placement = Placement::new(&known.machine, known.machine.node.devices);
    let group = match cluster {
        // One node needs no network.
        None => Spread::node(ranks),
        Some(_) => {
            let platform = Platform::new(&known.machine, &known.profile, placement, Routing::Adaptive);
            let group = platform.and_then(|platform| platform.group(&[(0..ranks).collect()]));
            group.map_err(plan::PlanError::from)?.spread
        }
    };
    let alone = plan::collective_alone(device, &known.profile, &call, &group, args.algorithm.into())?;
    Ok(Answer { algorithm: Some(alone.algorithm), ..Answer::from(alone.answer) }.show(args.json))
}

fn on_a_node(args: &NodeArgs, ranks: u32) -> Result<Known, Failure> {
    let NodeArgs { hardware, profile, implementation, layers, .. } = args;
    let hardware = needed(hardware.as_deref(), "--hardware")?;
    let names = Names { hardware, profiles: profile, implementation: implementation.as_deref(), layers };
    let known = device::load(names)?;
    let n_devices = known.machine.node.devices;
    if !(2..=n_devices).contains(&ranks) {
        return Err(Failure::usage(format!(
            "`--ranks {ranks}` is not on one node of {n_devices}: take 2 to {n_devices}, or `--cluster NAME` for more"
        )));
    }
    Ok(known)
}

fn on_a_cluster(args: &NodeArgs, cluster: &str, ranks: u32) -> Result<Known, Failure> {
    if args.implementation.is_some() {
        return Err(Failure::usage("`--implementation` goes with `--hardware`; name a `--profile` of it instead"));
    }
    let known = scenario::load_cluster(cluster, &args.profile, &args.layers.sets, &args.layers.library()?)?;
    let n_devices = known.machine.n_devices();
    if !(2..=n_devices).contains(&u64::from(ranks)) {
        return Err(Failure::usage(format!(
            "`--ranks {ranks}` is not on a cluster of {n_devices}: take 2 to {n_devices}"
        )));
    }
    Ok(known)
}

impl From<Algorithm> for Option<calibrate::Algorithm> {
    fn from(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Auto => None,
            Algorithm::Ring => Some(calibrate::Algorithm::Ring),
            Algorithm::Tree => Some(calibrate::Algorithm::Tree),
            Algorithm::InNetwork => Some(calibrate::Algorithm::InNetwork),
            Algorithm::Pairwise => Some(calibrate::Algorithm::Pairwise),
            Algorithm::OneShot => Some(calibrate::Algorithm::OneShot),
            Algorithm::TwoShot => Some(calibrate::Algorithm::TwoShot),
        }
    }
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
