//! The graph of a machine and the dense numbers of its links.

use petgraph::graph::{DiGraph, EdgeIndex};
use units::BytesPerSec;

use crate::wiring::{Socket, Wiring};
use crate::{Counts, DeviceId, Link, LinkId, LinkKind, Machine, NodeId, TopologyError, Vertex};

/// A machine as a graph: vertices joined by directed links, with paths found from structure, not by search.
///
/// Build it with [`Network::build`]. Accessors that take a [`DeviceId`] or [`LinkId`] expect one of this network.
#[derive(Clone, Debug)]
pub struct Network {
    graph: DiGraph<Vertex, Link>,
    layout: Layout,
    wiring: Wiring,
    full_size: Counts,
}

impl Network {
    pub(crate) fn new(graph: DiGraph<Vertex, Link>, layout: Layout, wiring: Wiring, full_size: Counts) -> Self {
        Self { graph, layout, wiring, full_size }
    }

    /// Devices of all nodes.
    #[must_use]
    pub fn n_devices(&self) -> u32 {
        self.layout.n_devices()
    }

    /// Nodes.
    #[must_use]
    pub fn n_nodes(&self) -> u32 {
        self.layout.n_nodes
    }

    /// Directed links, two a wire; every [`LinkId`] is below it.
    #[must_use]
    pub fn n_links(&self) -> usize {
        self.graph.edge_count()
    }

    /// A link.
    ///
    /// # Panics
    /// If the link is not of this network.
    #[must_use]
    pub fn link(&self, link: LinkId) -> &Link {
        &self.graph[EdgeIndex::from(link.0)]
    }

    /// All links, in the order of their numbers.
    pub fn links(&self) -> impl Iterator<Item = (LinkId, &Link)> {
        (0..).map(LinkId).zip(self.graph.edge_weights())
    }

    /// Where a link starts and ends.
    ///
    /// # Panics
    /// If the link is not of this network.
    #[must_use]
    pub fn ends(&self, link: LinkId) -> (Vertex, Vertex) {
        let edge = &self.graph.raw_edges()[link.index()];
        (self.graph[edge.source()], self.graph[edge.target()])
    }

    /// The graph itself, for searches of your own; edge i is [`LinkId`] i.
    #[must_use]
    pub fn graph(&self) -> &DiGraph<Vertex, Link> {
        &self.graph
    }

    /// Whether NICs are joined to switches; without, only devices of one node reach each other.
    #[must_use]
    pub fn has_network(&self) -> bool {
        self.wiring.is_network()
    }

    /// The node of a device.
    #[must_use]
    pub fn node_of(&self, device: DeviceId) -> NodeId {
        self.layout.node_of(device)
    }

    /// The index of a device within its node.
    #[must_use]
    pub fn local_rank(&self, device: DeviceId) -> u32 {
        self.layout.local_rank(device)
    }

    /// The devices of a node, by local rank.
    pub fn devices_of(&self, node: NodeId) -> impl ExactSizeIterator<Item = DeviceId> + use<> {
        let first = node.0 * self.layout.node_devices;
        (first..first + self.layout.node_devices).map(DeviceId)
    }

    /// The device of a node with this local rank.
    #[must_use]
    pub fn device(&self, node: NodeId, local_rank: u32) -> DeviceId {
        DeviceId(node.0 * self.layout.node_devices + local_rank)
    }

    /// The link from a device to the scale-up switch of its node.
    #[must_use]
    pub fn scale_up_send(&self, device: DeviceId) -> LinkId {
        LinkId(4 * device.0)
    }

    /// The link from the scale-up switch to a device.
    #[must_use]
    pub fn scale_up_receive(&self, device: DeviceId) -> LinkId {
        self.scale_up_send(device).reverse()
    }

    /// The link from a device to its PCIe switch, which messages to the NIC and to the host share.
    #[must_use]
    pub fn pcie_send(&self, device: DeviceId) -> LinkId {
        LinkId(4 * device.0 + 2)
    }

    /// The link from the PCIe switch to a device.
    #[must_use]
    pub fn pcie_receive(&self, device: DeviceId) -> LinkId {
        self.pcie_send(device).reverse()
    }

    /// The link from the NIC that serves a device to its leaf; devices may share it.
    ///
    /// # Panics
    /// If the machine has no network ([`Network::has_network`]).
    #[must_use]
    pub fn nic_send(&self, device: DeviceId) -> LinkId {
        assert!(self.has_network(), "{device} has no NIC on a network");
        LinkId(self.layout.first_nic_link(self.layout.nic_of(device)) + 2)
    }

    /// The link from the leaf to the NIC that serves a device.
    ///
    /// # Panics
    /// If the machine has no network ([`Network::has_network`]).
    #[must_use]
    pub fn nic_receive(&self, device: DeviceId) -> LinkId {
        self.nic_send(device).reverse()
    }

