//! Everything decided, and its lowering to tasks.
mod digest;
mod error;
mod execute;
mod layout;
mod lower;
mod memory;
mod plan;
mod program;

pub use digest::digest;
pub use error::PlanError;
pub use execute::{ChunkSpan, Keep, OpTotal, Outcome, PhaseSpans, Ports, Ran, RankTotals, StreamSpan, run};
pub use layout::Layout;
pub use lower::{expert_layout, lower, n_micro_batches, ring_bytes, RingBytes, shape};
pub use memory::{RankMemory, check_memory, memory, sample};
pub use plan::{
    Ema, Folding, Job, KeepActivations, LinearPrecision, Plan, PointToPoint, Policies, Recompute, Recording,
};
pub use program::*;
