//! Planes of folded Clos networks that share nothing: NIC i of a node joins plane i mod planes.

mod plane;

use units::BytesPerSec;

use self::plane::{Plane, Turn};
use super::{Choice, Ends, Socket, Stack, SwitchTier, WireRates, at_most};
use crate::{Counts, Fabric, LeafPorts, LinkId, Machine, Tier, TopologyError, Vertex};

/// The planes of a machine, one at least, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Clos {
    planes: Vec<Plane>,
}

/// Which NICs a leaf takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leaves {
    /// All that a node has in the plane.
    OfNodes,
    /// One rail: NIC i of its nodes.
    OfRails,
}

impl Clos {
    pub(super) fn check(fabric: &Fabric) -> Result<(), TopologyError> {
        let (tiers, ports, ratio) = (fabric.tiers, fabric.switch_ports, fabric.oversubscription);
        if !matches!(tiers, 2 | 3) {
            return Err(TopologyError::Tiers { tiers });
        }
        if ports == 0 || !ports.is_multiple_of(2) {
            return Err(TopologyError::Ports { ports });
        }
        if !(ratio.is_finite() && ratio >= 1.0) {
            return Err(TopologyError::Oversubscription { value: ratio.to_string() });
        }
        if ratio > f64::from(ports - 1) {
            return Err(TopologyError::NoUplink { value: ratio.to_string(), ports, ratio_max: ports - 1 });
        }
        Ok(())
    }

    pub(super) fn full_size(fabric: &Fabric) -> Counts {
        Counts::clos(fabric.switch_ports, fabric.tiers, fabric.leaf_ports()).times(fabric.planes)
    }

    /// The planes of a checked machine whose nodes have NICs.
    pub(super) fn of(machine: &Machine, leaves: Leaves) -> Result<Self, TopologyError> {
        let (n_planes, n_nics) = (machine.fabric.planes, machine.node.nic.count);
        let plane = |index: u32| Plane::new(machine, leaves, (n_nics - index).div_ceil(n_planes));
        Ok(Self { planes: (0..n_planes).map(plane).collect::<Result<_, _>>()? })
    }

    pub(super) fn number(&mut self, first_vertex: u32, first_link: u32) -> Result<(), TopologyError> {
        let (mut vertex, mut link, mut n_trunks) = (first_vertex, first_link, 0);
        for plane in &mut self.planes {
            let n_wires = plane.n_wires();
            n_trunks += n_wires;
            at_most("switch-to-switch wires", n_trunks)?;
            (plane.first_vertex, plane.first_link) = (vertex, link);
            vertex += plane.n_switches();
            link += 2 * n_wires as u32;
        }
        Ok(())
    }

    pub(super) fn switches(&self) -> impl Iterator<Item = Vertex> {
        (0..).zip(&self.planes).flat_map(|(plane, shape)| {
            let tiers = [(Tier::Leaf, shape.n_leaves), (Tier::Spine, shape.n_spines()), (Tier::Core, shape.n_cores())];
            let all = move |(tier, count)| (0..count).map(move |index| Vertex::Switch { tier, plane, index });
            tiers.into_iter().flat_map(all)
        })
    }

    pub(super) fn wires(&self) -> impl Iterator<Item = (u32, u32)> {
        self.planes.iter().flat_map(Plane::wires)
    }

    pub(super) fn counts(&self, n_nodes: u32) -> Counts {
        let sum = |of: &dyn Fn(&Plane) -> u64| self.planes.iter().map(of).sum();
        Counts {
            endpoints: sum(&|plane| u64::from(plane.n_rails) * u64::from(n_nodes)),
            switches: sum(&|plane| plane.n_switches().into()),
            links: sum(&Plane::n_wires),
        }
    }

    pub(super) fn socket(&self, node: u32, nic: u32) -> Socket {
        let n_planes = self.n_planes();
        let plane = nic % n_planes;
        self.planes[plane as usize].socket(plane, node, nic / n_planes)
    }

    pub(super) fn switch_above(&self, node: u32, nic: u32) -> u32 {
        let socket = self.socket(node, nic);
        self.planes[socket.plane as usize].first_vertex + socket.switch
    }

    pub(super) fn n_ways(&self, ends: Ends) -> u64 {
        let plane = self.plane_of(ends);
        match plane.turn(ends) {
            Turn::Leaf => 1,
            Turn::Spine => plane.leaf.up.into(),
            Turn::Core => u64::from(plane.leaf.up) * u64::from(plane.spine_lanes),
        }
    }

