//! Whether a scenario can run.

use serde_json::{Value, json};

use crate::error::TunnelError;
use crate::fabric;
use crate::prepare::{Prepared, check};

/// A scenario that can run.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckReply {
    /// Its name.
    pub name: String,
    /// Identity of its plan.
    pub digest: String,
    /// Ranks of the job.
    pub n_ranks: u32,
    /// What the fullest rank holds, bytes.
    pub memory_bytes_max: f64,
    /// What the device of that rank has, bytes.
    pub memory_bytes_capacity: f64,
    /// What a reader must know of the network.
    pub notes: Vec<String>,
}

/// Everything that can be wrong with a scenario, without running it.
///
/// # Errors
/// A plan that cannot run.
pub fn checked(prepared: &Prepared) -> Result<CheckReply, TunnelError> {
    let plan = prepared.plan();
    let memory = check(plan)?;
    let fullest = memory.iter().max_by(|a, b| a.total.get().total_cmp(&b.total.get()));
    let (memory_bytes_max, memory_bytes_capacity) =
        fullest.map_or((0.0, 0.0), |rank| (rank.total.get(), rank.capacity.get()));
    Ok(CheckReply {
        name: plan.name.clone(),
        digest: prepared.digest.clone(),
        n_ranks: plan.train()?.job.parallel.n_ranks(),
        memory_bytes_max,
        memory_bytes_capacity,
        notes: fabric::notes(&plan.site.machine),
    })
}

impl CheckReply {
    /// By the names that files and facts use.
    #[must_use]
    pub fn json(&self) -> Value {
        let Self { name, digest, n_ranks, memory_bytes_max, notes, .. } = self;
        json!({
            "name": name, "digest": digest, "n_ranks": n_ranks, "memory_bytes_max": memory_bytes_max, "notes": notes,
        })
    }
}
