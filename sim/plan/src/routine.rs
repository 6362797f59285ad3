//! A routine: what a rank runs between two decisions, as instructions in streams.

use platform::ExchangeKind;

/// Which half of a slot an instruction belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Half {
    /// The forward chunk.
    Forward,
    /// The backward chunk, or the chunk whose weight gradient runs.
    Backward,
}

/// One step of a stream of a rank.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Instruction {
    /// Runs a kernel of a fixed size.
    Kernel(u32),
    /// Runs a kernel whose size follows the tokens that `layer` of the half's micro-batch gave this rank.
    Loaded {
        /// Index of the table.
        table: u32,
        /// Whose micro-batch.
        half: Half,
        /// Layer of the model; the block of MTP module i is layer `layers + i`.
        layer: u16,
    },
    /// Takes part in an all-to-all of the expert-parallel group.
    Exchange {
        /// Which.
        kind: ExchangeKind,
        /// Whose micro-batch.
        half: Half,
        /// Layer of the model.
        layer: u16,
        /// SMs of its kernel on every rank.
        sms: u32,
    },
    /// Takes part in a collective.
    Ring(u32),
    /// Marks a point as reached.
    Signal(u16),
    /// Waits until a stream has reached a point.
    Await(u16),
    /// The half's result may leave for the next stage.
    Send(Half),
}

/// What a rank runs between two decisions of a sequencer: a chunk, a pair of chunks, an update.
///
/// A stream runs its instructions in order, each when the one before has ended. Streams run side by side and wait for each
/// other at points alone. The routine has ended on a rank when all its streams have.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Routine {
    /// Any number of streams. Kernels of the first, [`COMPUTE`], count as the rank's computing.
    pub streams: Vec<Vec<Instruction>>,
    /// Points that streams signal.
    pub n_events: u16,
}

/// The compute stream.
pub const COMPUTE: usize = 0;

impl Routine {
    /// Streams without instructions.
    #[must_use]
    pub fn new(n_streams: usize) -> Self {
        Self { streams: vec![Vec::new(); n_streams], n_events: 0 }
    }
}
