//! Events in their total order.

use units::SimTime;

use crate::heap::Heap;

/// What is due at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// The latency of the task in this slot is paid, if it still waits for that.
    Draw { slot: u32, version: u32 },
    /// The task in this slot ends, if its rate has not changed since.
    End { slot: u32, version: u32 },
    /// The first task of this group of tasks solved together ends, if the group still stands.
    Group { group: u32, version: u32 },
    /// The latency of this batch is paid, if it still waits for that.
    Start { batch: u32, version: u32 },
    /// The next tasks of this batch end, if it is still replayed.
    Step { batch: u32, version: u32 },
    /// What this chain foresees is over, if it still goes by it.
    Course { chain: u32, version: u32 },
    /// The driver asked to be woken.
    Wake { token: u64 },
}

/// Pending events, earliest first; equal times in the order they were pushed.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    /// By time, sequence of pushing and, in the last three bits, the kind of event.
    heap: Heap,
    sequence: u64,
}

impl Queue {
    pub(crate) fn push(&mut self, time: SimTime, due: Due) {
        let pair = |high: u32, low: u32| u64::from(high) << 32 | u64::from(low);
        let (kind, what) = match due {
            Due::Draw { slot, version } => (0, pair(slot, version)),
            Due::End { slot, version } => (1, pair(slot, version)),
            Due::Group { group, version } => (2, pair(group, version)),
            Due::Start { batch, version } => (3, pair(batch, version)),
            Due::Step { batch, version } => (4, pair(batch, version)),
            Due::Course { chain, version } => (5, pair(chain, version)),
            Due::Wake { token } => (6, token),
        };
        self.sequence += 1;
        self.heap.push(u128::from(time.picos()) << 64 | u128::from(self.sequence << 3 | kind), what);
    }

    /// The time of the earliest event.
    pub(crate) fn next_time(&self) -> Option<SimTime> {
        self.heap.first().map(|key| SimTime::from_picos((key >> 64) as u64))
    }

    /// The earliest event if it is due at `now`.
    pub(crate) fn pop_at(&mut self, now: SimTime) -> Option<Due> {
        if self.next_time()? != now {
            return None;
        }
        let (key, what) = self.heap.pop()?;
        let (high, low) = ((what >> 32) as u32, what as u32);
        Some(match key as u64 & 7 {
            0 => Due::Draw { slot: high, version: low },
            1 => Due::End { slot: high, version: low },
            2 => Due::Group { group: high, version: low },
            3 => Due::Start { batch: high, version: low },
            4 => Due::Step { batch: high, version: low },
            5 => Due::Course { chain: high, version: low },
            _ => Due::Wake { token: what },
        })
    }
}
