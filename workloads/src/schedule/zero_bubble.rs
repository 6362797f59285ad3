//! ZB1P and ZB2P: 1F1B with the weight gradient put off, under a bound on the activation sets that a rank keeps.

use super::{Chunk, Slot};

/// The order of `rank`: that of 1F1B with each backward cut in two, and a warm-up of `depth` forwards for every rank
/// behind. `depth (pp - 1 - rank) + 1` chunks lie between forward and input gradient, so `depth rank` weight gradients
/// may wait beside them: every rank keeps as many sets as the first, and its last weight gradients fill the cool-down,
/// where 1F1B idles.
///
/// Depth 1 is ZB1P, which keeps the `pp` sets of 1F1B. Depth 2 is ZB2P: the warm-up of a rank lasts until the first input
/// gradient comes back to it, and its weight gradients until the last one of the step has left; a rank that began `rank`
/// forwards after the first ends as much later.
pub(super) fn slots(pp: u32, n_micro_batches: u32, rank: u32, depth: u32) -> Vec<Slot> {
    let chunk = |micro_batch| Chunk { virtual_stage: 0, micro_batch };
    let warm_up = (depth * (pp - 1 - rank)).min(n_micro_batches);
    let delay = depth * rank;
    let mut slots: Vec<Slot> = (0..warm_up).map(|m| Slot::Forward(chunk(m))).collect();
    for m in 0..n_micro_batches {
        if warm_up + m < n_micro_batches {
            slots.push(Slot::Forward(chunk(warm_up + m)));
        }
        slots.push(Slot::BackwardInput(chunk(m)));
        if m >= delay {
            slots.push(Slot::Weight(chunk(m - delay)));
        }
    }
    let waiting = n_micro_batches.saturating_sub(delay)..n_micro_batches;
    slots.extend(waiting.map(|m| Slot::Weight(chunk(m))));
    slots
}
