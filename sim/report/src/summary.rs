//! What a run came to: plain data, printed as JSON as it stands.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};

use crate::phases::Phases;
use crate::serving::ServiceResult;

/// Version of the form of a summary's JSON. A key that goes or changes its meaning makes another version; a new key does not.
pub const SCHEMA_VERSION: u32 = 1;

/// What a job came to. Field names are the JSON keys, all on one level; seconds, bytes and fractions are bare numbers.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Summary {
    /// Always [`SCHEMA_VERSION`].
    pub schema_version: SchemaVersion,
    /// What any job has.
    #[serde(flatten)]
    pub common: Common,
    /// What its kind of job has.
    #[serde(flatten)]
    pub result: JobResult,
}

/// [`SCHEMA_VERSION`] as a field, so that no summary has another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SchemaVersion;

/// What any job has.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Common {
    /// The scenario's name.
    pub name: String,
    /// Identity of the plan.
    pub digest: String,
    /// Ranks of the job.
    pub n_ranks: u32,
    /// Ranks simulated; fewer than `n_ranks` where equal replicas are folded.
    pub n_ranks_simulated: u32,
    /// Tasks the engine ran.
    pub n_tasks: u64,
    /// Where the time goes: means over pipeline ranks, adding up to the time of the job.
    pub phases: Phases,
    /// The same for each pipeline rank, first to last.
    pub phases_by_rank: Vec<Phases>,
    /// The fullest rank's memory; none of a job whose memory nobody knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_bytes_max: Option<f64>,
    /// Memory of every pipeline rank, item by item.
    pub memory_by_rank: Vec<MemoryRow>,
    /// The weakest basis among the estimates that the result rests on.
    pub basis: String,
    /// Share of the time in kernels, collectives and exposed communication by the basis of the estimate that bound it.
    pub basis_shares: BTreeMap<String, f64>,
    /// What binds the job: the largest of `binding_shares`.
    pub binding: String,
    /// Share of the time by what bound it, means over ranks; adds up to 1.
    pub binding_shares: BTreeMap<String, f64>,
    /// Busy time by op, means over ranks, largest first.
    pub ops: Vec<OpRow>,
    /// Use of links, by kind.
    pub links: Vec<LinkRow>,
    /// What the machine costs, and training on it.
    pub cost: Cost,
    /// What the machine draws, and training on it.
    pub energy: Energy,
    /// What a reader must know: policies found necessary, folding, things not modeled.
    pub notes: Vec<String>,
}

/// What its kind of job has. One variant a kind.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum JobResult {
    /// One optimizer step of a training job.
    Step(StepResult),
    /// A service and the requests that came to it.
    Service(Box<ServiceResult>),
    /// A graph that another tool wrote.
    Imported(ImportedResult),
}

/// What a graph that another tool wrote came to.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ImportedResult {
    /// Which tool wrote it: `chakra` or `simai`.
    pub format: String,
    /// Ranks simulated: all, or one that stands for them.
    pub n_simulated: u32,
    /// Nodes of all simulated ranks.
    pub n_nodes: u64,
    /// Until the last node ends.
    pub makespan_seconds: f64,
    /// Mean time of a rank in which its device runs nothing while it communicates.
    pub exposed_seconds: f64,
    /// How each simulated rank spends the makespan.
    pub ranks: Vec<ImportedRank>,
}

/// How one rank spends the makespan, in seconds: `device`, `exposed` and `idle` add up to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct ImportedRank {
    /// Its number.
    pub rank: u32,
    /// Its device runs a node.
    pub device_seconds: f64,
    /// Its device runs none, but it takes part in a collective or message or waits for a partner there.
    pub exposed_seconds: f64,
    /// Neither.
    pub idle_seconds: f64,
    /// Takes part in a collective or message, or waits for a partner there, whatever its device does.
    pub communication_seconds: f64,
    /// Its host runs a node.
    pub host_seconds: f64,
}

