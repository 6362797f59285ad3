//! The same plan gives the same bytes, on any number of threads; and the laws hold for whatever can be planned.

use crate::flight::Training;
use plan::{Folding, Keep, Outcome, PlanError, PointToPoint, Program, Recording};
use platform::Delivery;
use proptest::prelude::*;
use scenario::{Kind, Library};
use topology::Routing;
use workloads::op::LinearPrecision;
use workloads::parallel::default_stages;
use workloads::schedule::Schedule;
use workloads::traffic::Router;

use crate::flight::{TINY, plan, run};

const EVERYTHING: Keep = Keep { ranks: Recording::All, streams: true };

fn on_threads(program: &Program, n_threads: usize) -> String {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().expect("threads");
    let outcome: Result<Outcome, PlanError> =
        pool.install(|| plan::run(program, EVERYTHING, &plan::Progress::default()));
    format!("{outcome:?}")
}

#[test]
fn twice_and_on_any_number_of_threads() {
    // Four columns, so that threads have something to share out.
    let sets = ["parallel.ep=4", "traffic.router=skewed", "traffic.samples=2", "policy.folding=none"];
    let plan = plan(TINY, &sets);
    let program = plan::lower(plan.view()).expect("a preset with patches");
    assert_eq!(program.n_columns, 4);
    let one = on_threads(&program, 1);
    assert!(one.starts_with("Ok("), "{one}");
    for n_threads in [1, 2, 7] {
        assert!(on_threads(&program, n_threads) == one, "{n_threads} threads differ from one");
    }
    let again = plan::lower(plan.view()).expect("as before");
    assert!(on_threads(&again, 3) == one, "a second lowering differs");
}

#[test]
fn the_laws_hold_for_every_preset() {
    let library = Library::built_in();
    for name in library.names(Kind::Scenario) {
        let sets = ["traffic.samples=1".to_owned()];
        let plan = scenario::load(&name, &sets, &library).unwrap_or_else(|mistakes| panic!("{mistakes}")).plan;
        let flight = run(Training::of(plan)).unwrap_or_else(|error| panic!("{name}: {error}"));
        sound(&flight.outcome, &name);
    }
}

/// What must be true of any outcome.
fn sound(outcome: &Outcome, what: &str) {
    assert!(outcome.step > units::SimSpan::ZERO, "{what}: no time");
    for (rank, totals) in outcome.ranks.iter().enumerate() {
        let busy = totals.phases.sum();
        assert!(
            busy <= outcome.step * u64::from(outcome.n_simulated),
            "{what}: rank {rank} is busier than the step is long"
        );
    }
    for chunk in &outcome.chunks {
        assert!(chunk.start <= chunk.end && chunk.end.since(units::SimTime::ZERO) <= outcome.step, "{what}: {chunk:?}");
    }
}

fn schedules() -> impl Strategy<Value = Schedule> {
    prop_oneof![
        Just(Schedule::OneFOneB),
        Just(Schedule::GPipe),
        Just(Schedule::Interleaved { virtual_stages: 2 }),
        Just(Schedule::Zb1p),
        Just(Schedule::Zb2p),
        Just(Schedule::DualPipe),
        Just(Schedule::DualPipeV),
    ]
}

/// Degrees: pp, dp, tp, cp, ep.
fn degrees() -> impl Strategy<Value = [u32; 5]> {
    let powers = |most: u32| (0..=most).prop_map(|power| 1 << power);
    (1..=4u32, 1..=8u32, powers(2), powers(1), powers(4)).prop_map(|(pp, dp, tp, cp, ep)| [pp, dp, tp, cp, ep])
}

fn plans() -> impl Strategy<Value = Training> {
    let base = plan(TINY, &[]);
    let model = (1..=10u32, 0..=1u32, 1..=3u32, any::<bool>());
    let job = (1..=20u64, 1..=2u64, any::<bool>(), 0..=7u64);
    let policy = (schedules(), any::<bool>(), any::<bool>(), 0..132u32, 0..3u8, any::<bool>(), any::<bool>());
    let traffic = (0..=3u8, 0.0..0.5f64, any::<u64>());
    (degrees(), model, job, policy, traffic).prop_map(move |(degrees, model, job, policy, traffic)| {
        let mut plan = base.clone();
        let [pp, dp, tp, cp, ep] = degrees;
        (plan.job.model.layers, plan.job.model.mtp_modules) = (model.0, model.1);
        let experts = plan.job.model.experts.as_mut().expect("a mixture of experts");
        experts.node_limit = model.2.min(experts.groups);
        let (n_micro_batches, micro_batch, bf16, odd) = job;
        plan.job.micro_batch = micro_batch;
        // One in eight is off by one: it must be refused, unless one replica takes it.
        plan.job.global_batch = n_micro_batches * micro_batch * u64::from(dp) + u64::from(odd == 0);
        plan.job.sequence = 512;
        plan.job.precision = if bf16 { LinearPrecision::Bf16 } else { LinearPrecision::Fp8Block };
        plan.job.policy.schedule = policy.0;
        plan.simulation.folding = if policy.1 { Folding::Auto } else { Folding::None };
        plan.job.policy.point_to_point = if policy.2 { PointToPoint::Hidden } else { PointToPoint::Waited };
        (plan.job.policy.comm_sms, plan.job.policy.lone_comm_sms) = (policy.3, policy.3);
        plan.job.policy.routing = [Routing::Static, Routing::Ecmp, Routing::Adaptive][usize::from(policy.4)];
        plan.job.policy.recompute.full = policy.5;
        // Planes do not meet without relays.
        (plan.job.policy.exchange, plan.site.machine.fabric.planes) =
            if policy.6 { (Delivery::Direct, 1) } else { (Delivery::Forwarded, plan.site.machine.fabric.planes) };
        let routers = [Router::Balanced, Router::Skewed, Router::LearnedBias, Router::PowerLaw];
        plan.job.traffic.router = routers[usize::from(traffic.0)];
        (plan.job.traffic.skew, plan.job.traffic.seed) = (traffic.1, traffic.2);
        (plan.job.traffic.samples, plan.job.traffic.bias_steps) = (2, 4);
        let n_stages = policy.0.n_stages(pp);
        let stages = default_stages(&plan.job.model, n_stages);
        plan.job.parallel = workloads::parallel::Parallelism {
            pp,
            dp,
            cp,
            tp,
            ep,
            stages,
            sharding: workloads::parallel::Sharding::Zero1,
            shard_ranks: None,
        };
        plan
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever is asked for: a refusal that says why, or a lawful run whose twin is equal.
    #[test]
    fn a_plan_is_refused_or_lawful(plan in plans()) {
        let program = match plan::lower(plan.view()) {
            Ok(program) => program,
            Err(PlanError::Fault(fault)) => return Err(TestCaseError::fail(fault)),
            Err(error) => {
                prop_assert!(!error.to_string().is_empty());
                return Ok(());
            }
        };
        let outcome = plan::run(&program, EVERYTHING, &plan::Progress::default()).map_err(|error| TestCaseError::fail(error.to_string()))?;
        sound(&outcome, &plan.name);
        let twin = plan::run(&program, EVERYTHING, &plan::Progress::default()).map_err(|error| TestCaseError::fail(error.to_string()))?;
        prop_assert!(format!("{outcome:?}") == format!("{twin:?}"), "twins differ");
    }
}
