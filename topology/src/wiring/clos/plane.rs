//! The shape of one plane: how many leaves, spines and cores a number of nodes needs, and who is wired to whom.

use units::BytesPerSec;

use super::Leaves;
use crate::wiring::{Choice, Ends, Socket, WireRates, at_most};
use crate::{LeafPorts, Machine, TopologyError};

/// One plane of the scale-out network, a folded Clos of two or three tiers.
///
/// The ports of a leaf are split into those that face down and lanes up ([`crate::Fabric::leaf_ports`]). Nodes join in blocks: the
/// most nodes whose NICs fit a set of leaves, which is one leaf that takes whole nodes (`fat-tree`) or one leaf a rail
/// (`rail-fat-tree`). Leaves are counted block by block.
///
/// Lane u of a leaf goes to spine u mod S of its pod, and in a second network of the same rule lane v of a spine, of which
/// half the ports are lanes up, goes to core v mod C of the group of that spine. S and C are the fewest that have ports for
/// all lanes and divide them, so that every leaf has equally many wires to every spine. Where leaves have fewer lanes up
/// than ports down, S need not divide: it would cost spines that an oversubscribed network is built to save, all of them
/// where the lanes are a prime number. Wires from a leaf to its spines then differ by one at most, and the first spines have
/// the more. Two tiers are one pod without cores.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Plane {
    /// NICs a node has in this plane.
    pub(super) n_rails: u32,
    /// Leaves that share one block of nodes.
    pub(super) block_leaves: u32,
    /// Nodes of a full block.
    pub(super) block_nodes: u32,
    /// Ports of a leaf; those that face up are its lanes.
    pub(super) leaf: LeafPorts,
    /// Lanes of a spine; two tiers use none.
    pub(super) spine_lanes: u32,
    /// Leaves.
    pub(super) n_leaves: u32,
    /// Leaves of a full pod.
    pub(super) pod_leaves: u32,
    /// Pods.
    pub(super) n_pods: u32,
    /// Spines of a pod; none where there is one leaf.
    pub(super) pod_spines: u32,
    /// Cores that join the spines of one index; none where there is one pod.
    pub(super) group_cores: u32,
    /// First vertex: leaves, then spines, then cores.
    pub(super) first_vertex: u32,
    /// First link: the lanes of leaves, then those of spines.
    pub(super) first_link: u32,
}

/// The tier at which a path turns down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// Nothing to choose.
    Leaf,
    /// A lane of the leaf.
    Spine,
    /// A lane of the leaf and one of the spine.
    Core,
}

impl Plane {
    /// The plane in which each node has `n_rails` NICs.
    pub(super) fn new(machine: &Machine, leaves: Leaves, n_rails: u32) -> Result<Self, TopologyError> {
        let Machine { fabric, n_nodes, .. } = machine;
        let (half, leaf) = (fabric.switch_ports / 2, fabric.leaf_ports());
        let (block_leaves, block_nodes) = block(leaf.down, leaves, n_rails)?;
        let (pod_leaves_max, n_pods_max) = match fabric.tiers {
            2 => (fabric.switch_ports, 1),
            _ => (half, fabric.switch_ports),
        };
        let n_leaves_max = u64::from(pod_leaves_max) * u64::from(n_pods_max);
        check_fits(machine, n_leaves_max / u64::from(block_leaves) * u64::from(block_nodes))?;
        let n_leaves = n_nodes.div_ceil(block_nodes) * block_leaves;
        if n_leaves > 1 {
            at_most("switch-to-switch wires", u64::from(n_leaves) * u64::from(leaf.up))?;
        }
        let pod_leaves = n_leaves.min(pod_leaves_max);
        let n_pods = n_leaves.div_ceil(pod_leaves);
        // The spines of two tiers turn all their ports down, those of three tiers half of them.
        let spine_ports = if fabric.tiers == 2 { fabric.switch_ports } else { half };
        Ok(Self {
            n_rails,
            block_leaves,
            block_nodes,
            leaf,
            spine_lanes: half,
            n_leaves,
            pod_leaves,
            n_pods,
            pod_spines: if n_leaves == 1 { 0 } else { fewest_spines(leaf, pod_leaves, spine_ports) },
            group_cores: if n_pods == 1 { 0 } else { fewest_even(half, n_pods, fabric.switch_ports) },
            first_vertex: 0,
            first_link: 0,
        })
    }

    /// Leaf and port of NIC `rail` of this plane (its position among the NICs a node has here).
    pub(super) const fn socket(&self, plane: u32, node: u32, rail: u32) -> Socket {
        let (block, place) = (node / self.block_nodes, node % self.block_nodes);
        if self.block_leaves == 1 {
            Socket { plane, switch: block, port: place * self.n_rails + rail }
        } else {
            Socket { plane, switch: block * self.block_leaves + rail, port: place }
        }
    }

