//! How the job is laid over ranks: `parallel.*`, and what it must agree with.

use plan::{DispatchFormat, Job, KeepActivations, Policies};
use topology::Machine;
use workloads::model::Model;
use workloads::parallel::{Parallelism, default_stages};
use workloads::schedule::{Schedule, ScheduleError, multiples};
use workloads::step::{Shape, ShapeError};

use crate::reader::{Reader, WordOr};

/// Ranks and stages.
const N_PARTS_MAX: u64 = 1 << 20;

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
    parallel.dp = dp(reader, machine, policy.devices_per_node, &parallel);
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
        WordOr::Count(dp) => {
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

fn stages(reader: &mut Reader<'_>, model: &Model, schedule: Schedule, pp: u32) -> Vec<u32> {
    let given = reader.auto_or_counts("parallel.stages", 0..=N_PARTS_MAX);
    let inputs = ["parallel.stages", "parallel.pp", "policy.schedule", "policy.virtual-stages", "model.layers"];
    if !reader.sound(&inputs) {
        return Vec::new();
    }
    let n_stages = schedule.n_stages(pp);
    let (name, layers) = (schedule.name(), model.layers);
    match given {
        Some(stages) => {
            check_stages(reader, &stages, layers, name, pp, n_stages);
            stages
        }
        None if n_stages > layers => {
            let message = format!("`{name}` over {pp} ranks has {n_stages} stages, but the model has {layers} layers");
            let way_out = "lower `parallel.pp` or `policy.virtual-stages`, or list `parallel.stages`";
            reader.refuse("parallel.pp", message, Some(way_out.to_owned()));
            Vec::new()
        }
        None => {
            let stages = default_stages(model, n_stages);
            let shown: Vec<String> = stages.iter().map(u32::to_string).collect();
            reader.decide("parallel.stages", format!("[{}]", shown.join(", ")));
            stages
        }
    }
}

fn check_stages(reader: &mut Reader<'_>, stages: &[u32], layers: u32, name: &str, pp: u32, n_stages: u32) {
    let auto = "`parallel.stages = \"auto\"` cuts by itself";
    if stages.len() as u64 != u64::from(n_stages) {
        let message = format!("{} stages are listed, but `{name}` over {pp} ranks has {n_stages}", stages.len());
        reader.refuse("parallel.stages", message, Some(auto.to_owned()));
    }
    let inner = 1..stages.len().saturating_sub(1);
    if let Some(empty) = inner.into_iter().find(|index| stages[*index] == 0) {
        let message = format!("stage {empty} of `parallel.stages` (from zero) has nothing to do");
        reader.refuse("parallel.stages", message, Some("only the first and the last may hold no layer".to_owned()));
    }
    let sum: u64 = stages.iter().map(|layers| u64::from(*layers)).sum();
    if sum != u64::from(layers) {
        let message = format!("the stages hold {sum} layers, but the model has {layers}");
        reader.refuse("parallel.stages", message, Some(format!("change the list or `model.layers`; {auto}")));
    }
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
        // Where casts run divides nothing.
        casting: workloads::step::Casting::default(),
        transposed_reads: false,
        logit_pieces: u64::from(policy.logit_pieces),
        sequence_parallel: policy.sequence_parallel,
        attention: policy.attention,
        dropout: policy.dropout,
    };
    for error in shape.check(model) {
        let key = match &error {
            ShapeError::Zero(key) => key,
            ShapeError::Uneven { by_what, .. } => by_what.trim_matches('`'),
            ShapeError::KeyValueHeads { .. } => "parallel.tp",
            ShapeError::TooLarge(_) => "job.micro-batch",
            ShapeError::ReplicatedTokens(_) => "policy.sequence-parallel",
        };
        let known = keys.contains(&key) || key == "policy.sequence-parallel";
        let key = if known { key } else { "parallel.tp" };
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
            Some(format!("take {}", multiples(global_batch, at_once))),
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
