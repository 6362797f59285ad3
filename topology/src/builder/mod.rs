//! From the description of a machine to its graph.

mod check;

use petgraph::graph::{DiGraph, NodeIndex};
use units::{BytesPerSec, Seconds};

use crate::network::Layout;
use crate::plane::{Plane, at_most};
use crate::{DeviceId, Link, LinkKind, Machine, Network, NodeId, Tier, TopologyError, Vertex};

impl Network {
    /// Builds the graph of a machine: every device, PCIe switch, NIC and switch that its nodes need, with one
    /// directed link each way of each wire. What is built follows `fabric.kind`, `fabric.planes` and `fabric.tiers`:
    ///
    /// | kind | planes | network |
    /// |---|---|---|
    /// | `fat-tree` | NICs of a node | multi-plane: NIC i joins plane i, planes share nothing |
    /// | `fat-tree` | 1 | an ordinary fat tree, a leaf takes whole nodes |
    /// | `rail-fat-tree` | 1 | multi-rail: a leaf takes NIC i of its nodes |
    /// | `none` | - | the scale-up domain is the machine, one node |
    ///
    /// Leaves are as many as the nodes need, their ports split as [`crate::Fabric::leaf_ports`] has it. Spines and cores are as few
    /// as take all that leaves send up: `fabric.oversubscription` is of the leaves alone, and above them bisection is full. At
    /// 1 there are equally many wires between every leaf and spine. A NIC's wire has the rate of its slower end, of NIC and
    /// switch port. Latencies: half of `gpu.scale-up.latency` stands on each of its two links, half of
    /// `fabric.endpoint-latency` on each NIC link, one `fabric.switch-latency` on the link that leaves a switch, and
    /// `node.host.pcie-latency` on the link between device and PCIe switch. An endpoint latency measured from memory to
    /// memory already holds two crossings of PCIe and the switches: take them out before it goes into a file.
    ///
    /// # Errors
    /// When a count or rate is missing, several nodes have no network, NICs or planes would idle, or the nodes do not
    /// fit the ports of the switches.
    pub fn build(machine: &Machine) -> Result<Self, TopologyError> {
        let mut planes = planes(machine)?;
        let layout = Layout::new(machine, !planes.is_empty());
        let mut vertex = layout.n_vertices_of_nodes();
        let mut link = layout.n_links_of_nodes();
        let mut n_trunks = 0;
        for plane in &mut planes {
            let n_wires = plane.n_leaf_wires() + plane.n_spine_wires();
            n_trunks += n_wires;
            at_most("switch-to-switch wires", n_trunks)?;
            (plane.first_vertex, plane.first_link) = (vertex, link);
            vertex += plane.n_leaves + plane.n_spines() + plane.n_cores();
            link += 2 * n_wires as u32;
        }
        let mut wiring = Wiring { machine, graph: DiGraph::with_capacity(vertex as usize, link as usize) };
        wiring.add_vertices(&layout, &planes);
        wiring.join_devices(&layout);
        wiring.join_nics(&layout, &planes);
        for plane in &planes {
            wiring.join_switches(plane);
        }
        Ok(Self::new(wiring.graph, layout, planes, machine.fabric.full_size()))
    }
}

/// The planes of a machine that is whole, in order.
pub(crate) fn planes(machine: &Machine) -> Result<Vec<Plane>, TopologyError> {
    check::check(machine)?;
    Plane::all(machine)
}

/// A graph that is being wired. Vertices and links are added in the order that [`Layout`] and [`Plane`] count them.
struct Wiring<'a> {
    machine: &'a Machine,
    graph: DiGraph<Vertex, Link>,
}

