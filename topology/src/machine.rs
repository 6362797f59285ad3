//! How many nodes of one kind on which network.

use units::{Bytes, BytesPerSec, Hertz, Seconds, Watts};

use crate::{
    BlockScaling, Cast, CommEngine, Compression, Device, Expense, Fabric, FabricKind, Forwarding, Fp8, Host, InNetwork,
    Memory, Nic, Node, Ordering, ScaleUp, Tensor, TransposedReads,
};

/// A machine: how many nodes of one kind on which network. The `cluster.*`, `node.*`, `gpu.*`, `fabric.*` keys.
#[derive(Clone, Debug, PartialEq)]
pub struct Machine {
    /// The accelerator.
    pub device: Device,
    /// The server.
    pub node: Node,
    /// The network between servers.
    pub fabric: Fabric,
    /// Servers.
    pub n_nodes: u32,
}

impl Machine {
    /// A machine of rates alone, for questions about the network and nothing else: `n_nodes` nodes of `n_devices`
    /// devices, each with a scale-up port of `scale_up` and its own NIC of `nic` (one direction), all NICs on one
    /// switch that never blocks. There is no latency, PCIe never binds, and whatever computes or costs is zero.
    #[must_use]
    pub fn bare(n_nodes: u32, n_devices: u32, scale_up: BytesPerSec, nic: BytesPerSec) -> Self {
        let ports_used = n_nodes.saturating_mul(n_devices).min(u32::MAX / 2);
        Self {
            device: bare_device(scale_up),
            node: Node {
                devices: n_devices,
                nic: Nic {
                    count: n_devices,
                    rate: nic,
                    forwarding: Forwarding::Kernel,
                    ordering: Ordering::Native,
                    compression: Compression::None,
                    expense: Expense::ZERO,
                },
                host: Host {
                    pcie_rate: scale_up + nic,
                    pcie_latency: Seconds::ZERO,
                    memory_rate: BytesPerSec::ZERO,
                    memory_capacity: Bytes::ZERO,
                },
                expense: Expense::ZERO,
            },
            fabric: Fabric {
                kind: FabricKind::FatTree,
                planes: 1,
                tiers: 2,
                // Half the ports face down: one leaf takes everything.
                switch_ports: 2 * ports_used.max(1),
                link_rate: nic,
                ..Fabric::NONE
            },
            n_nodes,
        }
    }

    /// Whether nodes are joined: they have NICs, and there are switches to plug them into.
    #[must_use]
    pub fn has_network(&self) -> bool {
        self.fabric.kind != FabricKind::None && self.node.nic.count > 0
    }

    /// What a device has of its node's NICs, one direction.
    #[must_use]
    pub fn nic_rate_per_device(&self) -> BytesPerSec {
        let Node { devices, nic, .. } = &self.node;
        nic.rate * (f64::from(nic.count) / f64::from((*devices).max(1))).min(1.0)
    }

    /// What the wire between a NIC and its leaf carries, one direction: the rate of its slower end. A switch port has the
    /// rate of a link between switches, since all ports of a switch are alike.
    #[must_use]
    pub fn nic_wire_rate(&self) -> BytesPerSec {
        let (nic, port) = (self.node.nic.rate, self.fabric.link_rate);
        if port < nic { port } else { nic }
    }

    /// Devices that share a NIC, and with it the PCIe switch between them; none where nodes have no NICs.
    #[must_use]
    pub fn devices_per_nic(&self) -> u32 {
        self.node
            .devices
            .checked_div(self.node.nic.count)
            .map_or(0, |_| self.node.devices.div_ceil(self.node.nic.count))
    }

    /// Devices of the whole machine.
    #[must_use]
    pub fn n_devices(&self) -> u64 {
        u64::from(self.n_nodes) * u64::from(self.node.devices)
    }
}

fn bare_device(scale_up: BytesPerSec) -> Device {
    Device {
        sms: 0,
        clock: Hertz::ZERO,
        tensor: Tensor {
            bf16_flops_per_sm_clock: 0.0,
            fp8: Fp8 { flops_per_sm_clock: 0.0, accumulate: 0, block_scaling: BlockScaling::None },
            transposed_reads: TransposedReads::None,
        },
        vector_flops_per_sm_clock: 0.0,
        memory: Memory { stacks: 0, rate_per_stack: BytesPerSec::ZERO, capacity_per_stack: Bytes::ZERO },
        l2: Bytes::ZERO,
        scale_up: ScaleUp { links: 1, rate_per_link: scale_up, latency: Seconds::ZERO, in_network: InNetwork::None },
        comm_engine: CommEngine::None,
        cast: Cast::Kernel,
        expense: Expense::ZERO,
        power_limit: Watts::ZERO,
    }
}
