//! What of a job decides which published jobs it resembles.

use std::collections::BTreeMap;
use std::path::Path;

use plan::{PlanError, TrainPlan};
use scenario::{Leaf, Loaded};
use serde::{Deserialize, Serialize};

/// Ends of keys that say what a part costs or draws.
const EXPENSES: [&str; 3] = [".price", ".power", ".power-limit"];

/// A device, by what is sold and not by its name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeviceTraits {
    /// For people: the file that most of its values were written in.
    pub name: String,
    /// BF16 operations of an SM in a clock, which a generation of tensor cores has in common.
    pub products: f64,
    /// BF16 operations a second.
    pub peak: f64,
    /// Bytes a second of its memory.
    pub memory_rate: f64,
    /// Bytes a second to the scale-up domain.
    pub scale_up_rate: f64,
    /// Every value of `gpu.*` but prices and powers, in base units.
    pub values: BTreeMap<String, String>,
}

/// A training job, apart from its device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobTraits {
    /// Devices that hold a rank.
    pub n_devices: u32,
    /// Whether the model has experts.
    pub is_moe: bool,
    /// Parameters that a token touches.
    pub active_params: u64,
    /// Tokens of a sequence.
    pub sequence: u64,
    /// Tokens of a step over devices.
    pub tokens_per_device: f64,
    /// Arithmetic of the linear layers.
    pub precision: String,
    /// The software stack.
    pub framework: String,
    /// What replicas keep.
    pub sharding: String,
    /// The pipeline's schedule; none of one stage.
    pub schedule: Option<String>,
    /// Who brings tokens to experts of other ranks; none where they stay.
    pub dispatcher: Option<String>,
    /// Bytes a second and device between nodes; none within one.
    pub nic_rate: Option<f64>,
}

/// A job and the device that it runs on.
#[derive(Clone, Debug, PartialEq)]
pub struct Traits {
    /// The device.
    pub device: DeviceTraits,
    /// The job.
    pub job: JobTraits,
}

impl Traits {
    /// Of a scenario.
    ///
    /// # Errors
    /// A job that is no training.
    pub fn of(loaded: &Loaded) -> Result<Self, PlanError> {
        let plan = loaded.plan.train()?;
        Ok(Self { device: device(plan, &loaded.leaves), job: job(plan) })
    }
}

fn device(plan: TrainPlan<'_>, leaves: &[Leaf]) -> DeviceTraits {
    let device = &plan.site.machine.device;
    let is_of_device = |key: &str| key.starts_with("gpu.") && !EXPENSES.iter().any(|end| key.ends_with(end));
    let of_device: Vec<&Leaf> = leaves.iter().filter(|leaf| is_of_device(&leaf.key)).collect();
    DeviceTraits {
        name: file(&of_device),
        products: device.tensor.bf16_flops_per_sm_clock,
        peak: device.peak_bf16().get(),
        memory_rate: device.memory_rate().get(),
        scale_up_rate: device.scale_up_rate().get(),
        values: of_device.into_iter().map(|leaf| (leaf.key.clone(), leaf.canonical.clone())).collect(),
    }
}

/// The name of the file that most of some values stand in.
fn file(leaves: &[&Leaf]) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for leaf in leaves {
        *counts.entry(leaf.origin.file()).or_default() += 1;
    }
    let most = counts.into_iter().max_by_key(|(_, count)| *count).map_or("", |(file, _)| file);
    Path::new(most).file_stem().and_then(|stem| stem.to_str()).unwrap_or(most).to_owned()
}

fn job(plan: TrainPlan<'_>) -> JobTraits {
    let (job, machine) = (plan.job, &plan.site.machine);
    let n_devices = job.parallel.n_ranks();
    let spans_nodes = n_devices > job.policy.devices_per_node;
    JobTraits {
        n_devices,
        is_moe: job.model.experts.is_some(),
        active_params: job.model.active_params(),
        sequence: job.sequence,
        tokens_per_device: (job.global_batch * job.sequence) as f64 / f64::from(n_devices),
        precision: job.precision.name().to_owned(),
        framework: job.framework.clone(),
        sharding: job.parallel.sharding.name().to_owned(),
        schedule: (job.parallel.pp > 1).then(|| job.policy.schedule.name().to_owned()),
        dispatcher: (job.parallel.ep > 1).then(|| job.policy.dispatcher.name().to_owned()),
        nic_rate: spans_nodes.then(|| machine.nic_rate_per_device().get()),
    }
}
