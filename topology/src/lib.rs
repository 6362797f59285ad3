//! What the machine is: devices, nodes, fabrics and the paths through them.
pub mod device;
pub mod fabric;
pub mod node;
pub use device::{BlockScaling, CommEngine, Device, Fp8, Memory, ScaleUp, Tensor};
pub use fabric::{Fabric, FabricKind, Routing};
pub use node::{Host, Nic, Node};

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
