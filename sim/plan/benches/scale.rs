//! How long whole steps of many ranks take on one core: DeepSeek-V3 on 2,048 and on 16,384 H800s, one rank for all and every
//! rank.
//!
//! Every rank takes minutes: ask for one by name, as in `cargo bench -p plan --bench scale -- "folded"`. Where 16,384 ranks are
//! simulated each, they run a quarter of the micro-batches.

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, SamplingMode, criterion_group, criterion_main};
use plan::{Keep, Plan, Progress, Recording, lower, run};
use rayon::{ThreadPool, ThreadPoolBuilder};
use scenario::Library;

const KEEP: Keep = Keep { ranks: Recording::OnePerStage, streams: false };
/// Sixteen pipeline ranks, so as many replicas as a sixteenth of the ranks.
const N_STAGES: u32 = 16;

fn plan(n_ranks: u32, micro_batches: u32, folding: &str) -> Plan {
    let sets = [
        format!("cluster.nodes={}", n_ranks / 8),
        format!("job.global-batch={}", n_ranks / N_STAGES * micro_batches),
        format!("policy.folding={folding}"),
    ];
    scenario::load("deepseek-v3-2048", &sets, &Library::built_in()).expect("a preset with patches").plan
}

fn one_core() -> ThreadPool {
    ThreadPoolBuilder::new().num_threads(1).build().expect("a thread")
}

fn steps(c: &mut Criterion) {
    let core = one_core();
    let mut group = c.benchmark_group("a step on one core");
    group.sample_size(10).sampling_mode(SamplingMode::Flat).measurement_time(Duration::from_secs(1));
    for (n_ranks, name, micro_batches, folding) in [
        (2_048, "2,048 ranks, folded", 120, "auto"),
        (16_384, "16,384 ranks, folded", 120, "auto"),
        (2_048, "2,048 ranks, every rank", 120, "none"),
        (16_384, "16,384 ranks, every rank, 32 micro-batches", 32, "none"),
    ] {
        let plan = plan(n_ranks, micro_batches, folding);
        let program = core.install(|| lower(plan.train().expect("a training job"))).expect("a preset with patches");
        group.bench_with_input(BenchmarkId::from_parameter(name), &program, |b, program| {
            b.iter(|| core.install(|| run(black_box(program), KEEP, &Progress::default())));
        });
    }
    group.finish();
}

criterion_group!(benches, steps);
criterion_main!(benches);
