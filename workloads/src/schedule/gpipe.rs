//! GPipe: all forwards, then all backwards.

use super::{Chunk, Slot};

/// The order of every rank. Backwards come in the order of the forwards, as `ScheduleGPipe` of PyTorch runs them; the
/// paper draws them last first. Bubble and activation sets are the same.
pub(super) fn slots(n_micro_batches: u32) -> Vec<Slot> {
    let chunks = || (0..n_micro_batches).map(|micro_batch| Chunk { virtual_stage: 0, micro_batch });
    chunks().map(Slot::Forward).chain(chunks().map(Slot::Backward)).collect()
}
