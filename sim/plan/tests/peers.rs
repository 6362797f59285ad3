//! The eight training steps that Calculon validates against (arXiv:2205.05198 Table 5), from published facts of the device alone.

use plan::{Keep, Progress, Recording, check_memory, lower, run};
use scenario::{Library, load, published};

/// Scenario, and the fact it answers.
const STEPS: [(&str, &str); 8] = [
    ("gpt-22b-full", "seqpar.22B_full"),
    ("gpt-22b-selective", "seqpar.22B_sel"),
    ("gpt-175b-full", "seqpar.175B_full"),
    ("gpt-175b-selective", "seqpar.175B_sel"),
    ("gpt-530b-full", "seqpar.530B_full"),
    ("gpt-530b-selective", "seqpar.530B_sel"),
    ("gpt-1t-full", "seqpar.1T_full"),
    ("gpt-1t-selective", "seqpar.1T_sel"),
];
/// What nothing fitted may be off by, for each step.
const ERROR_MAX: f64 = 0.15;

fn step_seconds(name: &str) -> f64 {
    let plan = load(name, &[], &Library::built_in()).unwrap_or_else(|mistakes| panic!("{mistakes}")).plan;
    let program = lower(plan.train().expect("a training job")).expect("it can be lowered");
    check_memory(plan.train().expect("a training job"), None).unwrap_or_else(|error| panic!("{name}: {error}"));
    let keep = Keep { ranks: Recording::None, streams: false };
    run(&program, keep, &Progress::default()).expect("it runs").step.seconds()
}

#[test]
fn the_steps_of_calculons_validation() {
    let facts = published("a100-training", &Library::built_in()).expect("facts");
    let (mut steps, mut table, mut worst) = (Vec::new(), String::new(), 0.0);
    for (name, id) in STEPS {
        let expectation = facts.facts.iter().find(|fact| fact.id == id).expect("a fact").value;
        let actual = step_seconds(name);
        let error = actual / expectation - 1.0;
        table += &format!("{name}: expectation {expectation} s, actual {actual:.3} s, error {:+.1} %\n", 100.0 * error);
        worst = f64::max(worst, error.abs());
        steps.push(actual);
    }
    assert!(worst < ERROR_MAX, "one is off by {worst}\n{table}");
    for pair in steps.chunks(2) {
        assert!(pair[1] < pair[0], "selective recomputation with sequence parallelism is quicker than full: {pair:?}");
    }
}
