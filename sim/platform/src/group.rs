//! Who meets in a collective, and what the network leaves those of its messages that leave a node.

use std::collections::BTreeMap;

use calibrate::Spread;
use topology::{DeviceId, Network, NodeId};
use units::Seconds;

use crate::way::way_seconds;
use crate::{Platform, PlatformError};

/// How a communicator lies on the machine.
///
/// All communicators like it are taken to be at work at the same time: every replica reduces when the others do. A collective leaves
/// a node through all NICs of the members there, each to its counterpart on the next node, so `d` members per node send `d` messages
/// of equal size between each pair of neighboring nodes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Group {
    /// Ranks and nodes, and what the network gives them: the mean over groups of the slowest message in each.
    pub spread: Spread,
}

impl Group {
    pub(crate) fn of(platform: &Platform<'_>, at_once: &[Vec<u32>]) -> Result<Self, PlatformError> {
        let (network, routing) = (&platform.network, platform.routing);
        let by_node: Vec<_> = at_once.iter().map(|group| by_node(platform, group)).collect();
        let hops: Vec<_> = by_node.iter().map(|nodes| hops(nodes)).collect();
        let together = hops.iter().map(Vec::len).max().unwrap_or(0);
        let first = hops.iter().flatten().next();
        let hop = first.map(|&(from, to)| network.path(from, to, routing)).transpose()?;
        Ok(Self {
            spread: Spread {
                n_ranks: at_once.first().map_or(0, Vec::len) as u32,
                per_node: by_node.iter().flatten().map(Vec::len).min().unwrap_or(1) as u32,
                n_nodes: by_node.iter().map(Vec::len).max().unwrap_or(1) as u32,
                nic: platform.machine.nic_rate_per_device(),
                way: if together == 0 { 0.0 } else { way_seconds(platform, &hops.concat(), together as u32)? },
                hop: hop.map_or(Seconds::ZERO, |path| path.latency),
                in_network: platform.machine.fabric.in_network,
            },
        })
    }

    /// Whether it spans more than one node.
    #[must_use]
    pub fn is_spread(&self) -> bool {
        self.spread.n_nodes > 1
    }
}

/// The members of each node of a group.
fn by_node(platform: &Platform<'_>, group: &[u32]) -> Vec<Vec<DeviceId>> {
    let network: &Network = &platform.network;
    let mut nodes: BTreeMap<NodeId, Vec<DeviceId>> = BTreeMap::new();
    for device in group.iter().map(|&rank| platform.placement.device(rank)) {
        nodes.entry(network.node_of(device)).or_default().push(device);
    }
    nodes.into_values().collect()
}

/// Every member of a node to its counterpart on the next.
fn hops(nodes: &[Vec<DeviceId>]) -> Vec<(DeviceId, DeviceId)> {
    if nodes.len() < 2 {
        return Vec::new();
    }
    let next = nodes.iter().cycle().skip(1);
    nodes.iter().zip(next).flat_map(|(here, next)| here.iter().copied().zip(next.iter().copied())).collect()
}
