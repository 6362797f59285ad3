//! What a device of a unit holds, and how many tokens of requests fit beside it.

use units::Bytes;
use workloads::iteration::unit_footprint;

use super::job::ServedPhase;
use crate::plan::ServePlan;
use crate::{Contradiction, PlanError};

/// Blocks of a cache, more than any list of requests fills.
const BLOCKS_MAX: f64 = (1_u64 << 40) as f64;

/// What a device of a unit holds.
#[derive(Clone, Debug, PartialEq)]
pub struct UnitMemory {
    /// Items and their bytes, the cache among them.
    pub items: Vec<(&'static str, Bytes)>,
    /// What the device has.
    pub capacity: Bytes,
    /// Tokens of a block of the cache.
    pub block: u64,
    /// Blocks of an attention rank.
    pub blocks: u64,
    /// Bytes that a token takes in the cache of a device.
    pub cache_per_token: Bytes,
}

impl UnitMemory {
    /// Tokens that the cache of an attention rank holds.
    #[must_use]
    pub fn tokens(&self) -> u64 {
        self.blocks * self.block
    }
}

/// What a device of a unit holds. The cache takes what is left of the share of the memory that the stack may use.
///
/// # Errors
/// Where nothing is left for a cache.
pub fn unit_memory(plan: ServePlan<'_>) -> Result<UnitMemory, PlanError> {
    let job = plan.job;
    let footprint = unit_footprint(&job.model, &job.layout);
    let capacity = plan.site.machine.device.memory_capacity();
    let decoded = job.scheduler.slots * job.drafts.queries();
    let piece = match job.phase {
        ServedPhase::Decode => decoded,
        ServedPhase::Both | ServedPhase::Prefill => job.scheduler.tokens.max(decoded),
    };
    let logits = Bytes::new((decoded * job.model.vocabulary / job.layout.tp) as f64 * 4.0);
    let fixed = [
        ("weights", footprint.weights),
        ("embedding and head", footprint.tables),
        ("runtime and graphs", job.stack.memory),
        ("activations", footprint.activations_per_token * piece as f64),
        ("logits", logits),
        ("left to others", capacity * (1.0 - job.memory_share)),
    ];
    let taken: Bytes = fixed.iter().map(|(_, bytes)| *bytes).sum();
    let block = job.scheduler.block;
    let left = (capacity.get() - taken.get()).max(0.0);
    let blocks = (left / (footprint.cache_per_token.get() * block as f64)).floor().min(BLOCKS_MAX) as u64;
    if blocks == 0 {
        return Err(Contradiction::ServedModelTooLarge { needed: taken, capacity }.into());
    }
    let cache = footprint.cache_per_token * (blocks * block) as f64;
    let items = fixed.into_iter().chain([("cache", cache)]).collect();
    Ok(UnitMemory { items, capacity, block, blocks, cache_per_token: footprint.cache_per_token })
}
