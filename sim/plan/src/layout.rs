//! Which rank is which: groups, columns, devices.

use topology::{DeviceId, Machine};
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
    /// Devices of a node that the job uses, its first ones.
    pub devices: u32,
    /// Devices that a node has.
    node_devices: u32,
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
            devices,
            node_devices: machine.node.devices,
            width: group,
        })
    }

    /// Columns of the job.
    #[must_use]
    pub fn n_columns(&self) -> u32 {
        self.per_stage / self.width
    }

    /// Nodes an expert-parallel group spans.
    #[must_use]
    pub fn expert_nodes(&self) -> u32 {
        (self.ep / self.devices).max(1)
    }

    /// Ranks of an expert-parallel group on one node.
    #[must_use]
    pub fn expert_devices(&self) -> u32 {
        self.ep.min(self.devices)
    }

    /// The device of the i-th rank of a pipeline rank.
    #[must_use]
    pub fn device(&self, pipeline_rank: u32, index: u32) -> DeviceId {
        let rank = pipeline_rank * self.per_stage + index;
        DeviceId(rank / self.devices * self.node_devices + rank % self.devices)
    }

    /// Members of a group whose ranks are `stride` apart that share a node, of `size` in all.
    #[must_use]
    pub fn per_node(&self, size: u32, stride: u32) -> u32 {
        (self.devices / stride.max(1)).clamp(1, size.max(1))
    }
}
