//! A discrete-event engine whose tasks share rates fairly and hold counted things exclusively.
//!
//! Five nouns: a [`Capacity`] is a rate that running tasks share, a [`Pool`] a count of things they hold, a [`Task`]
//! draws the one and claims the other, a [`Driver`] decides what is submitted and given up when, a [`Record`] is what happened.
//! Rates come from one weighted max-min solve, redone only where a start or a finish can be felt.
//!
//! ```
//! use engine::{Capacity, Resources, Task, TaskGraph};
//! use units::SimTime;
//!
//! // Two messages of 10 bytes share a link of 10 bytes a second: both take two seconds.
//! let mut resources = Resources::default();
//! let link = resources.add_capacity(Capacity { rate: 10.0 });
//! let mut graph = TaskGraph::default();
//! graph.add(Task::new("left").demand(link, 10.0), &[]);
//! graph.add(Task::new("right").demand(link, 10.0), &[]);
//! let record = engine::run(&resources, &mut graph)?;
//! assert_eq!(record.end, SimTime::from_picos(2_000_000_000_000));
//! # Ok::<(), engine::Fault>(())
//! ```
//!
//! Time is integer picoseconds. What happens at one instant is ordered by (time, class, sequence of submission) and
//! applied before one solve, so two runs of one input give the same bytes. A run that breaks one of the laws ([`Law`]) has
//! no record but a [`Fault`].
//!
//! This crate does not know what a GPU, a network, a model, an op or a file is, and it draws no random numbers.

mod chain;
mod driver;
mod fault;
mod fill;
mod graph;
mod handle;
mod heap;
mod queue;
mod record;
mod replay;
mod resource;
mod run;
mod share;
mod task;

pub use driver::{Actions, Batch, Driver, Finished, List, Turn};
pub use fault::{Fault, Law};
pub use graph::{TaskGraph, TaskId};
pub use handle::Handle;
pub use record::{Laws, Record};
pub use resource::{Capacity, CapacityId, Pool, PoolId, Resources, RouteId};
pub use run::run;
pub use task::{Bound, Task};
