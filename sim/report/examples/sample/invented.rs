//! An invented run.

use std::collections::BTreeMap;

use report::{
    Common, Comparison, Cost, Counted, Energy, JobResult, LinkRow, MemoryRow, OpRow, Phase, Phases, Span, SpanKind,
    StepResult, Summary, Timeline, Track, TrainingCost, Variant, VariantResult,
};
use topology::{Picture, PictureBox, PictureLine};

const N_RANKS: usize = 16;
const N_PAIRS: usize = 104;

/// Chunks as a bidirectional pipeline orders them, roughly: lone forwards, pairs, backwards, weight gradients.
pub(crate) fn timeline() -> Timeline {
    let mut lanes = Vec::new();
    for rank in 0..N_RANKS {
        let depth = rank.min(N_RANKS - 1 - rank);
        let slow = if rank == 0 || rank == N_RANKS - 1 { 0.93 } else { 1.0 };
        let mut chunks = Chunks { at: 0.045 * depth as f64, spans: Vec::new() };
        let lone = N_RANKS - 2 * depth;
        for index in 0..lone {
            chunks.push(SpanKind::Forward, format!("F {index}"), 0.052 * slow, 0.012);
        }
        for index in 0..N_PAIRS {
            chunks.push(SpanKind::Overlapped, format!("F {} B {index}", index + lone), 0.139 * slow, 0.004);
            if index % 20 == 19 {
                chunks.push(SpanKind::WeightGradient, format!("W {index}"), 0.035, 0.0);
            }
        }
        for index in 0..N_RANKS - depth {
            chunks.push(SpanKind::Backward, format!("B {}", N_PAIRS + index), 0.098 * slow, 0.03);
            if index % 2 == 0 {
                chunks.push(SpanKind::WeightGradient, format!("W {}", N_PAIRS + index), 0.04, 0.0);
            }
        }
        chunks.at = chunks.at.max(19.2);
        chunks.push(SpanKind::Optimizer, "optimizer".into(), 0.29, 0.0);
        let process = format!("rank {rank} (stage {rank})");
        let streams = streams(&chunks.spans);
        lanes.push(Track { process: process.clone(), thread: "chunks".into(), spans: chunks.spans });
        for (thread, spans) in ["compute", "communication"].into_iter().zip(streams) {
            lanes.push(Track { process: process.clone(), thread: thread.into(), spans });
        }
    }
    Timeline { lanes }
}

struct Chunks {
    at: f64,
    spans: Vec<Span>,
}

impl Chunks {
    fn push(&mut self, kind: SpanKind, name: String, seconds: f64, gap: f64) {
        self.spans.push(Span { name, kind, start: self.at, end: self.at + seconds });
        self.at += seconds + gap;
    }
}

/// Compute and communication of every overlapped pair, by shares of its time.
fn streams(chunks: &[Span]) -> [Vec<Span>; 2] {
    use SpanKind::{Memory, Tensor, Transfer, Wait};
    let compute = [
        ("attention.forward", Tensor, 0.16),
        ("norm", Memory, 0.02),
        ("experts.backward", Tensor, 0.19),
        ("swiglu", Memory, 0.03),
        ("weight gradient", Tensor, 0.14),
        ("", Wait, 0.04),
        ("experts.forward", Tensor, 0.15),
        ("attention.backward", Tensor, 0.2),
        ("cast", Memory, 0.03),
    ];
    let communication = [
        ("combine.backward", Transfer, 0.2),
        ("wait", Wait, 0.05),
        ("dispatch.forward", Transfer, 0.21),
        ("", Wait, 0.02),
        ("dispatch.backward", Transfer, 0.24),
        ("combine.forward", Transfer, 0.22),
    ];
    let mut streams = [Vec::new(), Vec::new()];
    for chunk in chunks.iter().filter(|chunk| chunk.kind == SpanKind::Overlapped) {
        for (stream, ops) in streams.iter_mut().zip([&compute[..], &communication[..]]) {
            let mut share = 0.0;
            for &(name, kind, length) in ops {
                let at = |share: f64| chunk.start + (chunk.end - chunk.start) * share;
                let span = Span { name: name.into(), kind, start: at(share), end: at(share + length) };
                if !name.is_empty() {
                    stream.push(span);
                }
                share += length;
            }
        }
    }
    streams
}

/// Kinds of chunk in the order in which they are shown.
const KINDS: [(&str, SpanKind); 5] = [
    ("forward", SpanKind::Forward),
    ("overlapped", SpanKind::Overlapped),
    ("backward", SpanKind::Backward),
    ("weight_gradient", SpanKind::WeightGradient),
    ("optimizer", SpanKind::Optimizer),
];

