//! The exchange without relays: its closed form, its bytes, what folds, and where it cannot be.

use calibrate::EstimateKey;
use plan::{Keep, Program, Ran, Recording};
use platform::ExchangeKind;

use crate::flight::{BALANCED, TINY, fly, plan};

/// One layer, 128 tokens a rank, on two nodes of eight: 64 copies from each rank to each.
const LAYER: &str = "moe-layer-direct";
const TWO_NODES: [&str; 3] = ["cluster.nodes=2", "parallel.ep=16", "job.global-batch=16"];
const BYTES: [f64; 2] = [7168.0 * (1.0 + 4.0 / 128.0), 7168.0 * 2.0];

fn program(sets: &[&str]) -> (crate::flight::Training, Program) {
    let plan = plan(LAYER, &[&TWO_NODES[..], &["policy.folding=none"], sets].concat());
    let program = plan::lower(plan.view()).expect("a preset with patches");
    (plan, program)
}

fn agree(expectation: f64, actual: f64, within: f64, what: &str) {
    assert!((actual / expectation - 1.0).abs() <= within, "{what}: expectation {expectation:e}, actual {actual:e}");
}

/// Of the first dispatch of a run, from its start on every rank to its end on the last.
fn first_dispatch(program: &Program) -> f64 {
    let keep = Keep { ranks: Recording::All, streams: true };
    let outcome = plan::run(program, keep, &plan::Progress::default()).expect("it runs");
    let spans = outcome.streams.iter().filter(|span| span.what == Ran::Dispatch);
    let start = spans.clone().map(|span| span.start).min().expect("it ran");
    let ends = spans.filter(|span| span.start == start).map(|span| span.end);
    ends.max().expect("it ran").since(start).seconds()
}

#[test]
fn balanced_it_takes_its_latency_and_the_slower_ports_bytes() {
    // With 18 links a node the NIC is slower; with one, 25 GB/s and eight receivers of fewer bytes, the scale-up port.
    for (set, slower) in [("gpu.scale-up.links=18", "out"), ("gpu.scale-up.links=1", "up")] {
        let (plan, program) = program(&[BALANCED, set]);
        let value = |key| plan.site.profile.value(key);
        let device = &plan.site.machine.device;
        for kind in [ExchangeKind::Dispatch, ExchangeKind::Combine] {
            let [up, out] = plan.job.policy.exchange.fractions().map(|keys| value(keys[kind as usize]));
            let bytes = 64.0 * BYTES[kind as usize];
            let up = 7.0 * bytes / (device.scale_up_rate().get() * up);
            let out = 8.0 * bytes / (plan.site.machine.node.nic.rate.get() * out);
            assert_eq!(up < out, slower == "out", "{set}: {up} s and {out} s");
            let template = &program.exchanges[0][kind as usize];
            agree(up.max(out), template.alone.get(), 1e-9, set);
            assert!(template.latency.seconds() > value(EstimateKey::DirectLatency), "and the way");
            assert!(template.node_waits.iter().all(|&waits| waits == 0), "nobody waits for a relay");
        }
        let template = &program.exchanges[0][ExchangeKind::Dispatch as usize];
        agree(template.latency.seconds() + template.alone.get(), first_dispatch(&program), 1e-6, "in a step");
    }
}

/// The shares that the engine solves keep the fullest port busy, so the closed form holds where nothing is even.
#[test]
fn uneven_it_takes_what_its_fullest_port_takes() {
    for set in ["traffic.skew=0.0", "traffic.skew=0.5"] {
        for links in ["gpu.scale-up.links=8", "gpu.scale-up.links=1"] {
            let (_, program) = program(&["traffic.samples=1", set, links]);
            let template = &program.exchanges[0][ExchangeKind::Dispatch as usize];
            let expectation = template.latency.seconds() + template.alone.get();
            agree(expectation, first_dispatch(&program), 0.01, &format!("{set} with {links}"));
        }
    }
}

