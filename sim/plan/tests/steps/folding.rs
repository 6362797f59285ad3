//! One rank that stands for many: equal to the bit where all are alike, close and told where they are not.

use plan::PlanError;

use crate::flight::{BALANCED, Flight, TINY, V3, fly, plan, run};

const UNFOLDED: &str = "policy.folding=none";
/// DeepSeek-V3 cut to 64 devices: 256 experts on 16 ranks of two nodes, MTP, both heads, pairs and lone chunks.
const V3_SMALL: [&str; 6] = [
    "use.cluster=h800-64-mpft",
    "model.layers=15",
    "parallel.pp=4",
    "parallel.ep=16",
    "job.global-batch=320",
    "policy.memory-reserved='0 GiB'",
];

/// Step, phases and last chunks of the folded run times replicas are those of the unfolded one.
fn equal_to_the_bit(scenario: &str, sets: &[&str]) {
    let folded = fly(scenario, sets);
    let whole = fly(scenario, &[sets, &[UNFOLDED]].concat());
    let n = u64::from(whole.outcome.n_simulated);
    assert_eq!((folded.outcome.n_simulated, n), (1, u64::from(whole.program.layout.per_stage)), "{sets:?}");
    assert_eq!(folded.outcome.step, whole.outcome.step, "{scenario} with {sets:?}");
    for (rank, (one, all)) in folded.outcome.ranks.iter().zip(&whole.outcome.ranks).enumerate() {
        for ((label, one), (_, all)) in one.phases.iter().zip(all.phases.iter()) {
            assert_eq!(one * n, all, "{scenario} with {sets:?}: pipeline rank {rank}, {label:?}");
        }
        let summed = [all.compute, all.transferred];
        assert_eq!(
            [one.compute, one.transferred].map(|span| span * n),
            summed,
            "{scenario} with {sets:?}: pipeline rank {rank}"
        );
        assert_eq!(one.last, all.last, "{scenario} with {sets:?}: pipeline rank {rank}");
    }
    // Bytes of the network to rounding: sums run in another order.
    let ratio = whole.outcome.ports.out_bytes / (folded.outcome.ports.out_bytes * n as f64).max(f64::MIN_POSITIVE);
    assert!(whole.outcome.ports.out_bytes == 0.0 || (ratio - 1.0).abs() < 1e-9, "{sets:?}: bytes differ by {ratio}");
}

#[test]
fn balanced_experts_fold_to_the_bit() {
    for set in ["parallel.ep=16", "parallel.ep=8", "parallel.ep=4", "parallel.ep=1", "parallel.tp=2", "parallel.cp=2"] {
        equal_to_the_bit(TINY, &[BALANCED, set]);
    }
    equal_to_the_bit(TINY, &[BALANCED, "parallel.pp=2", "policy.schedule=1f1b"]);
    equal_to_the_bit(V3, &[&V3_SMALL[..], &[BALANCED]].concat());
}

#[test]
fn direct_exchanges_fold_to_the_bit() {
    for set in ["parallel.ep=16", "parallel.ep=8", "parallel.ep=4", "gpu.comm-engine=copy", "policy.routing=ecmp"] {
        equal_to_the_bit(TINY, &[BALANCED, "policy.exchange=direct", "fabric.planes=1", set]);
    }
}

#[test]
fn every_schedule_folds_to_the_bit() {
    for schedule in ["1f1b", "gpipe", "zb1p", "zb2p", "interleaved", "dual-pipe", "dual-pipe-v"] {
        equal_to_the_bit(TINY, &[BALANCED, "job.global-batch=256", &format!("policy.schedule={schedule}")]);
    }
    equal_to_the_bit(TINY, &[BALANCED, "policy.point-to-point=waited"]);
    equal_to_the_bit(TINY, &[BALANCED, "policy.routing=ecmp", "fabric.planes=1"]);
    equal_to_the_bit(TINY, &[BALANCED, "gpu.comm-engine=copy"]);
}

