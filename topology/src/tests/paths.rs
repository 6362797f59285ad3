//! Paths: contiguous, shortest, within shares, conflict-free where promised.

use std::collections::BTreeMap;

use petgraph::algo::dijkstra;
use petgraph::graph::NodeIndex;

use super::every_kind;
use super::fixture::network;
use crate::{DeviceId, FabricKind, LinkKind, Network, Path, Routing, Vertex};

fn pairs(network: &Network) -> impl Iterator<Item = (DeviceId, DeviceId)> {
    let n = network.n_devices();
    (0..n).flat_map(move |from| (0..n).map(move |to| (DeviceId(from), DeviceId(to))))
}

fn path(network: &Network, from: u32, to: u32, routing: Routing) -> Path {
    network.path(DeviceId(from), DeviceId(to), routing).expect("connected")
}

#[test]
fn a_path_leads_from_source_to_target_and_pays_every_link() {
    for (name, network) in every_kind() {
        for (from, to) in pairs(&network) {
            for routing in [Routing::Static, Routing::Ecmp] {
                let path = network.path(from, to, routing).expect("connected");
                let mut at = Vertex::Device(from);
                for link in &path.links {
                    let (start, end) = network.ends(*link);
                    assert_eq!(start, at, "{name}: {from} to {to}");
                    at = end;
                }
                assert_eq!(at, Vertex::Device(to), "{name}: {from} to {to}");
                let latency: f64 = path.links.iter().map(|link| network.link(*link).latency.get()).sum();
                assert!((path.latency.get() - latency).abs() < 1e-12);
            }
        }
    }
}

/// Between nodes, shortest among the paths that relay through the scale-up fabric no more than they must: a search in
/// which those links cost more than all others together finds nothing better.
#[test]
fn paths_between_nodes_are_shortest_in_links_and_latency() {
    let relays = |kind| u32::from(matches!(kind, LinkKind::ScaleUpSend | LinkKind::ScaleUpReceive));
    for (name, network) in every_kind() {
        for from in (0..network.n_devices()).step_by(3) {
            let start = NodeIndex::from(from);
            let hops = dijkstra(network.graph(), start, None, |edge| 1 + 100 * relays(edge.weight().kind));
            let times = dijkstra(network.graph(), start, None, |edge| {
                edge.weight().latency.get() + f64::from(relays(edge.weight().kind))
            });
            for to in far_devices(&network, from) {
                let path = path(&network, from, to, Routing::Static);
                let n_relays: u32 = path.links.iter().map(|link| relays(network.link(*link).kind)).sum();
                let (n_hops, end) = (path.links.len() as u32 + 100 * n_relays, NodeIndex::from(to));
                assert_eq!(n_hops, hops[&end], "{name}: {from} to {to}");
                let time = path.latency.get() + f64::from(n_relays);
                assert!((time - times[&end]).abs() < 1e-12, "{name}: {from} to {to}");
            }
        }
    }
}

/// Devices of other nodes. Where planes hold unequal numbers of NICs, only those of the same plane: a relay at the far
/// end may then share a leaf that one at the near end does not.
fn far_devices(network: &Network, from: u32) -> impl Iterator<Item = u32> {
    let uneven = !network.layout().node_nics.is_multiple_of(network.wiring().n_planes());
    let from = DeviceId(from);
    let far = (0..network.n_devices()).map(DeviceId).filter(move |to| {
        let same_plane = network.plane_of(from) == network.plane_of(*to);
        network.node_of(from) != network.node_of(*to) && (same_plane || !uneven)
    });
    far.map(|to| to.0)
}

/// Within a node nothing is shorter in links than the scale-up switch.
#[test]
fn paths_within_a_node_are_shortest_in_links() {
    for (name, network) in every_kind() {
        let hops = dijkstra(network.graph(), NodeIndex::from(0), None, |_| 1_usize);
        for to in 1..8 {
            let path = path(&network, 0, to, Routing::Ecmp);
            assert_eq!(path.links.len(), hops[&NodeIndex::from(to)], "{name}: 0 to {to}");
        }
    }
}

#[test]
fn adaptive_shares_add_to_one_over_distinct_equal_paths() {
    for (name, network) in every_kind() {
        for (from, to) in pairs(&network).step_by(7) {
            let paths = network.paths(from, to, Routing::Adaptive).expect("connected");
            let total: f64 = paths.iter().map(|(_, share)| share).sum();
            assert!((total - 1.0).abs() < 1e-9, "{name}: shares add to {total}");
            let first = &paths[0].0;
            assert!(paths.iter().all(|(path, _)| path.links.len() == first.links.len()));
            assert!(paths.iter().all(|(path, _)| path.latency == first.latency));
            let mut distinct: Vec<_> = paths.iter().map(|(path, _)| &path.links).collect();
            distinct.sort();
            distinct.dedup();
            assert_eq!(distinct.len(), paths.len(), "{name}: {from} to {to}");
            for routing in [Routing::Static, Routing::Ecmp] {
                let one = network.path(from, to, routing).expect("connected");
                assert!(paths.iter().any(|(path, _)| *path == one), "{name}: {routing:?} is one of them");
            }
        }
    }
}

