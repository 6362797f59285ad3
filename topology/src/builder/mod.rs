//! From the description of a machine to its graph.

mod check;

use petgraph::graph::{DiGraph, NodeIndex};
use units::{BytesPerSec, Seconds};

use crate::network::Layout;
use crate::wiring::Wiring;
use crate::{DeviceId, Link, LinkKind, Machine, Network, NodeId, TopologyError, Vertex};

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
        let mut wiring = wiring(machine)?;
        let layout = Layout::new(machine, wiring.is_network());
        let (first_vertex, first_link) = (layout.n_vertices_of_nodes(), layout.n_links_of_nodes());
        wiring.number(first_vertex, first_link)?;
        let counts = wiring.counts(machine.n_nodes);
        let n_vertices = first_vertex as usize + counts.switches as usize;
        let n_links = first_link as usize + 2 * counts.links as usize;
        let mut assembly = Assembly { machine, graph: DiGraph::with_capacity(n_vertices, n_links) };
        assembly.add_vertices(&layout, &wiring);
        assembly.join_devices(&layout);
        assembly.join_nics(&layout, &wiring);
        assembly.join_switches(&wiring);
        Ok(Self::new(assembly.graph, layout, wiring, machine.fabric.full_size()))
    }
}

/// The wiring of a machine that is whole.
pub(crate) fn wiring(machine: &Machine) -> Result<Wiring, TopologyError> {
    check::check(machine)?;
    Wiring::of(machine)
}

/// A graph that is put together. Vertices and links are added in the order that [`Layout`] and [`Wiring`] count them.
struct Assembly<'a> {
    machine: &'a Machine,
    graph: DiGraph<Vertex, Link>,
}

impl Assembly<'_> {
    fn add_vertices(&mut self, layout: &Layout, wiring: &Wiring) {
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
        for switch in wiring.switches() {
            self.graph.add_node(switch);
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

    fn join_nics(&mut self, layout: &Layout, wiring: &Wiring) {
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
            if let Some(switch) = wiring.switch_above(nic / layout.node_nics, nic % layout.node_nics) {
                self.join(layout.nic_vertex(nic), switch, up, down);
            }
        }
    }

    fn join_switches(&mut self, wiring: &Wiring) {
        let fabric = &self.machine.fabric;
        let trunk = Link { rate: fabric.link_rate, latency: fabric.switch_latency, kind: LinkKind::Trunk };
        for (below, above) in wiring.wires() {
            self.join(below, above, trunk, trunk);
        }
    }

    /// One wire: the link away from the device, then its reverse.
    fn join(&mut self, below: u32, above: u32, up: Link, down: Link) {
        let (below, above) = (NodeIndex::from(below), NodeIndex::from(above));
        self.graph.add_edge(below, above, up);
        self.graph.add_edge(above, below, down);
    }
}
