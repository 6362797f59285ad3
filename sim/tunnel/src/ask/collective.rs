//! A collective: on links of bare rates, on a node of known hardware, or over nodes of a known cluster.

use calibrate::{Algorithm, CollectiveCall, Spread};
use plan::{CollectiveAnswer, CollectiveQuestion, PlanError};
use platform::{Placement, Platform};
use scenario::{Library, LoadedDevice};
use serde_json::{Value, json};
use topology::Routing;
use units::Bytes;
use workloads::op::Collective;

use super::kernel::{DeviceQuery, KernelReply};
use crate::error::TunnelError;
use crate::sourced::{Sourced, sources};

/// One collective with known hardware to itself.
#[derive(Clone, Debug, PartialEq)]
pub struct CollectiveQuery {
    /// Which collective.
    pub what: Collective,
    /// Its size, as nccl-tests has it.
    pub bytes: u64,
    /// How it moves its bytes; none: by the quickest that the library has.
    pub algorithm: Option<Algorithm>,
    /// SMs that the library may use; none: its own choice.
    pub sms: Option<u32>,
    /// Ranks, from the first.
    pub n_ranks: u32,
    /// Where.
    pub place: CollectivePlace,
}

/// Where a collective runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CollectivePlace {
    /// On one node.
    Node(DeviceQuery),
    /// On the first nodes of a cluster.
    Cluster {
        /// A cluster preset's name or a file.
        cluster: String,
        /// Profiles, an earlier one before a later; none: the one named like the hardware.
        profiles: Vec<String>,
        /// Patches, `KEY=VALUE`.
        sets: Vec<String>,
    },
}

/// A collective on links of bare rates.
#[derive(Clone, Debug, PartialEq)]
pub struct LinksReply(pub CollectiveAnswer);

/// How long a collective takes on links of bare rates, and in how many flows.
///
/// # Errors
/// Links or ranks that cannot be.
pub fn links(question: &CollectiveQuestion) -> Result<LinksReply, TunnelError> {
    Ok(LinksReply(plan::collective(question)?))
}

/// How long the slowest of some ranks takes, how sure that is, and by which algorithm.
///
/// # Errors
/// Mistakes in files and patches, ranks or SMs that are not there, an algorithm that the machine lacks.
pub fn collective(query: &CollectiveQuery, library: &Library) -> Result<Sourced<KernelReply>, TunnelError> {
    let known = query.known(library)?;
    if query.bytes == 0 {
        return Err(TunnelError::value("bytes", 0, "asks for nothing: take one or more"));
    }
    let device = &known.machine.device;
    if let Some(sms) = query.sms.filter(|sms| !(1..=device.sms).contains(sms)) {
        return Err(TunnelError::value("sms", sms, format!("is not on the device: take 1 to {}", device.sms)));
    }
    let call = CollectiveCall { what: query.what, bytes: Bytes::new(query.bytes as f64), sms: query.sms };
    let group = query.group(&known)?;
    let alone = plan::collective_alone(device, &known.profile, &call, &group, query.algorithm)?;
    let reply = KernelReply { algorithm: Some(alone.algorithm), ..KernelReply::from(alone.answer) };
    Ok(Sourced { reply, sources: sources(&known.leaves) })
}

impl CollectiveQuery {
    /// The hardware that it names, where its ranks fit.
    fn known(&self, library: &Library) -> Result<LoadedDevice, TunnelError> {
        let n_ranks = self.n_ranks;
        match &self.place {
            CollectivePlace::Node(device) => {
                let known = device.load(library)?;
                let n = known.machine.node.devices;
                let reason = || format!("is not on one node of {n}: take 2 to {n}, or `--cluster NAME` for more");
                if (2..=n).contains(&n_ranks) { Ok(known) } else { Err(TunnelError::value("ranks", n_ranks, reason())) }
            }
            CollectivePlace::Cluster { cluster, profiles, sets } => {
                let known = scenario::load_cluster(cluster, profiles, sets, library)?;
                let n = known.machine.n_devices();
                let reason = || format!("is not on a cluster of {n}: take 2 to {n}");
                let fits = (2..=n).contains(&u64::from(n_ranks));
                if fits { Ok(known) } else { Err(TunnelError::value("ranks", n_ranks, reason())) }
            }
        }
    }

    /// How its ranks lie on nodes.
    fn group(&self, known: &LoadedDevice) -> Result<Spread, TunnelError> {
        match &self.place {
            // One node needs no network.
            CollectivePlace::Node(_) => Ok(Spread::node(self.n_ranks)),
            CollectivePlace::Cluster { .. } => {
                let placement = Placement::new(&known.machine, known.machine.node.devices);
                let platform = Platform::new(&known.machine, &known.profile, placement, Routing::Adaptive);
                let group = platform.and_then(|platform| platform.group(&[(0..self.n_ranks).collect()]));
                Ok(group.map_err(PlanError::from)?.spread)
            }
        }
    }
}

impl LinksReply {
    /// By the names that files and facts use.
    #[must_use]
    pub fn json(&self) -> Value {
        let CollectiveAnswer { time, n_flows, algorithm_bandwidth, bus_bandwidth } = &self.0;
        json!({
            "seconds": time.get(),
            "n_flows": n_flows,
            "algorithm_bandwidth": algorithm_bandwidth.get(),
            "bus_bandwidth": bus_bandwidth.get(),
        })
    }
}
