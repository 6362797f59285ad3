//! Programs of plans that fit in memory: what is cheap to know comes first.

use crate::layout::Layout;
use crate::lower::{Shared, context, program, sound_shape};
use crate::memory::check_memory;
use crate::program::Program;
use crate::rank_memory::RankMemory;
use crate::{PlanError, TrainPlan};

/// As [`crate::lower_with`], of a plan that fits; with what its ranks hold at their fullest.
///
/// # Errors
/// As [`crate::lower`] and [`check_memory`].
pub fn lower_fitting(plan: TrainPlan<'_>, shared: &Shared<'_>) -> Result<(Program, Vec<RankMemory>), PlanError> {
    Layout::new(&plan.job.parallel, &plan.site.machine, plan.job.policy.devices_per_node)?;
    sound_shape(plan)?;
    // The fullest rank holds no less than one whose load is the mean, for which nothing is sampled.
    check_memory(plan, None)?;
    let context = context(plan, shared)?;
    let memory = check_memory(plan, context.pool.as_ref())?;
    Ok((program(context, shared.exchanges)?, memory))
}
