//! What follows from a formula, printed as expectation and actual where they part.

use std::collections::BTreeMap;

use calibrate::{CollectiveCall, CollectiveTerm, EstimateKey, GemmTerm, StreamKernel, StreamTerm};
use plan::{Ending, Instruction, Keep, PlanError, Program, Ran, Recording};
use platform::{ExchangeKind, Flow, Kernel, Placement, Platform};
use units::Bytes;
use workloads::op::{Collective, Precision};
use workloads::schedule::{Slot, replay};

use crate::flight::{BALANCED, Flight, TINY, V3, fly, plan};

/// One device, one micro-batch, one stage of a dense model.
const ALONE: [&str; 11] = [
    "cluster.nodes=8",
    "cluster.nodes=1",
    "use.model=llama-3.1-8b",
    // Round estimates: one tile, no limit of power.
    "use.profiles=['h100-published']",
    "framework.implementations.stream=[]",
    "framework.implementations.gemm=[]",
    "model.layers=2",
    "parallel.pp=1",
    "parallel.tp=1",
    "parallel.dp=1",
    "job.global-batch=1",
];

fn alone(sets: &[&str]) -> Flight {
    fly("llama-3.1-405b-8192", &[&ALONE[..], &["policy.schedule=1f1b"], sets].concat())
}

fn agree(expectation: f64, actual: f64, within: f64, what: &str) {
    assert!((actual / expectation - 1.0).abs() <= within, "{what}: expectation {expectation:e}, actual {actual:e}");
}

/// Latency, then the slowest of what it draws.
fn seconds(program: &Program, kernel: &Kernel) -> f64 {
    let memory = kernel.memory / program.resources.rate(program.ranks[0].memory);
    kernel.latency.seconds() + kernel.tensor.max(memory).max(kernel.shortest)
}

#[test]
fn one_stage_and_one_micro_batch_take_the_sum_of_their_kernels() {
    let Flight { program, outcome, plan, .. } = alone(&[]);
    // The host is ahead of the device from the second kernel on.
    let mut sum = plan.site.profile.value(EstimateKey::HostLaunch);
    for slot in &program.slots[0] {
        for instruction in &program.routines[slot.routine as usize].streams[0] {
            if let Instruction::Kernel(kernel) = instruction {
                sum += seconds(&program, &program.kernels[*kernel as usize].kernel);
            }
        }
    }
    for ending in &program.optimizer[0] {
        match ending {
            Ending::Kernel(kernel) => sum += seconds(&program, &program.kernels[*kernel as usize].kernel),
            Ending::Barrier => {}
            Ending::Ring(ring) => panic!("one replica has nothing to reduce: {ring:?}"),
        }
    }
    // A picosecond of rounding a kernel.
    agree(sum, outcome.step.seconds(), 1e-9, "the step");
    assert_eq!(outcome.ports.out_bytes, 0.0);
}

#[test]
fn a_product_takes_its_waves() {
    let flight = alone(&["job.precision=bf16", "policy.logit-pieces=1"]);
    let (device, model) = (&flight.plan.site.machine.device, &flight.plan.job.model);
    let value = |key| flight.plan.site.profile.value(key);
    let tiles = (flight.plan.job.sequence as f64 / 128.0).ceil() * (model.vocabulary as f64 / 128.0).ceil();
    let waves = (tiles / f64::from(device.sms)).ceil();
    // FP32 logits: twice the store of BF16.
    let inner = model.hidden as f64 + 2.0 * value(EstimateKey::Gemm(Precision::Bf16, GemmTerm::Overhead));
    let rate = device.peak_bf16().get() / f64::from(device.sms)
        * value(EstimateKey::Gemm(Precision::Bf16, GemmTerm::Fraction));
    let expectation =
        value(EstimateKey::KernelLatency) + value(EstimateKey::KernelGap) + waves * 2.0 * 128.0 * 128.0 * inner / rate;
    agree(expectation, mean_seconds(&flight, "head"), 1e-9, "logits, bound by arithmetic");
}

#[test]
fn a_norm_takes_its_bytes_and_its_rows() {
    let flight = alone(&[]);
    let value = |key| flight.plan.site.profile.value(key);
    let of_norm = |term| value(EstimateKey::Stream(StreamKernel::Norm, term));
    let rows = flight.plan.job.sequence as f64;
    let bytes = 2.0 * 2.0 * rows * flight.plan.job.model.hidden as f64;
    let peak = flight.plan.site.machine.device.memory_rate().get();
    let own = (bytes + rows * of_norm(StreamTerm::RowBytes)) / (peak * of_norm(StreamTerm::Fraction));
    let together = bytes / (peak * value(EstimateKey::MemoryFraction));
    let one_row = bytes / rows / of_norm(StreamTerm::RowRate);
    let latency =
        value(EstimateKey::KernelLatency) + value(EstimateKey::KernelGap) + of_norm(StreamTerm::Latency) + one_row;
    agree(latency + own.max(together), mean_seconds(&flight, "mlp-norm"), 2e-8, "a norm, bound by memory");
}

