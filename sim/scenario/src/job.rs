//! The job and its traffic: `job.*`, `traffic.*`.

use plan::{Job, LinearPrecision};
use workloads::model::{Gate, Model};
use workloads::traffic::{Router, TrafficSpec};

use crate::reader::Reader;

/// Sequences and tokens of a step that a run may have.
const COUNT_MAX: u64 = 1 << 32;
/// Sampled batches and bias updates, which are walked one by one.
const N_PARTS_MAX: u64 = 1 << 20;

pub(crate) fn job(reader: &mut Reader<'_>) -> Job {
    Job {
        sequence: reader.count("job.sequence", 1..=COUNT_MAX),
        global_batch: reader.count("job.global-batch", 1..=COUNT_MAX),
        micro_batch: reader.count("job.micro-batch", 1..=COUNT_MAX),
        precision: reader.choice(
            "job.precision",
            &[
                ("fp8-block", LinearPrecision::Fp8Block),
                ("fp8-tensor", LinearPrecision::Fp8Tensor),
                ("bf16", LinearPrecision::Bf16),
            ],
        ),
    }
}

pub(crate) fn traffic(reader: &mut Reader<'_>, model: &Model) -> TrafficSpec {
    let spec = TrafficSpec {
        router: reader.choice(
            "traffic.router",
            &[("balanced", Router::Balanced), ("skewed", Router::Skewed), ("learned-bias", Router::LearnedBias)],
        ),
        // Popularity beyond e^8 : 1 is a mistake, not a router.
        skew: reader.number("traffic.skew", 0.0..=8.0),
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
