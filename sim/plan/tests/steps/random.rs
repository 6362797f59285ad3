//! Small jobs nobody thought of: any mixture of schedules, layouts, kernels and abilities either is refused with a reason or
//! keeps every law.

use plan::PlanError;
use proptest::prelude::*;
use proptest::sample::select;
use units::SimSpan;

use crate::flight::{Flight, TINY, Training, run};
use crate::similarity::quicker;

/// One of some values of a key.
fn any_of(key: &'static str, values: &'static [&'static str]) -> BoxedStrategy<String> {
    select(values).prop_map(move |value| format!("{key}={value}")).boxed()
}

/// Patches of [`TINY`]; most mixtures are legal.
fn patches() -> impl Strategy<Value = Vec<String>> {
    let layout =
        (select(&[1_u32, 2, 4][..]), select(&[1_u32, 2][..]), select(&[1_u32, 2][..]), select(&[1_u32, 2, 4, 8][..]));
    let layout = layout.prop_flat_map(|(pp, tp, cp, ep)| {
        let replicas = 16 / pp / tp / cp;
        select(&[1_u32, 2, 6, 12][..]).prop_map(move |micro_batches| {
            let layout = [("pp", pp), ("tp", tp), ("cp", cp), ("ep", ep.min(16 / pp))];
            let mut sets: Vec<String> = layout.map(|(key, n)| format!("parallel.{key}={n}")).into();
            sets.push(format!("job.global-batch={}", replicas * micro_batches * 2));
            sets
        })
    });
    let keys = vec![
        any_of("policy.schedule", &["1f1b", "gpipe", "interleaved", "zb1p", "zb2p", "dual-pipe", "dual-pipe-v"]),
        any_of("policy.point-to-point", &["hidden", "waited"]),
        any_of("policy.exchange-copies", &["buffered", "in-place"]),
        any_of("policy.exchange", &["forwarded", "forwarded", "direct"]),
        any_of("policy.dispatch-format", &["fp8", "bf16"]),
        any_of("policy.data-parallel", &["waited", "hidden"]),
        any_of("policy.comm-sms", &["auto", "4", "24"]),
        any_of("policy.recompute.norm", &["true", "false"]),
        any_of("policy.recompute.full", &["true", "false", "false"]),
        any_of("policy.sequence-parallel", &["true", "false"]),
        any_of("job.precision", &["fp8-block", "fp8-tensor", "bf16"]),
        any_of("job.micro-batch", &["1", "2"]),
        any_of("job.sequence", &["512", "2048"]),
        any_of("traffic.router", &["balanced", "balanced", "skewed", "power-law", "learned-bias"]),
        any_of("gpu.comm-engine", &["none", "none", "copy", "full"]),
        any_of("gpu.scale-up.in-network", &["none", "none", "multicast", "reduce"]),
        any_of("node.nic.forwarding", &["kernel", "kernel", "hardware"]),
        any_of("gpu.sms", &["132", "20"]),
        any_of("node.nic.rate", &["'400 Gbit/s'", "'10 Gbit/s'"]),
    ];
    let fixed = ["cluster.nodes=2", "traffic.samples=2", "model.layers=8", "policy.memory-reserved='0 GiB'"];
    (layout, keys).prop_map(move |(layout, keys)| {
        let fixed = fixed.iter().map(|&set| set.to_owned());
        fixed.chain(layout).chain(keys).chain(["gpu.memory.capacity-per-stack='1 TiB'".to_owned()]).collect()
    })
}

/// A job that runs, or a rejection with the reason, which must be told.
fn flown(sets: &[String]) -> Result<Flight, TestCaseError> {
    let library = scenario::Library::built_in();
    let loaded = scenario::load(TINY, sets, &library).map_err(|mistakes| told(&mistakes.to_string()))?;
    run(Training::of(loaded.plan)).map_err(|error: PlanError| told(&error.to_string()))
}

fn told(reason: &str) -> TestCaseError {
    // The place, or a key.
    assert!(reason.contains("-->") || reason.contains('`'), "a refusal that names nothing: {reason:?}");
    TestCaseError::reject(reason.to_owned())
}

/// What holds of every step, whatever the job.
fn lawful(flight: &Flight) -> Result<(), TestCaseError> {
    let Flight { outcome, program, .. } = flight;
    prop_assert!(outcome.step > SimSpan::ZERO);
    let n = u64::from(outcome.n_simulated);
    for (rank, totals) in outcome.ranks.iter().enumerate() {
        let busy = totals.phases.sum();
        prop_assert!(busy <= outcome.step * n, "rank {rank} is in chunks for {busy:?} of {:?}", outcome.step * n);
        prop_assert!(totals.compute <= busy, "rank {rank} computes for {:?} of {busy:?}", totals.compute);
        prop_assert!(totals.last.seconds() <= outcome.step.seconds(), "rank {rank} ends after the step");
    }
    // No port sends more than its rate allows in a step.
    let most = |id| program.resources.rate(id) * outcome.step.seconds() * f64::from(outcome.n_simulated);
    let (up, out): (f64, f64) = (0..program.layout.pp as usize)
        .map(|rank| (most(program.ranks[rank].up_send), most(program.ranks[rank].out_send)))
        .fold((0.0, 0.0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    prop_assert!(outcome.ports.up_bytes <= up * (1.0 + 1e-9), "{} of {up} bytes", outcome.ports.up_bytes);
    prop_assert!(outcome.ports.out_bytes <= out * (1.0 + 1e-9), "{} of {out} bytes", outcome.ports.out_bytes);
    Ok(())
}

proptest! {
    // Where most mixtures were refused the test would prove nothing, and fails.
    #![proptest_config(ProptestConfig {
        cases: 60,
        max_global_rejects: 120,
        failure_persistence: None,
        rng_seed: proptest::test_runner::RngSeed::Fixed(20_261_125),
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_random_job_keeps_every_law(mut sets in patches()) {
        let folded = flown(&sets)?;
        lawful(&folded)?;
        // The same again is the same.
        let again = flown(&sets)?;
        prop_assert_eq!(folded.outcome.step, again.outcome.step);
        // Twice as fast in everything is half as long, and half as fast twice as long. Two moments that coincide may be a
        // picosecond apart at another clock, and which comes first can move a step: at one of the two clocks, not at both.
        let ratio = |k: f64| {
            let other = run(quicker(&folded.plan, k)).map_err(|error| TestCaseError::fail(error.to_string()))?;
            Ok::<f64, TestCaseError>(folded.seconds() / other.seconds() / k)
        };
        let quick = ratio(2.0)?;
        if (quick - 1.0).abs() > 5e-6 {
            let slow = ratio(0.5)?;
            prop_assert!((slow - 1.0).abs() < 5e-6, "expected 1, actual {quick} at twice the clock, {slow} at half");
        }
        // Every rank by itself: lawful, and where all are alike as long.
        sets.push("policy.folding=none".to_owned());
        let whole = flown(&sets)?;
        lawful(&whole)?;
        if sets.iter().any(|set| set == "traffic.router=balanced") {
            // Where SMs bind, a bundle of messages and its messages one by one round differently, by a picosecond.
            let ratio = folded.seconds() / whole.seconds();
            prop_assert!((ratio - 1.0).abs() < 1e-9, "one rank for all and all ranks: {ratio}");
        }
    }
}