    pub(super) const fn pod_of_leaf(&self, leaf: u32) -> u32 {
        leaf / self.pod_leaves
    }

    /// The lowest tier that both ends are below.
    pub(super) const fn turn(&self, ends: Ends) -> Turn {
        let (source, target) = (ends.source.switch, ends.target.switch);
        if source == target {
            Turn::Leaf
        } else if self.pod_of_leaf(source) == self.pod_of_leaf(target) {
            Turn::Spine
        } else {
            Turn::Core
        }
    }

    /// The lanes of leaf and spine that a message takes, up and down: by its target the one numbered like the target's port and
    /// like its leaf in the pod; by number those of a leaf first. Lanes of a spine count for nothing where the path turns there.
    pub(super) fn chosen(&self, ends: Ends, turn: Turn, choice: Choice) -> (u32, u32) {
        let (n_leaf, n_spine) = (u64::from(self.leaf.up), u64::from(self.spine_lanes));
        match choice {
            Choice::Target => {
                let Socket { switch, port, .. } = ends.target;
                (port % self.leaf.up, (switch % self.pod_leaves) % self.spine_lanes)
            }
            Choice::Hash(hash) => ((hash % n_leaf) as u32, (hash / n_leaf % n_spine) as u32),
            Choice::Way(way) if turn == Turn::Core => ((way / n_spine) as u32, (way % n_spine) as u32),
            Choice::Way(way) => (way as u32, 0),
        }
    }

    pub(super) const fn n_spines(&self) -> u32 {
        self.n_pods * self.pod_spines
    }

    pub(super) const fn n_cores(&self) -> u32 {
        self.pod_spines * self.group_cores
    }

    /// Wires from leaves to spines.
    pub(super) const fn n_leaf_wires(&self) -> u64 {
        if self.pod_spines == 0 { 0 } else { self.n_leaves as u64 * self.leaf.up as u64 }
    }

    /// Wires from spines to cores.
    pub(super) const fn n_spine_wires(&self) -> u64 {
        if self.group_cores == 0 { 0 } else { self.n_spines() as u64 * self.spine_lanes as u64 }
    }

    /// Wires between switches.
    pub(super) fn n_wires(&self) -> u64 {
        self.n_leaf_wires() + self.n_spine_wires()
    }

    /// Switches of all tiers.
    pub(super) const fn n_switches(&self) -> u32 {
        self.n_leaves + self.n_spines() + self.n_cores()
    }

    /// The vertices that each wire joins, the lower one first, in the order of links.
    pub(super) fn wires(&self) -> impl Iterator<Item = (u32, u32)> {
        let first_spine = self.first_vertex + self.n_leaves;
        let first_core = first_spine + self.n_spines();
        let n_leaves = if self.pod_spines > 0 { self.n_leaves } else { 0 };
        let n_spines = if self.group_cores > 0 { self.n_spines() } else { 0 };
        let leaf_wires = pairs(n_leaves, self.leaf.up)
            .map(move |(leaf, u)| (self.first_vertex + leaf, first_spine + self.spine_of_lane(leaf, u)));
        let spine_wires = pairs(n_spines, self.spine_lanes)
            .map(move |(spine, v)| (first_spine + spine, first_core + self.core_of_lane(spine, v)));
        leaf_wires.chain(spine_wires)
    }

    /// The spine of its pod that lane `u` of a leaf is wired to, counted over the plane.
    pub(super) const fn spine_of_lane(&self, leaf: u32, u: u32) -> u32 {
        self.pod_of_leaf(leaf) * self.pod_spines + u % self.pod_spines
    }

    /// The core that lane `v` of a spine is wired to, counted over the plane.
    pub(super) const fn core_of_lane(&self, spine: u32, v: u32) -> u32 {
        (spine % self.pod_spines) * self.group_cores + v % self.group_cores
    }

    /// The upward link of lane `u` of a leaf; its reverse leads down.
    pub(super) const fn leaf_lane(&self, leaf: u32, u: u32) -> u32 {
        self.first_link + 2 * (leaf * self.leaf.up + u)
    }

    /// The upward link of lane `v` of a spine; its reverse leads down.
    pub(super) const fn spine_lane(&self, spine: u32, v: u32) -> u32 {
        self.first_link + 2 * (self.n_leaves * self.leaf.up + spine * self.spine_lanes + v)
    }

