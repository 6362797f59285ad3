//! The job, its layout, the policies and the traffic: `job.*`, `parallel.*`, `policy.*`, `traffic.*`.

use plan::{Ema, Folding, Job, KeepActivations, LinearPrecision, PointToPoint, Policies, Recompute, Recording};
use topology::{CommEngine, Device, Machine, Routing};
use workloads::model::{Gate, Model};
use workloads::op::Precision;
use workloads::parallel::{Parallelism, default_stages};
use workloads::schedule::{Schedule, ScheduleError};
use workloads::step::{Shape, ShapeError};
use workloads::traffic::{Router, TrafficSpec};

use crate::reader::{Reader, WordOr};

/// Ranks, sequences and tokens of a step that a run may have.
const COUNT_MAX: u64 = 1 << 32;
/// Stages, SMs, samples: counts that are stored in 32 bits and walked one by one.
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

pub(crate) fn policies(reader: &mut Reader<'_>, device: &Device) -> Policies {
    let comm_sms = comm_sms(reader, device);
    Policies {
        schedule: schedule(reader),
        comm_sms,
        lone_comm_sms: lone_comm_sms(reader, device, comm_sms),
        point_to_point: reader.choice(
            "policy.point-to-point",
            &[("hidden", PointToPoint::Hidden), ("waited", PointToPoint::Waited)],
        ),
        folding: reader.choice("policy.folding", &[("auto", Folding::Auto), ("none", Folding::None)]),
        routing: reader.choice(
            "policy.routing",
            &[("static", Routing::Static), ("ecmp", Routing::Ecmp), ("adaptive", Routing::Adaptive)],
        ),
        promote: promote(reader, device),
        recompute: Recompute {
            norm: reader.flag("policy.recompute.norm"),
            mla_up: reader.flag("policy.recompute.mla-up"),
            swiglu: reader.flag("policy.recompute.swiglu"),
            full: reader.flag("policy.recompute.full"),
        },
        keep: reader
            .choice("policy.keep-activations", &[("fp8", KeepActivations::Fp8), ("bf16", KeepActivations::Bf16)]),
        logit_pieces: reader.count("policy.logit-pieces", 1..=N_PARTS_MAX),
        record: reader.choice(
            "policy.record",
            &[("one-per-stage", Recording::OnePerStage), ("none", Recording::None), ("all", Recording::All)],
        ),
        ema: reader.choice("policy.ema", &[("host", Ema::Host), ("none", Ema::None)]),
    }
}

fn schedule(reader: &mut Reader<'_>) -> Schedule {
    let choices = Schedule::NAMES.map(|name| (name, name));
    let name = reader.choice("policy.schedule", &choices);
    let virtual_stages: u8 = reader.count("policy.virtual-stages", 1..=u64::from(u8::MAX));
    if !reader.sound(&["policy.schedule", "policy.virtual-stages"]) {
        return Schedule::OneFOneB;
    }
    Schedule::from_name(name, virtual_stages).unwrap_or_else(|error| {
        reader.refuse("policy.virtual-stages", error.to_string(), None);
        Schedule::OneFOneB
    })
}

/// `auto`: none where the device's engine moves the bytes, else `policy.comm-sms-software`.
fn comm_sms(reader: &mut Reader<'_>, device: &Device) -> u32 {
    let software: u32 = reader.count("policy.comm-sms-software", 0..=N_PARTS_MAX);
    let comm_sms = match reader.word_or_count("policy.comm-sms", &["auto"], 0..=N_PARTS_MAX) {
        WordOr::Count(count) => count,
        WordOr::Word(_) => {
            let count = match device.comm_engine {
                CommEngine::None => software,
                CommEngine::Copy | CommEngine::Full => 0,
            };
            reader.decide("policy.comm-sms", count);
            count
        }
    };
    refuse_too_many_sms(reader, "policy.comm-sms", comm_sms, device);
    comm_sms
}

