//! A knob at the edge of its range keeps its meaning. At the ends of what a key may be, and a thousandth and a thousand times of what it is,
//! a job gives numbers that can be, or a refusal that names a key, its number and a way out. Where more of something is better, the step
//! is no longer with more of it.

use std::panic::{AssertUnwindSafe, catch_unwind};

use plan::{IterationPricer, Plan, PlanError, UnitLoad};
use rayon::prelude::*;
use scenario::Leaf;
use serde_json::Value;
use workloads::iteration::{Decoding, RankBatch};

use super::scenes::{Scene, numbers_of, summary};

/// No value of any key that is a number.
const BEYOND: &str = "-1";
/// Shares by which the ends of a range and a value are left.
const FACTORS: [f64; 2] = [1e-3, 1e3];
/// Counts and quantities that a key may have where its reader names no range, in its unit.
const EXTREMES: [f64; 3] = [0.0, 1e-18, 1e18];
/// Chunks of a run, and scores drawn for its traffic, beyond which it is not run here: long is no fault.
const N_CHUNKS_MAX: u64 = 1 << 11;
const N_SCORES_MAX: u64 = 1 << 22;
/// Iterations of a service, beyond which it is not run here.
const N_ITERATIONS_MAX: u64 = 1 << 16;

/// Words by which a message shows a way out.
const WAYS_OUT: [&str; 13] = [
    "hint:",
    "should be ",
    "take ",
    "give ",
    "lower ",
    "raise ",
    "look for ",
    "name ",
    "keep less",
    "change ",
    "write ",
    "at least ",
    "at most ",
];

/// The value of a leaf as a number, and its unit; none where it is no number.
fn amount(leaf: &Leaf) -> Option<(f64, &str)> {
    if let Ok(number) = leaf.value.parse() {
        return Some((number, ""));
    }
    let (number, unit) = leaf.value.trim_matches('"').split_once(' ')?;
    Some((number.parse().ok()?, unit))
}

/// Values at the edges of a key, as TOML, as far as the loader says where they are.
fn edges(scene: &Scene, leaf: &Leaf) -> Vec<String> {
    let said = || scene.with(&format!("{}={BEYOND}", leaf.key)).err().unwrap_or_default();
    let Some((number, unit)) = amount(leaf) else {
        let takes_counts = leaf.value.starts_with('"') && said().contains("it goes from");
        return if takes_counts { ["0", "1", "1000000"].map(str::to_owned).to_vec() } else { Vec::new() };
    };
    let scaled = FACTORS.map(|factor| number * factor);
    if !unit.is_empty() {
        return EXTREMES.into_iter().chain(scaled).map(|n| format!("\"{n:e} {unit}\"")).collect();
    }
    let said = said();
    let ends = said.split("it goes from ").nth(1).and_then(|rest| rest.lines().next()?.split_once(" to "));
    let ends = ends.and_then(|(from, to)| Some([from.trim().parse().ok()?, to.trim().parse().ok()?]));
    let ends: [f64; 2] = ends.unwrap_or([0.0, 1.0]);
    if leaf.value.parse::<i64>().is_ok() {
        let inside = [ends[0] + 1.0, ends[1] - 1.0];
        let whole = ends.into_iter().chain(inside).chain(scaled.map(f64::round));
        return whole.map(|n| format!("{n:.0}")).collect();
    }
    let inside = [ends[0] + (ends[1] - ends[0]) * 1e-3, ends[1] * (1.0 - 1e-3)];
    ends.into_iter().chain(inside).chain(scaled).map(|n| format!("{n:e}")).collect()
}

/// Whether a run would only be long.
fn is_long(plan: &Plan) -> bool {
    if let Ok(service) = plan.serving() {
        return service.job.most_iterations() > N_ITERATIONS_MAX;
    }
    let Ok(train) = plan.train() else { return false };
    let (job, parallel) = (train.job, &train.job.parallel);
    let n_micro_batches = job.global_batch / (u64::from(parallel.dp) * job.micro_batch).max(1);
    let n_chunks = n_micro_batches.saturating_mul(parallel.stages.len() as u64);
    let experts = job.model.experts.as_ref().map_or(0, |experts| u64::from(experts.routed));
    let tokens = job.sequence.saturating_mul(job.micro_batch).saturating_mul(u64::from(parallel.ep));
    let n_scores = tokens.saturating_mul(experts).saturating_mul(job.traffic.samples.into());
    n_chunks > N_CHUNKS_MAX || n_scores > N_SCORES_MAX || job.traffic.bias_steps > 1 << 10
}

