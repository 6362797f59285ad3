//! The program: resources and tasks, decided to the last demand, not yet run.

use calibrate::EstimateKey;
use engine::{CapacityId, PoolId, Resources};
use units::{Seconds, SimSpan};
use workloads::op::Pass;
use workloads::schedule::{Chunk, Slot};
use workloads::traffic::Pool;

use crate::layout::Layout;

/// What a run needs: columns of ranks that meet only in the optimizer, templates of chunks, the tables they draw from.
#[derive(Clone, Debug)]
pub struct Program {
    /// Which rank is which.
    pub layout: Layout,
    /// Ranks that are simulated in each column of each pipeline rank: 1 where replicas are folded.
    pub n_members: u32,
    /// Columns simulated.
    pub n_columns: u32,
    /// Resources of one column.
    pub resources: Resources,
    /// Resources of each simulated rank of a column, `[pipeline rank x n_members + member]`.
    pub ranks: Vec<RankResources>,
    /// Names of ops; kernels refer to them.
    pub ops: Vec<OpName>,
    /// Kernels on fixed loads, and those of every load after them.
    pub kernels: Vec<Kernel>,
    /// Kernels that depend on the load.
    pub tables: Vec<LoadTable>,
    /// Collectives of tensor- and context-parallel groups.
    pub rings: Vec<Ring>,
    /// Chunks, as two streams of instructions.
    pub templates: Vec<Template>,
    /// What each pipeline rank runs, in order.
    pub slots: Vec<Vec<SlotPlan>>,
    /// Dispatch and combine of every sampled batch.
    pub exchanges: Vec<[ExchangeTemplate; 2]>,
    /// Sampled batches; `None` for a dense model.
    pub pool: Option<Pool>,
    /// Messages between neighboring stages.
    pub messages: Messages,
    /// What follows the last chunk, by pipeline rank.
    pub optimizer: Vec<Vec<Ending>>,
    /// What of it runs beside chunks, by pipeline rank; empty where nothing does.
    pub hiding: Vec<Hiding>,
    /// Micro-batches a pipeline runs in a step.
    pub n_micro_batches: u32,
    /// SMs of a communication kernel in a pair, which the capacity of [`RankResources::copy`] is of.
    pub comm_sms: u32,
    /// Whether those SMs could copy more slowly than the ports send; if not, [`RankResources::copy`] is left out of flows.
    pub copy_binds: bool,
    /// How much less than a group's fullest rank its mean rank computes on, a share: 0 in balanced traffic.
    pub load_excess: f64,
}

impl Program {
    /// Slots of all simulated ranks.
    #[must_use]
    pub fn n_slots(&self) -> u64 {
        let each: usize = self.slots.iter().map(Vec::len).sum();
        each as u64 * u64::from(self.n_members) * u64::from(self.n_columns)
    }
}

/// Capacities and pools of one simulated rank.
#[derive(Clone, Copy, Debug)]
pub struct RankResources {
    /// Tensor cores, in seconds of the whole array at its peak.
    pub tensor: CapacityId,
    /// Device memory, bytes.
    pub memory: CapacityId,
    /// What the SMs of a communication kernel can send on, bytes.
    pub copy: CapacityId,
    /// Scale-up port, bytes.
    pub up_send: CapacityId,
    /// Scale-up port, bytes.
    pub up_receive: CapacityId,
    /// NIC, bytes.
    pub out_send: CapacityId,
    /// NIC, bytes.
    pub out_receive: CapacityId,
    /// SMs.
    pub sms: PoolId,
}

/// The name of an op in tables.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct OpName {
    /// For example `query-up`.
    pub name: &'static str,
    /// Which part of training.
    pub pass: Pass,
    /// Whether it ran on the SMs that an overlapped pair leaves to compute.
    pub overlapped: bool,
}

