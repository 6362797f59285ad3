//! The part of a collective that one rank takes. The formula is `calibrate`'s, shared with fits and probes.

use calibrate::{Algorithm, CollectiveCall, CollectiveDemand, EstimateKey};
use engine::Task;
use units::{Seconds, SimSpan};

use crate::{Group, Platform, RankResources};

/// The part of a collective that one rank of a group takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Leg {
    /// How the collective moves its bytes.
    pub algorithm: Algorithm,
    /// Occupancy of the scale-up port, sending and receiving: bytes over the share of its rate that is reached.
    pub up: [f64; 2],
    /// Occupancy of the NIC.
    pub out: [f64; 2],
    /// The time its bytes take with the ports to itself, seconds.
    pub shortest: f64,
    /// Before bytes move.
    pub latency: SimSpan,
    /// The estimate that sets its time.
    pub limit: EstimateKey,
}

impl Leg {
    pub(crate) fn of(platform: &Platform<'_>, group: &Group, call: &CollectiveCall) -> Self {
        platform.estimator().collective(call, &group.spread).into()
    }

    /// What takes a time and moves nothing.
    #[must_use]
    pub fn lasting(time: Seconds, limit: EstimateKey) -> Self {
        let (up, out) = ([0.0; 2], [0.0; 2]);
        Self { algorithm: Algorithm::Pairwise, up, out, shortest: 0.0, latency: SimSpan::from(time), limit }
    }

    /// Several like it, one after the other.
    #[must_use]
    pub fn times(&self, n: u32) -> Self {
        let more = f64::from(n);
        Self {
            up: self.up.map(|bytes| bytes * more),
            out: self.out.map(|bytes| bytes * more),
            shortest: self.shortest * more,
            latency: self.latency * u64::from(n),
            ..*self
        }
    }

    /// As a task of one rank.
    #[must_use]
    pub fn task<T>(&self, tag: T, on: &RankResources) -> Task<T> {
        Task::new(tag)
            .demand(on.up_send, self.up[0])
            .demand(on.up_receive, self.up[1])
            .demand(on.out_send, self.out[0])
            .demand(on.out_receive, self.out[1])
            .no_faster_than(self.shortest)
            .latency(self.latency)
    }
}

impl From<CollectiveDemand> for Leg {
    fn from(demand: CollectiveDemand) -> Self {
        let CollectiveDemand { algorithm, up, out, shortest, latency, limit } = demand;
        Self { algorithm, up, out, shortest: shortest.get(), latency: latency.into(), limit }
    }
}
