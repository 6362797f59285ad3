//! How many activation sets a rank keeps, so that memory can be counted with stages of unequal size.

use super::{Chunk, Slot};

/// Chunks a rank keeps activations of while one slot runs, by virtual stage.
///
/// A forward allocates when it starts, a backward frees when it ends: inside an overlapped pair both are there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InFlight {
    /// Forward begun, input gradient not ended.
    pub whole: Vec<u32>,
    /// Input gradient ended, weight gradient not ended: what the weight gradient needs is kept.
    pub awaiting_weight: Vec<u32>,
}

/// What one rank keeps during each of its slots, in their order.
#[must_use]
pub fn in_flight(slots: &[Slot]) -> Vec<InFlight> {
    let n_held = slots.iter().flat_map(chunks).map(|chunk| usize::from(chunk.virtual_stage) + 1).max().unwrap_or(0);
    let mut now = InFlight { whole: vec![0; n_held], awaiting_weight: vec![0; n_held] };
    let mut during = Vec::with_capacity(slots.len());
    for slot in slots {
        if let Some(chunk) = slot.forward() {
            now.whole[usize::from(chunk.virtual_stage)] += 1;
        }
        during.push(now.clone());
        match *slot {
            Slot::Forward(_) => {}
            Slot::Backward(chunk) | Slot::Overlapped { backward: chunk, .. } => take(&mut now.whole, chunk),
            Slot::BackwardInput(chunk) => {
                take(&mut now.whole, chunk);
                now.awaiting_weight[usize::from(chunk.virtual_stage)] += 1;
            }
            Slot::Weight(chunk) => take(&mut now.awaiting_weight, chunk),
        }
    }
    during
}

/// The most activation sets one rank keeps at once, whole ones and those that wait for their weight gradient together;
/// by virtual stage, at the (first) slot where their sum is largest.
#[must_use]
pub fn in_flight_max(slots: &[Slot]) -> Vec<u32> {
    let mut largest = Vec::new();
    for kept in in_flight(slots) {
        let sets: Vec<u32> = kept.whole.iter().zip(&kept.awaiting_weight).map(|(a, b)| a + b).collect();
        if sets.iter().sum::<u32>() > largest.iter().sum() {
            largest = sets;
        }
    }
    largest
}

/// The most memory one rank's activations take at once, in the unit of the sizes given.
///
/// `whole[v]` is one activation set of virtual stage `v`; `awaiting_weight[v]` is what is left of it once its input
/// gradient is done. A virtual stage without a size counts as zero.
#[must_use]
pub fn memory_max(slots: &[Slot], whole: &[u64], awaiting_weight: &[u64]) -> u64 {
    let bytes = |counts: &[u32], sizes: &[u64]| -> u64 {
        counts.iter().zip(sizes).map(|(&count, &size)| u64::from(count) * size).sum()
    };
    let kept = |kept: &InFlight| bytes(&kept.whole, whole) + bytes(&kept.awaiting_weight, awaiting_weight);
    in_flight(slots).iter().map(kept).max().unwrap_or(0)
}

fn chunks(slot: &Slot) -> impl Iterator<Item = Chunk> {
    [slot.forward(), slot.weight(), slot.backward()].into_iter().flatten()
}

/// One set less; a list of slots that frees what it never took stays at zero, and [`super::replay`] says what is wrong.
fn take(counts: &mut [u32], chunk: Chunk) {
    let count = &mut counts[usize::from(chunk.virtual_stage)];
    *count = count.saturating_sub(1);
}
