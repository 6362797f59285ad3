//! What the machine is: devices, nodes, fabrics and the paths through them.
//!
//! A [`Machine`] describes one device, one node and one fabric by independent numbers; a [`Network`] is the graph that
//! follows from it, every device, NIC and switch, with paths computed from structure.
//!
//! ```
//! use topology::{DeviceId, Fabric, FabricKind, Machine, Network, Routing};
//! use units::Seconds;
//!
//! let mut machine = Machine::bare(256, 8, "160 GB/s".parse()?, "50 GB/s".parse()?);
//! let switches = Fabric { switch_ports: 64, switch_latency: Seconds::new(0.3e-6), ..machine.fabric };
//! machine.fabric = Fabric { kind: FabricKind::FatTree, planes: 8, tiers: 2, ..switches };
//! let network = Network::build(&machine)?;
//!
//! let path = network.path(DeviceId(0), DeviceId(2047), Routing::Static)?;
//! assert_eq!(network.n_switches_on(&path), 4); // scale-up to the plane of device 2047, leaf, spine, leaf
//! assert_eq!(network.survey()?.bisection.to_string(), "51.2 TB/s"); // 1,024 NICs a half
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Main types, in reading order: [`Device`], [`Node`], [`Fabric`] and [`Machine`] describe; [`Counts`] says how large
//! a network can grow or was built, [`Bill`] what a machine costs and draws; [`Network`] is built, made of [`Vertex`] and [`Link`], and answers with [`Path`], [`Survey`],
//! DOT and [`Picture`]; [`TopologyError`] says why not.
//!
//! This crate does not know models, ops, schedules, sizes of messages or time: it says which links a message takes
//! and how fast they are, not when it arrives.

pub mod device;
pub mod fabric;
pub mod node;

mod bill;
mod builder;
mod counts;
mod drawing;
mod error;
mod expense;
mod id;
mod link;
mod machine;
mod network;
mod path;
mod survey;
#[cfg(test)]
mod tests;
mod wiring;

pub use bill::Bill;
pub use counts::Counts;
pub use device::{BlockScaling, Cast, CommEngine, Device, Fp8, InNetwork, Memory, ScaleUp, Tensor, TransposedReads};
pub use drawing::{Detail, Picture, PictureBox, PictureLine};
pub use error::TopologyError;
pub use expense::{Expense, FabricExpenses};
pub use fabric::{Fabric, FabricKind, LeafPorts, Routing};
pub use id::{DeviceId, LinkId, NodeId};
pub use link::{Link, LinkKind, Tier, Vertex};
pub use machine::Machine;
pub use network::Network;
pub use node::{Compression, Forwarding, Host, Nic, Node, Ordering};
pub use path::{Crossing, Path};
pub use survey::{Diameter, Survey, SwitchCounts, WireCounts};