    /// The lesser of what the leaves of one half of the nodes can send and those of the other can take, and what meets in a leaf.
    pub(super) fn bisection(&self, n_nodes: u32, rates: WireRates) -> BytesPerSec {
        let uplinks = if self.pod_spines == 0 { BytesPerSec::ZERO } else { rates.trunk * f64::from(self.leaf.up) };
        let leaf_node_nics = self.n_rails / self.block_leaves;
        let cut = n_nodes / 2;
        let (mut local, mut sent, mut taken) = (BytesPerSec::ZERO, BytesPerSec::ZERO, BytesPerSec::ZERO);
        for leaf in 0..self.n_leaves {
            let first = leaf / self.block_leaves * self.block_nodes;
            let end = (first + self.block_nodes).min(n_nodes);
            let near = rates.nic * f64::from((end.min(cut).saturating_sub(first)) * leaf_node_nics);
            let far = rates.nic * f64::from(end.saturating_sub(first.max(cut)) * leaf_node_nics);
            let meet = near.min(far);
            local += meet;
            sent += (near - meet).min(uplinks);
            taken += (far - meet).min(uplinks);
        }
        local + sent.min(taken)
    }

    /// Over how many wires, all as full, messages spread that leave one leaf.
    pub(super) fn leaf_spread(&self) -> f64 {
        f64::from(self.leaf.up)
    }

    /// The same of messages that leave one pod, on the lanes of its first spine: as many as all spines have, were each to
    /// carry what the first does, which has the most wires from each leaf.
    pub(super) fn spine_spread(&self) -> f64 {
        let wires = self.leaf.up.div_ceil(self.pod_spines.max(1));
        f64::from(self.leaf.up) * f64::from(self.spine_lanes) / f64::from(wires)
    }
}

fn pairs(n: u32, m: u32) -> impl Iterator<Item = (u32, u32)> {
    (0..n).flat_map(move |i| (0..m).map(move |j| (i, j)))
}

/// Leaves that share a block of nodes, and how many nodes that is.
fn block(ports_down: u32, leaves: Leaves, n_rails: u32) -> Result<(u32, u32), TopologyError> {
    match leaves {
        Leaves::OfRails => Ok((n_rails, ports_down)),
        Leaves::OfNodes if n_rails <= ports_down => Ok((1, ports_down / n_rails)),
        Leaves::OfNodes => Err(TopologyError::NodeTooWide { n_nics: n_rails, ports_down }),
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

/// Spines above `n_leaves` leaves: evenly many wires to each where the network has full bisection.
fn fewest_spines(leaf: LeafPorts, n_leaves: u32, ports: u32) -> u32 {
    if leaf.up >= leaf.down { fewest_even(leaf.up, n_leaves, ports) } else { fewest(leaf.up, n_leaves, ports) }
}

/// Switches with `ports` ports down above `n_below` alike that each have `lanes` up, so that none has more wires than
/// ports; `lanes` of them always do.
fn fewest(lanes: u32, n_below: u32, ports: u32) -> u32 {
    let fits = |count: &u32| u64::from(lanes.div_ceil(*count)) * u64::from(n_below) <= u64::from(ports);
    (1..lanes).find(fits).unwrap_or(lanes)
}

/// The same with equally many wires to each.
fn fewest_even(lanes: u32, n_below: u32, ports: u32) -> u32 {
    let least = fewest(lanes, n_below, ports);
    (least..lanes).find(|count| lanes.is_multiple_of(*count)).unwrap_or(lanes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FabricKind;
    use crate::tests::fixture::machine;
    use crate::wiring::clos::Clos;

    fn plane(kind: FabricKind, planes: u32, tiers: u32, ports: u32, n_nodes: u32) -> Plane {
        let leaves = if kind == FabricKind::FatTree { Leaves::OfNodes } else { Leaves::OfRails };
        let mut clos = Clos::of(&machine(kind, planes, tiers, ports, n_nodes), leaves).expect("fits");
        clos.planes.remove(0)
    }

    #[test]
    fn eight_planes_of_256_nodes_take_eight_leaves_and_four_spines_each() {
        let plane = plane(FabricKind::FatTree, 8, 2, 64, 256);
        assert_eq!((plane.n_leaves, plane.pod_spines, plane.n_cores()), (8, 4, 0));
        assert_eq!(plane.socket(0, 33, 0), Socket { plane: 0, switch: 1, port: 1 });
    }

    #[test]
    fn a_rail_leaf_takes_one_rail_and_a_plain_leaf_whole_nodes() {
        let rail = plane(FabricKind::RailFatTree, 1, 2, 64, 64);
        assert_eq!((rail.n_leaves, rail.block_nodes), (16, 32));
        assert_eq!(rail.socket(0, 33, 5), Socket { plane: 0, switch: 13, port: 1 });
        let plain = plane(FabricKind::FatTree, 1, 2, 64, 64);
        assert_eq!((plain.n_leaves, plain.block_nodes), (16, 4));
        assert_eq!(plain.socket(0, 33, 5), Socket { plane: 0, switch: 8, port: 13 });
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
