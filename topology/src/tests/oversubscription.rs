//! Leaves with more ports down than up: closed forms, and what it must not change.

use std::collections::BTreeMap;

use units::BytesPerSec;

use super::every_kind;
use super::fixture::{machine, oversubscribed};
use crate::{Counts, DeviceId, FabricKind, LinkId, LinkKind, Machine, Network, Routing, Tier, Vertex};

/// Ratios that ports can be split by and such that they cannot, none first.
const RATIOS: [f64; 7] = [1.0, 1.25, 2.0, 3.0, 4.0, 7.0, 7.9];

fn at(ratio: f64, machine: &Machine) -> Machine {
    let mut machine = machine.clone();
    machine.fabric.oversubscription = ratio;
    machine
}

#[test]
fn ports_are_split_as_near_to_the_ratio_as_whole_ones_can_be() {
    for ports in (2..=128).step_by(2) {
        for ratio in RATIOS.into_iter().filter(|ratio| *ratio <= f64::from(ports - 1)) {
            let leaf = at(ratio, &machine(FabricKind::FatTree, 8, 2, ports, 1)).fabric.leaf_ports();
            assert_eq!(leaf.down + leaf.up, ports);
            assert!((1..=leaf.down).contains(&leaf.up), "{ratio} of {ports}: {leaf:?}");
            let exact = f64::from(ports) / (1.0 + ratio);
            assert!((f64::from(leaf.up) - exact).abs() <= 0.5, "{ratio} of {ports}: {leaf:?}");
        }
    }
}

/// As many nodes as the ports take: what is built is the closed form, and one more does not fit.
#[test]
fn a_full_network_of_any_ratio_is_its_full_size() {
    for (kind, planes, tiers, ports, blocks) in [
        (FabricKind::FatTree, 8, 2, 16, 16),
        (FabricKind::FatTree, 8, 3, 8, 32),
        (FabricKind::RailFatTree, 1, 2, 16, 2),
        (FabricKind::RailFatTree, 1, 3, 16, 16),
    ] {
        for ratio in RATIOS.into_iter().filter(|ratio| *ratio < f64::from(ports - 1)) {
            let mut machine = at(ratio, &machine(kind, planes, tiers, ports, 1));
            machine.n_nodes = blocks * machine.fabric.leaf_ports().down;
            let name = format!("{kind:?}, {tiers} tiers, {ports} ports, {ratio} : 1");
            let full = machine.fabric.full_size();
            let leaf = machine.fabric.leaf_ports();
            assert_eq!(full, Counts::clos(ports, tiers, leaf).times(planes), "{name}");
            let survey = Network::build(&machine).expect("it fits").survey().expect("connected");
            assert_eq!(u64::from(survey.n_nics), full.endpoints, "{name}");
            assert_eq!(u64::from(survey.switches.scale_out()), full.switches, "{name}");
            assert_eq!(u64::from(survey.wires.trunk), full.links, "{name}");
            assert_eq!(survey.leaf_ports, Some(leaf), "{name}");
            machine.n_nodes += 1;
            assert!(Network::build(&machine).is_err(), "{name}: no port is left");
        }
    }
}

#[test]
fn no_switch_has_more_wires_than_ports_at_any_ratio() {
    for (kind, shape, n_nodes_max) in [
        (FabricKind::FatTree, [8, 2, 16], 60),
        (FabricKind::FatTree, [8, 3, 8], 60),
        (FabricKind::RailFatTree, [1, 3, 12], 60),
    ] {
        let [planes, tiers, ports] = shape;
        for (n_nodes, ratio) in (1..=n_nodes_max).step_by(3).flat_map(|n| RATIOS.map(|ratio| (n, ratio))) {
            if Network::build(&at(ratio, &machine(kind, planes, tiers, ports, n_nodes))).is_err() {
                continue;
            }
            let network = oversubscribed(kind, [planes, tiers, ports, n_nodes], ratio);
            for vertex in network.graph().node_indices() {
                if let Vertex::Switch { .. } = network.graph()[vertex] {
                    let n_wires = network.graph().edges(vertex).count();
                    assert!((1..=ports as usize).contains(&n_wires), "{n_nodes} nodes, {ratio} : 1 on {kind:?}");
                }
            }
        }
    }
}

