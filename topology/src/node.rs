//! One server: its devices, NICs and host.

use units::{Bytes, BytesPerSec, Seconds};

use crate::Expense;

/// One server. Every leaf is a `node.*` key.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Devices in the scale-up domain.
    pub devices: u32,
    /// The NICs.
    pub nic: Nic,
    /// The host side.
    pub host: Host,
    /// What one costs and draws beside its devices and NICs.
    pub expense: Expense,
}

/// The NICs of a node; NIC i serves device i x nics / devices.
#[derive(Clone, Debug, PartialEq)]
pub struct Nic {
    /// NICs in the node; zero where the scale-up domain is the whole cluster.
    pub count: u32,
    /// Rate of one NIC, one direction.
    pub rate: BytesPerSec,
    /// What one costs and draws, optics apart.
    pub expense: Expense,
}

/// The host side of a node.
#[derive(Clone, Debug, PartialEq)]
pub struct Host {
    /// Rate of a device's PCIe link, one direction.
    pub pcie_rate: BytesPerSec,
    /// Latency of that link.
    pub pcie_latency: Seconds,
    /// Host memory rate, shared by the node.
    pub memory_rate: BytesPerSec,
    /// Host memory.
    pub memory_capacity: Bytes,
}
