//! How the job is laid over ranks: `parallel.*`, and what it must agree with.

use plan::{ContextParallel, DispatchFormat, KeepActivations, Policies};
use topology::Machine;
use workloads::model::Model;
use workloads::parallel::{ParallelError, Parallelism, Sharding, stages_of};
use workloads::schedule::{Schedule, ScheduleError, multiples};
use workloads::step::{Shape, ShapeError};

use crate::job::JobKeys;
use crate::reader::{Reader, WordOr};

/// Ranks and stages.
const N_PARTS_MAX: u64 = 1 << 20;

/// The layout, once everything it must agree with is known.
pub(crate) fn parallel(
    reader: &mut Reader<'_>,
    machine: &Machine,
    model: &Model,
    job: &JobKeys,
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
        sharding: sharding(reader),
        shard_ranks: None,
    };
    parallel.dp = dp(reader, machine, policy.devices_per_node, &parallel);
    stages(reader, model, schedule, &mut parallel);
    check_experts(reader, model, &parallel);
    check_shape(reader, model, job, policy, &parallel);
    check_micro_batches(reader, job, schedule, &parallel);
    check_sharding(reader, model, schedule, parallel.sharding);
    parallel.shard_ranks = shard_ranks(reader, &parallel, schedule);
    parallel
}

/// `auto`: the software stack's own.
fn sharding(reader: &mut Reader<'_>) -> Sharding {
    let names = Sharding::ALL.map(|sharding| (sharding.name(), Some(sharding)));
    let of_stack = reader.choice("framework.sharding", &names[..2]);
    let mut choices = vec![("auto", None)];
    choices.extend(names);
    reader.choice("parallel.sharding", &choices).unwrap_or_else(|| {
        let decided = of_stack.unwrap_or(Sharding::Zero1);
        reader.decide("parallel.sharding", format!("\"{}\"", decided.name()));
        decided
    })
}

/// `auto`: all ranks that hold the same weights.
fn shard_ranks(reader: &mut Reader<'_>, parallel: &Parallelism, schedule: Schedule) -> Option<u32> {
    let key = "parallel.shard-ranks";
    let WordOr::Given(ranks) = reader.word_or_count(key, &["auto"], 1..=N_PARTS_MAX) else { return None };
    if !reader.sound(&DEGREES) || !reader.sound(&[key, "parallel.ep", "parallel.sharding", "policy.schedule"]) {
        return None;
    }
    let replicas = parallel.dp * parallel.cp;
    let (message, way_out) = if parallel.sharding == Sharding::None {
        (format!("{ranks} ranks to spread over, but `parallel.sharding` is `none`"), "take `zero-1` or above")
    } else if schedule.n_weight_copies() > 1 {
        let name = schedule.name();
        (
            format!("spreading over a part of the replicas with `policy.schedule` `{name}` is not modeled"),
            "leave it out",
        )
    } else if !replicas.is_multiple_of(ranks) {
        (format!("{ranks} ranks do not divide the {replicas} that hold the same weights (dp x cp)"), "take a divisor")
    } else if parallel.expert_shard_ranks(ranks).is_none() {
        let (tp, ep) = (parallel.tp, parallel.ep);
        (
            format!("{ranks} x tp {tp} ranks and ep {ep}: one must divide the other"),
            "take a multiple or a divisor of ep / tp",
        )
    } else {
        // All of them is what it is without.
        return (ranks < replicas).then_some(ranks);
    };
    reader.refuse(key, message, Some(way_out.to_owned()));
    None
}