/// An op on the SMs it holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Kernel {
    /// Index of its name.
    pub op: u16,
    /// SMs held.
    pub sms: u32,
    /// Seconds of the whole tensor array.
    pub tensor: f64,
    /// Bytes of device memory.
    pub memory: f64,
    /// The shortest time on the SMs held, seconds.
    pub shortest: f64,
    /// Before it draws.
    pub latency: SimSpan,
    /// What sets `shortest`.
    pub limit: EstimateKey,
    /// Whether its size follows the load.
    pub loaded: bool,
}

/// Kernels of one op for every batch and member: `first + batch x n_members + member`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoadTable {
    /// The first kernel.
    pub first: u32,
}

/// A ring collective of a group, as one rank sees it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ring {
    /// Index of its name.
    pub op: u16,
    /// Ranks that meet: a run of consecutive ranks of this length ...
    pub span: u32,
    /// ... of which every `stride`-th belongs to one group.
    pub stride: u32,
    /// Occupancy of the scale-up port: bytes over the share of the rate it reaches.
    pub up: f64,
    /// Occupancy of the NIC.
    pub out: f64,
    /// The shortest time the routes leave it, seconds; zero where its NIC is no faster.
    pub shortest: f64,
    /// Before bytes move.
    pub latency: SimSpan,
    /// The share of the scale-up port that it reaches, by name.
    pub up_limit: calibrate::EstimateKey,
}

/// Which half of a slot an instruction belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Half {
    /// The forward chunk.
    Forward,
    /// The backward chunk, or the chunk whose weight gradient runs.
    Backward,
}

/// Dispatch or combine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExchangeKind {
    /// Tokens to their experts (and, backward, gradients of their outputs).
    Dispatch = 0,
    /// Results back (and, backward, gradients of what was dispatched).
    Combine = 1,
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
    /// Says that this point is reached.
    Signal(u16),
    /// Waits for the other stream to reach a point.
    Await(u16),
    /// The half's result may leave for the next stage.
    Send(Half),
}

/// One chunk (or pair) as a rank runs it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Template {
    /// Compute stream, communication stream.
    pub streams: [Vec<Instruction>; 2],
    /// Points that streams signal.
    pub n_events: u16,
}

/// One slot of a pipeline rank.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SlotPlan {
    /// Which template.
    pub template: u32,
    /// What it is.
    pub slot: Slot,
    /// The forward half, if there is one.
    pub forward: Option<HalfPlan>,
    /// The backward half, or the chunk whose weight gradient runs.
    pub backward: Option<HalfPlan>,
}

/// One half of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HalfPlan {
    /// Its chunk.
    pub chunk: Chunk,
    /// Its stage.
    pub stage: u32,
    /// Whether it waits for a message.
    pub receives: bool,
    /// Pipeline rank and virtual stage that its result goes to.
    pub sends_to: Option<(u32, u8)>,
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
    /// Bytes over the scale-up fabric, own copies excluded, all members together.
    pub up_bytes: f64,
    /// Bytes over the network, all members together.
    pub out_bytes: f64,
}

/// Messages between neighboring stages.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Messages {
    /// Bytes of one.
    pub bytes: f64,
    /// Occupancy of the NIC.
    pub out: f64,
    /// Occupancy of the scale-up port, where both stages share a node.
    pub up: f64,
    /// The way through the network.
    pub latency: SimSpan,
    /// The shortest time the routes leave it, seconds; zero where they do not meet.
    pub shortest: f64,
    /// Whether the sender's next chunk waits for them.
    pub waited: bool,
    /// Stages of the model.
    pub n_stages: u32,
}

/// Beside which slots of a pipeline rank its gradients are reduced, and its weights gathered for the next step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hiding {
    /// The first slot that completes the gradients of a stage.
    pub completes: u32,
    /// The slot by whose end every stage has run forward once.
    pub needs: u32,
    /// Layers of the rank: what is reduced and gathered one after the other.
    pub n_layers: u32,
}

/// One task of the end of a step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Ending {
    /// A kernel.
    Kernel(u32),
    /// A collective over replicas.
    Ring(Ring),
    /// Every rank waits for every other: the norm of all gradients.
    Barrier,
}
