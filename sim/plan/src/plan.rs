//! The plan: everything decided.

use calibrate::{EstimateKey, Profile};
use platform::{Delivery, ExchangeCopies};
use topology::{Machine, Routing};
use units::Bytes;
use workloads::import::Graph;
use workloads::model::Model;
use workloads::op::LinearPrecision;
use workloads::parallel::Parallelism;
use workloads::recipe::Recipe;
use workloads::schedule::Schedule;
use workloads::step::{AttentionKernel, Dispatcher, Gradients, Lora, OptimizerState, Recompute};
use workloads::traffic::TrafficSpec;

use crate::launches::HostPolicy;
use crate::serve::Serve;
use crate::{CostTerms, PlanError};

/// Everything decided: no default left open, no string that means a choice, no path.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// For people; no part of a run's identity.
    pub name: String,
    /// Where it runs.
    pub site: Site,
    /// What runs.
    pub job: Job,
    /// How it is simulated.
    pub simulation: Simulation,
    /// What is taken for granted about money.
    pub cost: CostTerms,
}

/// A machine, and what was measured of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Site {
    /// The machine.
    pub machine: Machine,
    /// What was measured.
    pub profile: Profile,
}

/// What runs on a site: one variant for each kind of job.
#[derive(Clone, Debug, PartialEq)]
pub enum Job {
    /// Steps of a training job.
    Train(Box<Train>),
    /// A service.
    Serve(Box<Serve>),
    /// A graph that another tool wrote.
    Imported(Box<Imported>),
}

/// Training.
#[derive(Clone, Debug, PartialEq)]
pub struct Train {
    /// The model.
    pub model: Model,
    /// How the job is laid over ranks.
    pub parallel: Parallelism,
    /// Tokens of a sequence (`job.sequence`).
    pub sequence: u64,
    /// Sequences of a global batch (`job.global-batch`).
    pub global_batch: u64,
    /// Sequences of a micro-batch (`job.micro-batch`).
    pub micro_batch: u64,
    /// Arithmetic of the linear layers (`job.precision`).
    pub precision: LinearPrecision,
    /// Adapters that are trained in place of the weights (`job.lora.*`).
    pub lora: Option<Lora>,
    /// Tokens of the documents packed into a sequence (`job.documents`); empty: one fills it.
    pub documents: Vec<u64>,
    /// What we choose.
    pub policy: Policies,
    /// The name of its software stack (`use.framework`); for people, as what it decides is in `recipe`, `policy` and the estimates.
    pub framework: String,
    /// Whether whole blocks of it were timed (`framework.timed`).
    pub is_stack_timed: bool,
    /// Which kernels the software stack runs (`framework.*`).
    pub recipe: Recipe,
    /// How its host launches them (`framework.host.*`).
    pub host: HostPolicy,
    /// How tokens pick experts; unused for a dense model.
    pub traffic: TrafficSpec,
}

impl Train {
    /// Training arithmetic of a token as [`Model::flops_per_token`] counts it, in FLOP: with the scores of its own document, and without
    /// gradients of frozen weights. The arithmetic of adapters, under a hundredth, is left out.
    #[must_use]
    pub fn flops_per_token(&self, causal: bool) -> f64 {
        let at = |sequence| self.model.flops_per_token(sequence, causal);
        let squares: f64 = self.documents.iter().map(|tokens| (*tokens as f64).powi(2)).sum();
        let seen = if self.documents.is_empty() { 1.0 } else { squares / (self.sequence as f64).powi(2) };
        let frozen = self.lora.map_or(0.0, |_| 2.0 * (self.model.body_params() + self.model.table_params()) as f64);
        at(0) + (at(self.sequence) - at(0)) * seen - frozen
    }
}

/// A graph that another tool wrote; rank `r` is device `r`.
#[derive(Clone, Debug, PartialEq)]
pub struct Imported {
    /// Nodes of all ranks.
    pub graph: Graph,
    /// Which of several equal paths a message takes.
    pub routing: Routing,
}

/// How a run is simulated: no part of what is simulated.
#[derive(Clone, Debug, PartialEq)]
pub struct Simulation {
    /// Whether equal replicas are simulated once (`policy.folding`).
    pub folding: Folding,
    /// Ranks of a stage that keep full intervals in the record (`policy.record`).
    pub record: Recording,
    /// Share of a step by which a better machine may make it longer, where messages leave when they can
    /// (`policy.scheduling-anomaly`; [`TrainPlan::scheduling_anomaly`]).
    pub scheduling_anomaly: f64,
}

