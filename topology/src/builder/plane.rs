//! The shape of one plane: how many leaves, spines and cores a number of nodes needs, and who is wired to whom.

use super::check::at_most;
use crate::{Fabric, FabricKind, Machine, TopologyError};

/// One plane of the scale-out network, a folded Clos of two or three tiers with full bisection.
///
/// Half the ports of a leaf face down. Nodes join in blocks: the most nodes whose NICs fit a set of leaves, which is
/// one leaf that takes whole nodes (`fat-tree`) or one leaf a rail (`rail-fat-tree`). Leaves are counted block by
/// block.
///
/// A leaf has `half` lanes up; lane u goes to spine u mod S of its pod, and in a second network of the same rule lane v
/// of a spine goes to core v mod C of the group of that spine. S and C are the fewest that keep full bisection and
/// divide `half`, so that every leaf has equally many wires to every spine. Two tiers are one pod without cores.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plane {
    /// NICs a node has in this plane.
    pub(crate) n_rails: u32,
    /// Leaves that share one block of nodes.
    pub(crate) block_leaves: u32,
    /// Nodes of a full block.
    pub(crate) block_nodes: u32,
    /// Ports of a leaf that face down; as many lanes face up.
    pub(crate) half: u32,
    /// Leaves.
    pub(crate) n_leaves: u32,
    /// Leaves of a full pod.
    pub(crate) pod_leaves: u32,
    /// Pods.
    pub(crate) n_pods: u32,
    /// Spines of a pod; none where there is one leaf.
    pub(crate) pod_spines: u32,
    /// Cores that join the spines of one index; none where there is one pod.
    pub(crate) group_cores: u32,
    /// First vertex: leaves, then spines, then cores.
    pub(crate) first_vertex: u32,
    /// First link: the lanes of leaves, then those of spines.
    pub(crate) first_link: u32,
}

/// Where a NIC is plugged in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Socket {
    /// Plane of the leaf.
    pub(crate) plane: u32,
    /// Leaf within the plane.
    pub(crate) leaf: u32,
    /// Port of the leaf, counted among those that face down.
    pub(crate) port: u32,
}

impl Plane {
    /// The planes of a checked machine, in order; none without NICs or network.
    pub(super) fn all(machine: &Machine) -> Result<Vec<Self>, TopologyError> {
        let n_nics = machine.node.nic.count;
        if machine.fabric.kind == FabricKind::None || n_nics == 0 {
            return Ok(Vec::new());
        }
        let planes = machine.fabric.planes;
        (0..planes).map(|plane| Self::new(machine, (n_nics - plane).div_ceil(planes))).collect()
    }

    fn new(machine: &Machine, n_rails: u32) -> Result<Self, TopologyError> {
        let Machine { fabric, n_nodes, .. } = machine;
        let half = fabric.switch_ports / 2;
        let (block_leaves, block_nodes) = block(fabric, n_rails)?;
        let (pod_leaves_max, n_pods_max) = match fabric.tiers {
            2 => (fabric.switch_ports, 1),
            _ => (half, fabric.switch_ports),
        };
        let n_leaves_max = u64::from(pod_leaves_max) * u64::from(n_pods_max);
        check_fits(machine, n_leaves_max / u64::from(block_leaves) * u64::from(block_nodes))?;
        let n_leaves = n_nodes.div_ceil(block_nodes) * block_leaves;
        if n_leaves > 1 {
            at_most("switch-to-switch wires", u64::from(n_leaves) * u64::from(half))?;
        }
        let pod_leaves = n_leaves.min(pod_leaves_max);
        let n_pods = n_leaves.div_ceil(pod_leaves);
        let spine_leaves = if fabric.tiers == 2 { 2 } else { 1 };
        Ok(Self {
            n_rails,
            block_leaves,
            block_nodes,
            half,
            n_leaves,
            pod_leaves,
            n_pods,
            // The spines of two tiers turn all their ports down, those of three tiers half of them.
            pod_spines: fewest_above(n_leaves, pod_leaves.div_ceil(spine_leaves), half),
            group_cores: fewest_above(n_pods, n_pods.div_ceil(2), half),
            first_vertex: 0,
            first_link: 0,
        })
    }

    /// Leaf and port of NIC `rail` of this plane (its position among the NICs a node has here).
    pub(crate) const fn socket(&self, plane: u32, node: u32, rail: u32) -> Socket {
        let (block, place) = (node / self.block_nodes, node % self.block_nodes);
        if self.block_leaves == 1 {
            Socket { plane, leaf: block, port: place * self.n_rails + rail }
        } else {
            Socket { plane, leaf: block * self.block_leaves + rail, port: place }
        }
    }

    pub(crate) const fn pod_of_leaf(&self, leaf: u32) -> u32 {
        leaf / self.pod_leaves
    }

    pub(crate) const fn n_spines(&self) -> u32 {
        self.n_pods * self.pod_spines
    }

    pub(crate) const fn n_cores(&self) -> u32 {
        self.pod_spines * self.group_cores
    }

    /// Wires from leaves to spines.
    pub(crate) const fn n_leaf_wires(&self) -> u64 {
        if self.pod_spines == 0 { 0 } else { self.n_leaves as u64 * self.half as u64 }
    }