impl Wiring<'_> {
    fn add_vertices(&mut self, layout: &Layout, planes: &[Plane]) {
        for device in 0..layout.n_devices() {
            self.graph.add_node(Vertex::Device(DeviceId(device)));
        }
        for node in (0..layout.n_nodes).map(NodeId) {
            self.graph.add_node(Vertex::ScaleUpSwitch(node));
        }
        for node in (0..layout.n_nodes).map(NodeId) {
            for index in 0..layout.node_buses() {
                self.graph.add_node(Vertex::PcieSwitch { node, index });
            }
        }
        for node in (0..layout.n_nodes).map(NodeId) {
            for index in 0..layout.node_nics {
                self.graph.add_node(Vertex::Nic { node, index });
            }
        }
        for (plane, shape) in (0..).zip(planes) {
            let tiers = [(Tier::Leaf, shape.n_leaves), (Tier::Spine, shape.n_spines()), (Tier::Core, shape.n_cores())];
            for (tier, count) in tiers {
                for index in 0..count {
                    self.graph.add_node(Vertex::Switch { tier, plane, index });
                }
            }
        }
    }

    fn join_devices(&mut self, layout: &Layout) {
        let Machine { device, node, .. } = self.machine;
        // Without links the port stays, at rate zero, and no path takes it.
        let rate = if device.scale_up.links > 0 { device.scale_up_rate() } else { BytesPerSec::ZERO };
        let latency = device.scale_up.latency * 0.5;
        let send = Link { rate, latency, kind: LinkKind::ScaleUpSend };
        let receive = Link { kind: LinkKind::ScaleUpReceive, ..send };
        let pcie = Link { rate: node.host.pcie_rate, latency: node.host.pcie_latency, kind: LinkKind::Pcie };
        for device in (0..layout.n_devices()).map(DeviceId) {
            self.join(device.0, layout.scale_up_switch(device), send, receive);
            self.join(device.0, layout.pcie_switch(device), pcie, pcie);
        }
    }

    fn join_nics(&mut self, layout: &Layout, planes: &[Plane]) {
        let Machine { node, fabric, .. } = self.machine;
        // Between PCIe switch and NIC there is room for all devices of the NIC: PCIe binds at the device, if at all.
        let sharers = node.devices.div_ceil(node.nic.count.max(1));
        let rate = node.host.pcie_rate * f64::from(sharers);
        let bus = Link { rate, latency: Seconds::ZERO, kind: LinkKind::Pcie };
        let up =
            Link { rate: self.machine.nic_wire_rate(), latency: fabric.endpoint_latency * 0.5, kind: LinkKind::NicUp };
        let down = Link { latency: up.latency + fabric.switch_latency, kind: LinkKind::NicDown, ..up };
        for nic in 0..layout.n_nics() {
            self.join(layout.bus_of_nic(nic), layout.nic_vertex(nic), bus, bus);
            if let Some(socket) = layout.socket(planes, nic) {
                let leaf = planes[socket.plane as usize].first_vertex + socket.leaf;
                self.join(layout.nic_vertex(nic), leaf, up, down);
            }
        }
    }

    fn join_switches(&mut self, plane: &Plane) {
        let fabric = &self.machine.fabric;
        let trunk = Link { rate: fabric.link_rate, latency: fabric.switch_latency, kind: LinkKind::Trunk };
        let first_spine = plane.first_vertex + plane.n_leaves;
        let first_core = first_spine + plane.n_spines();
        if plane.pod_spines > 0 {
            for (leaf, u) in pairs(plane.n_leaves, plane.leaf.up) {
                let spine = first_spine + plane.spine_of_lane(leaf, u);
                self.join(plane.first_vertex + leaf, spine, trunk, trunk);
            }
        }
        if plane.group_cores > 0 {
            for (spine, v) in pairs(plane.n_spines(), plane.spine_lanes) {
                let core = first_core + plane.core_of_lane(spine, v);
                self.join(first_spine + spine, core, trunk, trunk);
            }
        }
    }

    /// One wire: the link away from the device, then its reverse.
    fn join(&mut self, below: u32, above: u32, up: Link, down: Link) {
        let (below, above) = (NodeIndex::from(below), NodeIndex::from(above));
        self.graph.add_edge(below, above, up);
        self.graph.add_edge(above, below, down);
    }
}

fn pairs(n: u32, m: u32) -> impl Iterator<Item = (u32, u32)> {
    (0..n).flat_map(move |i| (0..m).map(move |j| (i, j)))
}
