//! 1F1B: after a warm-up of one forward for every rank behind, one forward, one backward.

use super::{Chunk, Slot};

/// The order of `rank`. It holds `pp - rank` activation sets at most.
pub(super) fn slots(pp: u32, n_micro_batches: u32, rank: u32) -> Vec<Slot> {
    let chunk = |micro_batch| Chunk { virtual_stage: 0, micro_batch };
    let warm_up = (pp - 1 - rank).min(n_micro_batches);
    let mut slots: Vec<Slot> = (0..warm_up).map(|m| Slot::Forward(chunk(m))).collect();
    for m in 0..n_micro_batches {
        if warm_up + m < n_micro_batches {
            slots.push(Slot::Forward(chunk(warm_up + m)));
        }
        slots.push(Slot::Backward(chunk(m)));
    }
    slots
}