/// Mean duration of an op in the forward pass.
fn mean_seconds(flight: &Flight, name: &str) -> f64 {
    let is_it = |op: &plan::OpName| op.name == name && op.pass == workloads::op::Pass::Forward;
    let index = flight.program.ops.iter().position(is_it).expect("the op ran");
    let total = flight.outcome.ops[index];
    total.span.seconds() / total.count as f64
}

#[test]
fn gradients_are_reduced_and_weights_gathered_over_the_node() {
    let flight = alone(&["parallel.dp=8", "job.global-batch=8"]);
    let value = |key| flight.plan.site.profile.value(key);
    let stages = workloads::parallel::stage_layers(&flight.plan.job.model, &flight.plan.job.parallel.stages);
    let params = workloads::step::held_params(&flight.plan.job.model, &flight.plan.job.parallel, &stages).common as f64;
    let port = flight.plan.site.machine.device.scale_up_rate().get();
    let around = |what: Collective, bytes: f64| {
        let value = |term| value(EstimateKey::Collective(what, term));
        let latency = value(CollectiveTerm::Latency) + 6.0 * value(CollectiveTerm::RankLatency);
        let sent = params * bytes * 7.0 / 8.0;
        let (port, copies) = (port * value(CollectiveTerm::Fraction), value(CollectiveTerm::CopyRate));
        let slowest = f64::max(sent / port, params * bytes / copies);
        latency + (slowest.sqrt() + value(CollectiveTerm::Piece).sqrt()).powi(2)
    };
    let rings = [("gradient-reduce", 4.0, Collective::ReduceScatter), ("weight-gather", 2.0, Collective::AllGather)];
    for (name, bytes, what) in rings {
        let index = flight.program.ops.iter().position(|op| op.name == name).expect("it ran");
        agree(around(what, bytes), flight.outcome.ops[index].span.seconds(), 1e-9, name);
    }
}

/// One price: what a step takes for a collective is what a probe of it answers, in a node and over nodes.
#[test]
fn a_collective_takes_in_a_step_what_it_takes_alone() {
    for (sets, n_nodes) in [
        (&["parallel.dp=8", "job.global-batch=8"][..], 1),
        (&["cluster.nodes=8", "parallel.dp=64", "job.global-batch=64"], 8),
    ] {
        let flight = alone(sets);
        let Flight { plan, .. } = &flight;
        let stages = workloads::parallel::stage_layers(&plan.job.model, &plan.job.parallel.stages);
        let params = workloads::step::held_params(&plan.job.model, &plan.job.parallel, &stages).common as f64;
        let placement = Placement::new(&plan.site.machine, plan.site.machine.node.devices);
        let platform = Platform::new(&plan.site.machine, &plan.site.profile, placement, plan.job.policy.routing)
            .expect("a machine");
        let group = platform.group(&[(0..plan.job.parallel.dp).collect()]).expect("a group");
        assert_eq!(group.spread.n_nodes, n_nodes);
        let rings =
            [("gradient-reduce", 4.0, Collective::ReduceScatter), ("weight-gather", 2.0, Collective::AllGather)];
        for (name, bytes, what) in rings {
            let call = CollectiveCall::new(what, Bytes::new(params * bytes));
            let alone =
                plan::collective_alone(&plan.site.machine.device, &plan.site.profile, &call, &group.spread, None);
            let time = alone.expect("it runs").answer.time.get();
            let index = flight.program.ops.iter().position(|op| op.name == name).expect("it ran");
            agree(time, flight.outcome.ops[index].span.seconds(), 1e-9, name);
        }
    }
}

#[test]
fn a_balanced_dispatch_takes_its_remote_tokens_over_the_nic() {
    let folded = plan(V3, &[BALANCED]);
    let mut whole = folded.clone();
    whole.simulation.folding = plan::Folding::None;
    for plan in [folded, whole] {
        let program = plan::lower(plan.view()).expect("the main job");
        let batch = &program.pool.as_ref().expect("a mixture of experts").batches()[0];
        let remote = 7.0 * f64::from(batch.to_node[1]);
        let nic = plan.site.machine.node.nic.rate.get();
        let ways = [
            (ExchangeKind::Dispatch, 7168.0 * (1.0 + 4.0 / 128.0), EstimateKey::DispatchScaleOutFraction),
            (ExchangeKind::Combine, 7168.0 * 2.0, EstimateKey::CombineScaleOutFraction),
        ];
        for (kind, bytes, fraction) in ways {
            let expectation = remote * bytes / (nic * plan.site.profile.value(fraction));
            let actual = program.exchanges[0][kind as usize].alone.get();
            agree(expectation, actual, 1e-3, "dispatch and combine alone");
        }
    }
}