/// Equal paths between leaves: k/2; between pods: (k/2)^2.
#[test]
fn equal_paths_are_as_many_as_lanes() {
    let network = network(FabricKind::FatTree, 8, 3, 4, 15);
    let count = |to| network.paths(DeviceId(0), DeviceId(to), Routing::Adaptive).expect("connected").len();
    assert_eq!(count(8), 1, "node 1 is on the same leaf");
    assert_eq!(count(2 * 8), 2, "node 2 is in the same pod");
    assert_eq!(count(14 * 8), 4, "node 14 is in another pod");
}

#[test]
fn within_a_node_a_message_crosses_the_scale_up_switch_alone() {
    let network = network(FabricKind::FatTree, 8, 2, 64, 2);
    let path = path(&network, 1, 6, Routing::Static);
    let expected = [network.scale_up_send(DeviceId(1)), network.scale_up_receive(DeviceId(6))];
    assert_eq!(path.links, expected);
    assert!((path.latency.get() - 3e-6).abs() < 1e-15);
}

#[test]
fn a_device_reaches_itself_at_once() {
    let network = network(FabricKind::FatTree, 8, 2, 64, 2);
    let path = path(&network, 5, 5, Routing::Ecmp);
    assert!(path.links.is_empty() && path.latency.get() == 0.0);
}

/// Two PCIe links, the endpoints, one switch a leaf and two more above.
#[test]
fn latency_is_pcie_endpoints_and_switches() {
    let network = network(FabricKind::FatTree, 8, 2, 64, 256);
    let same_leaf = path(&network, 0, 8, Routing::Static).latency.get();
    assert!((same_leaf - (2.0 * 0.5e-6 + 2e-6 + 0.25e-6)).abs() < 1e-15);
    let across = path(&network, 0, 255 * 8, Routing::Static).latency.get();
    assert!((across - (same_leaf + 2.0 * 0.25e-6)).abs() < 1e-15);
}

#[test]
fn between_planes_the_message_first_moves_to_the_plane_of_its_target() {
    let network = network(FabricKind::FatTree, 8, 2, 64, 256);
    let (from, to, relay) = (DeviceId(0), DeviceId(8 + 3), DeviceId(3));
    let path = path(&network, from.0, to.0, Routing::Static);
    assert_eq!(path.links[..2], [network.scale_up_send(from), network.scale_up_receive(relay)]);
    assert!(path.links.contains(&network.nic_send(relay)) && !path.links.contains(&network.nic_send(from)));
    assert_ne!(network.plane_of(from), network.plane_of(to));
}

#[test]
fn in_one_network_rails_meet_at_a_spine_without_scale_up() {
    let network = network(FabricKind::RailFatTree, 1, 2, 64, 4);
    let path = path(&network, 0, 8 + 3, Routing::Static);
    let kinds: Vec<LinkKind> = path.links.iter().map(|link| network.link(*link).kind).collect();
    use LinkKind::{NicDown, NicUp, Pcie, Trunk};
    assert_eq!(kinds, [Pcie, Pcie, NicUp, Trunk, Trunk, NicDown, Pcie, Pcie]);
}

/// Every device sends to the one of its rail a fixed number of nodes away. Where leaves and pods are full, no link then
/// carries two messages under static routing; by hash, some link does.
#[test]
fn static_routes_of_a_shift_never_collide_and_hashed_ones_do() {
    let full = [
        network(FabricKind::FatTree, 8, 2, 8, 12),
        network(FabricKind::FatTree, 8, 3, 4, 12),
        network(FabricKind::FatTree, 1, 3, 16, 24),
        network(FabricKind::RailFatTree, 1, 2, 8, 4),
        network(FabricKind::RailFatTree, 1, 3, 16, 32),
    ];
    for network in full {
        for shift in 1..network.n_nodes() {
            assert_eq!(load_max(&network, shift, Routing::Static), 1, "{:?}, shift {shift}", network.wiring());
        }
    }
    let large = network(FabricKind::FatTree, 8, 2, 64, 256);
    assert!(load_max(&large, 128, Routing::Ecmp) > 1);
}

fn load_max(network: &Network, shift: u32, routing: Routing) -> usize {
    let n = network.n_devices();
    let mut load = BTreeMap::new();
    for from in 0..n {
        let to = (from + shift * 8) % n;
        for link in path(network, from, to, routing).links {
            *load.entry(link).or_insert(0) += 1;
        }
    }
    load.into_values().max().unwrap_or(0)
}

/// 2,048 messages over 32 lanes: 64 each, deviation of a fair draw 8; five deviations bound the fullest.
#[test]
fn hashes_spread_evenly_over_lanes() {
    let network = network(FabricKind::FatTree, 8, 2, 64, 2048);
    let mut load = BTreeMap::new();
    for from in (0..32).map(|node| node * 8) {
        for to in (0..64).map(|i| (32 * 8) * (1 + i % 60) + 8 * (i / 2)) {
            let up = path(&network, from, to, Routing::Ecmp).links[3];
            let lane = network.ends(up).1;
            *load.entry(lane).or_insert(0) += 1;
        }
    }
    assert_eq!(load.len(), 32, "every spine is used");
    assert!(load.values().all(|count| (24..=104).contains(count)), "{load:?}");
}