/// A plan whose job is training.
#[derive(Clone, Copy, Debug)]
pub struct TrainPlan<'a> {
    /// For people.
    pub name: &'a str,
    /// Where it runs.
    pub site: &'a Site,
    /// The training job.
    pub job: &'a Train,
    /// How it is simulated.
    pub simulation: &'a Simulation,
    /// What is taken for granted about money.
    pub cost: &'a CostTerms,
}

/// A plan whose job is a service.
#[derive(Clone, Copy, Debug)]
pub struct ServePlan<'a> {
    /// For people.
    pub name: &'a str,
    /// Where it runs.
    pub site: &'a Site,
    /// The service.
    pub job: &'a Serve,
    /// What is taken for granted about money.
    pub cost: &'a CostTerms,
}

impl Plan {
    /// The plan of a training job.
    ///
    /// # Errors
    /// [`PlanError::NotTraining`] for a job of another kind.
    pub fn train(&self) -> Result<TrainPlan<'_>, PlanError> {
        let Self { name, site, job, simulation, cost } = self;
        match job {
            Job::Train(job) => Ok(TrainPlan { name, site, job, simulation, cost }),
            Job::Serve(_) | Job::Imported(_) => Err(PlanError::NotTraining),
        }
    }

    /// The plan of a service.
    ///
    /// # Errors
    /// [`PlanError::NotServing`] for a job of another kind.
    pub fn serving(&self) -> Result<ServePlan<'_>, PlanError> {
        let Self { name, site, job, cost, .. } = self;
        match job {
            Job::Serve(job) => Ok(ServePlan { name, site, job, cost }),
            Job::Train(_) | Job::Imported(_) => Err(PlanError::NotServing),
        }
    }

    /// The imported graph.
    ///
    /// # Errors
    /// [`PlanError::NotImported`] for a job of another kind.
    pub fn imported(&self) -> Result<&Imported, PlanError> {
        match &self.job {
            Job::Imported(job) => Ok(job),
            Job::Train(_) | Job::Serve(_) => Err(PlanError::NotImported),
        }
    }

    /// The same job where other things were measured.
    #[must_use]
    pub fn with_profile(&self, profile: Profile) -> Self {
        let mut plan = self.clone();
        plan.site.profile = profile;
        plan
    }
}

impl Job {
    /// The training job, to change it; none for a job of another kind.
    pub fn train_mut(&mut self) -> Option<&mut Train> {
        match self {
            Self::Train(train) => Some(train),
            Self::Serve(_) | Self::Imported(_) => None,
        }
    }
}

impl TrainPlan<'_> {
    /// Share of the step by which a better machine may make it longer: two steps that differ by less are not told apart.
    ///
    /// Hidden pipeline messages leave when their data is ready, and share ports with whatever is in them then. On a machine that is quicker
    /// somewhere they leave at other moments and meet other exchanges, and a chunk that many wait for may be the one that is slowed. Such
    /// anomalies are known of every order that is not chosen anew (Graham 1969, "Bounds on multiprocessing timing anomalies"). Where messages
    /// travel between chunks, or there is one pipeline rank, every chunk waits for the same things on every machine, and there are none.
    #[must_use]
    pub fn scheduling_anomaly(&self) -> f64 {
        match self.job.policy.point_to_point {
            PointToPoint::Hidden if self.job.parallel.pp > 1 => self.simulation.scheduling_anomaly,
            PointToPoint::Hidden | PointToPoint::Waited => 0.0,
        }
    }
}

