//! Machines nobody builds: whatever a legal file gives a device, its links and its kernels, every demand of a job is a number, and a
//! job that the machine cannot run is refused by name. A law broken or a task stuck is never the answer to a strange number.

use plan::{PlanError, Program};
use proptest::prelude::*;
use proptest::sample::select;
use scenario::Library;

use crate::flight::{BALANCED, TINY, Training, run};

/// A quantity of any size that files may hold.
fn sized(key: &'static str, unit: &'static str) -> BoxedStrategy<String> {
    (-18_i32..=18).prop_map(move |power| format!("{key}='1e{power} {unit}'")).boxed()
}

/// A number of a list.
fn one_of(key: &'static str, values: &'static [&'static str]) -> BoxedStrategy<String> {
    select(values).prop_map(move |value| format!("{key}={value}")).boxed()
}

/// Any number that a profile may hold.
fn estimate(key: &'static str) -> BoxedStrategy<String> {
    one_of(key, &["0", "1e-300", "1e-9", "0.5", "1", "7", "4096", "1e9", "1e12"])
}

/// One strange value of one key.
fn strange() -> impl Strategy<Value = String> {
    let counts: &[&str] = &["0", "1", "2", "65536"];
    proptest::strategy::Union::new(vec![
        sized("gpu.clock", "Hz"),
        sized("gpu.memory.rate-per-stack", "B/s"),
        sized("gpu.scale-up.rate-per-link", "B/s"),
        sized("gpu.scale-up.latency", "s"),
        sized("node.nic.rate", "B/s"),
        sized("node.host.pcie-rate", "B/s"),
        sized("fabric.link-rate", "B/s"),
        sized("fabric.switch-latency", "s"),
        sized("profile.memory.rate-per-sm.value", "B/s"),
        sized("profile.all-to-all.rate-per-sm.value", "B/s"),
        sized("profile.kernel.latency.value", "s"),
        sized("profile.collective.reduce-scatter.latency.value", "s"),
        one_of("gpu.sms", &["1", "2", "21", "65536"]),
        one_of("gpu.tensor.fp8.flops-per-sm-clock", &["0", "1e-30", "1", "65536"]),
        one_of("gpu.tensor.bf16.flops-per-sm-clock", &["1", "65536"]),
        one_of("gpu.vector.flops-per-sm-clock", &["1", "65536"]),
        one_of("gpu.memory.stacks", counts),
        one_of("gpu.scale-up.links", counts),
        one_of("node.nic.count", &["0", "1", "8", "65536"]),
        one_of("policy.comm-sms", &["0", "1", "2", "131"]),
        one_of("policy.lone-comm-sms", &["0", "1", "132"]),
        one_of("policy.exchange", &["forwarded", "direct"]),
        one_of("policy.exchange-copies", &["buffered", "in-place"]),
        one_of("gpu.comm-engine", &["none", "copy", "full"]),
        one_of("gpu.cast", &["kernel", "warp", "near-memory", "copy-engine"]),
        one_of("job.precision", &["fp8-block", "fp8-tensor", "bf16"]),
        estimate("profile.gemm.fp8-block.peak-fraction.value"),
        estimate("profile.gemm.fp8-block.sustained-fraction.value"),
        estimate("profile.gemm.fp8-block.k-overhead.value"),
        estimate("profile.gemm.fp8-block.tile-rows-fewest.value"),
        estimate("profile.gemm.fp8-block.tile-columns-step.value"),
        estimate("profile.gemm.fp8-block.split-max.value"),
        estimate("profile.gemm.fp8-tile.promote-every.value"),
        estimate("profile.gemm.promotion.tensor-to-vector.value"),
        estimate("profile.gemm.bf16.power-memory-rate.value"),
        estimate("profile.attention.forward.tile-queries.value"),
        estimate("profile.attention.backward.key-overhead.value"),
        estimate("profile.memory.sharpness.value"),
        estimate("profile.memory.power-rate.value"),
        estimate("profile.all-to-all.memory-passes.value"),
        estimate("profile.collective.scale-out-fraction.value"),
        estimate("profile.point-to-point.scale-out-fraction.value"),
    ])
}

/// Everything that the engine is asked for.
fn demands(program: &Program) -> Vec<f64> {
    let mut all = Vec::new();
    for kernel in &program.kernels {
        all.extend([kernel.kernel.tensor, kernel.kernel.memory, kernel.kernel.shortest]);
    }
    for ring in &program.rings {
        all.extend(ring.leg.up.into_iter().chain(ring.leg.out).chain([ring.leg.shortest]));
        all.extend(ring.layer.map(|layer| layer.shortest));
    }
    for template in program.exchanges.iter().flatten() {
        all.extend(template.memory.iter().copied().chain([template.alone.get()]));
        for flow in &template.flows {
            all.extend(flow.occupied.into_iter().chain(flow.copied).chain([flow.shortest]));
        }
    }
    let messages = &program.messages;
    all.extend([messages.each.out, messages.each.up, messages.each.shortest]);
    all
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 250,
        failure_persistence: None,
        rng_seed: proptest::test_runner::RngSeed::Fixed(20_261_130),
        ..ProptestConfig::default()
    })]

    #[test]
    fn every_demand_is_a_number_or_the_job_is_refused_by_name(mut sets in proptest::collection::vec(strange(), 1..4)) {
        sets.extend([BALANCED.to_owned(), "policy.memory-reserved='0 GiB'".to_owned()]);
        // A file is refused by the reader, whose messages have tests of their own.
        let Ok(loaded) = scenario::load(TINY, &sets, &Library::built_in()) else { return Ok(()) };
        match plan::lower(Training::of(loaded.plan.clone()).view()) {
            Ok(program) => {
                for demand in demands(&program) {
                    prop_assert!(demand.is_finite() && demand >= 0.0, "{demand}");
                }
                let flight = run(Training::of(loaded.plan)).map_err(|error| TestCaseError::fail(error.to_string()))?;
                let step = flight.seconds();
                prop_assert!(step > 0.0 && step < units::SimTime::MAX.seconds() / 2.0, "{step} s");
            }
            Err(PlanError::Fault(fault)) => prop_assert!(false, "{fault}"),
            Err(error) => prop_assert!(error.to_string().contains('`'), "a refusal that names nothing: {error}"),
        }
    }
}