fn phases(spans: &[Span], step: f64) -> Phases {
    let of = |kind| spans.iter().filter(|span| span.kind == kind).map(|span| span.end - span.start).sum();
    let mut phases = Phases(KINDS.map(|(name, kind)| Phase { name, kind: Some(kind), seconds: of(kind) }).into());
    phases.0.push(Phase { name: "bubble", kind: None, seconds: step - phases.sum() });
    phases
}

/// Means over pipeline ranks, phase by phase.
fn mean(ranks: &[Phases]) -> Phases {
    let mean = |phase: &Phase| {
        let sum: f64 = ranks.iter().map(|phases| phases.of(phase.name)).sum();
        Phase { seconds: sum / ranks.len() as f64, ..*phase }
    };
    Phases(ranks[0].0.iter().map(mean).collect())
}

/// Numbers that go with the timeline.
pub(crate) fn summary(timeline: &Timeline) -> Summary {
    let step_seconds = timeline.end();
    let chunks = timeline.lanes.iter().filter(|lane| lane.thread == "chunks");
    let phases_by_rank: Vec<Phases> = chunks.map(|lane| phases(&lane.spans, step_seconds)).collect();
    let memory_by_rank: Vec<MemoryRow> = (0..N_RANKS as u32).map(memory_row).collect();
    let common = Common {
        name: "DeepSeek-V3 on 2,048 H800 (an invented sample)".into(),
        digest: "5f1d0e7c2ab94a3d8c6b".into(),
        n_ranks: 2048,
        n_ranks_simulated: 16,
        n_tasks: 1_093_412,
        phases: mean(&phases_by_rank),
        phases_by_rank,
        memory_bytes_max: Some(memory_by_rank.iter().map(|row| row.total).fold(0.0, f64::max)),
        memory_by_rank,
        basis: "assumed".into(),
        basis_shares: shares(&[("published", 0.61), ("interpolated", 0.17), ("assumed", 0.22)]),
        binding: "tensor_cores".into(),
        binding_shares: shares(&[
            ("tensor_cores", 0.58),
            ("memory", 0.14),
            ("all_to_all", 0.11),
            ("bubble", 0.103),
            ("kernel_latency", 0.067),
        ]),
        ops: ops(),
        links: links(),
        cost: Cost {
            cluster_usd: 70e6,
            usd_per_device: 34_000.0,
            network_usd: 8e6,
            network_usd_per_endpoint: 3_900.0,
            training: Some(TrainingCost {
                usd_per_trillion_tokens: 200_000.0,
                electricity_usd_per_trillion_tokens: 20_000.0,
                rental_usd_per_trillion_tokens: 352_800.0,
            }),
            run: None,
        },
        energy: Energy { power_watts: 2.9e6, pue: 1.2, mwh_per_trillion_tokens: Some(300.0), mwh: None },
        notes: vec![
            "logits are computed in 4 pieces: in one, rank 15 would not fit".into(),
            "folded to one rank a stage with the slowest load of its group; unfolded differs by 0.03 %".into(),
        ],
    };
    Summary { common, result: JobResult::Step(result(step_seconds)), ..Summary::default() }
}

fn result(step_seconds: f64) -> StepResult {
    StepResult {
        step_seconds,
        interval: [step_seconds * 0.9, step_seconds * 1.11],
        nearest: None,
        tokens_per_day: 278.7e9,
        tflops_per_gpu: Counted { causal: 393.0, non_causal: 441.0 },
        mfu: Counted { causal: 0.397, non_causal: 0.446 },
        gpu_hours_per_trillion_tokens: 176_400.0,
        framework: "megatron".to_owned(),
        sharding: "zero-1".to_owned(),
        dispatcher: None,
        categories: Vec::new(),
        exposed_communication_seconds: 0.91,
        all_to_all_waited_seconds: 0.62,
        all_to_all_transferred_seconds: 12.4,
        load_cv: 0.065,
        sampling_error: 0.0004,
        scheduling_anomaly: 0.002,
    }
}

fn shares(parts: &[(&str, f64)]) -> BTreeMap<String, f64> {
    parts.iter().map(|(name, share)| ((*name).to_owned(), *share)).collect()
}

fn memory_row(rank: u32) -> MemoryRow {
    let gibibyte = f64::from(1 << 30);
    let depth = f64::from(rank.min(N_RANKS as u32 - 1 - rank));
    let parts = [
        ("activations", 30.5 - depth * 0.7),
        ("gradients", 11.4),
        ("weights", 8.6),
        ("optimizer states", 6.9),
        ("communication buffers", 4.2),
        ("logits", if rank == 15 { 3.9 } else { 0.0 }),
    ];
    let items: Vec<(String, f64)> = parts.iter().map(|(name, gib)| ((*name).to_owned(), gib * gibibyte)).collect();
    let total = items.iter().map(|(_, bytes)| bytes).sum();
    MemoryRow { rank, items, total, capacity: 80.0 * gibibyte }
}