#[test]
fn a_lone_dispatch_in_a_step_takes_as_long_as_alone() {
    let plan = plan(V3, &[BALANCED]);
    let program = plan::lower(plan.view()).expect("the main job");
    let outcome =
        plan::run(&program, Keep { ranks: Recording::OnePerStage, streams: true }, &plan::Progress::default())
            .expect("it runs");
    // The first chunk of the rank in the middle: its neighbors' messages have come, its own have not left.
    let template = &program.exchanges[0][ExchangeKind::Dispatch as usize];
    let first = outcome.streams.iter().find(|span| span.rank == 1 && span.what == Ran::Dispatch).expect("it ran");
    let expectation = template.latency.seconds() + template.alone.get();
    agree(expectation, first.end.since(first.start).seconds(), 1e-6, "the first dispatch of rank 1");
}

#[test]
fn a_combine_goes_back_the_ways_of_its_dispatch() {
    let sets = ["traffic.router=skewed", "traffic.samples=1", "traffic.skew=0.3", "policy.folding=none"];
    let program = plan::lower(plan(TINY, &sets).view()).expect("a preset with patches");
    let [dispatch, combine] = &program.exchanges[0];
    assert_eq!(dispatch.flows.len(), combine.flows.len());
    let (fp8, bf16) = (7168.0 * (1.0 + 4.0 / 128.0), 7168.0 * 2.0);
    for (there, back) in dispatch.flows.iter().zip(&combine.flows) {
        assert_eq!((there.from, there.to, there.up), (back.to, back.from, back.up));
        agree(there.bytes / fp8, back.bytes / bf16, 1e-12, "tokens of a message");
    }
    // Every token that leaves a rank arrives at one: totals by sender and by receiver are one sum.
    let batch = &program.pool.as_ref().expect("a mixture of experts").batches()[0];
    let (n_ranks, n_nodes) = (batch.n_ranks() as usize, 2);
    let remote: u32 = (0..n_ranks).map(|rank| batch.to_node[rank * n_nodes + 1 - rank / 8]).sum();
    agree(f64::from(remote) * fp8, dispatch.out_bytes, 1e-12, "bytes over the network");
}

#[test]
fn a_step_sends_what_its_layers_send() {
    for folding in ["auto", "none"] {
        let Flight { plan, program, outcome } = fly(TINY, &[BALANCED, &format!("policy.folding={folding}")]);
        let layers = f64::from(plan.job.model.layers - plan.job.model.experts.as_ref().expect("experts").first_dense);
        // Forward and backward, of every micro-batch, on every group that is simulated.
        let times = 2.0 * layers * f64::from(program.n_micro_batches) * f64::from(program.n_columns);
        let [dispatch, combine] = &program.exchanges[0];
        let sent = |of: fn(&Flow) -> bool| -> f64 {
            let flows = dispatch.flows.iter().chain(&combine.flows).filter(|flow| of(flow));
            flows.map(|flow| flow.bytes * f64::from(flow.copies)).sum()
        };
        agree(times * sent(|flow| !flow.up), outcome.ports.out_bytes, 1e-9, "the network");
        agree(times * sent(|flow| flow.up), outcome.ports.up_bytes, 1e-9, "the scale-up fabric");
    }
}

/// Stages of one dense layer each: all chunks cost the same but for the ends, which long sequences make small.
fn even_pipeline(schedule: &str) -> Flight {
    let sets = [
        "model.layers=8",
        "model.vocabulary=128",
        "parallel.pp=8",
        "job.global-batch=16",
        "job.sequence=65536",
        // Messages that take no time: a stage a node.
        "gpu.scale-up.links=65536",
    ];
    alone(&[&sets[..], &[&format!("policy.schedule={schedule}")]].concat())
}

/// Mean duration of the chunks of a kind on the fourth rank, which holds a layer and nothing else.
fn chunk(flight: &Flight, of: fn(&Slot) -> bool) -> f64 {
    let chunks = &flight.outcome.chunks;
    let spans = chunks.iter().filter(|chunk| chunk.rank == 3 && chunk.slot.as_ref().is_some_and(of));
    let spans: Vec<f64> = spans.map(|span| span.end.since(span.start).seconds()).collect();
    spans.iter().sum::<f64>() / spans.len() as f64
}

/// When the last chunk of any rank ends.
fn end(flight: &Flight) -> f64 {
    flight.outcome.ranks.iter().map(|rank| rank.last.seconds()).fold(0.0, f64::max)
}

