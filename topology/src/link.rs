//! What the graph is made of: vertices and directed links.

use std::fmt;

use units::{BytesPerSec, Seconds};

use crate::{DeviceId, NodeId};

/// One direction of one wire.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Link {
    /// Peak rate, bytes per second of this direction.
    pub rate: BytesPerSec,
    /// What a message pays for the link and for the switch or NIC at its far end or start, so that the latency of
    /// a path is the sum over its links.
    pub latency: Seconds,
    /// What the link joins.
    pub kind: LinkKind,
}

/// What a link joins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LinkKind {
    /// Device to the scale-up switch of its node; all its scale-up ports as one.
    ScaleUpSend,
    /// Scale-up switch to device.
    ScaleUpReceive,
    /// Device to PCIe switch or PCIe switch to NIC, either way.
    Pcie,
    /// NIC to leaf.
    NicUp,
    /// Leaf to NIC.
    NicDown,
    /// Switch to switch, either way; one wire, so parallel wires are separate links.
    Trunk,
}

/// What stands at the ends of links.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Vertex {
    /// An accelerator.
    Device(DeviceId),
    /// The scale-up switches of a node as one that never blocks.
    ScaleUpSwitch(NodeId),
    /// The PCIe switch of one NIC and the devices it serves; of one device in a node without NICs.
    PcieSwitch {
        /// Its node.
        node: NodeId,
        /// Its index within the node.
        index: u32,
    },
    /// A NIC.
    Nic {
        /// Its node.
        node: NodeId,
        /// Its index within the node.
        index: u32,
    },
    /// A switch of the scale-out network.
    Switch {
        /// How far it stands from the devices.
        tier: Tier,
        /// Its plane.
        plane: u32,
        /// Its index within tier and plane.
        index: u32,
    },
}

/// Tiers of scale-out switches, from the devices up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tier {
    /// NICs below, and spines above where there are any.
    Leaf,
    /// Leaves below, cores above.
    Spine,
    /// Spines of every pod below.
    Core,
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Leaf => "leaf",
            Self::Spine => "spine",
            Self::Core => "core",
        })
    }
}

impl fmt::Display for Vertex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Device(device) => write!(f, "{device}"),
            Self::ScaleUpSwitch(node) => write!(f, "scale-up switch of {node}"),
            Self::PcieSwitch { node, index } => write!(f, "PCIe switch {index} of {node}"),
            Self::Nic { node, index } => write!(f, "NIC {index} of {node}"),
            Self::Switch { tier, plane, index } => write!(f, "{tier} {index} of plane {plane}"),
        }
    }
}
