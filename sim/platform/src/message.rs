//! Bytes from one rank to another.

use calibrate::{CollectiveCall, CollectiveTerm, EstimateKey, Spread};
use engine::Task;
use units::{Bytes, SimSpan};
use workloads::op::Collective;

use crate::way::way_seconds;
use crate::{Platform, PlatformError, RankResources};

/// A message between two ranks: over the scale-up fabric within a node, over the network else.
///
/// It occupies the port of its sender and of its receiver for its bytes over the share of the port's rate that messages reach, after
/// the latency of its path and of the library's kernels, and is no faster than its routes. Within a node it takes what a message of the library takes
/// ([`calibrate::CollectiveDemand`]); between nodes pieces cost nothing, since a NIC is slower than a copy.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Message {
    /// Bytes.
    pub bytes: f64,
    /// Occupancy of the NIC; zero within a node.
    pub out: f64,
    /// Occupancy of the scale-up port; zero between nodes.
    pub up: f64,
    /// The way through the network.
    pub latency: SimSpan,
    /// The shortest time the routes, or the library within a node, leave it, seconds; zero where they do not bind.
    pub shortest: f64,
}

impl Message {
    pub(crate) fn of(
        platform: &Platform<'_>,
        [from, to]: [u32; 2],
        bytes: Bytes,
        at_once: &[(u32, u32)],
        together: u32,
    ) -> Result<Self, PlatformError> {
        let bytes = bytes.get();
        let (network, routing) = (&platform.network, platform.routing);
        let device = |rank| platform.placement.device(rank);
        let (a, b) = (device(from), device(to));
        let way: SimSpan = network.path(a, b, routing)?.latency.into();
        // What the library's own kernels need between two ranks of a node, whose latency messages between nodes have too.
        let call = CollectiveCall::new(Collective::SendRecv, Bytes::new(bytes));
        let within = platform.estimator().collective(&call, &Spread::node(2));
        let latency = way + within.latency.into();
        if network.node_of(a) == network.node_of(b) {
            return Ok(Self { bytes, up: within.up[0], latency, shortest: within.shortest.get(), ..Self::default() });
        }
        let pairs: Vec<_> = at_once.iter().map(|&(from, to)| (device(from), device(to))).collect();
        let on_way = bytes * way_seconds(platform, &pairs, together)?;
        let out = bytes / platform.profile.value(EstimateKey::PointToPointFraction);
        let shortest = if on_way > out / platform.machine.nic_rate_per_device().get() { on_way } else { 0.0 };
        Ok(Self { bytes, out, up: 0.0, latency, shortest })
    }

    /// The estimate that sets its time.
    #[must_use]
    pub fn limit(&self) -> EstimateKey {
        if self.up > 0.0 {
            EstimateKey::Collective(Collective::SendRecv, CollectiveTerm::Fraction)
        } else {
            EstimateKey::PointToPointFraction
        }
    }

    /// As a task between two ranks.
    #[must_use]
    pub fn task<T>(&self, tag: T, [from, to]: [&RankResources; 2]) -> Task<T> {
        Task::new(tag)
            .demand(from.out_send, self.out)
            .demand(to.out_receive, self.out)
            .demand(from.up_send, self.up)
            .demand(to.up_receive, self.up)
            .no_faster_than(self.shortest)
            .latency(self.latency)
    }
}