    /// Wires from spines to cores.
    pub(crate) const fn n_spine_wires(&self) -> u64 {
        if self.group_cores == 0 { 0 } else { self.n_spines() as u64 * self.half as u64 }
    }

    /// The spine of its pod that lane `u` of a leaf is wired to, counted over the plane.
    pub(crate) const fn spine_of_lane(&self, leaf: u32, u: u32) -> u32 {
        self.pod_of_leaf(leaf) * self.pod_spines + u % self.pod_spines
    }

    /// The core that lane `v` of a spine is wired to, counted over the plane.
    pub(crate) const fn core_of_lane(&self, spine: u32, v: u32) -> u32 {
        (spine % self.pod_spines) * self.group_cores + v % self.group_cores
    }

    /// The upward link of lane `u` of a leaf; its reverse leads down.
    pub(crate) const fn leaf_lane(&self, leaf: u32, u: u32) -> u32 {
        self.first_link + 2 * (leaf * self.half + u)
    }

    /// The upward link of lane `v` of a spine; its reverse leads down.
    pub(crate) const fn spine_lane(&self, spine: u32, v: u32) -> u32 {
        self.first_link + 2 * ((self.n_leaves + spine) * self.half + v)
    }
}

/// Leaves that share a block of nodes, and how many nodes that is.
fn block(fabric: &Fabric, n_rails: u32) -> Result<(u32, u32), TopologyError> {
    let ports_down = fabric.switch_ports / 2;
    match fabric.kind {
        FabricKind::RailFatTree => Ok((n_rails, ports_down)),
        FabricKind::FatTree | FabricKind::None if n_rails <= ports_down => Ok((1, ports_down / n_rails)),
        FabricKind::FatTree | FabricKind::None => Err(TopologyError::NodeTooWide { n_nics: n_rails, ports_down }),
    }
}

fn check_fits(machine: &Machine, n_nodes_max: u64) -> Result<(), TopologyError> {
    let Machine { fabric, n_nodes, .. } = machine;
    if u64::from(*n_nodes) <= n_nodes_max {
        return Ok(());
    }
    Err(TopologyError::TooManyNodes {
        n_nodes: *n_nodes,
        n_nodes_max,
        tiers: fabric.tiers,
        ports: fabric.switch_ports,
        planes: fabric.planes,
    })
}

/// Switches above `n_below` alike that each have `lanes` up: the least divisor of `lanes` that is `least` or more, none
/// above one alone. Callers keep `least` at most `lanes`.
fn fewest_above(n_below: u32, least: u32, lanes: u32) -> u32 {
    if n_below == 1 {
        return 0;
    }
    let mut counts = least.max(1)..lanes;
    counts.find(|count| lanes.is_multiple_of(*count)).unwrap_or(lanes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::fixture::machine;

    fn plane(kind: FabricKind, planes: u32, tiers: u32, ports: u32, n_nodes: u32) -> Plane {
        Plane::all(&machine(kind, planes, tiers, ports, n_nodes)).expect("fits").remove(0)
    }

    #[test]
    fn eight_planes_of_256_nodes_take_eight_leaves_and_four_spines_each() {
        let plane = plane(FabricKind::FatTree, 8, 2, 64, 256);
        assert_eq!((plane.n_leaves, plane.pod_spines, plane.n_cores()), (8, 4, 0));
        assert_eq!(plane.socket(0, 33, 0), Socket { plane: 0, leaf: 1, port: 1 });
    }

    #[test]
    fn a_rail_leaf_takes_one_rail_and_a_plain_leaf_whole_nodes() {
        let rail = plane(FabricKind::RailFatTree, 1, 2, 64, 64);
        assert_eq!((rail.n_leaves, rail.block_nodes), (16, 32));
        assert_eq!(rail.socket(0, 33, 5), Socket { plane: 0, leaf: 13, port: 1 });
        let plain = plane(FabricKind::FatTree, 1, 2, 64, 64);
        assert_eq!((plain.n_leaves, plain.block_nodes), (16, 4));
        assert_eq!(plain.socket(0, 33, 5), Socket { plane: 0, leaf: 8, port: 13 });
    }

    #[test]
    fn spines_keep_full_bisection_and_equal_wires() {
        for leaves in 2..=64 {
            let plane = plane(FabricKind::FatTree, 8, 2, 64, leaves * 32);
            assert_eq!(plane.n_leaves, leaves);
            assert!(plane.pod_spines * 64 >= leaves * 32, "ports of spines carry all lanes of leaves");
            assert!(32u32.is_multiple_of(plane.pod_spines));
        }
    }

    #[test]
    fn no_switch_uses_more_ports_than_it_has() {
        for n_nodes in 1..=128 {
            let plane = plane(FabricKind::FatTree, 8, 3, 8, n_nodes);
            // Wires of a tier, halved among the ports of the tier above.
            assert!(plane.n_leaves == 1 || plane.pod_leaves <= plane.pod_spines, "{n_nodes} nodes: {plane:?}");
            assert!(plane.n_pods == 1 || plane.n_pods <= 2 * plane.group_cores, "{n_nodes} nodes: {plane:?}");
        }
    }
}
