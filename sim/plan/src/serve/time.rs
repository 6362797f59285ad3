//! What an iteration takes, and what it is of.

use std::collections::BTreeMap;

use calibrate::EstimateKey;
use units::SimTime;
use workloads::iteration::RankBatch;

use crate::Contradiction;

/// An iteration may take this share of what the clock of a run counts: layers of two halves wait for each other.
const COUNTED: f64 = 1.0 / 64.0;

/// What the ranks of a unit compute in an iteration: the fullest attention rank, and the tokens of all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnitLoad {
    /// The attention rank that has most to do.
    pub fullest: RankBatch,
    /// Tokens of all attention ranks.
    pub rows: u64,
}

/// What an iteration takes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct IterationTime {
    /// Seconds from the start of the first kernel, or of the host's work that nothing hides, to the last token.
    pub seconds: f64,
    /// What it is made of, in the order of the first of each; where parts overlap they are longer together.
    pub parts: Vec<IterationPart>,
    /// Seconds by what bounds them.
    pub bounds: BTreeMap<BoundBy, f64>,
    /// Seconds by the estimate that they rest on most.
    pub evidence: BTreeMap<EstimateKey, f64>,
}

/// All runs of an op in an iteration.
#[derive(Clone, Debug, PartialEq)]
pub struct IterationPart {
    /// The op.
    pub name: &'static str,
    /// Seconds of all its runs.
    pub seconds: f64,
}

/// What bounds a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum BoundBy {
    /// The tensor cores.
    Tensor,
    /// The device memory.
    Memory,
    /// What precedes the work: launches, gaps, the way of a message.
    Latency,
    /// The scale-up port.
    ScaleUp,
    /// The NIC.
    ScaleOut,
    /// The SMs that copy.
    CopySms,
    /// The host.
    Host,
}

impl BoundBy {
    /// Its name in results.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tensor => "tensor_cores",
            Self::Memory => "memory",
            Self::Latency => "kernel_latency",
            Self::ScaleUp => "scale_up",
            Self::ScaleOut => "scale_out",
            Self::CopySms => "copy_sms",
            Self::Host => "host",
        }
    }
}

impl IterationTime {
    /// What bounds most of it.
    #[must_use]
    pub fn binding(&self) -> Option<BoundBy> {
        self.bounds.iter().max_by(|a, b| a.1.total_cmp(b.1)).map(|(bound, _)| *bound)
    }

    /// Refuses what the clock of a run cannot count.
    pub(super) fn check(&self) -> Result<(), Contradiction> {
        let limit = SimTime::MAX.seconds() * COUNTED;
        let seconds: f64 = self.parts.iter().map(|part| part.seconds).sum();
        if seconds <= limit {
            return Ok(());
        }
        let longest = self.parts.iter().max_by(|a, b| a.seconds.total_cmp(&b.seconds)).map_or("", |part| part.name);
        Err(Contradiction::LongIteration { seconds, limit, longest })
    }

    pub(super) fn add(&mut self, name: &'static str, priced: &Priced, times: f64) {
        let seconds = (priced.latency + priced.work) * times;
        match self.parts.iter_mut().find(|part| part.name == name) {
            Some(part) => part.seconds += seconds,
            None => self.parts.push(IterationPart { name, seconds }),
        }
        *self.bounds.entry(BoundBy::Latency).or_default() += priced.latency * times;
        *self.bounds.entry(priced.bound).or_default() += priced.work * times;
        *self.evidence.entry(priced.limit).or_default() += seconds;
    }

    /// What nothing hides of the host's work.
    pub(super) fn host(&mut self, name: &'static str, seconds: f64) {
        if seconds > 0.0 {
            let priced = Priced { latency: 0.0, work: seconds, bound: BoundBy::Host, limit: EstimateKey::HostLaunch };
            self.add(name, &priced, 1.0);
            self.seconds += seconds;
        }
    }

    /// Adds another's time as one part, so many times.
    pub(super) fn merge(&mut self, name: &'static str, other: &Self, times: f64) {
        self.parts.push(IterationPart { name, seconds: other.seconds * times });
        self.seconds += other.seconds * times;
        for (bound, seconds) in &other.bounds {
            *self.bounds.entry(*bound).or_default() += seconds * times;
        }
        for (key, seconds) in &other.evidence {
            *self.evidence.entry(*key).or_default() += seconds * times;
        }
    }
}

/// What one op takes with its device to itself.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Priced {
    pub(super) latency: f64,
    pub(super) work: f64,
    pub(super) bound: BoundBy,
    pub(super) limit: EstimateKey,
}

impl Priced {
    pub(super) fn seconds(&self) -> f64 {
        self.latency + self.work
    }
}
