//! Which rank is which: groups, columns, devices.

use platform::{ExpertSpread, Placement};
use topology::Machine;
use workloads::parallel::Parallelism;

use crate::PlanError;

/// Ranks in order: pipeline rank slowest, then data, context and tensor parallel. Expert-parallel groups are runs of
/// consecutive ranks of a pipeline rank, so they fill nodes; rank i sits on the i-th device that the job uses.
///
/// A *column* is the least set of ranks that only meets others in the optimizer: one expert-parallel group (or
/// tensor-by-context group, where that is larger) of every pipeline rank. Columns are simulated apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Pipeline ranks.
    pub pp: u32,
    /// Ranks of one pipeline rank.
    pub per_stage: u32,
    /// Tensor-parallel ranks.
    pub tp: u32,
    /// Context-parallel ranks.
    pub cp: u32,
    /// Expert-parallel ranks.
    pub ep: u32,
    /// Where ranks sit.
    pub placement: Placement,
    /// Ranks of a pipeline rank in one column.
    pub width: u32,
}

impl Layout {
    /// Lays a job over `devices` devices of each node of a machine.
    ///
    /// # Errors
    /// When ranks outnumber devices, or an expert-parallel group can neither fill whole nodes nor share one evenly.
    pub fn new(parallel: &Parallelism, machine: &Machine, devices: u32) -> Result<Self, PlanError> {
        let n_devices = u64::from(machine.n_nodes) * u64::from(devices);
        let n_ranks = u64::from(parallel.n_ranks());
        if n_ranks > n_devices {
            return Err(PlanError::TooManyRanks { n_ranks, n_devices });
        }
        let group = parallel.ep.max(parallel.tp * parallel.cp);
        if !group.is_multiple_of(devices) && !devices.is_multiple_of(group) {
            return Err(PlanError::Placement { group, devices });
        }
        Ok(Self {
            pp: parallel.pp,
            per_stage: parallel.dp * parallel.cp * parallel.tp,
            tp: parallel.tp,
            cp: parallel.cp,
            ep: parallel.ep,
            placement: Placement::new(machine, devices),
            width: group,
        })
    }

    /// Columns of the job.
    #[must_use]
    pub fn n_columns(&self) -> u32 {
        self.per_stage / self.width
    }

    /// How expert-parallel groups fill nodes.
    #[must_use]
    pub fn experts(&self) -> ExpertSpread {
        ExpertSpread::new(self.ep, self.placement)
    }
}
