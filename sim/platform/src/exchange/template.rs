//! A dispatch or combine, message by message.

use engine::Task;
use units::{Seconds, SimSpan};

use crate::RankResources;

/// Dispatch or combine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExchangeKind {
    /// Tokens to their experts (and, backward, gradients of their outputs).
    Dispatch = 0,
    /// Results back (and, backward, gradients of what was dispatched).
    Combine = 1,
}

/// One message of an all-to-all.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Flow {
    /// Sender, by index in the group.
    pub from: u16,
    /// Receiver.
    pub to: u16,
    /// Whether it crosses the scale-up fabric; else the network.
    pub up: bool,
    /// Equal flows it stands for.
    pub copies: u32,
    /// Occupancy of the sender's and the receiver's port: bytes over the share of the rate they reach.
    pub occupied: [f64; 2],
    /// Bytes.
    pub bytes: f64,
    /// Bytes that SMs of the sender and of the receiver copy or sum.
    pub copied: [f64; 2],
    /// The shortest time the routes leave it, seconds; zero where they do not meet.
    pub shortest: f64,
}

/// A dispatch or combine of one sampled batch.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ExchangeTemplate {
    /// All messages.
    pub flows: Vec<Flow>,
    /// Flows each member waits for before its kernel ends.
    pub waits: Vec<u32>,
    /// Flows into each node that all its members wait for.
    pub node_waits: Vec<u32>,
    /// Members of a node.
    pub devices: u32,
    /// Device-memory traffic of each member's kernel, bytes.
    pub memory: Vec<f64>,
    /// Duration alone on the machine, without latency.
    pub alone: Seconds,
    /// Counts, barriers and the way through the network.
    pub latency: SimSpan,
    /// What it waits for ranks that come later than the one simulated for all of them; none where every rank is simulated.
    pub late: SimSpan,
    /// Bytes over the scale-up fabric, own copies excluded, all members together.
    pub up_bytes: f64,
    /// Bytes over the network, all members together.
    pub out_bytes: f64,
}

impl ExchangeTemplate {
    /// From the arrival of the ranks simulated until data moves.
    #[must_use]
    pub fn delay(&self) -> SimSpan {
        self.latency + self.late
    }
}

impl Flow {
    /// As a task between two ranks; `copied` is what a byte that SMs copy takes of their capacity.
    #[inline]
    #[must_use]
    pub fn task<T>(&self, tag: T, [from, to]: [&RankResources; 2], copied: f64, latency: SimSpan) -> Task<T> {
        let (send, receive) = if self.up { (from.up_send, to.up_receive) } else { (from.out_send, to.out_receive) };
        Task::drawing(tag, [(send, self.occupied[0]), (receive, self.occupied[1])])
            .demand(from.copy, self.copied[0] * copied)
            .demand(to.copy, self.copied[1] * copied)
            .no_faster_than(self.shortest)
            .copies(self.copies)
            .latency(latency)
    }
}
