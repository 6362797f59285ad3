//! Bad machines, each with the message it must give.

use units::{BytesPerSec, Seconds};

use super::fixture::{machine, network};
use crate::{DeviceId, FabricKind, Machine, Network, Routing};

fn check(change: impl FnOnce(&mut Machine), message: &str) {
    let mut machine = machine(FabricKind::FatTree, 8, 2, 64, 4);
    change(&mut machine);
    let error = Network::build(&machine).map(|_| ()).expect_err(message).to_string();
    assert!(error.starts_with(message), "expected `{message}`, got `{error}`");
    assert!(error.contains("hint: "), "no way out in `{error}`");
}

#[test]
fn a_machine_that_cannot_be_says_why() {
    check(|m| m.n_nodes = 0, "`cluster.nodes` is 0");
    check(|m| m.node.devices = 0, "`node.devices` is 0");
    check(|m| m.n_nodes = u32::MAX, "the machine has 34359738360 devices");
    check(|m| m.n_nodes = 2049, "2049 nodes do not fit: 2 tiers of 64-port switches in 8 planes take 2048");
    check(|m| m.fabric.kind = FabricKind::None, "4 nodes have no network between them");
    check(|m| m.node.nic.count = 0, "4 nodes have no network between them");
    check(|m| m.node.nic.count = 16, "`node.nic.count` is 16 for 8 devices");
    check(|m| m.fabric.planes = 16, "`fabric.planes` is 16 for 8 NICs");
    check(|m| m.fabric.planes = 0, "`fabric.planes` is 0 for 8 NICs");
    check(|m| m.fabric.tiers = 4, "`fabric.tiers` is 4");
    check(|m| m.fabric.switch_ports = 63, "`fabric.switch-ports` is 63");
    check(|m| m.fabric.switch_ports = 0, "`fabric.switch-ports` is 0");
    check(|m| (m.fabric.planes, m.fabric.switch_ports) = (1, 8), "a leaf has 4 ports down and a node 8 NICs");
}

#[test]
fn an_oversubscription_that_cannot_be_says_why() {
    for ratio in [0.5, 0.0, -2.0, f64::NAN, f64::INFINITY] {
        check(
            |m| m.fabric.oversubscription = ratio,
            &format!("`fabric.oversubscription` is `{ratio}`; hint: 1 for none"),
        );
    }
    check(
        |m| m.fabric.oversubscription = 63.1,
        "`fabric.oversubscription` is `63.1`, which leaves no uplink of the 64 ports of a leaf; hint: 63 at most",
    );
    check(
        |m| (m.fabric.kind, m.n_nodes, m.fabric.oversubscription) = (FabricKind::None, 1, 2.0),
        "`fabric.oversubscription` is `2`, but `fabric.kind` is `none`, which has no tiers",
    );
    check(
        |m| (m.fabric.oversubscription, m.n_nodes) = (63.0, 64 * 63 + 1),
        "4033 nodes do not fit: 2 tiers of 64-port switches in 8 planes take 4032",
    );
}

#[test]
fn a_link_needs_a_rate_and_a_latency() {
    check(|m| m.node.nic.rate = BytesPerSec::ZERO, "`node.nic.rate` is `0 B/s`");
    check(|m| m.fabric.link_rate = BytesPerSec::new(f64::NAN), "`fabric.link-rate` is `NaN B/s`");
    check(|m| m.fabric.switch_latency = Seconds::new(-1.0), "`fabric.switch-latency` is `-1 s`");
    check(
        |m| (m.fabric.kind, m.fabric.planes, m.fabric.switch_ports) = (FabricKind::RailFatTree, 1, u32::MAX - 1),
        "the machine has 17179869176 switch-to-switch wires",
    );
}

#[test]
fn a_device_that_is_not_there_is_named() {
    let network = network(FabricKind::FatTree, 8, 2, 64, 4);
    let error = network.path(DeviceId(0), DeviceId(32), Routing::Static).expect_err("32 devices");
    assert_eq!(error.to_string(), "there is no device 32: the machine has 32, counted from 0");
}

#[test]
fn an_unreachable_pair_is_named() {
    let mut machine = machine(FabricKind::FatTree, 8, 2, 64, 4);
    machine.device.scale_up.links = 0;
    let network = Network::build(&machine).expect("NICs reach their plane");
    for to in [3, 8 + 3] {
        let error = network.path(DeviceId(0), DeviceId(to), Routing::Static).expect_err("nothing joins planes");
        let message = error.to_string();
        assert!(message.starts_with("no path from device 0 (local rank 0 of node 0) to device "), "{message}");
        assert!(message.contains("`gpu.scale-up.links`"), "{message}");
    }
    assert!(network.path(DeviceId(0), DeviceId(8), Routing::Static).is_ok(), "one plane");
    assert!(network.survey().is_err());
}
