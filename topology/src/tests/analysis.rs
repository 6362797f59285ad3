//! Counts, bisection and diameter against closed forms and slow searches.

use petgraph::algo::ford_fulkerson;
use petgraph::graph::DiGraph;

use super::fixture::{machine, network};
use super::{every_full_kind, every_kind};
use crate::{DeviceId, FabricKind, LinkId, Machine, Network, Routing, Vertex};

/// As many nodes as the ports take: what is built is the published full size.
#[test]
fn a_full_network_is_its_full_size() {
    let full = [
        (FabricKind::FatTree, 8, 2, 64, 2048),
        (FabricKind::FatTree, 1, 2, 64, 256),
        (FabricKind::RailFatTree, 1, 2, 64, 256),
        (FabricKind::FatTree, 8, 3, 8, 128),
        (FabricKind::FatTree, 1, 3, 16, 128),
        (FabricKind::RailFatTree, 1, 3, 16, 128),
    ];
    for (kind, planes, tiers, ports, n_nodes) in full {
        let survey = network(kind, planes, tiers, ports, n_nodes).survey().expect("connected");
        let name = format!("{kind:?}, {planes} planes, {tiers} tiers, {ports} ports");
        assert_eq!(u64::from(survey.n_nics), survey.full_size.endpoints, "{name}");
        assert_eq!(u64::from(survey.switches.scale_out()), survey.full_size.switches, "{name}");
        assert_eq!(u64::from(survey.wires.trunk), survey.full_size.links, "{name}");
        let one_more = Network::build(&machine(kind, planes, tiers, ports, n_nodes + 1));
        let message = one_more.expect_err("no port is left").to_string();
        assert!(message.contains(&format!("{} nodes", n_nodes + 1)) && message.contains(&format!("take {n_nodes}")));
    }
}

/// For every number of nodes that fits: a NIC has one wire up, and no switch more wires than ports.
#[test]
fn no_switch_has_more_wires_than_ports() {
    let fabrics = [
        (FabricKind::FatTree, 8, 2, 8, 32),
        (FabricKind::FatTree, 8, 3, 4, 16),
        (FabricKind::FatTree, 1, 2, 20, 20),
        (FabricKind::RailFatTree, 1, 3, 12, 54),
        (FabricKind::RailFatTree, 3, 2, 12, 24),
    ];
    for (kind, planes, tiers, ports, n_nodes_max) in fabrics {
        for n_nodes in 1..=n_nodes_max {
            let network = network(kind, planes, tiers, ports, n_nodes);
            for vertex in network.graph().node_indices() {
                let n_wires = network.graph().edges(vertex).count();
                match network.graph()[vertex] {
                    Vertex::Switch { .. } => assert!((1..=ports as usize).contains(&n_wires), "{n_nodes} on {kind:?}"),
                    Vertex::Nic { .. } => assert_eq!(n_wires, 2, "its bus and its leaf"),
                    Vertex::Device(_) | Vertex::ScaleUpSwitch(_) | Vertex::PcieSwitch { .. } => {}
                }
            }
        }
    }
}

/// Half the nodes send to the other half at the rate of their NICs.
#[test]
fn bisection_of_a_fat_tree_is_half_its_nics() {
    for (name, network) in every_full_kind() {
        let expected = f64::from(network.n_nodes() / 2) * 8.0 * 50e9;
        assert!((network.bisection().get() - expected).abs() < 1.0, "{name}: {}", network.bisection());
    }
}

#[test]
fn bisection_is_the_maximum_flow_whatever_leaves_send_up() {
    let shapes = [
        (FabricKind::FatTree, 8, 2, 6, 7),
        (FabricKind::FatTree, 8, 3, 6, 17),
        (FabricKind::RailFatTree, 1, 3, 8, 7),
        (FabricKind::FatTree, 1, 2, 64, 6),
    ];
    for (kind, planes, tiers, ports, n_nodes) in shapes {
        for (ratio, link_rate) in [(1.0, 10e9), (1.0, 50e9), (2.0, 50e9), (5.0, 50e9), (2.0, 120e9)] {
            let mut machine = machine(kind, planes, tiers, ports, n_nodes);
            machine.fabric.link_rate = units::BytesPerSec::new(link_rate);
            machine.fabric.oversubscription = ratio;
            let network = Network::build(&machine).expect("whole");
            let (formula, flow) = (network.bisection().get(), flow_across(&network));
            let name = format!("{kind:?} of {n_nodes} nodes at {ratio} : 1 and {link_rate} B/s");
            assert!((formula - flow).abs() < 1.0, "{name}: {formula}, flow {flow}");
        }
    }
}

/// Maximum flow from the NICs of the first half of the nodes to those of the second.
fn flow_across(network: &Network) -> f64 {
    let mut flow: DiGraph<(), f64> = network.graph().map(|_, _| (), |_, link| link.rate.get());
    let (source, sink) = (flow.add_node(()), flow.add_node(()));
    let cut = network.n_nodes() / 2;
    for vertex in network.graph().node_indices() {
        if let Vertex::Nic { node, .. } = network.graph()[vertex] {
            let (start, end) = if node.0 < cut { (source, vertex) } else { (vertex, sink) };
            flow.add_edge(start, end, 1e15);
        }
    }
    // NICs meet in switches only, not through their own nodes.
    flow.retain_edges(|_, edge| {
        edge.index() >= network.n_links()
            || network.ends(LinkId(edge.index() as u32)).0.is_network()
                && network.ends(LinkId(edge.index() as u32)).1.is_network()
    });
    ford_fulkerson(&flow, source, sink).0
}