/// `auto`: as many as in an overlapped pair.
fn lone_comm_sms(reader: &mut Reader<'_>, device: &Device, comm_sms: u32) -> u32 {
    match reader.word_or_count("policy.lone-comm-sms", &["auto"], 0..=N_PARTS_MAX) {
        WordOr::Count(count) => {
            if reader.sound(&["gpu.sms", "policy.lone-comm-sms"]) && count > device.sms {
                let message = format!("{count} SMs for communication, but the device has {}", device.sms);
                reader.refuse("policy.lone-comm-sms", message, None);
            }
            count
        }
        WordOr::Word(_) => {
            reader.decide("policy.lone-comm-sms", comm_sms);
            comm_sms
        }
    }
}

fn refuse_too_many_sms(reader: &mut Reader<'_>, key: &str, count: u32, device: &Device) {
    if reader.sound(&["gpu.sms", "gpu.comm-engine", "policy.comm-sms-software", key]) && count >= device.sms {
        reader.refuse(
            key,
            format!("{count} SMs for communication leave none of {} for compute", device.sms),
            Some(format!("take fewer than {}", device.sms)),
        );
    }
}

/// `auto`: every `policy.promote-every` products where the accumulator keeps fewer than `policy.promote-below` fraction
/// bits, never from there on.
fn promote(reader: &mut Reader<'_>, device: &Device) -> Option<u32> {
    let every: u32 = reader.count("policy.promote-every", 1..=N_PARTS_MAX);
    let below: u32 = reader.count("policy.promote-below", 0..=64);
    match reader.word_or_count("policy.promote", &["auto", "never"], 1..=N_PARTS_MAX) {
        WordOr::Count(count) => Some(count),
        WordOr::Word("auto") if device.tensor.fp8.accumulate < below => {
            reader.decide("policy.promote", every);
            Some(every)
        }
        WordOr::Word(_) => {
            reader.decide("policy.promote", "\"never\"");
            None
        }
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

/// The layout, once everything it must agree with is known.
pub(crate) fn parallel(
    reader: &mut Reader<'_>,
    machine: &Machine,
    model: &Model,
    job: &Job,
    policy: &Policies,
) -> Parallelism {
    let schedule = policy.schedule;
    let mut parallel = Parallelism {
        pp: degree(reader, "parallel.pp"),
        dp: 0,
        cp: degree(reader, "parallel.cp"),
        tp: degree(reader, "parallel.tp"),
        ep: degree(reader, "parallel.ep"),
        stages: Vec::new(),
    };
    parallel.dp = dp(reader, machine, &parallel);
    parallel.stages = stages(reader, model, schedule, parallel.pp);
    check_experts(reader, model, &parallel);
    check_shape(reader, model, job, policy, &parallel);
    check_micro_batches(reader, job, schedule, &parallel);
    parallel
}

fn degree(reader: &mut Reader<'_>, key: &str) -> u32 {
    reader.count(key, 1..=N_PARTS_MAX)
}

const DEGREES: [&str; 4] = ["parallel.pp", "parallel.cp", "parallel.tp", "parallel.dp"];

/// `auto`: the ranks that are left, so that every device has one.
fn dp(reader: &mut Reader<'_>, machine: &Machine, parallel: &Parallelism) -> u32 {
    let given = reader.word_or_count("parallel.dp", &["auto"], 1..=N_PARTS_MAX);
    let machine_keys = ["cluster.nodes", "node.devices"];
    if !reader.sound(&DEGREES) || !reader.sound(&machine_keys) {
        reader.doubt("parallel.dp");
        return 1;
    }
    let n_devices = u64::from(machine.n_nodes) * u64::from(machine.node.devices);
    let Parallelism { pp, cp, tp, .. } = *parallel;
    let others = u128::from(pp) * u128::from(cp) * u128::from(tp);
    let devices = format!("{} nodes x {} devices = {n_devices}", machine.n_nodes, machine.node.devices);
    match given {
        WordOr::Count(dp) => {
            let n_ranks = others * u128::from(dp);
            if n_ranks > u128::from(n_devices) {
                reader.refuse(
                    "parallel.dp",
                    format!("pp {pp} x dp {dp} x cp {cp} x tp {tp} = {n_ranks} ranks, but there are {devices}"),
                    Some("lower a degree, raise `cluster.nodes`, or set `parallel.dp = \"auto\"`".to_owned()),
                );
            }
            dp
        }
        WordOr::Word(_) if u128::from(n_devices) % others == 0 => {
            let dp = u32::try_from(u128::from(n_devices) / others).unwrap_or(1);
            reader.decide("parallel.dp", dp);
            dp
        }
        WordOr::Word(_) => {
            reader.refuse(
                "parallel.pp",
                format!("pp {pp} x cp {cp} x tp {tp} = {others} does not divide {devices}"),
                Some("change a degree or `cluster.nodes`, or write `parallel.dp` as a number".to_owned()),
            );
            reader.doubt("parallel.dp");
            1
        }
    }
}

fn stages(reader: &mut Reader<'_>, model: &Model, schedule: Schedule, pp: u32) -> Vec<u32> {
    let given = reader.auto_or_counts("parallel.stages", 0..=N_PARTS_MAX);
    let inputs = ["parallel.stages", "parallel.pp", "policy.schedule", "policy.virtual-stages", "model.layers"];
    if !reader.sound(&inputs) {
        return Vec::new();
    }
    let n_stages = schedule.n_stages(pp);
    let Some(stages) = given else {
        if n_stages > model.layers {
            reader.refuse(
                "parallel.pp",
                format!("`{}` over {pp} ranks has {n_stages} stages, but the model has {} layers", schedule.name(), model.layers),
                Some("lower `parallel.pp` or `policy.virtual-stages`, or list `parallel.stages`".to_owned()),
            );
            return Vec::new();
        }
        let stages = default_stages(model, n_stages);
        let shown: Vec<String> = stages.iter().map(u32::to_string).collect();
        reader.decide("parallel.stages", format!("[{}]", shown.join(", ")));
        return stages;
    };
    let auto = "`parallel.stages = \"auto\"` cuts by itself";
    if stages.len() as u64 != u64::from(n_stages) {
        reader.refuse(
            "parallel.stages",
            format!("{} stages are listed, but `{}` over {pp} ranks has {n_stages}", stages.len(), schedule.name()),
            Some(auto.to_owned()),
        );
    }
    let last = stages.len().saturating_sub(1);
    if let Some(empty) = stages.iter().enumerate().position(|(index, layers)| *layers == 0 && index != 0 && index != last) {
        let message = format!("stage {empty} of `parallel.stages` (from zero) has nothing to do");
        reader.refuse("parallel.stages", message, Some("only the first and the last stage may hold no layer".to_owned()));
    }
    let sum: u64 = stages.iter().map(|layers| u64::from(*layers)).sum();
    if sum != u64::from(model.layers) {
        reader.refuse(
            "parallel.stages",
            format!("the stages hold {sum} layers, but the model has {}", model.layers),
            Some(format!("change the list or `model.layers`; {auto}")),
        );
    }
    stages
}

fn check_experts(reader: &mut Reader<'_>, model: &Model, parallel: &Parallelism) {
    if !reader.sound(&DEGREES) || !reader.sound(&["parallel.ep", "model.experts.routed"]) {
        return;
    }
    let Parallelism { dp, cp, tp, ep, .. } = *parallel;
    let Some(experts) = &model.experts else {
        if ep > 1 {
            let message = format!("`parallel.ep` is {ep}, but the model is dense");
            reader.refuse("parallel.ep", message, Some("set `parallel.ep = 1`".to_owned()));
        }
        return;
    };
    let ranks = u64::from(dp) * u64::from(cp) * u64::from(tp);
    if !ranks.is_multiple_of(u64::from(ep)) {
        reader.refuse(
            "parallel.ep",
            format!("`parallel.ep` {ep} does not divide dp {dp} x cp {cp} x tp {tp} = {ranks} ranks of a stage"),
            Some(format!("take a divisor of {ranks}")),
        );
    }
    if !experts.routed.is_multiple_of(ep) {
        reader.refuse(
            "parallel.ep",
            format!("{} experts do not spread evenly over `parallel.ep` {ep}", experts.routed),
            Some(format!("take a divisor of {}", experts.routed)),
        );
    }
}

/// Heads, widths and tokens that a rank's share must divide; `workloads` knows which.
fn check_shape(reader: &mut Reader<'_>, model: &Model, job: &Job, policy: &Policies, parallel: &Parallelism) {
    let linear = match job.precision {
        LinearPrecision::Fp8Block => Precision::Fp8Block,
        LinearPrecision::Fp8Tensor => Precision::Fp8Tensor,
        LinearPrecision::Bf16 => Precision::Bf16,
    };
    let keys = ["job.sequence", "job.micro-batch", "parallel.tp", "parallel.cp", "policy.logit-pieces"];
    if !reader.sound(&keys) || !reader.all_sound("model") {
        return;
    }
    let shape = Shape {
        sequence: job.sequence,
        micro_batch: job.micro_batch,
        tp: u64::from(parallel.tp),
        cp: u64::from(parallel.cp),
        // `check_experts` says what `ep` must divide.
        ep: 1,
        linear,
        recompute: workloads::step::Recompute::default(),
        keep_fp8: policy.keep == KeepActivations::Fp8,
        logit_pieces: u64::from(policy.logit_pieces),
    };
    for error in shape.check(model) {
        let key = match &error {
            ShapeError::Zero(key) => key,
            ShapeError::Uneven { by_what, .. } => by_what.trim_matches('`'),
            ShapeError::TooLarge(_) => "job.micro-batch",
            ShapeError::Precision => "job.precision",
        };
        let key = if keys.contains(&key) { key } else { "parallel.tp" };
        reader.refuse(key, error.to_string(), None);
    }
}

fn check_micro_batches(reader: &mut Reader<'_>, job: &Job, schedule: Schedule, parallel: &Parallelism) {
    let inputs = ["job.global-batch", "job.micro-batch", "policy.schedule", "policy.virtual-stages"];
    if !reader.sound(&inputs) || !reader.sound(&DEGREES) {
        return;
    }
    let Job { global_batch, micro_batch, .. } = *job;
    let dp = u64::from(parallel.dp);
    let at_once = dp * micro_batch;
    if !global_batch.is_multiple_of(at_once) {
        reader.refuse(
            "job.global-batch",
            format!("a global batch of {global_batch} sequences is no multiple of dp {dp} x micro-batch {micro_batch} = {at_once}"),
            Some(format!("take {} or {}", (global_batch / at_once).max(1) * at_once, (global_batch / at_once + 1) * at_once)),
        );
        return;
    }
    let n_micro_batches = u32::try_from(global_batch / at_once).unwrap_or(u32::MAX);
    if let Err(error) = schedule.check(parallel.pp, n_micro_batches) {
        reader.refuse(schedule_key(&error), error.to_string(), None);
    }
}

fn schedule_key(error: &ScheduleError) -> &'static str {
    match error {
        ScheduleError::OddRanks { .. } => "parallel.pp",
        ScheduleError::VirtualStages { .. } => "policy.virtual-stages",
        ScheduleError::UnknownName { .. } => "policy.schedule",
        ScheduleError::Empty { .. }
        | ScheduleError::OddMicroBatches { .. }
        | ScheduleError::TooFew { .. }
        | ScheduleError::UnevenRounds { .. }
        | ScheduleError::TooMany { .. } => "job.global-batch",
    }
}
