//! The job and its traffic: `job.*`, `traffic.*`.

use std::collections::BTreeSet;

use calibrate::{Lacking, lacking};
use topology::Device;
use workloads::model::{Gate, Model};
use workloads::op::{LinearPrecision, Pass};
use workloads::step::{Lora, LoraTargets};
use workloads::traffic::{Router, TrafficSpec};

use crate::reader::Reader;

/// Sequences and tokens of a step that a run may have.
const COUNT_MAX: u64 = 1 << 32;
/// Lengths of documents, each of which is a kernel of attention.
const N_LENGTHS_MAX: usize = 64;
/// Sampled batches and bias updates, which are walked one by one.
const N_PARTS_MAX: u64 = 1 << 20;

/// The `job.*` keys.
pub(crate) struct JobKeys {
    pub(crate) sequence: u64,
    pub(crate) global_batch: u64,
    pub(crate) micro_batch: u64,
    pub(crate) precision: LinearPrecision,
    pub(crate) lora: Option<Lora>,
    pub(crate) documents: Vec<u64>,
}

pub(crate) fn job(reader: &mut Reader<'_>) -> JobKeys {
    JobKeys {
        sequence: reader.count("job.sequence", 1..=COUNT_MAX),
        global_batch: reader.count("job.global-batch", 1..=COUNT_MAX),
        micro_batch: reader.count("job.micro-batch", 1..=COUNT_MAX),
        precision: reader.choice("job.precision", &LinearPrecision::ALL.map(|linear| (linear.name(), linear))),
        lora: lora(reader),
        documents: documents(reader),
    }
}

/// Adapters of rank zero are none.
fn lora(reader: &mut Reader<'_>) -> Option<Lora> {
    let rank = reader.count("job.lora.rank", 0..=N_PARTS_MAX);
    let targets = reader.choice("job.lora.targets", &LoraTargets::ALL);
    (rank > 0).then_some(Lora { rank, targets })
}

/// `auto`: one fills a sequence.
fn documents(reader: &mut Reader<'_>) -> Vec<u64> {
    let lengths = reader.auto_or_counts("job.documents", 1..=COUNT_MAX).unwrap_or_default();
    let n_kinds = lengths.iter().collect::<BTreeSet<_>>().len();
    if n_kinds > N_LENGTHS_MAX {
        let message =
            format!("documents of {n_kinds} different lengths; each is a kernel, so {N_LENGTHS_MAX} are the most");
        reader.refuse("job.documents", message, Some("round them to fewer".to_owned()));
    }
    lengths.into_iter().map(u64::from).collect()
}

/// Arithmetic of products that the device has.
pub(crate) fn check_arithmetic(reader: &mut Reader<'_>, job: &JobKeys, device: &Device) {
    let Some(Lacking { format, key }) = lacking(device, job.precision.product(Pass::Forward, false)) else { return };
    if !reader.sound(&["job.precision", key]) {
        return;
    }
    let place = reader.place(key).map_or_else(String::new, |place| format!(" at {place}"));
    reader.refuse(
        "job.precision",
        format!("`job.precision` is `{}`, but this device has no {format} (`{key}` is 0{place})", job.precision.name()),
        Some(format!("take `job.precision=bf16`, or a device that has {format}")),
    );
}

pub(crate) fn traffic(reader: &mut Reader<'_>, model: &Model) -> TrafficSpec {
    let spec = TrafficSpec {
        router: reader.choice(
            "traffic.router",
            &[
                ("balanced", Router::Balanced),
                ("skewed", Router::Skewed),
                ("power-law", Router::PowerLaw),
                ("learned-bias", Router::LearnedBias),
            ],
        ),
        // Popularity beyond e^8 : 1 is a mistake, not a router.
        skew: reader.number("traffic.skew", 0.0..=8.0),
        // Beyond it all tokens pick the same experts.
        exponent: reader.number("traffic.exponent", 0.0..=4.0),
        seed: reader.count("traffic.seed", 0..=i64::MAX.unsigned_abs()),
        samples: reader.count("traffic.samples", 1..=N_PARTS_MAX),
        bias_speed: reader.number("traffic.bias-speed", 0.0..=1.0),
        bias_steps: reader.count("traffic.bias-steps", 0..=N_PARTS_MAX),
    };
    let gate = model.experts.as_ref().map(|experts| experts.gate);
    let sound = reader.sound(&["traffic.router", "model.experts.gate"]);
    if sound && spec.router == Router::LearnedBias && gate == Some(Gate::Softmax) {
        reader.refuse(
            "traffic.router",
            "a learned bias is added to affinities of the `sigmoid` gate, but `model.experts.gate` is `softmax`",
            Some("take `skewed` or `balanced`".to_owned()),
        );
    }
    spec
}