#[test]
fn a_step_too_long_to_count_says_so_and_a_long_one_is_counted() {
    let of = |sets: &[&str]| plan::lower(crate::flight::plan(TINY, &[&[BALANCED][..], sets].concat()).view());
    let slow = of(&["gpu.memory.rate-per-stack='1 B/s'"]).expect_err("211 days are not enough").to_string();
    assert!(slow.contains("pipeline rank 0") && slow.contains("mistyped unit"), "{slow}");
    assert!(of(&["gpu.memory.rate-per-stack='1 GB/s'"]).is_ok(), "hours are");
}

/// Without SMs nothing that they copy or sum moves, so there is no step, and none that is shorter than with a few.
#[test]
fn no_sms_of_communication_are_refused_unless_an_engine_does_their_work() {
    let load = |sets: &[&str]| {
        let sets: Vec<String> = sets.iter().map(|&set| set.to_owned()).collect();
        scenario::load(TINY, &sets, &Library::built_in()).map_err(|mistakes| mistakes.to_string())
    };
    for key in ["policy.comm-sms", "policy.lone-comm-sms", "policy.comm-sms-software"] {
        for machine in [&["gpu.comm-engine=none"][..], &["gpu.comm-engine=copy"], &["policy.exchange-copies=in-place"]]
        {
            let none = format!("{key}=0");
            let refusal = load(&[machine, &[&none]].concat()).expect_err("no SM").to_string();
            assert!(refusal.contains(&format!("`{key}` is 0")) && refusal.contains("at least 2"), "{refusal}");
        }
        assert!(load(&[&format!("{key}=0"), "gpu.comm-engine=full"]).is_ok(), "the engine copies and sums");
        assert!(load(&[&format!("{key}=0"), "parallel.ep=1", "parallel.pp=8"]).is_ok(), "nothing is exchanged");
    }
    // A plan that no file made is refused by the lowering.
    let mut plan = crate::flight::plan(TINY, &[BALANCED]);
    plan.job.policy.comm_sms = 0;
    assert!(matches!(plan::lower(plan.view()), Err(PlanError::NoCommSms { key: "policy.comm-sms", .. })));
    (plan.job.policy.comm_sms, plan.job.policy.lone_comm_sms) = (20, 0);
    assert!(matches!(plan::lower(plan.view()), Err(PlanError::NoCommSms { key: "policy.lone-comm-sms", .. })));
    // From one SM on, more of them never make an exchange slower.
    let alone = |sms: u32| {
        let sets = [format!("policy.comm-sms={sms}"), format!("policy.lone-comm-sms={sms}")];
        let program = plan::lower(crate::flight::plan(TINY, &[BALANCED, &sets[0], &sets[1]]).view()).expect("it runs");
        program.exchanges[0].iter().map(|template| template.alone.get()).sum::<f64>()
    };
    let times: Vec<f64> = [1, 2, 4, 8, 20, 64].map(alone).into();
    assert!(times.is_sorted_by(|a, b| a >= b), "{times:?}");
}

#[test]
fn arithmetic_that_a_device_lacks_is_named_by_the_lowering_too() {
    let mut plan = crate::flight::plan(TINY, &[BALANCED]);
    plan.site.machine.device.tensor.fp8.flops_per_sm_clock = 0.0;
    let refusal = plan::lower(plan.view()).expect_err("no FP8").to_string();
    assert!(refusal.contains("FP8") && refusal.contains("`gpu.tensor.fp8.flops-per-sm-clock` is 0"), "{refusal}");
    plan.job.precision = workloads::op::LinearPrecision::Bf16;
    assert!(plan::lower(plan.view()).is_ok(), "BF16 asks for none");
    plan.site.machine.node.nic.rate = units::BytesPerSec::ZERO;
    let refusal = plan::lower(plan.view()).expect_err("no NIC").to_string();
    assert!(refusal.contains("`node.nic.rate`"), "{refusal}");
}