/// What a training step came to.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct StepResult {
    /// The software stack that ran (`use.framework`).
    pub framework: String,
    /// What replicas keep of weights, gradients and the optimizer's state (`parallel.sharding`).
    pub sharding: String,
    /// Who brings tokens to their experts (`policy.dispatcher`); none where no token leaves its rank.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dispatcher: Option<String>,
    /// Duration of one optimizer step.
    pub step_seconds: f64,
    /// Where it lies from 5 to 95 %, by the spreads of the estimates that bind it and the sampling error.
    pub interval: [f64; 2],
    /// Published steps that it resembles most; none where nobody looked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nearest: Option<Nearest>,
    /// Tokens trained on in 24 hours.
    pub tokens_per_day: f64,
    /// Model arithmetic per GPU and second, without recomputation and MTP, in TFLOP/s.
    pub tflops_per_gpu: Counted,
    /// The same over the BF16 peak.
    pub mfu: Counted,
    /// GPU-hours to train on 1e12 tokens, devices of the machine that hold no rank included.
    pub gpu_hours_per_trillion_tokens: f64,
    /// Seconds of one layer of experts in an overlapped pair, forward and backward, on the middle pipeline rank, by what kernels do; empty of
    /// a job without such pairs.
    pub categories: Vec<CategoryRow>,
    /// Mean time of a rank in chunks during which only communication runs or is waited for.
    pub exposed_communication_seconds: f64,
    /// Mean time of a rank's dispatches and combines from its arrival to the last rank's arrival; of a folded run an
    /// estimate, which is in no other figure.
    pub all_to_all_waited_seconds: f64,
    /// Mean time of a rank's dispatches and combines from the last rank's arrival to the end.
    pub all_to_all_transferred_seconds: f64,
    /// Spread of the tokens a rank gets in one micro-batch: standard deviation over mean; 0 for a dense model.
    pub load_cv: f64,
    /// Relative standard error of the mean step that the finite pool of sampled batches leaves.
    pub sampling_error: f64,
    /// Share of the step by which a better machine may make it longer; a smaller difference between two steps is undecided.
    pub scheduling_anomaly: f64,
}

/// Published steps that a run resembles most, and how far off the model was there.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Nearest {
    /// Whether the first of them is the very job.
    pub is_published: bool,
    /// The nearest first.
    pub steps: Vec<NearestStep>,
    /// In what the first differs from the run, in words; nothing where it is near in every respect.
    pub differs: Vec<String>,
}

/// A published step that the model was held against.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct NearestStep {
    /// The published record's id.
    pub id: String,
    /// The scenario that is run for it,
    pub scenario: String,
    /// and what is laid over it.
    pub sets: Vec<String>,
    /// Its device.
    pub device: String,
    /// Its devices.
    pub n_devices: u32,
    /// Parameters that a token touches.
    pub active_params: f64,
    /// How far it is from the run: zero for one that is alike in all that is weighed.
    pub distance: f64,
    /// By what share the simulated step takes longer than the published one.
    pub step_error: f64,
}

/// Time of kernels of one kind.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct CategoryRow {
    /// What they do.
    pub name: String,
    /// Seconds.
    pub seconds: f64,
}

/// A figure with attention counted under the causal mask and in full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Counted {
    /// Half of the attention matrix counted.
    pub causal: f64,
    /// All of it.
    pub non_causal: f64,
}

/// Money, in US dollars. The machine is all of it, devices that the job leaves idle included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Cost {
    /// Price of the machine.
    pub cluster_usd: f64,
    /// Price of the machine over its devices.
    pub usd_per_device: f64,
    /// Price of switches and wires of the network between nodes.
    pub network_usd: f64,
    /// The same over its endpoints, the NICs; zero where there are none.
    pub network_usd_per_endpoint: f64,
    /// Of a job that trains.
    #[serde(flatten)]
    pub training: Option<TrainingCost>,
    /// Of a job that ends.
    #[serde(flatten)]
    pub run: Option<RunCost>,
}

/// What it costs to hold the machine while a job runs, in US dollars.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct RunCost {
    /// On a machine of one's own: its price over its lifetime, and electricity.
    pub owned_usd: f64,
    /// Of that, electricity.
    pub electricity_usd: f64,
    /// On rented devices.
    pub rental_usd: f64,
}

/// What it costs to train on 1e12 tokens, in US dollars.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct TrainingCost {
    /// On a machine of one's own: its price over its lifetime, and electricity.
    pub usd_per_trillion_tokens: f64,
    /// Of that, electricity.
    pub electricity_usd_per_trillion_tokens: f64,
    /// On rented devices.
    pub rental_usd_per_trillion_tokens: f64,
}

