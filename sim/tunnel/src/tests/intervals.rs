//! The interval of a run against what a study would find with draws.

use calibrate::{Estimate, EstimateKey, Profile};
use plan::{Keep, Plan, Recording};
use rayon::prelude::*;
use report::{JobResult, StepResult};
use scenario::Library;

use crate::summarize::{self, FinishedRun};
use crate::traffic::Traffic;

const N_DRAWS: u64 = 64;

/// A preset whose software stack is as sure as it is told, on the specimen that was measured.
fn preset_of_stack(name: &str, [stack, untimed]: [f64; 2]) -> Plan {
    let sets = [("stack", stack), ("untimed-stack", untimed), ("specimen", 0.0)]
        .map(|(key, value)| format!("profile.elsewhere.{key}.value={value}"));
    scenario::load(name, &sets, &Library::built_in()).expect("a preset").plan
}

#[test]
fn another_specimen_adds_to_what_a_stack_is_off_by() {
    let width = |specimen: f64| {
        let sets = [("stack", 0.3), ("untimed-stack", 0.0), ("specimen", specimen)]
            .map(|(key, value)| format!("profile.elsewhere.{key}.value={value}"));
        let plan = scenario::load("tiny-moe", &sets, &Library::built_in()).expect("a preset").plan;
        let StepResult { step_seconds, interval, .. } = step(&plan, &Traffic::default());
        (interval[1] / step_seconds).ln() / 1.645
    };
    let (none, some) = (width(0.0), width(0.4));
    assert!((some - none.hypot(0.4)).abs() < 1e-9, "{none} and {some}");
}

/// Draws are of estimates: they know nothing of the stack.
fn preset(name: &str) -> Plan {
    preset_of_stack(name, [0.0; 2])
}

#[test]
fn a_stack_that_nobody_timed_adds_to_what_a_timed_one_is_off_by() {
    let width = |framework: &str, of: [f64; 2]| {
        let mut plan = preset_of_stack("llama-3.1-8b-8", of);
        plan.job.train_mut().expect("training").is_stack_timed = framework == "timed";
        let StepResult { step_seconds, interval, .. } = step(&plan, &Traffic::default());
        (interval[1] / step_seconds).ln() / 1.645
    };
    let own = width("timed", [0.0; 2]);
    for (framework, stack, expected) in [
        ("timed", [0.3, 0.0], 0.3),
        ("timed", [0.3, 0.4], 0.3),
        ("untimed", [0.3, 0.4], 0.5),
        ("untimed", [0.0, 0.4], 0.4),
    ] {
        let actual = width(framework, stack);
        assert!((actual - own.hypot(expected)).abs() < 1e-9, "{framework} {stack:?}: {actual} and {own}");
    }
}

fn step(plan: &Plan, traffic: &Traffic) -> StepResult {
    let plan = plan.train().expect("a step");
    let sample = &|spec: &_, layout: &_| traffic.sample(spec, layout);
    let program = plan::lower_with(plan, &plan::Shared { network: None, sample, exchanges: None }).expect("a program");
    let keep = Keep { ranks: Recording::None, streams: false };
    let outcome = plan::run(&program, keep, &plan::Progress::default()).expect("it runs");
    let finished = FinishedRun { plan, digest: "", program: &program, memory: &[], outcome: &outcome };
    match summarize::summary(&finished).expect("a summary").result {
        JobResult::Step(step) => step,
        JobResult::Service(_) | JobResult::Imported(_) => unreachable!("a step"),
    }
}

/// Draws are slow and shares are first order: so near to each other are the two widths, whatever the job.
const FACTOR: f64 = 1.6;

/// Over fifteen training presets the interval from shares is 0.79 to 1.35 times as wide as that of 64 draws. It is wide where a share of a
/// rate stands near one and a draw cannot raise it, and narrow where draws make another estimate the one that binds.
#[test]
fn shares_give_about_the_width_that_draws_give() {
    for name in ["tiny-moe", "gpt-1.5b-8", "llama-3.1-8b-8"] {
        let plan = preset(name);
        let traffic = Traffic::default();
        let StepResult { step_seconds, interval, .. } = step(&plan, &traffic);
        let drawn = |draw| step(&plan.with_profile(plan.site.profile.drawn(0, draw)), &traffic).step_seconds;
        let draws: Vec<f64> = (0..N_DRAWS).into_par_iter().map(drawn).collect();
        let of_draws = calibrate::interval(&draws, step_seconds).expect("draws");
        let [shares, draws] = [interval, of_draws].map(|[low, high]| (high / low).ln());
        assert!(interval[0] < step_seconds && step_seconds < interval[1], "{name}: {interval:?}");
        assert!(shares / draws < FACTOR && draws / shares < FACTOR, "{name}: {interval:?}, of draws {of_draws:?}");
    }
}

#[test]
fn an_interval_is_as_wide_as_spreads_and_sampling_make_it() {
    let plan = preset("tiny-moe");
    let traffic = Traffic::default();
    let deviation = |spread: f64| {
        let alike = |(key, estimate): (EstimateKey, &Estimate)| {
            (key, Estimate { spread, departures: Vec::new(), ..estimate.clone() })
        };
        let profile = Profile::new(plan.site.profile.iter().map(alike).collect()).expect("every key");
        let StepResult { step_seconds, interval, sampling_error, .. } = step(&plan.with_profile(profile), &traffic);
        let [low, high] = interval.map(|end| (end / step_seconds).ln());
        assert!((low + high).abs() < 1e-12, "{low} and {high}");
        (high / 1.645, sampling_error)
    };
    // Nothing unsure but the pool of sampled batches.
    let (sure, sampling) = deviation(0.0);
    assert!((sure - sampling).abs() < 1e-12, "{sure}, sampling error {sampling}");
    let own = |spread| {
        let (all, sampling) = deviation(spread);
        (all * all - sampling * sampling).sqrt()
    };
    let (once, twice) = (own(0.05), own(0.1));
    assert!((twice / once - 2.0).abs() < 1e-9, "{once}, then {twice}");
    // Of several estimates, each by itself: less than one that bound all, more than as many alike as there are.
    let n = EstimateKey::ALL.len() as f64;
    assert!(0.05 / n.sqrt() < once && once < 0.05, "{once}");
}
