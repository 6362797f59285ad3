//! DualPipe and DualPipe-V: two streams of micro-batches meet on every rank, a forward of one beside a backward of the
//! other.
//!
//! Both follow one table of eight steps, in which a rank calls its two streams phase 0 and phase 1. How far a rank is
//! from the place where the streams meet and from the entry of phase 0 decides how often it repeats each step.

use std::collections::VecDeque;

use super::{Chunk, Slot};

/// DualPipe: phase 0 of a rank is the direction whose entry lies on its own half of the pipeline.
pub(super) fn slots(pp: u32, n_micro_batches: u32, rank: u32) -> Vec<Slot> {
    let half = pp / 2;
    let h = rank.min(pp - 1 - rank);
    let near = u8::from(rank >= half);
    // Direction 0 takes the first half of the micro-batches, direction 1 the second.
    let stream = |direction: u8| Stream::new(direction, u32::from(direction) * (n_micro_batches / 2));
    let pairs = n_micro_batches / 2 - pp + h + 1;
    Order::new([stream(near), stream(1 - near)]).table(half - 1 - h, h, pairs)
}

/// DualPipe-V: phase 0 are the first `pp` stages on their way down the V, phase 1 the other `pp` on their way back.
pub(super) fn slots_v(pp: u32, n_micro_batches: u32, rank: u32) -> Vec<Slot> {
    let pairs = n_micro_batches - 2 * pp + rank + 1;
    Order::new([Stream::new(0, 0), Stream::new(1, 0)]).table(pp - 1 - rank, rank, pairs)
}

/// One phase of a rank: how far its forwards and its backwards have come.
struct Stream {
    virtual_stage: u8,
    forward: u32,
    backward: u32,
}

impl Stream {
    fn new(virtual_stage: u8, first: u32) -> Self {
        Self { virtual_stage, forward: first, backward: first }
    }
}

/// The order of one rank while it is written.
struct Order {
    streams: [Stream; 2],
    waiting: VecDeque<Chunk>,
    slots: Vec<Slot>,
}

impl Order {
    fn new(streams: [Stream; 2]) -> Self {
        Self { streams, waiting: VecDeque::new(), slots: Vec::new() }
    }

    /// The eight steps, for a rank with `ahead` ranks between it and the meeting point, `h` ranks between it and the
    /// entry, and `pairs` rounds in the steady phase.
    fn table(mut self, ahead: u32, h: u32, pairs: u32) -> Vec<Slot> {
        for _ in 0..2 * ahead {
            self.forward(0);
        }
        for _ in 0..=h {
            self.forward(0);
            self.forward(1);
        }
        for _ in 0..ahead {
            self.backward_input(1);
            self.weight();
            self.forward(1);
        }
        for i in 0..pairs {
            if i == 0 && ahead == 0 {
                // Where the streams meet, the very first backward would only wait for its own pair.
                self.forward(0);
                self.backward(1);
            } else {
                self.overlapped(0, 1);
            }
            self.overlapped(1, 0);
        }
        for _ in 0..ahead {
            self.backward(1);
            self.overlapped(1, 0);
        }
        self.drain(h);
        for _ in 0..ahead {
            self.weight();
            self.backward_input(0);
        }
        for _ in 0..=h {
            self.weight();
        }
        self.slots
    }

    /// Step 6: the last `2 (h + 1)` backwards of both phases in turn, split in their second half so that the weight
    /// gradients can fill the gaps of steps 7 and 8.
    fn drain(&mut self, h: u32) {
        for k in 0..2 * (h + 1) {
            let phase = usize::from(k % 2 == 0);
            if k > h { self.backward_input(phase) } else { self.backward(phase) }
        }
    }

    fn forward(&mut self, phase: usize) {
        let chunk = self.next_forward(phase);
        self.slots.push(Slot::Forward(chunk));
    }

    fn backward(&mut self, phase: usize) {
        let chunk = self.next_backward(phase);
        self.slots.push(Slot::Backward(chunk));
    }

    fn backward_input(&mut self, phase: usize) {
        let chunk = self.next_backward(phase);
        self.waiting.push_back(chunk);
        self.slots.push(Slot::BackwardInput(chunk));
    }

    fn weight(&mut self) {
        self.slots.extend(self.waiting.pop_front().map(Slot::Weight));
    }

    fn overlapped(&mut self, forward: usize, backward: usize) {
        let forward = self.next_forward(forward);
        let backward = self.next_backward(backward);
        self.slots.push(Slot::Overlapped { forward, backward });
    }

    fn next_forward(&mut self, phase: usize) -> Chunk {
        let stream = &mut self.streams[phase];
        stream.forward += 1;
        Chunk { virtual_stage: stream.virtual_stage, micro_batch: stream.forward - 1 }
    }

    fn next_backward(&mut self, phase: usize) -> Chunk {
        let stream = &mut self.streams[phase];
        stream.backward += 1;
        Chunk { virtual_stage: stream.virtual_stage, micro_batch: stream.backward - 1 }
    }
}
