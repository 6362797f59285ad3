//! The program: resources and tasks, decided to the last demand, not yet run.

use std::sync::Arc;

use engine::Resources;
use platform::{ExchangeTemplate, Kernel, Leg, Message, RankResources};
use topology::Network;
use units::SimSpan;
use workloads::op::{Category, Misaligned, Pass};
use workloads::schedule::{Chunk, Slot};
use workloads::traffic::PicksPool;

use crate::layout::Layout;
use crate::routine::Routine;

/// What a run needs: columns of ranks that meet only in the optimizer, routines of chunks, the tables they draw from.
#[derive(Clone, Debug)]
pub struct Program {
    /// The machine's network, for whoever draws it or lowers another plan of the machine.
    pub network: Arc<Network>,
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
    pub kernels: Vec<OpKernel>,
    /// Kernels that depend on the load.
    pub tables: Vec<LoadTable>,
    /// Collectives of tensor- and context-parallel groups.
    pub rings: Vec<Ring>,
    /// Chunks, as streams of instructions.
    pub routines: Vec<Routine>,
    /// What each pipeline rank runs, in order.
    pub slots: Vec<Vec<SlotPlan>>,
    /// Dispatch and combine of every sampled batch.
    pub exchanges: Vec<[ExchangeTemplate; 2]>,
    /// Sampled batches; `None` for a dense model.
    pub pool: Option<PicksPool>,
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
    /// What the host waits for, and what a collective costs it.
    pub host: HostWaits,
    /// Whether those SMs could copy more slowly than the ports send; if not, [`RankResources::copy`] is left out of flows.
    pub copy_binds: bool,
}

impl Program {
    /// Slots of all simulated ranks.
    #[must_use]
    pub fn n_slots(&self) -> u64 {
        let each: usize = self.slots.iter().map(Vec::len).sum();
        each as u64 * u64::from(self.n_members) * u64::from(self.n_columns)
    }
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
    /// What comes of it where its rows begin at no whole vector.
    pub misaligned: Option<Misaligned>,
}

/// A kernel of an op.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OpKernel {
    /// Index of its name.
    pub op: u16,
    /// What it spends its time on.
    pub category: Category,
    /// Whether it is a further kernel of the op before it.
    pub continues: bool,
    /// Whether its size follows the load.
    pub loaded: bool,
    /// What it costs.
    pub kernel: Kernel,
    /// What it costs the host to launch it.
    pub launch: SimSpan,
}

/// Kernels of one op for every batch and member: `first + batch x n_members + member`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoadTable {
    /// The first kernel.
    pub first: u32,
}

/// A collective of a group, as one rank sees it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ring {
    /// Index of its name.
    pub op: u16,
    /// Ranks that meet: a run of consecutive ranks of this length ...
    pub span: u32,
    /// ... of which every `stride`-th belongs to one group.
    pub stride: u32,
    /// What it costs.
    pub leg: Leg,
    /// What it costs for one layer alone, of those that it is of; none where it is of no layer, and nothing of it hides beside chunks.
    pub layer: Option<Leg>,
    /// What it costs the host to launch it.
    pub launch: SimSpan,
}

/// One slot of a pipeline rank.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SlotPlan {
    /// Which routine.
    pub routine: u32,
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

/// What the host waits for before it launches more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HostWaits {
    /// Calls that take or send a message begin with a host that has nothing ahead.
    pub messages: bool,
    /// What follows a forward dispatch is launched after it.
    pub counts: bool,
    /// What a collective or an exchange costs it.
    pub launch: SimSpan,
}

/// Messages between neighboring stages.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Messages {
    /// What one costs.
    pub each: Message,
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