impl Vertex {
    fn is_network(self) -> bool {
        matches!(self, Self::Nic { .. } | Self::Switch { .. })
    }
}

#[test]
fn no_pair_is_farther_than_the_diameter() {
    for (name, network) in every_kind() {
        let diameter = network.survey().expect("connected").diameter;
        let n = network.n_devices();
        let (mut switches, mut latency) = (0, 0.0_f64);
        for (from, to) in (0..n * n).map(|i| (DeviceId(i / n), DeviceId(i % n))) {
            let path = network.path(from, to, Routing::Static).expect("connected");
            switches = switches.max(network.n_switches_on(&path));
            latency = latency.max(path.latency.get());
        }
        assert_eq!(diameter.switches, switches, "{name}");
        assert!((diameter.latency.get() - latency).abs() < 1e-15, "{name}");
    }
}

#[test]
fn a_rack_of_72_devices_needs_no_network() {
    let mut rack = machine(FabricKind::None, 0, 0, 0, 1);
    (rack.node.devices, rack.node.nic.count) = (72, 0);
    let network = Network::build(&rack).expect("one node");
    let survey = network.survey().expect("connected");
    assert_eq!((survey.n_devices, survey.switches.scale_up, survey.switches.scale_out()), (72, 1, 0));
    assert_eq!(survey.diameter.switches, 1);
    assert!((survey.bisection.get() - 36.0 * 200e9).abs() < 1.0);
    assert!(!network.has_network());
    let path = network.path(DeviceId(0), DeviceId(71), Routing::Static).expect("scale-up");
    assert_eq!(path.links.len(), 2);
}

#[test]
fn a_bare_machine_is_one_switch_that_costs_nothing() {
    let machine = Machine::bare(32, 8, units::BytesPerSec::new(160e9), units::BytesPerSec::new(40e9));
    let network = Network::build(&machine).expect("whole");
    let survey = network.survey().expect("connected");
    assert_eq!((survey.switches.scale_out(), survey.wires.trunk), (1, 0));
    assert_eq!(survey.diameter.latency.get(), 0.0);
    assert!((survey.bisection.get() - 16.0 * 8.0 * 40e9).abs() < 1.0);
}

#[test]
fn accessors_name_the_links_of_a_device() {
    for (name, network) in every_kind() {
        for device in (0..network.n_devices()).map(DeviceId) {
            let node = network.node_of(device);
            assert_eq!(network.device(node, network.local_rank(device)), device);
            assert_eq!(network.devices_of(node).nth(network.local_rank(device) as usize), Some(device));
            let (up, leaf) = network.ends(network.nic_send(device));
            assert!(matches!((up, leaf), (Vertex::Nic { .. }, Vertex::Switch { .. })), "{name}");
            assert_eq!(network.ends(network.nic_receive(device)), (leaf, up), "{name}");
            assert_eq!(
                network.ends(network.scale_up_send(device)),
                (Vertex::Device(device), Vertex::ScaleUpSwitch(node))
            );
            assert_eq!(network.ends(network.scale_up_receive(device)).1, Vertex::Device(device));
            assert_eq!(network.ends(network.pcie_send(device)).0, Vertex::Device(device));
            assert_eq!(network.ends(network.pcie_receive(device)).1, Vertex::Device(device));
        }
    }
}

#[test]
fn every_link_has_a_reverse() {
    for (name, network) in every_kind() {
        for (id, _) in network.links() {
            let (start, end) = network.ends(id);
            assert_eq!(network.ends(id.reverse()), (end, start), "{name}: {id}");
        }
    }
}

#[test]
fn nics_shared_by_devices_are_shared_links() {
    let mut machine = machine(FabricKind::FatTree, 2, 2, 8, 4);
    machine.node.nic.count = 4;
    let network = Network::build(&machine).expect("whole");
    assert_eq!(network.nic_send(DeviceId(0)), network.nic_send(DeviceId(1)));
    assert_ne!(network.nic_send(DeviceId(1)), network.nic_send(DeviceId(2)));
    assert_eq!(network.plane_of(DeviceId(2)), Some(1));
    assert_eq!(network.survey().expect("connected").wires.pcie, 4 * (8 + 4));
}

#[test]
fn two_builds_are_the_same() {
    let build = || network(FabricKind::RailFatTree, 1, 3, 8, 14);
    assert_eq!(format!("{:?}", build()), format!("{:?}", build()));
}

/// The largest machine of the published fabric: 2,048 nodes, 16,384 devices, 64-port switches in eight planes.
#[test]
fn sixteen_thousand_devices_are_built_whole() {
    let network = network(FabricKind::FatTree, 8, 2, 64, 2048);
    let survey = network.survey().expect("connected");
    assert_eq!(network.n_links(), 2 * (16_384 * 4 + 16_384));
    assert_eq!((survey.n_devices, survey.switches.scale_out(), survey.wires.trunk), (16_384, 768, 16_384));
    assert_eq!(survey.diameter.switches, 4);
}