#[test]
fn every_copy_goes_once_and_its_result_comes_back() {
    let (_, program) = program(&["traffic.samples=1", "traffic.skew=0.3"]);
    let batch = &program.pool.as_ref().expect("a mixture of experts").batches()[0];
    let n_ranks = batch.n_ranks();
    let [dispatch, combine] = &program.exchanges[0];
    let count = |near: bool| -> f64 {
        let pairs = (0..n_ranks).flat_map(|rank| (0..n_ranks).map(move |other| (rank, other)));
        let counted = pairs.zip(&batch.copies).filter(|((rank, other), _)| rank != other);
        let counted = counted.filter(|((rank, other), _)| (rank / 8 == other / 8) == near);
        counted.map(|(_, &copies)| f64::from(copies)).sum()
    };
    for (template, bytes) in [dispatch, combine].into_iter().zip(BYTES) {
        agree(count(true) * bytes, template.up_bytes, 1e-12, "within nodes");
        agree(count(false) * bytes, template.out_bytes, 1e-12, "between them");
    }
    for (there, back) in dispatch.flows.iter().zip(&combine.flows) {
        assert_eq!((there.from, there.to, there.up), (back.to, back.from, back.up));
        agree(there.bytes / BYTES[0], back.bytes / BYTES[1], 1e-12, "copies of a message");
    }
}

#[test]
fn planes_that_do_not_meet_are_refused() {
    let direct = ["policy.exchange=direct", BALANCED];
    let lower = |sets: &[&str]| plan::lower(plan(TINY, &[&direct[..], sets].concat()).view());
    let Err(error) = lower(&[]) else { panic!("eight planes, two nodes") };
    let message = error.to_string();
    for part in ["different planes", "`fabric.planes` = 8", "`policy.exchange=forwarded`", "`use.fabric=rail-ft2`"] {
        assert!(message.contains(part), "{message}");
    }
    for sets in [&["fabric.planes=1"][..], &["parallel.ep=8"], &["policy.devices-per-node=1", "cluster.nodes=64"]] {
        assert!(lower(sets).is_ok(), "{sets:?}");
    }
}

#[test]
fn few_tokens_fold_as_many_do() {
    // 8 copies of one token for 16 ranks, 1,032 of 129: not all pairs get as many.
    for tokens in ["job.sequence=129", "job.sequence=1"] {
        let sets = [&TWO_NODES[..], &[BALANCED, tokens]].concat();
        let (folded, whole) = (fly(LAYER, &sets), fly(LAYER, &[&sets[..], &["policy.folding=none"]].concat()));
        agree(whole.seconds(), folded.seconds(), 1e-9, tokens);
        let n = f64::from(whole.outcome.n_simulated);
        agree(whole.outcome.ports.out_bytes, n * folded.outcome.ports.out_bytes, 1e-9, tokens);
        agree(whole.outcome.ports.up_bytes, n * folded.outcome.ports.up_bytes, 1e-9, tokens);
    }
}

#[test]
fn crowded_routes_slow_it() {
    // Leaves of four ports down, all taken: rails meet on four lanes up.
    let four_nodes = ["cluster.nodes=4", "parallel.ep=32", "job.global-batch=32", "fabric.switch-ports=8", BALANCED];
    let rails = |routing: &str| {
        let plan = plan(LAYER, &[&four_nodes[..], &[&format!("policy.routing={routing}")]].concat());
        let program = plan::lower(plan.view()).expect("a preset with patches");
        program.exchanges[0][ExchangeKind::Dispatch as usize].alone.get()
    };
    let (adaptive, ecmp) = (rails("adaptive"), rails("ecmp"));
    assert!(adaptive < ecmp, "expected collisions of hashes to cost, actual {adaptive} and {ecmp} s");
}

#[test]
fn an_engine_leaves_the_sums_to_sms() {
    for (engine, sms) in [("none", 20), ("copy", 10), ("full", 0)] {
        let sets = ["policy.comm-sms=auto", "parallel.ep=8", BALANCED, &format!("gpu.comm-engine={engine}")];
        assert_eq!(plan(LAYER, &sets).job.policy.comm_sms, sms, "{engine}");
    }
}
