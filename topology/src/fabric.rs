//! The scale-out network, as a description the builders read.

use units::{BytesPerSec, Seconds};

use crate::FabricExpenses;
use crate::device::InNetwork;

/// The scale-out network. Every leaf is a `fabric.*` key.
#[derive(Clone, Debug, PartialEq)]
pub struct Fabric {
    /// How switches are wired.
    pub kind: FabricKind,
    /// Disjoint copies of the network; NIC i of a node joins plane i mod planes.
    pub planes: u32,
    /// Switch tiers of a plane: 2 or 3; zero without a network.
    pub tiers: u32,
    /// Ports of a switch, all of one rate.
    pub switch_ports: u32,
    /// Ports of a leaf that face down over those that face up; 1 is none, full bisection. Whole ports make of it what
    /// [`Fabric::leaf_ports`] gives.
    pub oversubscription: f64,
    /// Rate of a switch-to-switch link, one direction.
    pub link_rate: BytesPerSec,
    /// Latency of one switch.
    pub switch_latency: Seconds,
    /// Latency of the two NICs and cables of a message, software included; PCIe and switches come on top.
    pub endpoint_latency: Seconds,
    /// What switches do to what they carry.
    pub in_network: InNetwork,
    /// What its parts cost and draw.
    pub expenses: FabricExpenses,
}

/// How the ports of a leaf are split.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LeafPorts {
    /// Ports to NICs.
    pub down: u32,
    /// Ports to spines.
    pub up: u32,
}

/// How switches are wired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FabricKind {
    /// Planes of fat trees; with one plane, an ordinary fat tree in which a leaf takes whole nodes.
    FatTree,
    /// One fat tree in which a leaf takes one rail: NIC i of its nodes.
    RailFatTree,
    /// No network: the scale-up domain is the cluster.
    None,
}

impl Fabric {
    /// No network, and nothing that it would be made of.
    pub const NONE: Self = Self {
        kind: FabricKind::None,
        planes: 0,
        tiers: 0,
        switch_ports: 0,
        oversubscription: 1.0,
        link_rate: BytesPerSec::ZERO,
        switch_latency: Seconds::ZERO,
        endpoint_latency: Seconds::ZERO,
        in_network: InNetwork::None,
        expenses: FabricExpenses::ZERO,
    };

    /// The ports of a leaf, none without a network.
    ///
    /// `up = ports / (1 + oversubscription)`, rounded to the nearest whole port, and all others face down. Assumed: no port
    /// of a leaf is left dark. A ratio above `ports - 1` leaves no port up, and no such network is built.
    #[must_use]
    pub fn leaf_ports(&self) -> LeafPorts {
        match self.kind {
            FabricKind::FatTree | FabricKind::RailFatTree => {
                let ports = self.switch_ports;
                // Saturates: what is no number, which is refused elsewhere, leaves nothing.
                let up = (f64::from(ports) / (1.0 + self.oversubscription)).round() as u32;
                LeafPorts { down: ports.saturating_sub(up), up: up.min(ports) }
            }
            FabricKind::None => LeafPorts::default(),
        }
    }
}

impl LeafPorts {
    /// Ports down over ports up: what rounding made of an oversubscription.
    #[must_use]
    pub fn ratio(self) -> f64 {
        f64::from(self.down) / f64::from(self.up)
    }
}

/// Which of several equal paths a message takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Routing {
    /// By destination, the same for every message.
    Static,
    /// By a hash of source and destination.
    Ecmp,
    /// Spread over all equal paths.
    Adaptive,
}

impl Routing {
    /// Every routing.
    pub const ALL: [Self; 3] = [Self::Static, Self::Ecmp, Self::Adaptive];

    /// Its name in files and arguments.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Static => "static",
            Self::Ecmp => "ecmp",
            Self::Adaptive => "adaptive",
        }
    }
}
