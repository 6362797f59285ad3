//! Interleaved 1F1B: rank r holds stages r, r + pp, r + 2pp, ...; micro-batches go round in groups of `pp`.

use super::{Chunk, Slot};

/// The order of `rank`. `pp` micro-batches pass its first stage, then the same ones its second, and so on; backwards
/// the stages come last first. The warm-up is the deepest that one forward, one backward needs: twice the ranks behind,
/// and all stages but one.
pub(super) fn slots(pp: u32, n_micro_batches: u32, rank: u32, virtual_stages: u32) -> Vec<Slot> {
    let total = n_micro_batches * virtual_stages;
    let warm_up = (2 * (pp - 1 - rank) + (virtual_stages - 1) * pp).min(total);
    let forward = |k| Slot::Forward(chunk(pp, virtual_stages, k, false));
    let mut slots: Vec<Slot> = (0..warm_up).map(forward).collect();
    for k in 0..total {
        if warm_up + k < total {
            slots.push(forward(warm_up + k));
        }
        slots.push(Slot::Backward(chunk(pp, virtual_stages, k, true)));
    }
    slots
}

/// The `k`-th chunk a rank works on, in one pass.
fn chunk(pp: u32, virtual_stages: u32, k: u32, backward: bool) -> Chunk {
    let round = pp * virtual_stages;
    let virtual_stage = (k % round) / pp;
    let virtual_stage = if backward { virtual_stages - 1 - virtual_stage } else { virtual_stage };
    Chunk { virtual_stage: virtual_stage as u8, micro_batch: (k / round) * pp + k % pp }
}