fn ops() -> Vec<OpRow> {
    let rows = [
        ("combine", "input-gradient", 480.0, 6.2e-3, "scale-out", "published"),
        ("attention.core", "input-gradient", 480.0, 3.1e-3, "tensor", "published"),
        ("experts.gate-up", "forward", 480.0, 1.8e-3, "tensor", "published"),
        ("experts.down", "weight-gradient", 480.0, 1.7e-3, "memory", "assumed"),
        ("attention.output", "weight-gradient", 480.0, 1.5e-3, "tensor", "interpolated"),
        ("attention.core", "forward", 480.0, 1.24e-3, "tensor", "published"),
        ("attention.output", "forward", 480.0, 0.9e-3, "tensor", "published"),
        ("swiglu", "recompute", 480.0, 0.32e-3, "memory", "assumed"),
        ("gate", "forward", 480.0, 0.05e-3, "latency", "assumed"),
        ("router.bias", "update", 4.0, 0.01e-3, "latency", "assumed"),
    ];
    let row = |(op, pass, count, seconds_each, binding, basis): (&str, &str, f64, f64, &str, &str)| OpRow {
        op: op.into(),
        pass: pass.into(),
        count,
        seconds_each,
        seconds: count * seconds_each,
        binding: binding.into(),
        basis: basis.into(),
    };
    rows.into_iter().map(row).collect()
}

fn links() -> Vec<LinkRow> {
    let rows = [("scale_up_send", 2048, 9.1e15, 0.21, 0.24), ("scale_out_send", 2048, 3.2e15, 0.31, 0.38)];
    let more = [("leaf to spine", 4096, 2.6e15, 0.12, 0.29), ("host", 2048, 8.0e13, 0.004, 0.004)];
    let row = |(kind, count, bytes, utilization_mean, utilization_max): (&str, u64, f64, f64, f64)| LinkRow {
        kind: kind.into(),
        count,
        bytes,
        utilization_mean,
        utilization_max,
    };
    rows.into_iter().chain(more).map(row).collect()
}

/// Other ways to lay the layers out.
pub(crate) fn variants(summary: &Summary) -> Vec<Variant> {
    let variant = |name: &str, factor: f64| {
        let mut phases = summary.common.phases.clone();
        phases.0.iter_mut().filter(|phase| phase.kind.is_none()).for_each(|phase| phase.seconds *= factor);
        Variant { name: name.into(), result: VariantResult::Ran { step_seconds: phases.sum(), phases } }
    };
    let reason = "pipeline rank 3 needs 91 GiB, its device has 80 GiB".to_owned();
    let failed = Variant { name: "all layers on the first stage".into(), result: VariantResult::Failed(reason) };
    vec![variant("layers spread evenly", 0.55), variant("one layer fewer on the last stage", 1.21), failed]
}

/// A few published figures.
pub(crate) fn comparisons(summary: &Summary) -> Vec<Comparison> {
    let row = |quantity: &str, unit: &str, published: f64, simulated: f64, source: &str| Comparison {
        id: quantity.replace(' ', "-"),
        family: "invented".into(),
        quantity: quantity.into(),
        unit: unit.into(),
        published,
        simulated,
        source: source.into(),
        key: None,
        used: false,
    };
    let (table, trace) = ("ISCA 2025, arXiv:2505.09343, Table 4", "deepseek-ai/profile-data, train.json");
    vec![
        row("time per step", "s", 20.5, summary.seconds(), table),
        row("bubble", "s", 2.06, summary.common.phases.of("bubble"), table),
        row("optimizer", "s", 0.29, summary.common.phases.of("optimizer"), table),
        row("attention forward", "us", 4599.0, 4301.0, trace),
        row("dispatch forward", "us", 6738.0, 5120.0, trace),
    ]
}

/// 256 nodes of eight devices, each device and NIC in a plane of its own.
pub(crate) fn picture() -> Picture {
    let mut boxes = vec![PictureBox { label: "scale-up switches".into(), tier: 0, column: 0, span: 8, count: 256 }];
    let rows = [("device", 256), ("NIC", 256), ("leaf of plane", 8), ("spine of plane", 4)];
    for (tier, (name, count)) in (1..).zip(rows) {
        let column = |column| PictureBox { label: format!("{name} {column}"), tier, column, span: 1, count };
        boxes.extend((0..8).map(column));
    }
    let mut lines = Vec::new();
    for column in 0..8 {
        lines.push(PictureLine { from: 0, to: 1 + column, n_wires: 256, label: "200 GB/s".into() });
        for (tier, label) in ["64 GB/s", "50 GB/s", "50 GB/s"].into_iter().enumerate() {
            let from = 1 + tier * 8 + column;
            lines.push(PictureLine { from, to: from + 8, n_wires: 256, label: label.into() });
        }
    }
    let tiers = vec!["scale-up switches", "devices", "NICs", "leaves", "spines"];
    Picture { n_columns: 8, tiers, boxes, lines }
}
