//! Machines for tests: eight devices and NICs a node, rates of an H800 server, latencies that tell links apart.

use units::{BytesPerSec, Seconds};

use crate::{Fabric, FabricKind, Machine, Network};

/// A machine of `n_nodes` nodes on this fabric.
pub(crate) fn machine(kind: FabricKind, planes: u32, tiers: u32, switch_ports: u32, n_nodes: u32) -> Machine {
    let nic = BytesPerSec::new(50e9);
    let mut machine = Machine::bare(n_nodes, 8, BytesPerSec::new(200e9), nic);
    machine.device.scale_up.latency = Seconds::new(3e-6);
    machine.node.host.pcie_rate = BytesPerSec::new(64e9);
    machine.node.host.pcie_latency = Seconds::new(0.5e-6);
    machine.fabric = Fabric {
        kind,
        planes,
        tiers,
        switch_ports,
        link_rate: nic,
        switch_latency: Seconds::new(0.25e-6),
        endpoint_latency: Seconds::new(2e-6),
        ..Fabric::NONE
    };
    machine
}

/// The same with leaves of more ports down than up; planes, tiers, ports of a switch and nodes in this order.
pub(crate) fn oversubscribed(kind: FabricKind, [planes, tiers, ports, n_nodes]: [u32; 4], ratio: f64) -> Network {
    let mut machine = machine(kind, planes, tiers, ports, n_nodes);
    machine.fabric.oversubscription = ratio;
    Network::build(&machine).expect("the machine is whole")
}

/// The network of that machine.
pub(crate) fn network(kind: FabricKind, planes: u32, tiers: u32, switch_ports: u32, n_nodes: u32) -> Network {
    Network::build(&machine(kind, planes, tiers, switch_ports, n_nodes)).expect("the machine is whole")
}
