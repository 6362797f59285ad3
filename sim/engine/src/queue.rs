//! Events in their total order.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use units::SimTime;

/// What is due at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// The latency of the task in this slot is paid.
    Draw { slot: u32 },
    /// The task in this slot ends, if its rate has not changed since.
    End { slot: u32, version: u32 },
    /// The first task of this group of tasks solved together ends, if the group still stands.
    Group { group: u32, version: u32 },
    /// The driver asked to be woken.
    Wake { token: u64 },
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    time: u64,
    sequence: u64,
    due: Due,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}
impl Eq for Entry {}
impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Entry {
    /// Reversed, because the heap gives the largest.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.time, other.sequence).cmp(&(self.time, self.sequence))
    }
}

/// Pending events, earliest first; equal times in the order they were pushed.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    heap: BinaryHeap<Entry>,
    sequence: u64,
}

impl Queue {
    pub(crate) fn push(&mut self, time: SimTime, due: Due) {
        self.sequence += 1;
        self.heap.push(Entry {
            time: time.picos(),
            sequence: self.sequence,
            due,
        });
    }

    /// The time of the earliest event.
    pub(crate) fn next_time(&self) -> Option<SimTime> {
        self.heap
            .peek()
            .map(|entry| SimTime::from_picos(entry.time))
    }

    /// The earliest event if it is due at `now`.
    pub(crate) fn pop_at(&mut self, now: SimTime) -> Option<Due> {
        if self.heap.peek()?.time != now.picos() {
            return None;
        }
        self.heap.pop().map(|entry| entry.due)
    }
}