    pub(super) fn path(&self, ends: Ends, choice: Choice, links: &mut Vec<LinkId>) {
        let plane = self.plane_of(ends);
        let turn = plane.turn(ends);
        if turn == Turn::Leaf {
            return;
        }
        let (leaf_lane, spine_lane) = plane.chosen(ends, turn, choice);
        let [source, target] = [ends.source, ends.target].map(|socket| socket.switch);
        links.push(LinkId(plane.leaf_lane(source, leaf_lane)));
        if turn == Turn::Core {
            let lane = |leaf| plane.spine_lane(plane.spine_of_lane(leaf, leaf_lane), spine_lane);
            links.push(LinkId(lane(source)));
            links.push(LinkId(lane(target)).reverse());
        }
        links.push(LinkId(plane.leaf_lane(target, leaf_lane)).reverse());
    }

    /// The first way stands for all.
    pub(super) fn lanes(&self, ends: Ends) -> Vec<(LinkId, f64)> {
        let plane = self.plane_of(ends);
        let mut links = Vec::new();
        self.path(ends, Choice::Way(0), &mut links);
        let is_below_spines = |link: LinkId| link.0 < plane.spine_lane(0, 0);
        let lanes = |link| if is_below_spines(link) { plane.leaf_spread() } else { plane.spine_spread() };
        links.into_iter().map(|link| (link, lanes(link))).collect()
    }

    pub(super) fn leaf_ports(&self) -> Option<LeafPorts> {
        self.planes.first().map(|plane| plane.leaf)
    }

    pub(super) fn bisection(&self, n_nodes: u32, rates: WireRates) -> BytesPerSec {
        self.planes.iter().map(|plane| plane.bisection(n_nodes, rates)).sum()
    }

    /// The last: leaves and pods are filled in the order of nodes, so no other pair turns higher.
    pub(super) const fn farthest_node(n_nodes: u32) -> u32 {
        n_nodes - 1
    }

    /// Leaves, spines and cores. The stacks of leaves are rails where a leaf takes one, and planes otherwise.
    pub(super) fn tiers(&self) -> Vec<SwitchTier> {
        let n_planes = self.n_planes();
        let owner = (n_planes > 1).then_some("plane");
        let leaves: Vec<Stack> = (0..n_planes).flat_map(|index| self.stacks_of_leaves(index)).collect();
        let of_planes = |count: fn(&Plane) -> u32| {
            let planes = (0..n_planes).zip(&self.planes);
            planes.map(|(name, plane)| Stack { nics: self.nics_of(name), name, count: count(plane) }).collect()
        };
        let (leaf_lanes, spine_lanes) = self.planes.first().map_or((0, 0), |plane| (plane.leaf.up, plane.spine_lanes));
        vec![
            SwitchTier {
                words: ["leaf", "leaves"],
                owner: if leaves.len() > n_planes as usize { Some("rail") } else { owner },
                n_wires_up: leaf_lanes,
                stacks: leaves,
            },
            SwitchTier {
                words: ["spine", "spines"],
                owner,
                n_wires_up: spine_lanes,
                stacks: of_planes(Plane::n_spines),
            },
            SwitchTier { words: ["core", "cores"], owner, n_wires_up: 0, stacks: of_planes(Plane::n_cores) },
        ]
    }

    fn stacks_of_leaves(&self, index: u32) -> Vec<Stack> {
        let plane = &self.planes[index as usize];
        let nics = self.nics_of(index);
        if plane.block_leaves == 1 {
            return vec![Stack { nics, name: index, count: plane.n_leaves }];
        }
        let count = plane.n_leaves / plane.block_leaves;
        nics.into_iter().map(|nic| Stack { nics: vec![nic], name: nic, count }).collect()
    }

    /// The NICs of a node that join a plane.
    fn nics_of(&self, plane: u32) -> Vec<u32> {
        let n_rails = self.planes[plane as usize].n_rails;
        (0..n_rails).map(|rail| rail * self.n_planes() + plane).collect()
    }

    fn plane_of(&self, ends: Ends) -> &Plane {
        &self.planes[ends.source.plane as usize]
    }

    pub(super) fn n_planes(&self) -> u32 {
        self.planes.len() as u32
    }
}
