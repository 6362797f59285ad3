//! How long a training step takes to lower and to run: the main job folded, and small jobs with every rank.
//!
//! Elements are tasks of the engine, so the rate is the engine's throughput with this driver on top.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use plan::{Keep, Plan, Progress, Recording, lower, run};
use scenario::Library;

const KEEP: Keep = Keep { ranks: Recording::OnePerStage, streams: false };

fn plan(scenario: &str, sets: &[&str]) -> Plan {
    let sets: Vec<String> = sets.iter().map(|&set| set.to_owned()).collect();
    scenario::load(scenario, &sets, &Library::built_in()).expect("a preset with patches").plan
}

/// Lowering DeepSeek-V3, which samples the traffic.
fn lowering(c: &mut Criterion) {
    let mut group = c.benchmark_group("lower deepseek-v3-2048");
    group.sample_size(10);
    for router in ["balanced", "learned-bias"] {
        let plan = plan("deepseek-v3-2048", &[&format!("traffic.router={router}")]);
        group.bench_with_input(BenchmarkId::from_parameter(router), &plan, |b, plan| {
            b.iter(|| lower(black_box(plan).train().expect("a training job")))
        });
    }
    group.finish();
}

/// Running DeepSeek-V3 with one rank a stage.
fn folded(c: &mut Criterion) {
    let mut group = c.benchmark_group("run deepseek-v3-2048, folded");
    group.sample_size(10);
    for router in ["balanced", "learned-bias"] {
        let program =
            lower(plan("deepseek-v3-2048", &[&format!("traffic.router={router}")]).train().expect("a training job"))
                .expect("the main job");
        group
            .throughput(Throughput::Elements(run(&program, KEEP, &Progress::default()).expect("the main job").n_tasks));
        group.bench_with_input(BenchmarkId::from_parameter(router), &program, |b, program| {
            b.iter(|| run(black_box(program), KEEP, &Progress::default()));
        });
    }
    group.finish();
}

/// Every rank of a small job; 64 ranks are one column of four stages, 512 are eight of them.
fn unfolded(c: &mut Criterion) {
    let mut group = c.benchmark_group("run tiny-moe, every rank");
    group.sample_size(10);
    for (n_ranks, nodes) in [(64, 8), (512, 64)] {
        let sets = [
            "policy.folding=none".to_owned(),
            "traffic.router=skewed".to_owned(),
            format!("cluster.nodes={nodes}"),
            format!("job.global-batch={}", n_ranks / 4 * 10),
        ];
        let plan = plan("tiny-moe", &sets.each_ref().map(String::as_str));
        let program = lower(plan.train().expect("a training job")).expect("a preset with patches");
        let n_tasks = run(&program, KEEP, &Progress::default()).expect("a preset with patches").n_tasks;
        group.throughput(Throughput::Elements(n_tasks));
        group.bench_with_input(BenchmarkId::from_parameter(n_ranks), &program, |b, program| {
            b.iter(|| run(black_box(program), KEEP, &Progress::default()));
        });
    }
    group.finish();
}

criterion_group!(benches, lowering, folded, unfolded);
criterion_main!(benches);