/// Chunks that gather or sum by layers are those of schedules whose backward chunk is whole, of models without further heads.
fn check_sharding(reader: &mut Reader<'_>, model: &Model, schedule: Schedule, sharding: Sharding) {
    if !sharding.spreads_gradients() || !reader.sound(&["parallel.sharding", "policy.schedule"]) {
        return;
    }
    let name = sharding.name();
    let is_whole = matches!(schedule, Schedule::OneFOneB | Schedule::GPipe | Schedule::Interleaved { .. });
    let mut refuse = |message: String, way_out: &str| {
        reader.refuse("parallel.sharding", message, Some(way_out.to_owned()));
    };
    if !is_whole {
        let message =
            format!("`{name}` with `policy.schedule` `{}`, which splits or overlaps backward chunks", schedule.name());
        refuse(message, "take `1f1b`, `gpipe` or `interleaved`, or `zero-1`");
    }
    if model.mtp_modules > 0 {
        refuse(
            format!("`{name}` of a model with multi-token prediction is not modeled"),
            "take `zero-1`, or `model.mtp-modules=0`",
        );
    }
}

fn degree(reader: &mut Reader<'_>, key: &str) -> u32 {
    reader.count(key, 1..=N_PARTS_MAX)
}

const DEGREES: [&str; 4] = ["parallel.pp", "parallel.cp", "parallel.tp", "parallel.dp"];

/// `auto`: the ranks that are left, so that every device has one.
fn dp(reader: &mut Reader<'_>, machine: &Machine, per_node: u32, parallel: &Parallelism) -> u32 {
    let given = reader.word_or_count("parallel.dp", &["auto"], 1..=N_PARTS_MAX);
    let machine_keys = ["cluster.nodes", "node.devices", "policy.devices-per-node"];
    if !reader.sound(&DEGREES) || !reader.sound(&machine_keys) {
        reader.doubt("parallel.dp");
        return 1;
    }
    let n_nodes = machine.n_nodes;
    let n_devices = u128::from(n_nodes) * u128::from(per_node);
    let devices = format!("{n_nodes} nodes x {per_node} devices = {n_devices}");
    let Parallelism { pp, cp, tp, .. } = *parallel;
    let others = u128::from(pp) * u128::from(cp) * u128::from(tp);
    match given {
        WordOr::Given(dp) => {
            let n_ranks = others * u128::from(dp);
            if n_ranks > n_devices {
                let message =
                    format!("pp {pp} x dp {dp} x cp {cp} x tp {tp} = {n_ranks} ranks, but there are {devices}");
                let way_out = "lower a degree, raise `cluster.nodes`, or set `parallel.dp = \"auto\"`";
                reader.refuse("parallel.dp", message, Some(way_out.to_owned()));
            }
            dp
        }
        WordOr::Word(_) if n_devices.is_multiple_of(others) => {
            let dp = u32::try_from(n_devices / others).unwrap_or(u32::MAX);
            reader.decide("parallel.dp", dp);
            dp
        }
        WordOr::Word(_) => {
            let message = format!("pp {pp} x cp {cp} x tp {tp} = {others} does not divide {devices}");
            let way_out = "change a degree or `cluster.nodes`, or write `parallel.dp` as a number";
            reader.refuse("parallel.pp", message, Some(way_out.to_owned()));
            reader.doubt("parallel.dp");
            1
        }
    }
}

fn stages(reader: &mut Reader<'_>, model: &Model, schedule: Schedule, parallel: &mut Parallelism) {
    let given = reader.auto_or_counts("parallel.stages", 0..=N_PARTS_MAX);
    let inputs = ["parallel.stages", "parallel.pp", "policy.schedule", "policy.virtual-stages", "model.layers"];
    if !reader.sound(&inputs) {
        return;
    }
    if let Some(stages) = given {
        parallel.stages = stages;
        refuse(reader, parallel.check_stages(model, schedule));
        return;
    }
    match stages_of(model, schedule, parallel.pp) {
        Ok(stages) => {
            let shown: Vec<String> = stages.iter().map(u32::to_string).collect();
            reader.decide("parallel.stages", format!("[{}]", shown.join(", ")));
            parallel.stages = stages;
        }
        Err(error) => refuse(reader, vec![error]),
    }
}

fn check_experts(reader: &mut Reader<'_>, model: &Model, parallel: &Parallelism) {
    if reader.sound(&DEGREES) && reader.sound(&["parallel.ep", "model.experts.routed"]) {
        refuse(reader, parallel.check_experts(model));
    }
}