/// What is wrong with what a scene comes to under a patch; none where it is a result that can be, or a refusal that helps.
fn fault(scene: &Scene, key: &str, set: &str) -> Option<String> {
    let loaded = match scene.with(set) {
        Ok(loaded) => loaded,
        Err(mistakes) => return unhelpful(key, &mistakes),
    };
    if is_long(&loaded.plan) {
        return None;
    }
    match catch_unwind(AssertUnwindSafe(|| summary(&loaded.plan))) {
        Err(_) => Some("panics".to_owned()),
        Ok(Err(PlanError::Fault(fault))) => Some(format!("is a fault of the simulator: {fault}")),
        Ok(Err(error)) => unhelpful(key, &error.to_string()),
        Ok(Ok(summary)) => impossible(&summary),
    }
}

/// A refusal that names no key, no number or no way out.
fn unhelpful(key: &str, message: &str) -> Option<String> {
    // The place of a mistake shows the key as it was written.
    let mut named = message.split('`').skip(1).step_by(2);
    let names_a_key = message.contains(key) || named.any(|name| matches(name, key) || is_key(name));
    let has_number = message.contains(|c: char| c.is_ascii_digit());
    let has_way_out = WAYS_OUT.iter().any(|way| message.contains(way));
    let is_one_line_apart = !message.lines().any(|line| line.trim_start().contains("   ") && !line.contains('|'));
    (!(names_a_key && has_number && has_way_out && is_one_line_apart))
        .then(|| format!("is refused without help: {message}"))
}

/// Whether a word in quotes is a key, `a.b`.
fn is_key(name: &str) -> bool {
    name.contains('.') && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || ".-*".contains(c))
}

/// Whether a name with `*` for any part of it is that of a key.
fn matches(name: &str, key: &str) -> bool {
    match name.split_once('*') {
        Some((before, after)) => key.starts_with(before) && key[before.len()..].contains(after),
        None => name == key || name.split_once('=').is_some_and(|(name, _)| name == key),
    }
}

/// What no job has none of.
const RATES: [&str; 4] = [".step_seconds", ".tokens_per_day", ".serving.seconds", ".serving.output_tokens_per_second"];

/// A number that is none, is below zero, or says more than the machine can do without a word on it.
fn impossible(summary: &Value) -> Option<String> {
    let numbers = numbers_of(summary);
    if let Some((place, n)) = numbers.iter().find(|(_, n)| !(n.is_finite() && **n >= 0.0)) {
        return Some(format!("gives {n} at {place}"));
    }
    let is_zero = |place: &&str| numbers.get(*place).is_some_and(|n| *n <= 0.0);
    if let Some(place) = RATES.into_iter().find(is_zero) {
        return Some(format!("gives 0 at {place}"));
    }
    if let Some(place) = null(summary) {
        return Some(format!("gives no number at {place}"));
    }
    let mfu = [".mfu.causal", ".mfu.non_causal"].map(|place| numbers.get(place).copied().unwrap_or(0.0));
    let is_explained = summary["notes"].to_string().contains("MFU above 100 %");
    (mfu.into_iter().any(|mfu| mfu > 1.0) && !is_explained).then(|| format!("gives an MFU of {mfu:?} without a note"))
}

/// A place where a number should be and none is: JSON has no infinities.
fn null(value: &Value) -> Option<String> {
    let [phases, rates] = [&value["phases"], &value["tflops_per_gpu"]];
    let tables = [phases, rates, &value["binding_shares"], &value["basis_shares"], &value["cost"], &value["energy"]];
    let fields = tables.into_iter().filter_map(Value::as_object).flatten();
    fields.into_iter().find(|(_, value)| value.is_null()).map(|(name, _)| name.clone())
}

/// Keys of numbers but labels; of estimates their values.
fn asked(scene: &Scene) -> impl Iterator<Item = &Leaf> {
    let leaves = scene.base.leaves.iter().filter(|leaf| !leaf.is_label());
    leaves.filter(|leaf| !leaf.key.starts_with("profile.") || leaf.key.ends_with(".value"))
}

#[test]
fn a_knob_at_an_edge_gives_numbers_that_can_be_or_a_refusal_that_helps() {
    let scenes = Scene::all();
    let mut runs = Vec::new();
    for (n_scene, scene) in scenes.iter().enumerate() {
        for (n_leaf, leaf) in asked(scene).enumerate() {
            // Every edge of a key in two scenes, of an estimate in one: there are many.
            let n_turns = if leaf.key.starts_with("profile.") { scenes.len() } else { scenes.len() / 2 };
            let is_turn = |n_edge: usize| (n_leaf + n_edge + n_scene).is_multiple_of(n_turns);
            let turns = edges(scene, leaf).into_iter().enumerate().filter(|(n_edge, _)| is_turn(*n_edge));
            runs.extend(turns.map(|(_, value)| (scene, leaf, format!("{}={value}", leaf.key))));
        }
    }
    let wrong = |(scene, leaf, set): &(&Scene, &Leaf, String)| {
        fault(scene, &leaf.key, set).map(|fault| format!("{}: {set}: {fault}", scene.name))
    };
    let faults: Vec<String> = runs.par_iter().filter_map(wrong).collect();
    assert!(faults.is_empty(), "{} of {} edges\n{}\n", faults.len(), runs.len(), faults.join("\n"));
}