/// Half of the full leaves send to the other half: what all uplinks carry, halved, and that is what their NICs send over
/// the ratio.
#[test]
fn bisection_is_half_the_uplinks() {
    for (kind, planes, tiers, ports) in
        [(FabricKind::FatTree, 8, 2, 64), (FabricKind::FatTree, 8, 3, 16), (FabricKind::RailFatTree, 1, 3, 64)]
    {
        for ratio in RATIOS {
            let mut machine = at(ratio, &machine(kind, planes, tiers, ports, 1));
            let leaf = machine.fabric.leaf_ports();
            machine.n_nodes = 4 * leaf.down;
            let network = Network::build(&machine).expect("it fits");
            let survey = network.survey().expect("connected");
            let uplinks = f64::from(survey.switches.leaf) * f64::from(leaf.up) * 50e9;
            let nics = f64::from(survey.n_nics) * 50e9;
            let name = format!("{kind:?} of {tiers} tiers at {ratio} : 1");
            assert!((survey.bisection.get() / (uplinks / 2.0) - 1.0).abs() < 1e-12, "{name}: {}", survey.bisection);
            let over = nics / 2.0 / leaf.ratio();
            assert!((survey.bisection.get() / over - 1.0).abs() < 1e-12, "{name}: {}", survey.bisection);
        }
    }
}

/// Who gives up uplinks pays for no more switches and wires, whatever rounding does to a ratio.
#[test]
fn a_higher_ratio_never_costs_more_parts() {
    for (kind, planes, tiers, ports) in
        [(FabricKind::FatTree, 8, 2, 64), (FabricKind::FatTree, 1, 3, 40), (FabricKind::RailFatTree, 1, 3, 64)]
    {
        for n_nodes in (8..=400).step_by(56) {
            let parts = |ratio| {
                let counts = at(ratio, &machine(kind, planes, tiers, ports, n_nodes)).counts().expect("it fits");
                (counts.switches, counts.links)
            };
            let base = parts(1.0);
            for ratio in RATIOS {
                let (switches, links) = parts(ratio);
                let name = format!("{n_nodes} nodes on {kind:?} of {ports} ports at {ratio} : 1");
                assert!(switches <= base.0 && links <= base.1, "{name}: {switches} {links} for {base:?}");
            }
        }
    }
}

/// What crossings say of a link is what all paths together put there, and no link of a message is fuller than those that
/// stand for it.
#[test]
fn crossings_are_what_paths_put_on_the_fullest_links() {
    for (name, network) in every_kind() {
        for routing in [Routing::Static, Routing::Ecmp, Routing::Adaptive] {
            let n = network.n_devices();
            // Uneven: from some devices, to some.
            let messages: Vec<_> = (0..n * n).step_by(13).map(|i| (DeviceId(i / n), DeviceId(i % n))).collect();
            let (mut shares, mut counts) = (BTreeMap::<LinkId, f64>::new(), BTreeMap::<LinkId, f64>::new());
            for &(from, to) in &messages {
                for (path, share) in network.paths(from, to, routing).expect("connected") {
                    path.links.iter().for_each(|link| *shares.entry(*link).or_default() += share);
                }
                for crossing in network.crossings(from, to, routing).expect("connected") {
                    *counts.entry(crossing.link).or_default() += 1.0;
                }
            }
            for &(from, to) in &messages {
                let paths = network.paths(from, to, routing).expect("connected");
                let fullest =
                    paths.iter().flat_map(|(path, _)| &path.links).map(|link| shares[link]).fold(0.0, f64::max);
                let crossings = network.crossings(from, to, routing).expect("connected");
                let mut most = 0.0_f64;
                for crossing in crossings {
                    let load = counts[&crossing.link] / crossing.lanes;
                    assert!((load - shares[&crossing.link]).abs() < 1e-9, "{name}, {routing:?}: {crossing:?}: {load}");
                    most = most.max(load);
                }
                assert!((most - fullest).abs() < 1e-9, "{name}, {routing:?}: {from} to {to}: {most}, {fullest}");
            }
        }
    }
}

