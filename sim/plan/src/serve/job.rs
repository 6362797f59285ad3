//! What a service is: the unit, the stack, the scheduler and the requests.

use topology::Routing;
use units::{Bytes, Seconds};
use workloads::iteration::{Popularity, UnitLayout};
use workloads::model::Model;
use workloads::requests::{Arrivals, Request};

use super::scheduler::SchedulerSpec;
use crate::launches::Launches;

/// A service.
#[derive(Clone, Debug, PartialEq)]
pub struct Serve {
    /// The model.
    pub model: Model,
    /// How a unit is laid out (`serve.*`).
    pub layout: UnitLayout,
    /// Units alike (`serve.units`).
    pub units: u32,
    /// Units that compute prompts for these, which then decode alone (`serve.prefill.*`, under `serve.phase = "apart"`).
    pub prefill: Option<Box<PrefillUnits>>,
    /// What a unit does of a request (`serve.phase`).
    pub phase: ServedPhase,
    /// Devices of a node in use (`policy.devices-per-node`).
    pub devices_per_node: u32,
    /// Which of several equal paths a message takes (`policy.routing`).
    pub routing: Routing,
    /// Products between promotions of an FP8 accumulator (`policy.promote`).
    pub promote: Option<u32>,
    /// What runs beside what in an iteration (`serve.overlap`, `serve.moe-sms`, `serve.comm-sms`).
    pub overlap: OverlapPolicy,
    /// How often experts are picked (`traffic.skew`, `traffic.seed`).
    pub popularity: Popularity,
    /// Tokens that are guessed and verified (`serve.drafts.*`).
    pub drafts: Drafts,
    /// The software stack (`framework.*`).
    pub stack: ServingStack,
    /// What of a device's memory is left to others (`serve.memory-share`).
    pub memory_share: f64,
    /// Who runs when (`scheduler.*`).
    pub scheduler: SchedulerSpec,
    /// What comes (`requests.*`); none where only an iteration is asked for.
    pub requests: Option<RequestList>,
    /// Where times of iterations come from (`simulation.iterations`).
    pub iterations: Iterations,
}

/// Units that compute prompts for others.
#[derive(Clone, Debug, PartialEq)]
pub struct PrefillUnits {
    /// How one is laid out.
    pub layout: UnitLayout,
    /// How many there are.
    pub units: u32,
    /// What overlaps in an iteration.
    pub overlap: IterationOverlap,
}

impl Serve {
    /// The kinds of units of the service, in the order in which a request passes them.
    #[must_use]
    pub fn kinds(&self) -> Vec<Self> {
        let Some(prefill) = &self.prefill else { return vec![self.clone()] };
        let overlap = OverlapPolicy { kind: prefill.overlap, ..self.overlap };
        let (layout, units) = (prefill.layout.clone(), prefill.units);
        let decode = Self { prefill: None, phase: ServedPhase::Decode, ..self.clone() };
        let prefill = Self { layout, units, overlap, phase: ServedPhase::Prefill, ..decode.clone() };
        vec![prefill, decode]
    }

    /// Devices of all units.
    #[must_use]
    pub fn n_devices(&self) -> u64 {
        let prefill = self.prefill.as_ref().map_or(0, |prefill| prefill.layout.n_ranks() * u64::from(prefill.units));
        prefill + self.layout.n_ranks() * u64::from(self.units)
    }
}

/// Requests, and whether each waits for another to end.
#[derive(Clone, Debug, PartialEq)]
pub struct RequestList {
    /// In the order of their arrival.
    pub requests: Vec<Request>,
    /// Of a closed loop: how many at a time. None: they arrive when they arrive.
    pub concurrency: Option<u64>,
}

impl RequestList {
    /// Of drawn requests.
    #[must_use]
    pub fn new(requests: Vec<Request>, arrivals: &Arrivals) -> Self {
        let concurrency = match arrivals {
            Arrivals::Closed { concurrency } => Some(*concurrency),
            Arrivals::Open { .. } => None,
        };
        Self { requests, concurrency }
    }
}

/// What a unit does of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServedPhase {
    /// All of it.
    Both,
    /// The prompt and the first token.
    Prefill,
    /// What follows the first token; the cache of the prompt is there when a request arrives.
    Decode,
}

/// Where times of iterations come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Iterations {
    /// Each from its ops.
    Detailed,
    /// Interpolated between the corners of a grid.
    Tabulated,
}

/// What runs beside what in an iteration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OverlapPolicy {
    /// What overlaps.
    pub kind: IterationOverlap,
    /// SMs of the experts while attention of the other half runs, in decoding; zero: halves take turns on all of them.
    pub moe_sms: u32,
    /// SMs that kernels of a dispatch or combine hold.
    pub comm_sms: u32,
}

/// What overlaps in an iteration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IterationOverlap {
    /// Nothing.
    None,
    /// Shared experts run while tokens are on their way.
    SharedExpert,
    /// Two halves of the batch: one computes while tokens of the other are on their way.
    TwoBatches,
}

/// Tokens that are guessed and verified.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Drafts {
    /// The chance that the i-th guess is right where those before it were; as many as are guessed. Empty: none.
    pub acceptance: Vec<f64>,
}

impl Drafts {
    /// Tokens that a request gets per iteration, on average.
    #[must_use]
    pub fn tokens_per_iteration(&self) -> f64 {
        let mut chance = 1.0;
        let guessed = self.acceptance.iter().map(|right| {
            chance *= right;
            chance
        });
        1.0 + guessed.sum::<f64>()
    }

    /// Tokens of a request that are computed per iteration.
    #[must_use]
    pub fn queries(&self) -> u64 {
        1 + self.acceptance.len() as u64
    }
}

/// What of a software stack is not in its kernels.
#[derive(Clone, Debug, PartialEq)]
pub struct ServingStack {
    /// Its name (`use.framework`).
    pub name: String,
    /// Whether whole iterations of it were timed (`framework.timed`).
    pub is_timed: bool,
    /// How kernels of iterations that only decode are launched (`framework.serve.decode`).
    pub decode: Launches,
    /// How those of all others are (`framework.serve.prefill`).
    pub prefill: Launches,
    /// What the host takes to launch a kernel (`framework.serve.launch`); none: as an operation of its kind.
    pub launch: Option<Seconds>,
    /// Whose all-reduces within a node it runs (`framework.serve.all-reduce`).
    pub all_reduce: AllReduces,
    /// From a request's arrival until the scheduler sees it (`framework.serve.front`).
    pub front: Seconds,
    /// What the host takes for an iteration that nothing hides (`framework.serve.step`).
    pub step: Seconds,
    /// What it takes more for each request in it (`framework.serve.request`).
    pub request: Seconds,
    /// Memory that the runtime, its graphs and libraries take (`framework.serve.memory`).
    pub memory: Bytes,
}

/// Whose all-reduces run within a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AllReduces {
    /// A collective library's.
    Library,
    /// One-shot and two-shot kernels of the stack where they are quicker.
    Own,
}
