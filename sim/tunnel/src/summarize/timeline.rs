//! Intervals for pictures and traces.

use std::collections::BTreeMap;

use plan::{ChunkSpan, Ran, Recording, StreamSpan};
use report::{Span, SpanKind, Timeline, Track};
use units::SimTime;
use workloads::schedule::Slot;

use super::FinishedRun;

/// A timeline, and what it leaves out.
#[derive(Debug)]
pub struct Recorded {
    /// The intervals.
    pub timeline: Timeline,
    /// What they leave out.
    pub note: String,
}

/// Chunks of every recorded rank; kernels and all-to-alls of the first, the middle and the last pipeline rank, as those
/// of all would make a trace too large to open.
#[must_use]
pub fn timeline(run: &FinishedRun<'_>) -> Recorded {
    let mut lanes = BTreeMap::new();
    for chunk in &run.outcome.chunks {
        let lane = lanes.entry((chunk.rank, chunk.replica, 0)).or_insert_with(Vec::new);
        lane.push(span(chunk_name(chunk), chunk_kind(chunk), chunk.start, chunk.end));
    }
    let near = near(run.program.layout.pp);
    for stream in run.outcome.streams.iter().filter(|stream| stream.replica == 0 && near.contains(&stream.rank)) {
        let (name, kind) = ran(run, stream);
        if kind != SpanKind::Wait || stream.end > stream.start {
            let lane = lanes.entry((stream.rank, stream.replica, 1 + stream.stream)).or_insert_with(Vec::new);
            lane.push(span(name, kind, stream.start, stream.end));
        }
    }
    let lane = |((rank, replica, thread), mut spans): ((u32, u32, u8), Vec<Span>)| {
        spans.sort_by(|a, b| a.start.total_cmp(&b.start).then(a.end.total_cmp(&b.end)));
        let thread = ["chunks", "compute", "communication", "side", "gathers", "reductions", "tensor"]
            [usize::from(thread)]
        .to_owned();
        Track { process: process(run, rank, replica), thread, spans }
    };
    let timeline = Timeline { lanes: lanes.into_iter().map(lane).collect() };
    let ranks: Vec<String> = near.iter().map(u32::to_string).collect();
    let note = match run.plan.simulation.record {
        Recording::None => "the trace has the end of the step alone (`policy.record`)".to_owned(),
        Recording::OnePerStage | Recording::All => format!(
            "the trace has the chunks of every recorded rank, and kernels and all-to-alls of pipeline ranks {}",
            ranks.join(", ")
        ),
    };
    Recorded { timeline, note }
}

/// Pipeline ranks whose streams are shown.
fn near(pp: u32) -> Vec<u32> {
    let mut ranks = vec![0, pp / 2, pp.saturating_sub(1)];
    ranks.dedup();
    ranks
}

fn process(run: &FinishedRun<'_>, rank: u32, replica: u32) -> String {
    let stages = run.plan.job.policy.schedule.held(run.program.layout.pp, rank);
    let plural = if stages.len() == 1 { "" } else { "s" };
    let stages: Vec<String> = stages.iter().map(u32::to_string).collect();
    let replica = if replica == 0 { String::new() } else { format!(", replica {replica}") };
    format!("rank {rank}{replica} (stage{plural} {})", stages.join(", "))
}

fn span(name: String, kind: SpanKind, start: SimTime, end: SimTime) -> Span {
    Span { name, kind, start: start.seconds(), end: end.seconds() }
}

fn chunk_name(chunk: &ChunkSpan) -> String {
    match chunk.slot {
        None => "optimizer".to_owned(),
        Some(Slot::Forward(forward)) => format!("F {}", forward.micro_batch),
        Some(Slot::Backward(backward) | Slot::BackwardInput(backward)) => format!("B {}", backward.micro_batch),
        Some(Slot::Weight(weight)) => format!("W {}", weight.micro_batch),
        Some(Slot::Overlapped { forward, backward }) => {
            format!("F {} & B {}", forward.micro_batch, backward.micro_batch)
        }
    }
}

fn chunk_kind(chunk: &ChunkSpan) -> SpanKind {
    match chunk.slot {
        None => SpanKind::Optimizer,
        Some(Slot::Forward(_)) => SpanKind::Forward,
        Some(Slot::Backward(_) | Slot::BackwardInput(_)) => SpanKind::Backward,
        Some(Slot::Weight(_)) => SpanKind::WeightGradient,
        Some(Slot::Overlapped { .. }) => SpanKind::Overlapped,
    }
}

fn ran(run: &FinishedRun<'_>, stream: &StreamSpan) -> (String, SpanKind) {
    match stream.what {
        Ran::Op { op, tensor } => {
            let name = run.program.ops[usize::from(op)].name.to_owned();
            (name, if tensor { SpanKind::Tensor } else { SpanKind::Memory })
        }
        Ran::Wait => ("wait".to_owned(), SpanKind::Wait),
        Ran::Dispatch => ("dispatch".to_owned(), SpanKind::Transfer),
        Ran::Combine => ("combine".to_owned(), SpanKind::Transfer),
    }
}