/// Power and energy at full load.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Energy {
    /// Power of the machine, its building apart.
    pub power_watts: f64,
    /// Energy of machine and building over that of the machine.
    pub pue: f64,
    /// Energy of machine and building to train on 1e12 tokens, in MWh; none of a job that does not train.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mwh_per_trillion_tokens: Option<f64>,
    /// Energy of machine and building while a job runs that ends, in MWh.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mwh: Option<f64>,
}

/// Memory of one pipeline rank, in bytes.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct MemoryRow {
    /// The pipeline rank.
    pub rank: u32,
    /// Items, largest first: name and bytes.
    pub items: Vec<(String, f64)>,
    /// Their sum.
    pub total: f64,
    /// What the device has.
    pub capacity: f64,
}

/// Busy time of one op over a step, mean over ranks.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OpRow {
    /// For example `query-up`; `dispatch` and `combine` are transfers, from the arrival of a group's last rank on.
    pub op: String,
    /// `forward`, `recompute`, `input-gradient`, `weight-gradient` or `update`; `both` for what forward and backward share.
    pub pass: String,
    /// Runs a rank and step.
    pub count: f64,
    /// Mean duration of one, seconds.
    pub seconds_each: f64,
    /// Total a rank and step, seconds.
    pub seconds: f64,
    /// `tensor`, `memory`, `latency`, `scale_up`, `scale_out` or `copy_sms`.
    pub binding: String,
    /// Basis of the estimate that bound it.
    pub basis: String,
}

/// Use of one kind of link over a step.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LinkRow {
    /// For example `scale_out_send`.
    pub kind: String,
    /// Links of the kind that were simulated.
    pub count: u64,
    /// Bytes over all of them.
    pub bytes: f64,
    /// Mean share of the link's own rate over the step.
    pub utilization_mean: f64,
    /// The busiest one's.
    pub utilization_max: f64,
}

/// One of several runs set side by side, for instance other layers per stage.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Variant {
    /// What differs.
    pub name: String,
    /// What it came to.
    pub result: VariantResult,
}

/// What a variant came to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub enum VariantResult {
    /// A step.
    Ran {
        /// Its duration.
        step_seconds: f64,
        /// Where it goes.
        phases: Phases,
    },
    /// None, for this reason.
    Failed(String),
}

/// A published figure beside ours.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// The published record's id.
    pub id: String,
    /// The family of facts it is of.
    pub family: String,
    /// What it is.
    pub quantity: String,
    /// Its unit, of both values.
    pub unit: String,
    /// As published.
    pub published: f64,
    /// As simulated.
    pub simulated: f64,
    /// Where the published figure is from.
    pub source: String,
    /// The key of the summary that answers it, dots between levels; none where no single key does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Whether an estimate of the run rests on it, so that agreement proves nothing.
    pub used: bool,
}

impl Common {
    /// Whether some ranks stand for others.
    #[must_use]
    pub fn is_folded(&self) -> bool {
        self.n_ranks_simulated < self.n_ranks
    }
}

impl Summary {
    /// The time that phases and shares are of, seconds.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        match &self.result {
            JobResult::Step(step) => step.step_seconds,
            JobResult::Service(service) => service.serving.seconds,
            JobResult::Imported(imported) => imported.makespan_seconds,
        }
    }
}

impl Default for JobResult {
    fn default() -> Self {
        Self::Step(StepResult::default())
    }
}

impl Serialize for SchemaVersion {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u32(SCHEMA_VERSION)
    }
}

impl MemoryRow {
    /// Bytes of the item of this name; zero where the rank holds none.
    #[must_use]
    pub fn item(&self, name: &str) -> f64 {
        self.items.iter().filter(|(item, _)| item == name).map(|(_, bytes)| bytes).sum()
    }
}

impl Comparison {
    /// (simulated - published) / |published|; none where zero was published.
    #[must_use]
    pub fn error(&self) -> Option<f64> {
        (self.published != 0.0).then(|| (self.simulated - self.published) / self.published.abs())
    }

    /// The median of the absolute errors of those that no estimate rests on; none where there are none.
    #[must_use]
    pub fn median_error<'a>(rows: impl IntoIterator<Item = &'a Self>) -> Option<f64> {
        let errors = rows.into_iter().filter(|row| !row.used).filter_map(Self::error).map(f64::abs);
        units::median(&errors.collect::<Vec<f64>>())
    }
}
