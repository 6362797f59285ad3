//! The plan: everything decided.

use calibrate::Profile;
use platform::{Delivery, ExchangeCopies};
use topology::{Machine, Routing};
use units::Bytes;
use workloads::model::Model;
use workloads::op::LinearPrecision;
use workloads::parallel::Parallelism;
use workloads::schedule::Schedule;
use workloads::step::{AttentionKernel, Moments, Recompute};
use workloads::traffic::TrafficSpec;

use crate::CostTerms;

/// Everything decided: no default left open, no string that means a choice, no path.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// For people; no part of a run's identity.
    pub name: String,
    /// The machine.
    pub machine: Machine,
    /// The model.
    pub model: Model,
    /// How the job is laid over ranks.
    pub parallel: Parallelism,
    /// The job.
    pub job: Job,
    /// What we choose.
    pub policy: Policies,
    /// How tokens pick experts; unused for a dense model.
    pub traffic: TrafficSpec,
    /// What was measured.
    pub profile: Profile,
    /// What is taken for granted about money.
    pub cost: CostTerms,
}

impl Plan {
    /// Share of the step by which a better machine may make it longer: two steps that differ by less are not told apart.
    ///
    /// Hidden pipeline messages leave when their data is ready, and share ports with whatever is in them then. On a machine that is quicker
    /// somewhere they leave at other moments and meet other exchanges, and a chunk that many wait for may be the one that is slowed. Such
    /// anomalies are known of every order that is not chosen anew (Graham 1969, "Bounds on multiprocessing timing anomalies"). Where messages
    /// travel between chunks, or there is one pipeline rank, every chunk waits for the same things on every machine, and there are none.
    #[must_use]
    pub fn scheduling_anomaly(&self) -> f64 {
        match self.policy.point_to_point {
            PointToPoint::Hidden if self.parallel.pp > 1 => self.policy.scheduling_anomaly,
            PointToPoint::Hidden | PointToPoint::Waited => 0.0,
        }
    }
}

/// A training job. The `job.*` keys.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    /// Tokens of a sequence.
    pub sequence: u64,
    /// Sequences of a global batch.
    pub global_batch: u64,
    /// Sequences of a micro-batch.
    pub micro_batch: u64,
    /// Arithmetic of the linear layers.
    pub precision: LinearPrecision,
}

/// What we choose, as against what hardware can do. The `policy.*` keys.
#[derive(Clone, Debug, PartialEq)]
pub struct Policies {
    /// Order of chunks (`policy.schedule`): `1f1b`, `interleaved`, `zb1p`, `dual-pipe`, `dual-pipe-v`.
    pub schedule: Schedule,
    /// Devices of a node that the job uses (`policy.devices-per-node`); the rest is spare, and paid for.
    pub devices_per_node: u32,
    /// SMs that dispatch and combine hold beside compute in an overlapped pair (`policy.comm-sms`). Zero where the
    /// device's communication engine does all the work.
    pub comm_sms: u32,
    /// SMs that dispatch and combine hold in a lone chunk, where compute waits for them (`policy.lone-comm-sms`).
    pub lone_comm_sms: u32,
    /// How tokens get to their experts and back (`policy.exchange`).
    pub exchange: Delivery,
    /// What is dispatched in (`policy.dispatch-format`): `fp8` or `bf16`.
    pub dispatch_format: DispatchFormat,
    /// How the SMs of dispatch and combine move bytes (`policy.exchange-copies`).
    pub exchange_copies: ExchangeCopies,
    /// When pipeline messages travel (`policy.point-to-point`).
    pub point_to_point: PointToPoint,
    /// When gradients are reduced and weights gathered over replicas (`policy.data-parallel`).
    pub data_parallel: DataParallel,
    /// Whether equal replicas are simulated once (`policy.folding`).
    pub folding: Folding,
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
    /// How the optimizer keeps its moments (`policy.moments`): `bf16` or `fp32`.
    pub moments: Moments,
    /// How activations are kept (`policy.keep-activations`): `fp8` or `bf16`.
    pub keep: KeepActivations,
    /// Whether the BF16 weights of FP8 layers stay beside their FP8 copies (`policy.keep-bf16-weights`).
    pub keep_bf16_weights: bool,
    /// Memory that the runtime, communication libraries and fragmentation take (`policy.memory-reserved`).
    pub reserved: Bytes,
    /// Pieces the logits are computed in, so that only one piece is in memory (`policy.logit-pieces`).
    pub logit_pieces: u32,
    /// Ranks of a stage that keep full intervals in the record (`policy.record`).
    pub record: Recording,
    /// Where the exponential moving average of the weights lives (`policy.ema`): `host` or `none`.
    pub ema: Ema,
    /// Share of a step by which one may be longer on a better machine ([`Plan::scheduling_anomaly`],
    /// `policy.scheduling-anomaly`).
    pub scheduling_anomaly: f64,
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
