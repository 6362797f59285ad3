//! What a network amounts to: counts, bisection, diameter.

use units::{BytesPerSec, Seconds};

use crate::wiring::WireRates;
use crate::{Counts, DeviceId, LeafPorts, LinkKind, Network, NodeId, Path, Routing, Tier, TopologyError, Vertex};

/// What a network amounts to.
#[derive(Clone, Debug, PartialEq)]
pub struct Survey {
    /// Devices.
    pub n_devices: u32,
    /// Nodes.
    pub n_nodes: u32,
    /// NICs.
    pub n_nics: u32,
    /// Switches as built, all planes.
    pub switches: SwitchCounts,
    /// How the ports of a leaf are split; `None` where there are no leaves.
    pub leaf_ports: Option<LeafPorts>,
    /// Wires as built, all planes.
    pub wires: WireCounts,
    /// The network with no port left free, all planes.
    pub full_size: Counts,
    /// What one half of the nodes can send to the other at once, bytes per second of that direction; in a machine
    /// of one node, one half of its devices. See [`Network::bisection`].
    pub bisection: BytesPerSec,
    /// The farthest two devices.
    pub diameter: Diameter,
}

/// Switches as built.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SwitchCounts {
    /// Scale-up switches, one a node whatever its chips.
    pub scale_up: u32,
    /// Leaves.
    pub leaf: u32,
    /// Spines.
    pub spine: u32,
    /// Cores.
    pub core: u32,
}

impl SwitchCounts {
    /// Switches of the scale-out network.
    #[must_use]
    pub const fn scale_out(&self) -> u32 {
        self.leaf + self.spine + self.core
    }
}

/// Wires as built; the two directions of a wire count once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WireCounts {
    /// Device to scale-up switch.
    pub scale_up: u32,
    /// Device to PCIe switch and PCIe switch to NIC.
    pub pcie: u32,
    /// NIC to leaf.
    pub nic: u32,
    /// Switch to switch.
    pub trunk: u32,
}

/// The farthest two devices: the largest value of each over all pairs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Diameter {
    /// Switches a message passes, scale-up switches included, PCIe switches not.
    pub switches: u32,
    /// Latency of the path.
    pub latency: Seconds,
}

impl Network {
    /// Counts, bisection and diameter.
    ///
    /// # Errors
    /// When some pair of devices cannot reach each other.
    pub fn survey(&self) -> Result<Survey, TopologyError> {
        Ok(Survey {
            n_devices: self.n_devices(),
            n_nodes: self.n_nodes(),
            n_nics: self.layout().n_nics(),
            switches: self.switch_counts(),
            leaf_ports: self.wiring().leaf_ports(),
            wires: self.wire_counts(),
            full_size: self.full_size(),
            bisection: self.bisection(),
            diameter: self.diameter()?,
        })
    }

    /// What the first half of the nodes can send to the second half at once, as a maximum flow; an odd node counts to
    /// the second. A machine of one node is halved by device.
    ///
    /// Each plane of a folded Clos has spines and cores enough for its leaves, so a plane carries the lesser of what the NICs and
    /// leaves of one half can send and those of the other can take; NICs that share a leaf across the cut meet in it.
    /// Without oversubscription, and with trunks as fast as NICs, that is `floor(nodes / 2) x NICs x rate`; where half of the
    /// leaves are in either half and all their ports taken, that over `fabric.oversubscription`. Limits inside a node (PCIe, scale-up) are
    /// not part of it.
    #[must_use]
    pub fn bisection(&self) -> BytesPerSec {
        if self.n_nodes() == 1 {
            let port = self.link(self.scale_up_send(DeviceId(0))).rate;
            return port * f64::from(self.n_devices() / 2);
        }
        let rates = WireRates { nic: self.link(self.nic_send(DeviceId(0))).rate, trunk: self.trunk_rate() };
        self.wiring().bisection(self.n_nodes(), rates)
    }

    fn diameter(&self) -> Result<Diameter, TopologyError> {
        let mut diameter = Diameter { switches: 0, latency: Seconds::ZERO };
        for (from, to) in self.far_pairs() {
            let path = self.path(from, to, Routing::Static)?;
            diameter.switches = diameter.switches.max(self.n_switches_on(&path));
            diameter.latency = diameter.latency.max(path.latency);
        }
        Ok(diameter)
    }

    /// Pairs among which the farthest is: two devices of the first node, where all pairs are alike, and one device
    /// of each NIC of the first node with each of the node that is farthest from it.
    fn far_pairs(&self) -> Vec<(DeviceId, DeviceId)> {
        let (first, last) = (NodeId(0), NodeId(self.wiring().farthest_node(self.n_nodes())));
        let within = self.devices_of(first).skip(1).take(1).map(|to| (DeviceId(0), to));
        let mut pairs: Vec<_> = within.collect();
        if first != last {
            let mut by_nic: Vec<u32> = (0..self.devices_of(first).len() as u32).collect();
            by_nic.dedup_by_key(|local_rank| self.layout().nic_of_rank(*local_rank));
            for from in &by_nic {
                pairs.extend(by_nic.iter().map(|to| (self.device(first, *from), self.device(last, *to))));
            }
        }
        pairs
    }

    /// Switches a path passes, scale-up switches included, PCIe switches not.
    ///
    /// # Panics
    /// If the path is not of this network.
    #[must_use]
    pub fn n_switches_on(&self, path: &Path) -> u32 {
        let is_switch = |vertex| matches!(vertex, Vertex::ScaleUpSwitch(_) | Vertex::Switch { .. });
        path.links.iter().map(|link| u32::from(is_switch(self.ends(*link).1))).sum()
    }

    fn switch_counts(&self) -> SwitchCounts {
        let mut counts = SwitchCounts::default();
        for vertex in self.graph().node_weights() {
            match vertex {
                Vertex::ScaleUpSwitch(_) => counts.scale_up += 1,
                Vertex::Switch { tier: Tier::Leaf, .. } => counts.leaf += 1,
                Vertex::Switch { tier: Tier::Spine, .. } => counts.spine += 1,
                Vertex::Switch { tier: Tier::Core, .. } => counts.core += 1,
                Vertex::Device(_) | Vertex::PcieSwitch { .. } | Vertex::Nic { .. } => {}
            }
        }
        counts
    }

    fn wire_counts(&self) -> WireCounts {
        let mut counts = WireCounts::default();
        for (_, link) in self.links().filter(|(id, _)| id.leads_up()) {
            match link.kind {
                LinkKind::ScaleUpSend | LinkKind::ScaleUpReceive => counts.scale_up += 1,
                LinkKind::Pcie => counts.pcie += 1,
                LinkKind::NicUp | LinkKind::NicDown => counts.nic += 1,
                LinkKind::Trunk => counts.trunk += 1,
            }
        }
        counts
    }
}
