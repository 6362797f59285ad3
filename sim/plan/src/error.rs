//! Why a plan cannot run.

use calibrate::CannotRun;
use platform::PlatformError;
use topology::TopologyError;
use workloads::schedule::ScheduleError;
use workloads::traffic::TrafficError;

use crate::Contradiction;

/// Why a plan cannot run. Each message carries its numbers and the way out.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum PlanError {
    /// What only a training job has is wanted of another.
    #[error(
        "the job is no training: it has no model, no stages and no step; take a scenario with `model.*` and `job.*`"
    )]
    NotTraining,
    /// What only a service has is wanted of another job.
    #[error(
        "the job is no service: it has no requests and no iterations; take a scenario with `[serve]`, such as `deepseek-r1-8xh200`"
    )]
    NotServing,
    /// A graph is wanted of a job that has none.
    #[error("the job is no imported graph; `windtunnel replay` reads one")]
    NotImported,
    /// More ranks than devices.
    #[error(
        "the job has {n_ranks} ranks but the machine {n_devices} devices; lower `parallel.*` or raise `cluster.nodes`"
    )]
    TooManyRanks {
        /// Ranks of the job.
        n_ranks: u64,
        /// Devices of the machine.
        n_devices: u64,
    },
    /// A group that neither fills nodes nor shares one evenly.
    #[error(
        "a group of {group} ranks (`parallel.ep`, or tp x cp) cannot be placed on nodes of {devices} devices: one must divide the other"
    )]
    Placement {
        /// Ranks of the group.
        group: u32,
        /// Devices of a node.
        devices: u32,
    },
    /// The fullest rank needs more memory than its device has.
    #[error(
        "pipeline rank {rank} needs {needed}, its device has {capacity}; keep less (`policy.recompute.*`, `policy.keep-activations`, `policy.logit-pieces`), spread more (`parallel.pp`, `parallel.ep`) or give it more (`gpu.memory.capacity-per-stack`)"
    )]
    Memory {
        /// The pipeline rank.
        rank: u32,
        /// What it needs.
        needed: units::Bytes,
        /// What there is.
        capacity: units::Bytes,
        /// Every rank's items.
        table: Vec<crate::RankMemory>,
    },
    /// The device lacks what an op needs.
    #[error(transparent)]
    CannotRun(#[from] CannotRun),
    /// Bytes cross a fabric that the device has no port to.
    #[error(
        "the job sends bytes over the {port}, but the device has none (`{key}` is 0); give it a rate, or a layout within less"
    )]
    NoPort {
        /// Which port.
        port: &'static str,
        /// The key of its rate.
        key: &'static str,
    },
    /// Bytes that only SMs copy or sum, and no SM to do it.
    #[error(
        "`{key}` leaves no SM to {kind}, but SMs copy or sum what it moves on this machine; give it at least 2, or a device with a `gpu.comm-engine` that does it"
    )]
    NoCommSms {
        /// The key of the SMs.
        key: &'static str,
        /// Dispatch or combine.
        kind: &'static str,
    },
    /// A chunk with more waits than a routine counts.
    #[error(
        "`model.layers` ({layers}) and `model.mtp-modules` ({mtp_modules}) over `parallel.pp` ({pp}) leave a rank stages whose exchanges are waited \
         for at more than {max} points of a chunk; raise `parallel.pp`, or lower the others", max = u16::MAX
    )]
    LongStage {
        /// Layers of the model.
        layers: u32,
        /// Its modules of multi-token prediction.
        mtp_modules: u32,
        /// Pipeline ranks.
        pp: u32,
    },
    /// The step would take longer than the clock of a run counts.
    #[error(
        "what pipeline rank {rank} does in a step takes {seconds:.1e} s, each thing alone; a run of this job counts up to {limit:.1e} s. The longest \
         of it takes {longest:.1e} s: look for a mistyped unit or exponent in {keys}, or take a smaller `job.global-batch` or `job.sequence`"
    )]
    Uncountable {
        /// The pipeline rank.
        rank: u32,
        /// What it does, one after the other.
        seconds: f64,
        /// What fits.
        limit: f64,
        /// The longest part of a single thing, seconds.
        longest: f64,
        /// The keys that it follows from, in words.
        keys: &'static str,
    },
    /// The machine cannot be built.
    #[error(transparent)]
    Topology(#[from] TopologyError),
    /// The machine cannot do what is wanted of it.
    #[error(transparent)]
    Platform(PlatformError),
    /// The schedule cannot be laid out.
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
    /// The traffic cannot be sampled.
    #[error(transparent)]
    Traffic(#[from] TrafficError),
    /// What the job or question holds contradicts itself.
    #[error(transparent)]
    Contradiction(#[from] Contradiction),
    /// A fault of this program.
    #[error("fault in the simulator: {0}")]
    Fault(String),
}

impl From<PlatformError> for PlanError {
    fn from(error: PlatformError) -> Self {
        match error {
            PlatformError::Topology(error) => Self::Topology(error),
            PlatformError::Engine(fault) => Self::Fault(fault.to_string()),
            PlatformError::Planes { .. } | PlatformError::Uncountable { .. } => Self::Platform(error),
        }
    }
}
