//! A collective: on links of bare rates, on a node of known hardware, or over nodes of a known cluster.

use plan::{CollectiveAnswer, CollectiveQuestion};
use report::format::{bytes, count, seconds};
use tunnel::ask::{self, CollectivePlace, CollectiveQuery, DeviceQuery, LinksReply, Query};
use units::{Bytes, BytesPerSec};

use super::kernel;
use crate::args::{BareArgs, CollectiveArgs, NodeArgs};
use crate::exit::Failure;
use crate::json::pretty;
use crate::progress::{Extent, during};

/// How long a collective takes.
pub(crate) fn collective(args: &CollectiveArgs) -> Result<String, Failure> {
    match args.form()? {
        Form::BareLinks => {
            let question = args.on_bare_links()?;
            let reply = during("simulating", Extent::Unknown, args.json, || ask::links(&question))?;
            Ok(if args.json { pretty(&reply.json()) } else { text(&reply) })
        }
        Form::KnownHardware => {
            let query = args.on_known_hardware()?;
            let reply = ask::collective(&query, &args.node.layers.library()?)?.reply;
            Ok(kernel::show(&reply, args.json))
        }
    }
}

impl CollectiveArgs {
    /// What the arguments ask.
    pub(crate) fn query(&self) -> Result<Query, Failure> {
        Ok(match self.form()? {
            Form::BareLinks => Query::Links(self.on_bare_links()?),
            Form::KnownHardware => Query::Collective(self.on_known_hardware()?),
        })
    }

    fn form(&self) -> Result<Form, Failure> {
        let (bare, node) = (given_bare(&self.bare), given_node(&self.node));
        match (bare.first(), node.first()) {
            (Some(one), Some(other)) => Err(Failure::usage(format!(
                "`{one}` is for links of bare rates and `{other}` for known hardware: use one of them\n{FORMS}"
            ))),
            (None, None) => Err(Failure::usage(format!("the machine is missing\n{FORMS}"))),
            (Some(_), None) if self.algorithm.0.is_some() => Err(Failure::usage(format!(
                "`--algorithm` is of known hardware; on links of bare rates all-to-alls are pairwise and the others rings\n{FORMS}"
            ))),
            (Some(_), None) => Ok(Form::BareLinks),
            (None, Some(_)) => Ok(Form::KnownHardware),
        }
    }

    fn on_bare_links(&self) -> Result<CollectiveQuestion, Failure> {
        Ok(CollectiveQuestion {
            what: self.what.into(),
            n_nodes: needed(self.bare.nodes, "--nodes")?,
            n_devices: needed(self.bare.devices, "--devices")?,
            scale_up: needed(self.bare.scale_up.as_ref(), "--scale-up")?.parse::<BytesPerSec>()?,
            nic: needed(self.bare.nic.as_ref(), "--nic")?.parse::<BytesPerSec>()?,
            bytes: Bytes::new(self.bytes as f64),
        })
    }

    fn on_known_hardware(&self) -> Result<CollectiveQuery, Failure> {
        let n_ranks = needed(self.node.ranks, "--ranks")?;
        Ok(CollectiveQuery {
            what: self.what.into(),
            bytes: self.bytes,
            algorithm: self.algorithm.0,
            sms: self.node.sms,
            n_ranks,
            place: self.node.place()?,
        })
    }
}

/// The two forms of the question.
enum Form {
    BareLinks,
    KnownHardware,
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

impl NodeArgs {
    fn place(&self) -> Result<CollectivePlace, Failure> {
        let Self { hardware, cluster, profile, implementation, layers, .. } = self;
        match (hardware, cluster) {
            (Some(_), Some(_)) => Err(Failure::usage(format!(
                "`--hardware` is one node and `--cluster` has many: take one of them\n{FORMS}"
            ))),
            (_, None) => Ok(CollectivePlace::Node(DeviceQuery {
                framework: None,
                hardware: needed(hardware.clone(), "--hardware")?,
                profiles: profile.clone(),
                implementation: implementation.clone(),
                sets: layers.sets.clone(),
            })),
            (None, Some(_)) if implementation.is_some() => {
                Err(Failure::usage("`--implementation` goes with `--hardware`; name a `--profile` of it instead"))
            }
            (None, Some(cluster)) => Ok(CollectivePlace::Cluster {
                cluster: cluster.clone(),
                profiles: profile.clone(),
                sets: layers.sets.clone(),
            }),
        }
    }
}

fn text(LinksReply(answer): &LinksReply) -> String {
    let CollectiveAnswer { time, n_flows, algorithm_bandwidth, bus_bandwidth } = answer;
    format!(
        "{}   {} flows   {}/s, bus {}/s\n",
        seconds(time.get()),
        count(*n_flows),
        bytes(algorithm_bandwidth.get()),
        bytes(bus_bandwidth.get())
    )
}
