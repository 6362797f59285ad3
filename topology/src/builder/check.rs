//! What a machine must hold before it is built.

use units::{BytesPerSec, Seconds};

use crate::wiring::{Wiring, at_most};
use crate::{Machine, TopologyError};

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
    if !machine.has_network() {
        // One node needs no NIC to be whole.
        return if *n_nodes > 1 { Err(TopologyError::NoNetwork { n_nodes: *n_nodes }) } else { Wiring::check(machine) };
    }
    if fabric.planes == 0 || fabric.planes > node.nic.count {
        return Err(TopologyError::Planes { planes: fabric.planes, n_nics: node.nic.count });
    }
    Wiring::check(machine)?;
    rate("fabric.link-rate", fabric.link_rate)?;
    latency("fabric.switch-latency", fabric.switch_latency)?;
    latency("fabric.endpoint-latency", fabric.endpoint_latency)
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
