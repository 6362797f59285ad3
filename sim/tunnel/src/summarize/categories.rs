//! What one layer of experts costs in an overlapped pair, by what its kernels do.
//!
//! Read on the middle pipeline rank, which holds layers alone, over all its pairs of two chunks: kernels by category whatever their stream, and
//! what is left of the pair without a kernel on the compute stream. The gap that every kernel waits for the one before
//! (`profile.kernel.latency` and `profile.kernel.gap`) counts as idle, as in a trace of a device; waiting for the last rank of an exchange is in none.

use plan::{Label, OverlappedTotals};
use report::CategoryRow;
use workloads::model::LayerKind;
use workloads::op::Category;
use workloads::parallel::Stage;
use workloads::schedule::Slot;

use super::FinishedRun;

/// Seconds per layer of experts, forward and backward together; empty where the middle rank overlaps no such layers.
pub(super) fn rows(run: &FinishedRun<'_>) -> Vec<CategoryRow> {
    let rank = run.program.layout.pp / 2;
    let slots = &run.program.slots[rank as usize];
    let n_pairs = slots.iter().filter(|slot| matches!(slot.slot, Slot::Overlapped { .. })).count();
    let n_layers = n_layers(run, rank) as f64 * n_pairs as f64 * f64::from(run.outcome.n_simulated);
    if n_layers == 0.0 {
        return Vec::new();
    }
    let totals = &run.outcome.ranks[rank as usize];
    let OverlappedTotals { kernels, side, exchanges } = totals.overlapped;
    let gap = run.gap();
    let of = |category: Category| {
        let (count, span) = kernels[category as usize];
        (span.seconds() - gap * count as f64).max(0.0)
    };
    let [memory, attention, products] = [Category::MemoryBound, Category::Attention, Category::Products].map(of);
    let collectives = of(Category::Collectives);
    let busy = memory + attention + products + collectives - side.seconds();
    let idle = totals.phases[Label::OVERLAPPED].seconds() - busy;
    let [dispatch, combine] = exchanges.map(units::SimSpan::seconds);
    let all = [
        ("memory-bound", memory),
        ("attention", attention),
        ("products", products),
        ("dispatch", dispatch),
        ("combine", combine),
        ("idle", idle.max(0.0)),
    ];
    all.map(|(name, seconds)| CategoryRow { name: name.to_owned(), seconds: seconds / n_layers }).into()
}

/// Layers of experts that a pair runs forward, as many as it runs backward; none where others are among them.
fn n_layers(run: &FinishedRun<'_>, rank: u32) -> usize {
    let job = run.plan.job;
    let stages = workloads::parallel::stage_layers(&job.model, &job.parallel.stages);
    let of_experts = |stage: &Stage| {
        let others = stage.embedding || stage.heads > 0 || stage.layers.iter().any(|kind| *kind != LayerKind::Moe);
        if others { 0 } else { stage.layers.len() }
    };
    let held = job.policy.schedule.held(job.parallel.pp, rank);
    let counts: Vec<usize> = held.iter().map(|&stage| of_experts(&stages[stage as usize])).collect();
    match counts.as_slice() {
        [first, rest @ ..] if rest.iter().all(|count| count == first) => *first,
        _ => 0,
    }
}
