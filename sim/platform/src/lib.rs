//! What anything on this machine costs: a machine made ready, and the only maker of prices and of the engine's tasks.
//!
//! ```
//! use calibrate::CollectiveCall;
//! use platform::{Placement, Platform};
//! use scenario::{Library, load_site};
//! use topology::Routing;
//! use units::Bytes;
//! use workloads::op::Collective;
//!
//! let site = load_site("h800-2048-mpft", &["h800-sxm5".to_owned()], &[], &Library::built_in())?.site;
//! let placement = Placement::new(&site.machine, site.machine.node.devices);
//! let platform = Platform::new(&site.machine, &site.profile, placement, Routing::Adaptive)?;
//! // Two nodes of eight: a ring leaves each node through eight NICs.
//! let group = platform.group(&[(0..16).collect()])?;
//! let leg = platform.collective(&group, &CollectiveCall::new(Collective::AllReduce, Bytes::new(1e9)));
//! assert!(leg.out[0] * 4.0 < leg.up[0]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Four prices, each a value with a method that makes it a task:
//!
//! | price | is | made by |
//! |---|---|---|
//! | [`Kernel`] | an op on SMs: tensor seconds, memory bytes, the shortest time, latency | [`Platform::kernel`] |
//! | [`Message`] | bytes from rank to rank: occupancy of ports, latency, what routes leave it | [`Platform::message`] |
//! | [`Leg`] | the part of a collective that one rank takes | [`Platform::collective`] |
//! | [`ExchangeTemplate`] | a dispatch or combine of sampled picks, message by message | [`ExchangeGroup::exchange`] |
//!
//! [`RankResources`] are the capacities that all of them draw from. Between ports the network is a bound, of which `way` has the formula; where nobody
//! knows which messages meet, its links are capacities ([`Trunks`]).
//!
//! This crate knows machine and measurement. It does not know jobs: no stage, no micro-batch, no step.

mod collective;
mod error;
mod exchange;
mod group;
mod kernel;
mod message;
mod placement;
mod platform;
mod ports;
mod power;
mod trunks;
mod way;

pub use collective::Leg;
pub use error::PlatformError;
pub use exchange::{
    CROWDED, Delivery, ExchangeCopies, ExchangeGroup, ExchangeKind, ExchangeSetup, ExchangeTemplate, ExpertSpread,
    Flow, UniformExchange, comm_sms, held_sms, needs_comm_sms,
};
pub use group::Group;
pub use kernel::Kernel;
pub use message::Message;
pub use placement::Placement;
pub use platform::Platform;
pub use ports::{PortRates, RankResources};
pub use power::Throttle;
pub use trunks::Trunks;
