//! The table is of today's scenarios, and the distance is one.

use std::collections::BTreeMap;

use rayon::prelude::*;
use scenario::Library;
use serde_json::Value;

use super::distance::distance;
use super::{CheckedSteps, Traits, nearest};
use crate::Prepared;
use crate::validate::FactBook;

const VALIDATION: &str = include_str!("../../../../reports/validation/validation.json");
const REBUILD: &str = "rebuild it with `windtunnel validate --out reports/validation`";

fn table() -> CheckedSteps {
    CheckedSteps::embedded().expect("a table")
}

fn prepared(scenario: &str, sets: &[&str]) -> Prepared {
    let sets: Vec<String> = sets.iter().map(|&set| set.to_owned()).collect();
    Prepared::load(scenario, &sets, &Library::built_in()).expect("a scenario")
}

fn traits(scenario: &str, sets: &[&str]) -> Traits {
    Traits::of(&prepared(scenario, sets).loaded).expect("a training job")
}

fn near(scenario: &str, sets: &[&str]) -> report::Nearest {
    nearest(&prepared(scenario, sets), &Library::built_in()).expect("a training job")
}

#[test]
fn the_table_has_the_scenarios_of_today_and_the_errors_of_the_kept_validation() {
    let validation: Value = serde_json::from_str(VALIDATION).expect("JSON");
    let cases = validation["cases"].as_array().expect("cases").iter();
    let ratios: BTreeMap<&str, f64> = cases
        .filter_map(|case| Some((case["id"].as_str()?, case["simulated"].as_f64()? / case["published"].as_f64()?)))
        .collect();
    let facts = FactBook::read(&[], &Library::built_in()).expect("facts");
    let table = table();
    assert!(table.steps.len() > 50 && table.traits().count() == table.steps.len(), "{REBUILD}");
    for (step, kept) in table.traits() {
        assert!(facts.of_group("steps").any(|fact| fact.id == step.id), "`{}` is no step: {REBUILD}", step.id);
        let sets: Vec<&str> = step.sets.iter().map(String::as_str).collect();
        let today = traits(&step.scenario, &sets);
        assert_eq!(kept.job, today.job, "`{}`: {REBUILD}", step.id);
        assert_eq!(kept.device.values, today.device.values, "`{}`: {REBUILD}", step.id);
        // Of a rate the step is as much too long as the rate is too low.
        let ratio = ratios[step.id.as_str()];
        let is_near = |longer: f64| (longer - 1.0 - step.step_error).abs() < 1e-4;
        assert!(is_near(ratio) || is_near(1.0 / ratio), "`{}`: {ratio}, {}: {REBUILD}", step.id, step.step_error);
    }
}

#[test]
fn a_published_case_is_nearest_to_itself_and_says_so() {
    table().steps.par_iter().for_each(|step| {
        let sets: Vec<&str> = step.sets.iter().map(String::as_str).collect();
        let near = near(&step.scenario, &sets);
        assert!(near.is_published && near.differs.is_empty(), "`{}`: {near:?}", step.id);
        assert_eq!((near.steps[0].id.as_str(), near.steps[0].distance), (step.id.as_str(), 0.0));
        assert!(near.steps.is_sorted_by(|a, b| a.distance <= b.distance), "{near:?}");
    });
}

/// Devices are known by what they are, not by what they are called.
#[test]
fn a_device_patched_to_another_is_that_one() {
    let near = near("deepseek-v3-2048", &["gpu.scale-up.links=18"]);
    assert_eq!(near.differs, ["device (h800-sxm5, here h100-sxm5)"]);
}

/// What was measured elsewhere, what money buys and how a run is simulated make no other job.
#[test]
fn what_is_no_part_of_a_job_leaves_it_the_published_one() {
    for set in
        ["profile.memory.peak-fraction.value=0.5", "gpu.price=1 USD", "cost.rental=9 USD/h", "policy.record=none"]
    {
        if set.starts_with("gpu.") {
            // A price is part of the machine, and none of what is weighed.
            assert_eq!(near("deepseek-v3-2048", &[set]).steps[0].distance, 0.0, "{set}");
        } else {
            assert!(near("deepseek-v3-2048", &[set]).is_published, "{set}");
        }
    }
}

#[test]
fn it_is_as_far_there_as_back_and_nothing_is_nearer_than_itself() {
    let table = table();
    let all: Vec<Traits> = table.traits().map(|(_, traits)| traits).collect();
    for a in &all {
        assert_eq!(distance(a, a), 0.0);
        for b in &all {
            let (there, back) = (distance(a, b), distance(b, a));
            assert!(there >= 0.0 && (there - back).abs() <= 1e-12 * there, "{there}, {back}: {a:?} {b:?}");
        }
    }
}

#[test]
fn another_device_is_farther_and_the_more_so_the_more_it_differs() {
    let job = "deepseek-v3-2048";
    let base = traits(job, &[]);
    let to = |set: &str| distance(&base, &traits(job, &[set]));
    for set in ["gpu.sms=140", "gpu.comm-engine=full", "gpu.memory.stacks=6", "gpu.scale-up.links=12", "gpu.l2=60 MB"] {
        let near = near(job, &[set]);
        let key = set.split('=').next().expect("a key");
        assert!(to(set) > 0.0 && !near.is_published, "{set}: {near:?}");
        assert!(near.differs.iter().any(|words| words.contains(key)), "{set}: {:?}", near.differs);
    }
    let rising = [to("gpu.sms=140"), to("gpu.sms=160"), to("gpu.sms=264"), to("gpu.sms=528")];
    assert!(rising.is_sorted_by(|a, b| a < b), "{rising:?}");
    // A generation more than a device of the same, and experts more than either.
    let same = distance(&traits("llama-3.1-8b-8", &[]), &traits("llama-3.1-8b-8", &["gpu.memory.stacks=6"]));
    let set = "gpu.tensor.bf16.flops-per-sm-clock=8192";
    assert!(same < distance(&traits("llama-3.1-8b-8", &[]), &traits("llama-3.1-8b-8", &[set])));
}

#[test]
fn what_is_far_is_named_and_what_is_near_is_not() {
    let differs = |job: &str, sets: &[&str]| near(job, sets).differs.join("; ");
    let larger = differs("deepseek-v3-2048", &["cluster.nodes=4096", "job.global-batch=245760"]);
    assert!(larger.contains("devices (16 times as many here)") && !larger.contains("precision"), "{larger}");
    assert_eq!(differs("deepseek-v3-2048", &["cluster.nodes=512", "job.global-batch=30720"]), "");
    let policy = differs("deepseek-v3-2048", &["policy.recompute.full=true"]);
    assert_eq!(policy, "keys that are not weighed (`policy.recompute.full`)");
    let stack = differs("decoder-1b-h200", &["use.framework=megatron"]);
    assert!(stack.contains("software stack (pytorch-") && stack.contains("here megatron)"), "{stack}");
    let nic = differs("deepseek-v3-2048", &["node.nic.rate=800 Gbit/s"]);
    assert!(nic.contains("NIC rate (50.00 GB a second and device, here 100.0 GB)"), "{nic}");
}
