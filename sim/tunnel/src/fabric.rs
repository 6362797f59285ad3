//! What a reader must know of a machine's network before relying on a number.

use report::format::significant;
use topology::{LeafPorts, Machine};

/// How the ports of leaves are split where that is asked for, and what a NIC cannot use of its rate; nothing without a
/// network.
#[must_use]
pub fn notes(machine: &Machine) -> Vec<String> {
    if !machine.has_network() {
        return Vec::new();
    }
    [oversubscription(machine), port(machine), pcie(machine)].into_iter().flatten().collect()
}

/// Ports down and up, and their ratio.
#[must_use]
pub fn spelled(ports: LeafPorts) -> String {
    format!("{} down, {} up ({} : 1)", ports.down, ports.up, significant(ports.ratio(), 3))
}

fn oversubscription(machine: &Machine) -> Option<String> {
    let asked = machine.fabric.oversubscription;
    (asked > 1.0).then(|| {
        let ports = spelled(machine.fabric.leaf_ports());
        format!("oversubscribed: ports of a leaf are {ports}, where `fabric.oversubscription` is {asked}")
    })
}

fn port(machine: &Machine) -> Option<String> {
    let (nic, wire) = (machine.node.nic.rate, machine.nic_wire_rate());
    (wire < nic).then(|| {
        format!(
            "a NIC of {nic} (`node.nic.rate`) is faster than its switch port of {wire} (`fabric.link-rate`), so its wire \
             carries {wire}; a step still times messages that stay below one leaf at the NIC's rate"
        )
    })
}

fn pcie(machine: &Machine) -> Option<String> {
    let (nic, link, n) = (machine.node.nic.rate, machine.node.host.pcie_rate, machine.devices_per_nic());
    let all = link * f64::from(n);
    (all < nic).then(|| {
        let links = if n == 1 { "the PCIe link".to_owned() } else { format!("the {n} PCIe links") };
        format!("a NIC of {nic} (`node.nic.rate`) is faster than {links} behind it, {all} (`node.host.pcie-rate`)")
    })
}

#[cfg(test)]
mod tests {
    use topology::FabricKind;

    use super::*;

    fn noted(change: impl FnOnce(&mut Machine)) -> String {
        let rate = |text: &str| text.parse().expect("a rate");
        let mut machine = Machine::bare(4, 8, rate("400 GB/s"), rate("50 GB/s"));
        machine.node.host.pcie_rate = rate("50 GB/s");
        change(&mut machine);
        notes(&machine).join("\n")
    }

    #[test]
    fn rates_that_fit_are_not_noted() {
        assert_eq!(noted(|_| {}), "");
        assert_eq!(noted(|machine| machine.fabric.link_rate = machine.fabric.link_rate * 2.0), "");
        assert_eq!(noted(|machine| machine.node.nic.rate = machine.node.nic.rate * 0.5), "");
    }

    #[test]
    fn a_nic_faster_than_its_port_or_its_pcie_links_is_noted_with_both_rates() {
        let port = noted(|machine| machine.fabric.link_rate = machine.fabric.link_rate * 0.5);
        assert!(port.contains("50 GB/s (`node.nic.rate`)") && port.contains("25 GB/s (`fabric.link-rate`)"), "{port}");
        assert!(!port.contains("PCIe"), "{port}");
        let pcie = noted(|machine| machine.node.host.pcie_rate = machine.node.host.pcie_rate * 0.9);
        assert!(
            pcie.contains("50 GB/s (`node.nic.rate`)") && pcie.contains("45 GB/s (`node.host.pcie-rate`)"),
            "{pcie}"
        );
        // Two devices a NIC have two links to it.
        let shared = |share: f64| {
            noted(|machine| {
                machine.node.nic.count = 4;
                machine.node.host.pcie_rate = machine.node.nic.rate * share;
            })
        };
        assert_eq!(shared(0.5), "");
        assert!(shared(0.4).contains("the 2 PCIe links behind it, 40 GB/s"), "{}", shared(0.4));
    }

    #[test]
    fn without_a_network_there_is_nothing_to_note() {
        let none = noted(|machine| {
            (machine.fabric.kind, machine.n_nodes) = (FabricKind::None, 1);
            machine.node.host.pcie_rate = machine.node.host.pcie_rate * 0.1;
        });
        assert_eq!(none, "");
    }

    #[test]
    fn what_rounding_made_of_a_ratio_is_noted() {
        let note = noted(|machine| (machine.fabric.switch_ports, machine.fabric.oversubscription) = (64, 2.0));
        assert!(note.contains("43 down, 21 up (2.05 : 1), where `fabric.oversubscription` is 2"), "{note}");
    }
}
