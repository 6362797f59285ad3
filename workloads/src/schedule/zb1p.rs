//! ZB1P: 1F1B with the weight gradient put off, as long as no rank keeps more than `pp` activation sets.

use super::{Chunk, Slot};

/// The order of `rank`: that of 1F1B with each backward cut in two. `pp - rank` chunks lie between forward and input
/// gradient, so `rank` weight gradients may wait beside them; they fill the cool-down, where 1F1B idles.
pub(super) fn slots(pp: u32, n_micro_batches: u32, rank: u32) -> Vec<Slot> {
    let chunk = |micro_batch| Chunk { virtual_stage: 0, micro_batch };
    let warm_up = (pp - 1 - rank).min(n_micro_batches);
    let mut slots: Vec<Slot> = (0..warm_up).map(|m| Slot::Forward(chunk(m))).collect();
    for m in 0..n_micro_batches {
        if warm_up + m < n_micro_batches {
            slots.push(Slot::Forward(chunk(warm_up + m)));
        }
        slots.push(Slot::BackwardInput(chunk(m)));
        if m >= rank {
            slots.push(Slot::Weight(chunk(m - rank)));
        }
    }
    let waiting = n_micro_batches.saturating_sub(rank)..n_micro_batches;
    slots.extend(waiting.map(|m| Slot::Weight(chunk(m))));
    slots
}