/// Of a machine, more of these is better; of the others, less.
const MORE: [&str; 12] = [
    "gpu.clock",
    "gpu.sms",
    "gpu.tensor.bf16.flops-per-sm-clock",
    "gpu.tensor.fp8.flops-per-sm-clock",
    "gpu.vector.flops-per-sm-clock",
    "gpu.memory.rate-per-stack",
    "gpu.memory.stacks",
    "gpu.scale-up.links",
    "gpu.scale-up.rate-per-link",
    "node.nic.rate",
    "node.host.pcie-rate",
    "fabric.link-rate",
];
const LESS: [&str; 5] = [
    "gpu.scale-up.latency",
    "node.host.pcie-latency",
    "fabric.switch-latency",
    "fabric.endpoint-latency",
    "fabric.oversubscription",
];
/// Attention of more SMs splits its keys in more parts, whether or not merging them is worth it.
const MERGING: f64 = 2e-3;
const STEPS: [f64; 6] = [1e-3, 0.5, 1.0, 2.0, 30.0, 1e3];

/// Seconds of what a scene repeats: the step of a training job, or an iteration of a unit that decodes the same requests whatever the machine.
fn repeated(plan: &Plan) -> Option<f64> {
    let Ok(service) = plan.serving() else { return summary(plan).ok()?["step_seconds"].as_f64() };
    let queries = service.job.drafts.queries();
    let [requests, context] = [16, 16 << 10];
    let fullest = RankBatch { prompts: Vec::new(), decoding: Decoding { requests, queries, context } };
    let load = UnitLoad { rows: requests * queries * service.job.layout.dp, fullest };
    Some(IterationPricer::new(service).ok()?.iteration(&load).ok()?.seconds)
}

/// How much longer a better machine may take: by the order in which things come in a step; an iteration has one order, and its kernels choose.
fn anomaly(plan: &Plan) -> f64 {
    plan.train().map_or(MERGING, |train| train.simulation.scheduling_anomaly)
}

/// Steps of a scene over values of a key, from worse to better; what is refused is none.
fn steps(scene: &Scene, leaf: &Leaf) -> Vec<(String, f64)> {
    let Some((number, unit)) = amount(leaf) else { return Vec::new() };
    let spell = |n: f64| match unit {
        "" if leaf.value.contains('.') => format!("{n}"),
        "" => format!("{}", n.round().max(1.0)),
        unit => format!("\"{n:e} {unit}\""),
    };
    let step = |factor: f64| {
        let set = format!("{}={}", leaf.key, spell(number * factor));
        let seconds = repeated(&scene.with(&set).ok()?.plan)?;
        Some((set, seconds))
    };
    let mut steps: Vec<_> = STEPS.into_iter().filter_map(step).collect();
    if LESS.contains(&leaf.key.as_str()) {
        steps.reverse();
    }
    steps
}

#[test]
fn a_better_machine_is_not_slower_than_declared() {
    let scenes = Scene::all();
    let has_way = |leaf: &&Leaf| [&MORE[..], &LESS].concat().contains(&leaf.key.as_str());
    let pairs: Vec<(&Scene, &Leaf)> =
        scenes.iter().flat_map(|scene| asked(scene).filter(has_way).map(move |leaf| (scene, leaf))).collect();
    let worse = |(scene, leaf): &(&Scene, &Leaf)| {
        let anomaly = anomaly(&scene.base.plan);
        let steps = steps(scene, leaf);
        let mut best = steps.first()?.1;
        for (set, seconds) in &steps {
            if *seconds > best * (1.0 + anomaly) {
                return Some(format!("{}: {set}: {seconds} s, and {best} s with less of it", scene.name));
            }
            best = best.min(*seconds);
        }
        (steps.len() < 2).then(|| format!("{}: {}: only {} of its values run", scene.name, leaf.key, steps.len()))
    };
    let faults: Vec<String> = pairs.par_iter().filter_map(worse).collect();
    assert!(faults.is_empty(), "{} of {} keys\n{}\n", faults.len(), pairs.len(), faults.join("\n"));
}