#[test]
fn bubbles_of_even_stages_are_the_published_ones() {
    let (n, pp) = (16.0, 8.0);
    let flight = even_pipeline("1f1b");
    let f = chunk(&flight, |slot| matches!(slot, Slot::Forward(_)));
    let b = chunk(&flight, |slot| matches!(slot, Slot::Backward(_)));
    agree((pp - 1.0) * (f + b), end(&flight) - n * (f + b), 0.03, "1F1B: (PP-1)(F+B)");

    let flight = even_pipeline("zb1p");
    let f = chunk(&flight, |slot| matches!(slot, Slot::Forward(_)));
    let input = chunk(&flight, |slot| matches!(slot, Slot::BackwardInput(_)));
    let w = chunk(&flight, |slot| matches!(slot, Slot::Weight(_)));
    agree((pp - 1.0) * (f + input - w), end(&flight) - n * (f + input + w), 0.03, "ZB1P: (PP-1)(F+B-2W)");

    let flight = even_pipeline("zb2p");
    let f = chunk(&flight, |slot| matches!(slot, Slot::Forward(_)));
    let input = chunk(&flight, |slot| matches!(slot, Slot::BackwardInput(_)));
    let w = chunk(&flight, |slot| matches!(slot, Slot::Weight(_)));
    let expectation = (pp - 1.0) * f.max(f + input - 2.0 * w);
    agree(expectation, end(&flight) - n * (f + input + w), 0.03, "ZB2P: (PP-1) max(F, F+B-3W)");
}

/// The engine and the replay of the schedule alone agree on what every chunk waits for.
#[test]
fn a_step_is_the_replay_of_its_chunks() {
    for schedule in ["1f1b", "gpipe", "zb1p", "zb2p", "interleaved", "dual-pipe", "dual-pipe-v"] {
        let instant = [
            "gpu.scale-up.links=65536",
            "node.nic.rate='1000000 Gbit/s'",
            "fabric.link-rate='1000000 Gbit/s'",
            "node.host.pcie-rate='1000000 GB/s'",
            "job.global-batch=256",
        ];
        let flight = fly(TINY, &[&[BALANCED, &format!("policy.schedule={schedule}")], &instant[..]].concat());
        let (plan, n) = (&flight.plan, flight.program.n_micro_batches);
        let spans: BTreeMap<(u32, Slot), f64> = flight
            .outcome
            .chunks
            .iter()
            .filter_map(|chunk| Some(((chunk.rank, chunk.slot?), chunk.end.since(chunk.start).seconds())))
            .collect();
        let slots = plan.job.policy.schedule.slots(plan.job.parallel.pp, n).expect("it was laid out before");
        let cost = |rank: u32, slot: &Slot| spans[&(rank, *slot)];
        let replayed =
            replay(&slots, plan.job.policy.schedule, plan.job.parallel.pp, &cost).expect("a schedule that ran");
        // Microseconds of latency a message remain.
        agree(replayed.makespan, end(&flight), 2e-3, schedule);
    }
}

#[test]
fn memory_that_fits_and_memory_that_does_not() {
    let plan = plan(V3, &[]);
    let pool = plan::sample(plan.view()).expect("it can be sampled");
    let ranks = plan::check_memory(plan.view(), pool.as_ref()).expect("the published job did fit");
    assert_eq!(ranks.len(), 16);
    for rank in &ranks {
        agree(rank.items.iter().map(|(_, bytes)| bytes.get()).sum(), rank.total.get(), 1e-12, "a rank's items");
        agree(5.0 * 16.0 * 1024_f64.powi(3), rank.capacity.get(), 1e-12, "five stacks of 16 GiB");
    }
    // FP32 gradients: two stages of four layers of four experts each on an inner rank, by hand.
    let item = |rank: usize, name: &str| {
        ranks[rank].items.iter().find(|(item, _)| *item == name).map_or(0.0, |(_, bytes)| bytes.get())
    };
    let experts = 8.0 * 4.0 * 3.0 * 7168.0 * 2048.0;
    let shared = 8.0 * 3.0 * 7168.0 * 2048.0;
    let latent = 7168.0 * (1536.0 + 576.0) + 1536.0 * 24576.0 + 512.0 * 32768.0 + 16384.0 * 7168.0;
    agree(4.0 * (experts + shared + 8.0 * latent), item(5, "gradients"), 0.01, "gradients of rank 5");

    let mut small = plan.clone();
    small.site.machine.device.memory.capacity_per_stack = units::Bytes::new(8.0 * 1024_f64.powi(3));
    match plan::check_memory(small.view(), pool.as_ref()) {
        Err(PlanError::Memory { rank, needed, capacity, table }) => {
            assert!(needed > capacity && table[rank as usize].total == needed && table.len() == 16);
            assert!(table.iter().all(|row| row.total <= needed), "the fullest rank is named");
        }
        other => panic!("expected a refusal, actual {other:?}"),
    }
}
