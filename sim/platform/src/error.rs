//! Why a machine cannot do what is wanted of it.

use topology::TopologyError;

/// Why a machine cannot do what is wanted of it. Each message carries its numbers and the way out.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum PlatformError {
    /// The machine cannot be built, or two devices do not reach each other.
    #[error(transparent)]
    Topology(#[from] TopologyError),
    /// An exchange longer than the clock of a run counts.
    #[error(
        "one exchange of an expert-parallel group takes {seconds:.1e} s with the machine to itself, beyond what a run counts; look for a \
         mistyped unit or exponent in `gpu.scale-up.*`, `node.nic.rate`, `node.host.pcie-rate`, `fabric.link-rate`, `profile.all-to-all.*` or \
         `policy.comm-sms`"
    )]
    Uncountable {
        /// What its fullest port needs.
        seconds: f64,
    },
    /// A run of the engine that cannot be believed.
    #[error("fault in the simulator: {0}")]
    Engine(#[from] engine::Fault),
    /// A direct exchange between planes, which nobody relays.
    #[error(
        "`policy.exchange` is `direct`, but {first} and {other} stand in different planes of the network (`fabric.planes` = {planes}), so that copies between \
         their nodes need a relay; take one plane (`use.fabric=rail-ft2`), one device of a node (`policy.devices-per-node=1`), a group \
         within a node (`parallel.ep` of {devices} at most), or `policy.exchange=forwarded`"
    )]
    Planes {
        /// A device of the group.
        first: String,
        /// One on the same node in another plane.
        other: String,
        /// Planes of the network.
        planes: u32,
        /// Devices of a node in use.
        devices: u32,
    },
}
