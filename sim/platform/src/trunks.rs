//! The links between ports as capacities: for messages that meet as they come.
//!
//! Where a job's messages are known to be under way at once, `way` bounds each by what all of them leave it. An imported job does
//! not tell which of its messages meet. So each draws from the links of its route, and the engine shares them.

use std::collections::BTreeMap;

use engine::{Capacity, CapacityId, Resources, RouteId};
use topology::LinkId;

use crate::way::{binds, rate};
use crate::{Platform, PlatformError};

/// Links that messages cross between their ports, each once, and the routes over them.
///
/// Links that a message spreads over evenly are one capacity, the sum of theirs. A collective crosses the same links within the
/// bound of its group and draws from none of these: collectives and messages do not slow each other here, but at their ports.
#[derive(Debug, Default)]
pub struct Trunks {
    links: BTreeMap<LinkId, CapacityId>,
    routes: BTreeMap<[u32; 2], RouteId>,
}

impl Trunks {
    /// Adds what a message from one rank to another crosses.
    ///
    /// # Errors
    /// When they do not reach each other.
    pub fn add(
        &mut self,
        platform: &Platform<'_>,
        ends: [u32; 2],
        resources: &mut Resources,
    ) -> Result<(), PlatformError> {
        if self.routes.contains_key(&ends) {
            return Ok(());
        }
        let network = &platform.network;
        let [from, to] = ends.map(|rank| platform.placement.device(rank));
        let crossings = network.crossings(from, to, platform.routing)?;
        let is_spread = crossings.iter().any(|crossing| crossing.lanes > 1.0);
        let on_way = crossings.iter().filter(|crossing| binds(network.link(crossing.link).kind, is_spread));
        let capacities: Vec<CapacityId> = on_way
            .map(|crossing| {
                let rate = rate(platform, crossing.link) * crossing.lanes;
                *self.links.entry(crossing.link).or_insert_with(|| resources.add_capacity(Capacity { rate }))
            })
            .collect();
        self.routes.insert(ends, resources.add_route(&capacities));
        Ok(())
    }

    /// The route from one rank to another, if it was added.
    #[must_use]
    pub fn route(&self, from: u32, to: u32) -> Option<RouteId> {
        self.routes.get(&[from, to]).copied()
    }
}
