//! Jobs that other tools wrote: graphs of work and messages, rank by rank.
//!
//! - [`chakra`]: execution traces of MLCommons Chakra, one file a rank, as protobuf or JSON.
//! - [`simai`]: workload files of SimAI, one table that every rank runs.
//!
//! Both become a [`Graph`], which says what is done after what and never how long a message takes. What a format has and this
//! crate has no meaning for is refused by name, all of it at once ([`ImportError`]); nothing is dropped.

pub mod chakra;
mod graph;
pub mod simai;

#[cfg(test)]
mod tests;

use units::{Bytes, Flops, Seconds};

use crate::op::Collective;

/// What some editors put before a text in UTF-8.
const BYTE_ORDER_MARK: char = '\u{feff}';

/// A job as graphs of nodes.
#[derive(Clone, Debug, PartialEq)]
pub struct Graph {
    /// Ranks, numbered from zero; rank `r` runs on device `r`.
    pub n_ranks: u32,
    /// What ranks do: one trace a rank in order, or one trace that all of them run in lockstep.
    pub traces: Vec<Trace>,
    /// Groups that collectives name.
    pub groups: Vec<ProcessGroup>,
    /// What a reader should know of the file.
    pub notes: Vec<String>,
}

impl Graph {
    /// Whether one trace stands for all ranks.
    #[must_use]
    pub fn lockstep(&self) -> bool {
        self.traces.len() == 1
    }
}

/// What a rank does.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Trace {
    /// The file it came from, for messages.
    pub name: String,
    /// Its nodes; dependencies point at earlier or later ones, never in a circle.
    pub nodes: Vec<GraphNode>,
}

/// One thing a rank does.
#[derive(Clone, Debug, PartialEq)]
pub struct GraphNode {
    /// Its name and number in the file.
    pub name: String,
    /// What it is.
    pub work: Work,
    /// Nodes of the same trace that end before it starts.
    pub after: Vec<u32>,
}

/// What a node does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Work {
    /// Nothing: it only orders others.
    Mark,
    /// Runs on the device for a known time; one node at a time.
    Device(Seconds),
    /// Runs on the host for a known time; one node at a time.
    Host(Seconds),
    /// Computes and moves so much on the device; one node at a time.
    Arithmetic {
        /// Operations of the tensor cores.
        flops: Flops,
        /// Bytes of device memory.
        bytes: Bytes,
    },
    /// Takes part in a collective; the i-th of a group on one rank meets the i-th on the others.
    Collective {
        /// Index of the group.
        group: u32,
        /// Which.
        what: Collective,
        /// Its size as nccl-tests reports it.
        bytes: Bytes,
    },
    /// Sends; the i-th to a rank with a tag meets its i-th receive.
    Send {
        /// The other rank.
        to: u32,
        /// Tells messages between two ranks apart.
        tag: u64,
        /// Size.
        bytes: Bytes,
    },
    /// Receives.
    Receive {
        /// The other rank.
        from: u32,
        /// Tells messages between two ranks apart.
        tag: u64,
    },
}

/// The ranks of a communicator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProcessGroup {
    /// These.
    Ranks(Vec<u32>),
    /// Every rank is in one of many alike: `n` ranks, `stride` apart.
    Even {
        /// Ranks of each.
        n: u32,
        /// Distance between neighbors.
        stride: u32,
    },
}

impl ProcessGroup {
    /// Its ranks, or those of one of them.
    #[must_use]
    pub fn n_ranks(&self) -> u32 {
        match self {
            Self::Ranks(ranks) => ranks.len() as u32,
            Self::Even { n, .. } => *n,
        }
    }
}

/// Everything that keeps files from becoming a job.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", told(.0))]
pub struct ImportError(pub Vec<Mistake>);

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// File, and line or node.
    pub place: String,
    /// What is wrong, with the value.
    pub message: String,
    /// The way out.
    pub hint: String,
}

/// Mistakes beyond this many are counted.
const N_TOLD_MAX: usize = 20;

fn told(mistakes: &[Mistake]) -> String {
    let one = |mistake: &Mistake| format!("{}: {}\n  hint: {}", mistake.place, mistake.message, mistake.hint);
    let mut lines: Vec<String> = mistakes.iter().take(N_TOLD_MAX).map(one).collect();
    if mistakes.len() > N_TOLD_MAX {
        lines.push(format!("and {} more", mistakes.len() - N_TOLD_MAX));
    }
    lines.join("\n")
}

/// Collects mistakes of one file.
#[derive(Debug)]
struct Mistakes<'a> {
    file: &'a str,
    all: Vec<Mistake>,
}

impl<'a> Mistakes<'a> {
    fn new(file: &'a str) -> Self {
        Self { file, all: Vec::new() }
    }

    fn add(&mut self, place: &str, message: impl Into<String>, hint: impl Into<String>) {
        let place = if place.is_empty() { self.file.to_owned() } else { format!("{}: {place}", self.file) };
        self.all.push(Mistake { place, message: message.into(), hint: hint.into() });
    }
}
