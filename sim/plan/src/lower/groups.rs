//! Which ranks meet in a collective, and what the network leaves those of their messages that leave a node.
//!
//! All groups of one shape are taken to be at work at the same time: every replica reduces when the others do. A collective leaves
//! a node through all NICs of the group's members there, each to its counterpart on the next node of the group, so a group of `d`
//! members per node has `d` messages per pair of neighboring nodes, of equal size.

use std::collections::BTreeMap;

use topology::{DeviceId, Network, NodeId, Routing};

use super::way::way_seconds;
use crate::PlanError;
use crate::layout::Layout;

/// Groups of one shape: how many ranks each has, and how far apart they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Shape {
    pub(crate) n: u32,
    pub(crate) stride: u32,
}

/// The devices of every group of a shape. A shape wider than a pipeline rank takes in the mirror of it, which holds the same weights.
fn devices(layout: &Layout, shape: Shape) -> Vec<Vec<DeviceId>> {
    let span = (shape.n * shape.stride).min(layout.per_stage).max(1);
    let has_mirror = shape.n * shape.stride > layout.per_stage;
    let pipeline_ranks = if has_mirror { layout.pp.div_ceil(2) } else { layout.pp };
    let n_groups = layout.per_stage / span * shape.stride;
    let mut groups = Vec::with_capacity((pipeline_ranks * n_groups) as usize);
    for pipeline_rank in 0..pipeline_ranks {
        for group in 0..n_groups {
            let first = group / shape.stride * span + group % shape.stride;
            let members = |rank| {
                (first..first / span * span + span)
                    .step_by(shape.stride as usize)
                    .map(move |index| layout.device(rank, index))
            };
            let mirror = layout.pp - 1 - pipeline_rank;
            groups.push(match has_mirror {
                true => members(pipeline_rank).chain(members(mirror)).collect(),
                false => members(pipeline_rank).collect(),
            });
        }
    }
    groups
}

/// Messages between the nodes of a group: every member of a node to its counterpart on the next.
fn hops(network: &Network, group: &[DeviceId]) -> Vec<(DeviceId, DeviceId)> {
    let mut nodes: BTreeMap<NodeId, Vec<DeviceId>> = BTreeMap::new();
    for &device in group {
        nodes.entry(network.node_of(device)).or_default().push(device);
    }
    let nodes: Vec<Vec<DeviceId>> = nodes.into_values().collect();
    if nodes.len() < 2 {
        return Vec::new();
    }
    let next = nodes.iter().cycle().skip(1);
    nodes.iter().zip(next).flat_map(|(here, next)| here.iter().copied().zip(next.iter().copied())).collect()
}

/// Seconds per byte that the network leaves the messages between nodes, were all these groups at work at once: zero where no group
/// leaves its node. The mean over groups of the slowest message in each.
pub(crate) fn group_way(network: &Network, routing: Routing, groups: &[Vec<DeviceId>]) -> Result<f64, PlanError> {
    let hops: Vec<_> = groups.iter().map(|group| hops(network, group)).collect();
    let together = hops.iter().map(Vec::len).max().unwrap_or(0);
    if together == 0 {
        return Ok(0.0);
    }
    way_seconds(network, routing, &hops.concat(), together as u32)
}

/// What the network leaves the collectives of each shape.
#[derive(Debug, Default)]
pub(crate) struct GroupWays(BTreeMap<Shape, f64>);

impl GroupWays {
    pub(crate) fn new(
        network: &Network,
        routing: Routing,
        layout: &Layout,
        shapes: &[Shape],
    ) -> Result<Self, PlanError> {
        let mut ways = BTreeMap::new();
        for &shape in shapes.iter().filter(|shape| shape.n > 1) {
            ways.insert(shape, group_way(network, routing, &devices(layout, shape))?);
        }
        Ok(Self(ways))
    }

    /// Seconds per byte; zero for a shape that never leaves a node.
    pub(crate) fn get(&self, shape: Shape) -> f64 {
        self.0.get(&shape).copied().unwrap_or(0.0)
    }
}