#[test]
fn dense_models_fold_to_the_bit() {
    let small = ["use.cluster=h800-64-mpft", "use.model=llama-3.1-8b", "parallel.pp=4", "job.global-batch=64"];
    for degrees in
        [["parallel.tp=4", "parallel.cp=1"], ["parallel.tp=2", "parallel.cp=2"], ["parallel.tp=1", "parallel.cp=8"]]
    {
        equal_to_the_bit("llama-3.1-405b-8192", &[&small[..], &degrees].concat());
    }
}

/// A folded rank has the load of its group's slowest in every layer; slack that a faster one would give to the next
/// layer is not seen. So folding is a little pessimistic, by a difference that must stay small.
#[test]
#[expect(clippy::print_stdout, reason = "the difference is to be read, not only bounded")]
fn uneven_experts_fold_within_two_percent() {
    for (skew, exchange) in [("0.05", "forwarded"), ("0.13", "forwarded"), ("0.13", "direct")] {
        let sets = [
            "traffic.router=skewed",
            "traffic.samples=8",
            "fabric.planes=1",
            &format!("traffic.skew={skew}"),
            &format!("policy.exchange={exchange}"),
        ];
        let (folded, whole) = (fly(TINY, &sets), fly(TINY, &[&sets[..], &[UNFOLDED]].concat()));
        let difference = folded.seconds() / whole.seconds() - 1.0;
        println!(
            "skew {skew}: folded {} s, unfolded {} s: {:+.2} %",
            folded.seconds(),
            whole.seconds(),
            100.0 * difference
        );
        assert!((-0.002..0.02).contains(&difference), "skew {skew}: expected 0 to 2 %, actual {difference}");
    }
}

#[test]
fn uneven_experts_fold_with_the_bytes_they_send() {
    let sets = ["traffic.router=skewed", "traffic.samples=2", "traffic.skew=0.3"];
    let (folded, whole) = (fly(TINY, &sets), fly(TINY, &[&sets[..], &[UNFOLDED]].concat()));
    let n = f64::from(whole.outcome.n_simulated);
    for (one, all) in [
        (folded.outcome.ports.out_bytes, whole.outcome.ports.out_bytes),
        (folded.outcome.ports.up_bytes, whole.outcome.ports.up_bytes),
    ] {
        assert!((one * n / all - 1.0).abs() < 1e-9, "expected {all:e} bytes, actual {:e}", one * n);
    }
}

#[test]
#[expect(clippy::print_stdout, reason = "the difference is to be read, not only bounded")]
fn the_step_is_stable_against_the_size_of_the_pool() {
    let step = |samples: u32, seed: u32| {
        let pool = [format!("traffic.samples={samples}"), format!("traffic.seed={seed}")];
        fly(TINY, &["traffic.router=skewed", "traffic.skew=0.13", &pool[0], &pool[1]]).seconds()
    };
    let seeds = 0..6;
    let large: Vec<f64> = seeds.clone().map(|seed| step(32, seed)).collect();
    let mean = large.iter().sum::<f64>() / large.len() as f64;
    for (seed, of_32) in seeds.zip(large) {
        let of_8 = step(8, seed);
        println!("seed {seed}: {of_8} s from 8 batches, {of_32} s from 32");
        assert!((of_32 / mean - 1.0).abs() < 0.01, "seed {seed}: {of_32} s of {mean} s");
        assert!((of_8 / mean - 1.0).abs() < 0.02, "seed {seed}: {of_8} s of {mean} s");
    }
}

#[test]
fn folding_does_not_hide_what_cannot_be_placed() {
    for folding in [plan::Folding::Auto, plan::Folding::None] {
        let mut plan = plan(TINY, &[BALANCED]);
        plan.simulation.folding = folding;
        plan.job.parallel.ep = 12;
        plan.job.parallel.dp = 12;
        let error = run(plan).map(|flight: Flight| flight.outcome.step);
        assert!(matches!(error, Err(PlanError::Placement { .. } | PlanError::Contradiction(_))), "{error:?}");
    }
}