/// `workloads` knows what is wrong with a layout, and what to do.
fn refuse(reader: &mut Reader<'_>, errors: Vec<ParallelError>) {
    for error in errors {
        reader.refuse(error.key(), error.to_string(), error.way_out());
    }
}

/// Heads, widths and tokens that a rank's share must divide; `workloads` knows which.
fn check_shape(reader: &mut Reader<'_>, model: &Model, job: &JobKeys, policy: &Policies, parallel: &Parallelism) {
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
        linear: job.precision,
        // Where sums stay divides nothing.
        forward_left: false,
        recompute: workloads::step::Recompute::default(),
        keep_fp8: policy.keep == KeepActivations::Fp8,
        dispatch_fp8: policy.dispatch_format == DispatchFormat::Fp8,
        dispatcher: policy.dispatcher,
        casting: workloads::step::Casting::default(),
        transposed_reads: false,
        logit_pieces: u64::from(policy.logit_pieces),
        sequence_parallel: policy.sequence_parallel,
        attention: policy.attention,
        dropout: policy.dropout,
        gradients: policy.gradients,
        // Which kernels run divides nothing.
        accumulates: true,
        ring_attention: policy.context_parallel == ContextParallel::Ring,
        overlaps_tensor: false,
        lora: job.lora,
        documents: job.documents.clone(),
        recipe: workloads::recipe::Recipe::default(),
    };
    for error in shape.check(model) {
        let key = key_of(&error);
        let known = keys.contains(&key)
            || ["policy.sequence-parallel", "model.attention.heads", "job.documents", "policy.context-parallel"]
                .contains(&key);
        let key = if known { key } else { "parallel.tp" };
        reader.refuse(key, error.to_string(), error.way_out());
    }
}

/// The key that a mistake of a shape is shown at.
fn key_of(error: &ShapeError) -> &str {
    match error {
        ShapeError::Zero(key) => key,
        ShapeError::Uneven { by_what, .. } => by_what.trim_matches('`'),
        ShapeError::KeyValueHeads { .. } => "parallel.tp",
        ShapeError::Heads { heads, tp, .. } if heads / tp > ShapeError::HEADS_MAX => "model.attention.heads",
        ShapeError::Heads { .. } | ShapeError::TooLarge(_) => "job.micro-batch",
        ShapeError::Scores { .. } => "job.sequence",
        ShapeError::Documents { .. } | ShapeError::Packed(_) => "job.documents",
        ShapeError::UnfusedRing => "policy.context-parallel",
        ShapeError::ReplicatedTokens(_) => "policy.sequence-parallel",
    }
}

fn check_micro_batches(reader: &mut Reader<'_>, job: &JobKeys, schedule: Schedule, parallel: &Parallelism) {
    let inputs = ["job.global-batch", "job.micro-batch", "policy.schedule", "policy.virtual-stages"];
    if !reader.sound(&inputs) || !reader.sound(&DEGREES) {
        return;
    }
    let JobKeys { global_batch, micro_batch, .. } = *job;
    let dp = u64::from(parallel.dp);
    let at_once = dp * micro_batch;
    if !global_batch.is_multiple_of(at_once) {
        reader.refuse(
            "job.global-batch",
            format!("a global batch of {global_batch} sequences is no multiple of dp {dp} x micro-batch {micro_batch} = {at_once}"),
            Some(format!("take {}, or change `parallel.dp` or `job.micro-batch`", multiples(global_batch, at_once))),
        );
        return;
    }
    let n_micro_batches = u32::try_from(global_batch / at_once).unwrap_or(u32::MAX);
    if let Err(error) = schedule.check(parallel.pp, n_micro_batches) {
        let hint = "micro-batches are `job.global-batch` / (`parallel.dp` x `job.micro-batch`)";
        reader.refuse(schedule_key(&error), error.to_string(), Some(hint.to_owned()));
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
