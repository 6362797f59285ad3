//! Collectives of tensor parallelism beside the products that read what they bring or write what they sum.

use std::ops::Range;

use units::Bytes;

use super::Passes;
use crate::op::{Axis, Collective, Op, OpKind, Overlap, Pass};

/// Overlaps the gathers and scatters over `tp` ranks of a segment with its products, as asynchronous tensor parallelism and Megatron's
/// `tp_comm_overlap` do.
///
/// A gather and the products after it, and products and the scatter after them, run as a pipeline of `tp` pieces: one piece of the
/// collective is waited for, the others run beside, and a product is `tp` products of as many rows fewer. A gather that no product of its list
/// reads (what is gathered again for gradients of weights) runs whole beside the products before it. Collectives move by copy engines here:
/// they hold no SMs. Without sequence parallelism there is nothing to do: an all-reduce cannot begin before its product has ended.
pub(super) fn overlap(passes: Passes, tp: u64) -> Passes {
    let Passes { forward, input_gradient, weight_gradient } = passes;
    Passes { forward: of_list(forward, tp), input_gradient: of_list(input_gradient, tp), weight_gradient }
}

/// Products that follow each other, and what happens to them.
struct Run {
    range: Range<usize>,
    beside: Vec<Op>,
    in_pieces: bool,
}

fn of_list(mut ops: Vec<Op>, tp: u64) -> Vec<Op> {
    let mut runs = runs(&ops);
    let mut moved = vec![false; ops.len()];
    for at in 0..ops.len() {
        let Some((what, bytes)) = collective(&ops[at]) else { continue };
        let before = runs.iter().rposition(|run| run.range.end <= at);
        let after = runs.iter().position(|run| run.range.start > at && !crosses(&ops[at + 1..run.range.start]));
        let (run, is_piped) = match (what, after, before) {
            (Collective::AllGather, Some(run), _) => (run, true),
            (Collective::AllGather, None, Some(run)) => (run, false),
            (_, _, Some(run)) if !crosses(&ops[runs[run].range.end..at]) => (run, true),
            _ => continue,
        };
        let waited = if is_piped { bytes / tp as f64 } else { 0.0 };
        let kind = |bytes: f64| OpKind::Collective { axis: Axis::Tp, what, bytes: Bytes::new(bytes) };
        let beside = Op { kind: kind(bytes - waited), overlap: Overlap::Beside, ..ops[at].clone() };
        runs[run].beside.push(beside);
        runs[run].in_pieces |= is_piped;
        ops[at].kind = kind(waited);
        moved[at] = !is_piped;
    }
    written(ops, &moved, &runs, tp)
}

fn written(ops: Vec<Op>, moved: &[bool], runs: &[Run], tp: u64) -> Vec<Op> {
    let mut all = Vec::with_capacity(ops.len() * 2);
    for (at, op) in ops.into_iter().enumerate().filter(|(at, _)| !moved[*at]) {
        let run = runs.iter().find(|run| run.range.contains(&at) && !run.beside.is_empty());
        let Some(run) = run else {
            all.push(op);
            continue;
        };
        if at == run.range.start {
            all.extend(run.beside.iter().cloned());
        }
        all.extend(if run.in_pieces { pieces(op, tp) } else { vec![op] });
        if let Some(last) = all.last_mut().filter(|_| at + 1 == run.range.end) {
            last.overlap = Overlap::Joins;
        }
    }
    all
}

fn runs(ops: &[Op]) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for at in (0..ops.len()).filter(|at| matches!(ops[*at].kind, OpKind::Gemm { .. })) {
        match runs.last_mut() {
            Some(run) if run.range.end == at => run.range.end = at + 1,
            _ => runs.push(Run { range: at..at + 1, beside: Vec::new(), in_pieces: false }),
        }
    }
    runs
}

/// A gather or scatter of tensor parallelism, and its bytes.
fn collective(op: &Op) -> Option<(Collective, f64)> {
    match op.kind {
        OpKind::Collective { axis: Axis::Tp, what, bytes }
            if matches!(what, Collective::AllGather | Collective::ReduceScatter) =>
        {
            Some((what, bytes.get()))
        }
        _ => None,
    }
}

fn crosses(ops: &[Op]) -> bool {
    ops.iter().any(|op| collective(op).is_some())
}

/// A product as products of a part of its rows each.
fn pieces(op: Op, tp: u64) -> Vec<Op> {
    let OpKind::Gemm { m, n, k, precision, output } = op.kind else { return vec![op] };
    if op.pass == Pass::WeightGradient {
        return vec![op];
    }
    let piece = |index: u64| {
        let m = m * (index + 1) / tp - m * index / tp;
        let kind = OpKind::Gemm { m, n, k, precision, output };
        Op { kind, widened: op.widened / tp as f64, continues: op.continues || index > 0, ..op.clone() }
    };
    (0..tp).map(piece).collect()
}
