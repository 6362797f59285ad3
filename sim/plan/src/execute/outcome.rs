//! What a run came to, before anybody reads it.

use engine::Laws;
use units::{SimSpan, SimTime};
use workloads::op::Category;
use workloads::schedule::Slot;

use crate::label::{LabelName, PhaseSpans, TRAIN_LABELS};
use crate::program::Program;

/// What a run came to. Means are over the simulated ranks of a pipeline rank.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Duration of the step.
    pub step: SimSpan,
    /// What phases are called.
    pub labels: Vec<LabelName>,
    /// Totals of each pipeline rank, summed over the ranks simulated of it.
    pub ranks: Vec<RankTotals>,
    /// Ranks simulated of each pipeline rank.
    pub n_simulated: u32,
    /// Totals of each op, summed over all ranks simulated; indices are the program's.
    pub ops: Vec<OpTotal>,
    /// Dispatches and combines, summed over all ranks simulated.
    pub exchanges: [ExchangeTotal; 2],
    /// Intervals of the chunks of recorded ranks, by rank, then start.
    pub chunks: Vec<ChunkSpan>,
    /// Intervals on the streams of recorded ranks.
    pub streams: Vec<StreamSpan>,
    /// Use of ports, summed over all ranks simulated.
    pub ports: Ports,
    /// Tasks run.
    pub n_tasks: u64,
    /// Messages of all-to-alls among them.
    pub n_flows: u64,
    /// How far the engine's laws were from breaking, at worst.
    pub laws: Laws,
}

/// What one rank (or several, summed) did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RankTotals {
    /// By label of [`Outcome::labels`].
    pub phases: PhaseSpans,
    /// Kernels on compute streams.
    pub compute: SimSpan,
    /// Those of them whose size follows the load.
    pub loaded: SimSpan,
    /// Kernels on streams beside them. They hold their SMs as others do, so none of it runs at the same time.
    pub side: SimSpan,
    /// Compute streams with nothing to run, since the host had not launched it.
    pub unlaunched: SimSpan,
    /// From arrival at an all-to-all to the last rank's arrival.
    pub waited: SimSpan,
    /// From there to its end.
    pub transferred: SimSpan,
    /// What ran in overlapped pairs.
    pub overlapped: OverlappedTotals,
    /// When the last call ended; over several ranks the latest.
    pub last: SimTime,
    /// What hides beside chunks, and when; none where nothing does.
    pub beside: Option<Beside>,
}

/// What ran in the calls that overlap a forward with a backward chunk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OverlappedTotals {
    /// Kernels by [`Category`], in its order.
    pub kernels: [(u64, SimSpan); 4],
    /// Kernels that ran on a stream beside the one that computes.
    pub side: SimSpan,
    /// Dispatches and combines from the last rank's arrival to their end.
    pub exchanges: [SimSpan; 2],
}

impl OverlappedTotals {
    pub(super) fn add(&mut self, category: Category, took: SimSpan) {
        let (count, span) = &mut self.kernels[category as usize];
        *count += 1;
        *span += took;
    }

    fn add_all(&mut self, other: &Self) {
        for (total, (count, span)) in self.kernels.iter_mut().zip(other.kernels) {
            total.0 += count;
            total.1 += span;
        }
        self.side += other.side;
        for (total, span) in self.exchanges.iter_mut().zip(other.exchanges) {
            *total += span;
        }
    }
}

/// When gradients may be reduced and weights must have come, where that hides beside chunks; over several ranks what all of
/// them allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Beside {
    /// The chunk began that first completes gradients.
    pub completing: SimTime,
    /// Every stage has run forward once.
    pub forwarded: SimTime,
}

/// Runs of one op.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct OpTotal {
    /// How often.
    pub count: u64,
    /// How long, latency included.
    pub span: SimSpan,
    /// Of it, bound by arithmetic (tensor cores and the share of them held).
    pub tensor: SimSpan,
    /// Of it, bound by device memory.
    pub memory: SimSpan,
    /// Of it, latency.
    pub latency: SimSpan,
    /// Of it, bound by links.
    pub links: SimSpan,
    /// Of a collective, what ran on a stream beside the compute stream, which may have waited for it or not.
    pub beside: SimSpan,
}

/// Dispatches or combines, as their ranks saw them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExchangeTotal {
    /// How often a rank took part in one.
    pub count: u64,
    /// From its arrival to the last rank's.
    pub waited: SimSpan,
    /// From there to its end.
    pub transferred: SimSpan,
}

/// Occupancy of ports in seconds of their full rate, and bytes, summed over ranks.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Ports {
    /// Scale-up port, sending: occupied units over the rate, seconds.
    pub up_seconds: f64,
    /// The busiest one.
    pub up_seconds_max: f64,
    /// NIC, sending.
    pub out_seconds: f64,
    /// The busiest one.
    pub out_seconds_max: f64,
    /// Device memory.
    pub memory_seconds: f64,
    /// The busiest one.
    pub memory_seconds_max: f64,
    /// Bytes that all-to-alls sent over the scale-up fabric.
    pub up_bytes: f64,
    /// Bytes that all-to-alls sent over the network.
    pub out_bytes: f64,
    /// Bytes of messages between stages.
    pub message_bytes: f64,
    /// Bytes between device memories and SMs.
    pub memory_bytes: f64,
}

