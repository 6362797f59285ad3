//! A service: units of a model on a machine, and the requests that come to them.
//!
//! Two levels. [`IterationPricer`] prices one *iteration* of a unit from its ops, by the same platform as a training step. [`serve`] runs requests
//! through schedulers that are shaped as those of serving stacks; it takes the time of each iteration from the pricer
//! ([`Iterations::Detailed`]) or from an [`IterationTable`] over a fixed grid, which the pricer fills at its corners
//! ([`Iterations::Tabulated`]).
//!
//! ```text
//! requests ──▶ router ──▶ unit: attention ranks with queue and cache ──▶ scheduler: who runs ──▶ pricer or table: how long
//!                           ▲                                                                        │
//!                           └───────────── tokens, ends, blocks given back ◀────────────────────────┘
//! ```
//!
//! Attention ranks of a unit begin every iteration together: the experts of all wait for the slowest. Where other units compute the prompts, a
//! request passes two queues, and its cache goes from one unit to the other in between. Units share no capacity; such a transfer has its
//! ports to itself.

mod books;
mod cache;
mod drive;
mod host;
mod iteration;
mod job;
mod length;
mod memory;
mod overlap;
mod price;
mod rank;
mod scheduler;
mod table;
mod time;
mod unit;

pub use books::{RequestRecord, ServingBooks, TimeHistogram};
pub use drive::{UnitPart, serve};
pub use job::{
    AllReduces, Drafts, IterationOverlap, Iterations, OverlapPolicy, PrefillUnits, RequestList, Serve, ServedPhase,
    ServingStack,
};
pub use memory::{UnitMemory, unit_memory};
pub use price::IterationPricer;
pub use scheduler::{SchedulerKind, SchedulerSpec};
pub use table::IterationTable;
pub use time::{BoundBy, IterationPart, IterationTime, UnitLoad};