/// Every device sends to the one half a machine away, which is below other leaves and, of three tiers, in another pod. Each
/// port carries one message, each uplink as many as a leaf has ports down for it, and no link above carries more.
#[test]
fn uplinks_are_where_full_leaves_meet() {
    for (kind, planes, tiers, ports) in
        [(FabricKind::FatTree, 8, 2, 16), (FabricKind::FatTree, 8, 3, 8), (FabricKind::RailFatTree, 1, 3, 16)]
    {
        for ratio in RATIOS.into_iter().filter(|ratio| *ratio < f64::from(ports - 1)) {
            let mut machine = at(ratio, &machine(kind, planes, tiers, ports, 1));
            let (leaf, full) = (machine.fabric.leaf_ports(), machine.fabric.full_size());
            machine.n_nodes = (full.endpoints / 8) as u32;
            let network = Network::build(&machine).expect("it is full");
            let n = network.n_devices();
            let mut load = BTreeMap::<LinkId, f64>::new();
            for from in 0..n {
                let (from, to) = (DeviceId(from), DeviceId((from + n / 2) % n));
                for crossing in network.crossings(from, to, Routing::Adaptive).expect("connected") {
                    *load.entry(crossing.link).or_default() += 1.0 / crossing.lanes;
                }
            }
            let name = format!("{kind:?} of {tiers} tiers at {ratio} : 1");
            for (link, load) in load {
                let (below, above) = network.ends(link);
                let is_leaf = |vertex| matches!(vertex, Vertex::Switch { tier: Tier::Leaf, .. });
                match network.link(link).kind {
                    LinkKind::NicUp | LinkKind::NicDown => assert!((load - 1.0).abs() < 1e-9, "{name}: {load}"),
                    LinkKind::Trunk if is_leaf(below) || is_leaf(above) => {
                        assert!((load / leaf.ratio() - 1.0).abs() < 1e-9, "{name}: {load}");
                    }
                    LinkKind::Trunk => assert!(load < leaf.ratio() + 1e-9, "{name}: {load}"),
                    LinkKind::ScaleUpSend | LinkKind::ScaleUpReceive | LinkKind::Pcie => {}
                }
            }
        }
    }
}

/// Below one leaf a message never meets an uplink.
#[test]
fn within_a_leaf_the_ratio_changes_no_path() {
    let kinds = |ratio| oversubscribed(FabricKind::FatTree, [8, 2, 64, 32], ratio);
    let (full, over) = (kinds(1.0), kinds(4.0));
    for (from, to) in (0..full.n_devices()).step_by(5).map(|i| (DeviceId(i), DeviceId((7 * i + 8) % full.n_devices())))
    {
        for routing in [Routing::Static, Routing::Ecmp, Routing::Adaptive] {
            assert_eq!(full.path(from, to, routing).expect("joined"), over.path(from, to, routing).expect("joined"));
        }
    }
    assert_eq!(full.bisection(), over.bisection());
}

/// A wire has the rate of its slower end, whichever that is.
#[test]
fn a_nic_faster_than_its_port_sends_no_faster_than_the_port() {
    for (nic, port, wire) in [(50e9, 50e9, 50e9), (100e9, 50e9, 50e9), (25e9, 50e9, 25e9)] {
        let mut machine = machine(FabricKind::FatTree, 8, 2, 64, 4);
        machine.node.nic.rate = BytesPerSec::new(nic);
        machine.fabric.link_rate = BytesPerSec::new(port);
        let network = Network::build(&machine).expect("whole");
        for link in [network.nic_send(DeviceId(9)), network.nic_receive(DeviceId(9))] {
            assert_eq!(network.link(link).rate, BytesPerSec::new(wire));
        }
        assert_eq!(network.bisection(), BytesPerSec::new(2.0 * 8.0 * wire));
    }
}