/// A chunk of a recorded rank.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ChunkSpan {
    /// The pipeline rank.
    pub rank: u32,
    /// Which column and member of it.
    pub replica: u32,
    /// What ran; `None` is the end of the step.
    pub slot: Option<Slot>,
    /// When it began.
    pub start: SimTime,
    /// When it ended.
    pub end: SimTime,
}

/// A kernel or exchange of a recorded rank.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StreamSpan {
    /// The gang: a training step's pipeline rank.
    pub rank: u32,
    /// Which column and member of it.
    pub replica: u32,
    /// Of the routine: in a training step 0 computes and 1 communicates.
    pub stream: u8,
    /// What ran.
    pub what: Ran,
    /// When it began.
    pub start: SimTime,
    /// When it ended.
    pub end: SimTime,
}

/// What a stream did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ran {
    /// An op, by index; bound by arithmetic or not.
    Op {
        /// Index of its name.
        op: u16,
        /// Whether the tensor cores bound it.
        tensor: bool,
    },
    /// Waiting for the last rank of an all-to-all.
    Wait,
    /// A dispatch.
    Dispatch,
    /// A combine.
    Combine,
}

/// What gangs did in one run of the engine.
#[derive(Clone, Debug, Default)]
pub struct GangsOutcome {
    /// When the last task ended.
    pub end: SimTime,
    /// Totals of each gang, summed over its ranks.
    pub gangs: Vec<RankTotals>,
    /// Totals of each op.
    pub ops: Vec<OpTotal>,
    /// Dispatches and combines.
    pub exchanges: [ExchangeTotal; 2],
    /// Intervals on the streams of recorded ranks.
    pub streams: Vec<StreamSpan>,
    /// Use of ports.
    pub ports: Ports,
    /// Tasks run.
    pub n_tasks: u64,
    /// Messages of all-to-alls among them.
    pub n_flows: u64,
    /// How far the engine's laws were from breaking, at worst.
    pub laws: Laws,
}

/// Columns in their order; sums of integers and, for ports, of floats in that order.
pub(super) fn merge(program: &Program, columns: Vec<(GangsOutcome, Vec<ChunkSpan>)>) -> Outcome {
    let pp = program.layout.pp as usize;
    let mut outcome = Outcome {
        labels: TRAIN_LABELS.to_vec(),
        ranks: vec![RankTotals::new(TRAIN_LABELS.len()); pp],
        n_simulated: program.n_members * program.n_columns,
        ops: vec![OpTotal::default(); program.ops.len()],
        ..Outcome::default()
    };
    for (column, chunks) in columns {
        for (total, rank) in outcome.ranks.iter_mut().zip(&column.gangs) {
            total.add(rank);
        }
        for (total, op) in outcome.ops.iter_mut().zip(&column.ops) {
            total.add(op);
        }
        for (total, exchange) in outcome.exchanges.iter_mut().zip(&column.exchanges) {
            total.count += exchange.count;
            total.waited += exchange.waited;
            total.transferred += exchange.transferred;
        }
        outcome.chunks.extend(chunks);
        outcome.streams.extend(column.streams);
        outcome.ports.add(&column.ports);
        outcome.n_tasks += column.n_tasks;
        outcome.n_flows += column.n_flows;
        outcome.laws = outcome.laws.worse(column.laws);
    }
    outcome
}

impl RankTotals {
    pub(super) fn new(n_labels: usize) -> Self {
        Self { phases: PhaseSpans::new(n_labels), ..Self::default() }
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.phases += &other.phases;
        self.compute += other.compute;
        self.loaded += other.loaded;
        self.side += other.side;
        self.unlaunched += other.unlaunched;
        self.waited += other.waited;
        self.transferred += other.transferred;
        self.overlapped.add_all(&other.overlapped);
        self.last = self.last.max(other.last);
        self.beside = match (self.beside, other.beside) {
            (Some(a), Some(b)) => {
                Some(Beside { completing: a.completing.max(b.completing), forwarded: a.forwarded.min(b.forwarded) })
            }
            (a, b) => a.or(b),
        };
    }
}

impl OpTotal {
    fn add(&mut self, other: &Self) {
        self.count += other.count;
        self.span += other.span;
        self.tensor += other.tensor;
        self.memory += other.memory;
        self.latency += other.latency;
        self.links += other.links;
        self.beside += other.beside;
    }
}

impl Ports {
    fn add(&mut self, other: &Self) {
        self.up_seconds += other.up_seconds;
        self.up_seconds_max = self.up_seconds_max.max(other.up_seconds_max);
        self.out_seconds += other.out_seconds;
        self.out_seconds_max = self.out_seconds_max.max(other.out_seconds_max);
        self.memory_seconds += other.memory_seconds;
        self.memory_seconds_max = self.memory_seconds_max.max(other.memory_seconds_max);
        self.up_bytes += other.up_bytes;
        self.out_bytes += other.out_bytes;
        self.message_bytes += other.message_bytes;
        self.memory_bytes += other.memory_bytes;
    }
}