    /// The plane that the NIC of a device joins; `None` without a network. Devices whose planes differ meet only over
    /// the scale-up fabric of a node.
    #[must_use]
    pub fn plane_of(&self, device: DeviceId) -> Option<u32> {
        self.socket(device).map(|socket| socket.plane)
    }

    /// A device with its place, for messages to people.
    #[must_use]
    pub fn name(&self, device: DeviceId) -> String {
        format!("{device} (local rank {} of {})", self.local_rank(device), self.node_of(device))
    }

    pub(crate) fn socket(&self, device: DeviceId) -> Option<Socket> {
        self.wiring.socket(self.node_of(device).0, self.layout.nic_of_rank(self.local_rank(device)))
    }

    /// From PCIe switch to NIC; the reverse leads back.
    pub(crate) fn bus_send(&self, device: DeviceId) -> LinkId {
        LinkId(self.layout.first_nic_link(self.layout.nic_of(device)))
    }

    pub(crate) fn check_device(&self, device: DeviceId) -> Result<(), TopologyError> {
        let n_devices = self.n_devices();
        if device.0 < n_devices { Ok(()) } else { Err(TopologyError::NoSuchDevice { device, n_devices }) }
    }

    pub(crate) fn layout(&self) -> &Layout {
        &self.layout
    }

    pub(crate) fn wiring(&self) -> &Wiring {
        &self.wiring
    }

    /// Rate of a wire between switches, all of which are alike; zero where no switch is joined to another.
    pub(crate) fn trunk_rate(&self) -> BytesPerSec {
        // Trunks are counted last.
        let last = self.graph.raw_edges().last().map(|edge| edge.weight);
        last.filter(|link| link.kind == LinkKind::Trunk).map_or(BytesPerSec::ZERO, |link| link.rate)
    }

    pub(crate) fn full_size(&self) -> Counts {
        self.full_size
    }
}

/// How vertices and links of nodes are numbered.
///
/// Vertices: devices, scale-up switches, PCIe switches, NICs, then the switches of the wiring. Links: four a device
/// (scale-up, PCIe), then two or four a NIC (bus, and leaf if there is one), then the trunks of the wiring; each
/// wire is two links, the one away from the device first.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    pub(crate) n_nodes: u32,
    pub(crate) node_devices: u32,
    pub(crate) node_nics: u32,
    has_network: bool,
}

impl Layout {
    pub(crate) fn new(machine: &Machine, has_network: bool) -> Self {
        Self {
            n_nodes: machine.n_nodes,
            node_devices: machine.node.devices,
            node_nics: machine.node.nic.count,
            has_network,
        }
    }

    pub(crate) fn n_devices(&self) -> u32 {
        self.n_nodes * self.node_devices
    }

    pub(crate) fn n_nics(&self) -> u32 {
        self.n_nodes * self.node_nics
    }

    /// PCIe switches of a node: one a NIC; without NICs, one a device.
    pub(crate) fn node_buses(&self) -> u32 {
        if self.node_nics == 0 { self.node_devices } else { self.node_nics }
    }

    pub(crate) fn n_vertices_of_nodes(&self) -> u32 {
        self.n_devices() + self.n_nodes * (1 + self.node_buses() + self.node_nics)
    }

    pub(crate) fn n_links_of_nodes(&self) -> u32 {
        self.first_nic_link(self.n_nics())
    }

    pub(crate) fn node_of(&self, device: DeviceId) -> NodeId {
        NodeId(device.0 / self.node_devices)
    }

    pub(crate) fn local_rank(&self, device: DeviceId) -> u32 {
        device.0 % self.node_devices
    }

    /// NIC within its node that serves a local rank: i x NICs / devices.
    pub(crate) fn nic_of_rank(&self, local_rank: u32) -> u32 {
        (u64::from(local_rank) * u64::from(self.node_nics) / u64::from(self.node_devices)) as u32
    }

    /// NIC of the whole machine that serves a device.
    pub(crate) fn nic_of(&self, device: DeviceId) -> u32 {
        self.node_of(device).0 * self.node_nics + self.nic_of_rank(self.local_rank(device))
    }

    pub(crate) fn scale_up_switch(&self, device: DeviceId) -> u32 {
        self.n_devices() + self.node_of(device).0
    }

    pub(crate) fn pcie_switch(&self, device: DeviceId) -> u32 {
        let local_rank = self.local_rank(device);
        let index = if self.node_nics == 0 { local_rank } else { self.nic_of_rank(local_rank) };
        self.n_devices() + self.n_nodes + self.node_of(device).0 * self.node_buses() + index
    }

    pub(crate) fn bus_of_nic(&self, nic: u32) -> u32 {
        self.n_devices() + self.n_nodes + nic
    }

    pub(crate) fn nic_vertex(&self, nic: u32) -> u32 {
        self.n_devices() + self.n_nodes * (1 + self.node_buses()) + nic
    }

    pub(crate) fn first_nic_link(&self, nic: u32) -> u32 {
        let per_nic = if self.has_network { 4 } else { 2 };
        4 * self.n_devices() + per_nic * nic
    }
}
