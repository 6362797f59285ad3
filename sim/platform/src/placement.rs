//! Where ranks sit.

use topology::{DeviceId, Machine};

/// Rank `r` of a job sits on the `r`-th device in use: the first `devices` of each node, node by node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placement {
    devices: u32,
    node_devices: u32,
}

impl Placement {
    /// On the first `devices` of each node of a machine.
    #[must_use]
    pub fn new(machine: &Machine, devices: u32) -> Self {
        Self { devices: devices.max(1), node_devices: machine.node.devices }
    }

    /// Devices in use per node.
    #[must_use]
    pub fn devices(&self) -> u32 {
        self.devices
    }

    /// The device of a rank.
    #[must_use]
    pub fn device(&self, rank: u32) -> DeviceId {
        DeviceId(rank / self.devices * self.node_devices + rank % self.devices)
    }
}
