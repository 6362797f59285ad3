//! What a rank's memory holds at its fullest.

use units::Bytes;
use workloads::memory::{Footprint, FootprintInput, Held, footprint};
use workloads::schedule::Slot;
use workloads::step::Load;
use workloads::traffic::PicksPool;

use crate::layout::Layout;
use crate::lower::{expert_layout, n_micro_batches, sampled, shape};
use crate::rank_memory::RankMemory;
use crate::{PlanError, TrainPlan};

/// The memory of every pipeline rank: stages held, activations in flight by the schedule, the fullest load of the sampled
/// batches.
///
/// # Errors
/// When the job cannot be placed, scheduled or sampled.
pub fn memory(plan: TrainPlan<'_>, pool: Option<&PicksPool>) -> Result<Vec<RankMemory>, PlanError> {
    let schedule = plan.job.policy.schedule;
    let pp = plan.job.parallel.pp;
    let slots = schedule.slots(pp, n_micro_batches(plan)?)?;
    let stages = workloads::parallel::stage_layers(&plan.job.model, &plan.job.parallel.stages);
    let shape = shape(plan);
    let load = pool.map_or_else(|| Load::balanced(&plan.job.model, &shape), fullest);
    let overlaps = slots.iter().flatten().any(|slot| slot.forward().is_some() && slot.backward().is_some());
    let job = FootprintInput {
        model: &plan.job.model,
        parallel: &plan.job.parallel,
        shape: &shape,
        load: &load,
        copies: schedule.n_weight_copies(),
        keep_bf16_weights: plan.job.policy.keep_bf16_weights,
        optimizer: plan.job.policy.optimizer,
        overlaps,
        defers: overlaps || slots.iter().flatten().any(|slot| matches!(slot, Slot::Weight(_))),
        reserved: plan.job.policy.reserved,
    };
    let capacity = plan.site.machine.device.memory_capacity();
    let of_rank = |(rank, slots): (u32, &Vec<_>)| {
        let chunks = workloads::schedule::in_flight_max(slots);
        let held: Vec<Held> = schedule
            .held(pp, rank)
            .iter()
            .zip(chunks.into_iter().chain(std::iter::repeat(0)))
            .map(|(&stage, chunks)| Held { stage: stages[stage as usize].clone(), chunks })
            .collect();
        of(rank, &footprint(&job, &held), capacity)
    };
    Ok((0..pp).zip(&slots).map(of_rank).collect())
}

/// The memory of every rank, if it fits.
///
/// # Errors
/// As [`memory`], and when the fullest rank needs more than its device has.
pub fn check_memory(plan: TrainPlan<'_>, pool: Option<&PicksPool>) -> Result<Vec<RankMemory>, PlanError> {
    let ranks = memory(plan, pool)?;
    let fullest = ranks.iter().max_by(|a, b| a.total.get().total_cmp(&b.total.get()));
    match fullest {
        Some(full) if full.total > full.capacity => Err(PlanError::Memory {
            rank: full.rank,
            needed: full.total,
            capacity: full.capacity,
            table: ranks.clone(),
        }),
        _ => Ok(ranks),
    }
}

/// The sampled batches of a plan; `None` for a dense model.
///
/// # Errors
/// When the job cannot be placed or the traffic not sampled.
pub fn sample(plan: TrainPlan<'_>) -> Result<Option<PicksPool>, PlanError> {
    let layout = Layout::new(&plan.job.parallel, &plan.site.machine, plan.job.policy.devices_per_node)?;
    Ok(match expert_layout(plan, &layout) {
        Some(experts) => Some(sampled(&plan.job.traffic, &experts)?),
        None => None,
    })
}

fn of(rank: u32, footprint: &Footprint, capacity: Bytes) -> RankMemory {
    let items = footprint.items.iter().map(|item| (item.name, item.bytes)).collect();
    RankMemory { rank, items, total: footprint.total(), capacity }
}

/// The largest load of any rank in any batch.
fn fullest(pool: &PicksPool) -> Load {
    let ranks = pool.batches().iter().flat_map(|batch| (0..batch.n_ranks()).map(move |rank| (batch, rank)));
    let most = ranks.max_by_key(|(batch, rank)| batch.rows_total(*rank));
    most.map_or_else(Load::default, |(batch, rank)| Load {
        received: u64::from(batch.tokens_received(rank)),
        rows: batch.rows(rank).iter().copied().map(u64::from).collect(),
    })
}