/// What we choose, as against what hardware can do. The `policy.*` keys.
#[derive(Clone, Debug, PartialEq)]
pub struct Policies {
    /// Order of chunks (`policy.schedule`): `1f1b`, `gpipe`, `interleaved`, `zb1p`, `zb2p`, `dual-pipe`, `dual-pipe-v`.
    pub schedule: Schedule,
    /// Devices of a node that the job uses (`policy.devices-per-node`); the rest is spare, and paid for.
    pub devices_per_node: u32,
    /// SMs that dispatch and combine hold beside compute in an overlapped pair (`policy.comm-sms`). Zero where the
    /// device's communication engine does all the work, or a collective library brings the tokens.
    pub comm_sms: u32,
    /// SMs that dispatch and combine hold in a lone chunk, where compute waits for them (`policy.lone-comm-sms`).
    pub lone_comm_sms: u32,
    /// How context-parallel ranks get each other's keys and values (`policy.context-parallel`).
    pub context_parallel: ContextParallel,
    /// Whether gathers and scatters of tensor parallelism run beside products (`policy.tensor-collectives`).
    pub tensor_collectives: TensorCollectives,
    /// Who brings tokens to their experts (`policy.dispatcher`).
    pub dispatcher: Dispatcher,
    /// How tokens get to their experts and back (`policy.exchange`); a library's all-to-all where that brings them.
    pub exchange: Delivery,
    /// What is dispatched in (`policy.dispatch-format`): `fp8` or `bf16`.
    pub dispatch_format: DispatchFormat,
    /// How the SMs of dispatch and combine move bytes (`policy.exchange-copies`).
    pub exchange_copies: ExchangeCopies,
    /// When pipeline messages travel (`policy.point-to-point`).
    pub point_to_point: PointToPoint,
    /// When gradients are reduced and weights gathered over replicas (`policy.data-parallel`).
    pub data_parallel: DataParallel,
    /// Which of several equal paths a message takes (`policy.routing`).
    pub routing: Routing,
    /// Products between promotions of an FP8 accumulator to FP32; `None`: never (`policy.promote`).
    pub promote: Option<u32>,
    /// Where forward products with one scale a tensor leave their sums (`policy.forward-sums`): `promoted` or `left`.
    pub forward_sums: ForwardSums,
    /// What is computed again in the backward pass (`policy.recompute.*`).
    pub recompute: Recompute,
    /// How the core of attention is computed (`policy.attention`): `fused` or `unfused`.
    pub attention: AttentionKernel,
    /// Whether tensor parallelism is also over tokens where it splits nothing else (`policy.sequence-parallel`).
    pub sequence_parallel: bool,
    /// Whether there is dropout (`policy.dropout`).
    pub dropout: bool,
    /// What gradients of weights are summed in (`policy.gradients`): `fp32` or `bf16`.
    pub gradients: Gradients,
    /// What the optimizer keeps (`policy.moments`, `policy.master-weights`).
    pub optimizer: OptimizerState,
    /// How activations are kept (`policy.keep-activations`): `fp8` or `bf16`.
    pub keep: KeepActivations,
    /// Whether the BF16 weights of FP8 layers stay beside their FP8 copies (`policy.keep-bf16-weights`).
    pub keep_bf16_weights: bool,
    /// Memory that the runtime, communication libraries and fragmentation take (`policy.memory-reserved`).
    pub reserved: Bytes,
    /// Pieces the logits are computed in, so that only one piece is in memory (`policy.logit-pieces`).
    pub logit_pieces: u32,
    /// Where the exponential moving average of the weights lives (`policy.ema`): `host` or `none`.
    pub ema: Ema,
}

impl Policies {
    /// The estimate of what an SM of a dispatch or combine moves in a second.
    #[must_use]
    pub fn copy_rate_per_sm(&self) -> EstimateKey {
        self.exchange.rate_per_sm(self.exchange_copies)
    }
}

/// Where forward products with one scale a tensor leave their sums.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForwardSums {
    /// In FP32 registers, as `policy.promote` has it.
    Promoted,
    /// In the tensor core, whatever `policy.promote` says of others.
    Left,
}

/// When pipeline messages travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PointToPoint {
    /// Beside compute, from the moment their data is ready; the receiver waits only if they are late.
    Hidden,
    /// Between chunks: the sender's next chunk waits for them too.
    Waited,
}

/// How context-parallel ranks get each other's keys and values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContextParallel {
    /// All at once, before a rank attends.
    Gather,
    /// In turns around a ring, while it attends to those of the turn before.
    Ring,
}

/// Whether gathers and scatters of tensor parallelism run beside the products around them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TensorCollectives {
    /// Nothing else runs.
    Waited,
    /// In as many pieces as ranks, all but one of them beside products.
    Overlapped,
}

/// When gradients are reduced and weights gathered over replicas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataParallel {
    /// After the last chunk, before the next step's first.
    Waited,
    /// Layer by layer beside the chunks that complete the gradients, and beside the next step's first.
    Hidden,
}

/// Whether equal replicas are simulated once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Folding {
    /// One rank a stage, with the slowest load of its group.
    Auto,
    /// Every rank.
    None,
}

/// How activations are kept for the backward pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeepActivations {
    /// Inputs of FP8 GEMMs in FP8.
    Fp8,
    /// Everything in BF16.
    Bf16,
}

/// What tokens and gradients travel to experts in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DispatchFormat {
    /// In the FP8 of the linear layers, where they are FP8.
    Fp8,
    /// In BF16; experts' rows are cast after they came.
    Bf16,
}

/// Which ranks keep full intervals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recording {
    /// The first rank of every stage.
    OnePerStage,
    /// None.
    None,
    /// All.
    All,
}

/// Where the exponential moving average of the weights lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ema {
    /// Nowhere.
    None,
    /// In host memory, copied there after the step, beside the next one.
    Host,
}
