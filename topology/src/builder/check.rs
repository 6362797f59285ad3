//! What a machine must hold before it is built.

use units::{BytesPerSec, Seconds};

use crate::wiring::at_most;
use crate::{Fabric, FabricKind, Machine, TopologyError};

pub(super) fn check(machine: &Machine) -> Result<(), TopologyError> {
    let Machine { device, node, fabric, n_nodes } = machine;
    positive("`cluster.nodes`", *n_nodes)?;
    positive("`node.devices`", node.devices)?;
    at_most("devices", machine.n_devices())?;
    if node.nic.count > node.devices {
        return Err(TopologyError::NicsIdle { n_nics: node.nic.count, n_devices: node.devices });
    }
    if device.scale_up.links > 0 {
        rate("gpu.scale-up.rate-per-link", device.scale_up.rate_per_link)?;
        latency("gpu.scale-up.latency", device.scale_up.latency)?;
    }
    if node.nic.count > 0 {
        rate("node.nic.rate", node.nic.rate)?;
    }
    rate("node.host.pcie-rate", node.host.pcie_rate)?;
    latency("node.host.pcie-latency", node.host.pcie_latency)?;
    match fabric.kind {
        FabricKind::FatTree | FabricKind::RailFatTree => check_network(machine),
        FabricKind::None if *n_nodes > 1 => Err(TopologyError::NoNetwork { n_nodes: *n_nodes }),
        FabricKind::None if fabric.oversubscription.to_bits() != 1.0_f64.to_bits() => {
            Err(TopologyError::NoTiers { value: fabric.oversubscription.to_string() })
        }
        FabricKind::None => Ok(()),
    }
}

fn check_network(machine: &Machine) -> Result<(), TopologyError> {
    let Machine { node, fabric, n_nodes, .. } = machine;
    if node.nic.count == 0 {
        // One node needs no NIC to be whole.
        return if *n_nodes > 1 { Err(TopologyError::NoNetwork { n_nodes: *n_nodes }) } else { Ok(()) };
    }
    if fabric.planes == 0 || fabric.planes > node.nic.count {
        return Err(TopologyError::Planes { planes: fabric.planes, n_nics: node.nic.count });
    }
    if !matches!(fabric.tiers, 2 | 3) {
        return Err(TopologyError::Tiers { tiers: fabric.tiers });
    }
    if fabric.switch_ports == 0 || !fabric.switch_ports.is_multiple_of(2) {
        return Err(TopologyError::Ports { ports: fabric.switch_ports });
    }
    check_oversubscription(fabric)?;
    rate("fabric.link-rate", fabric.link_rate)?;
    latency("fabric.switch-latency", fabric.switch_latency)?;
    latency("fabric.endpoint-latency", fabric.endpoint_latency)
}

fn check_oversubscription(fabric: &Fabric) -> Result<(), TopologyError> {
    let (ratio, ports) = (fabric.oversubscription, fabric.switch_ports);
    if !(ratio.is_finite() && ratio >= 1.0) {
        return Err(TopologyError::Oversubscription { value: ratio.to_string() });
    }
    if ratio > f64::from(ports - 1) {
        return Err(TopologyError::NoUplink { value: ratio.to_string(), ports, ratio_max: ports - 1 });
    }
    Ok(())
}

fn positive(what: &'static str, count: u32) -> Result<(), TopologyError> {
    if count == 0 { Err(TopologyError::Zero { what }) } else { Ok(()) }
}

fn rate(key: &'static str, rate: BytesPerSec) -> Result<(), TopologyError> {
    if rate.get().is_finite() && rate > BytesPerSec::ZERO {
        return Ok(());
    }
    Err(TopologyError::Rate { key, value: rate.to_string() })
}

fn latency(key: &'static str, latency: Seconds) -> Result<(), TopologyError> {
    if latency.get().is_finite() && latency >= Seconds::ZERO {
        return Ok(());
    }
    Err(TopologyError::Latency { key, value: latency.to_string() })
}
