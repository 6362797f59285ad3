//! One column: every rank a small machine of two streams, driven by what ends.
//!
//! A rank runs its slots in order. A slot begins when the one before has ended and its messages are there; its two
//! streams then run their instructions in order, each waiting for its own kernel and for points of the other stream. An
//! all-to-all begins when the last of its ranks arrives.

use engine::{Actions, Driver, Finished, List, Task, Turn};
use units::SimTime;
use workloads::schedule::Slot;

use super::meet::{Exchanges, Rings};
use super::outcome::{Beside, ChunkSpan, ColumnOutcome, OpTotal, Ran, RankTotals, StreamSpan};
use super::{Keep, Progress};
use crate::program::{Half, Instruction, Program, SlotPlan};
use crate::{PlanError, Recording};

mod compute;
mod exchange;

const COMPUTE: usize = 0;
const COMMUNICATION: usize = 1;

/// What the driver calls a task.
#[derive(Clone, Copy, Debug)]
pub(super) enum Tag {
    Ring { rank: u32, ring: u32 },
    Copying { exchange: u32, member: u32 },
    Message { from: u32, to: u32, key: u32 },
}

/// What the driver calls a list of tasks.
#[derive(Clone, Copy, Debug)]
enum Listed {
    /// The kernels that a rank's compute stream runs without waiting for anything.
    Kernels { rank: u32 },
    /// The messages of an all-to-all.
    Messages { exchange: u32 },
}

impl Listed {
    const MESSAGES: u64 = 1 << 32;

    fn list(self) -> List {
        match self {
            Self::Kernels { rank } => List(u64::from(rank)),
            Self::Messages { exchange } => List(Self::MESSAGES | u64::from(exchange)),
        }
    }

    fn of(List(name): List) -> Self {
        let number = name as u32;
        if name < Self::MESSAGES { Self::Kernels { rank: number } } else { Self::Messages { exchange: number } }
    }
}

/// Runs one column.
pub(super) fn run(program: &Program, index: u32, keep: Keep, progress: &Progress) -> Result<ColumnOutcome, PlanError> {
    let mut column = Column::new(program, index, keep, progress);
    let record = engine::run(&program.resources, &mut column)
        .map_err(|fault| PlanError::Fault(format!("column {index}: {fault}")))?;
    if let Some(rank) = column.ranks.iter().position(|rank| !rank.done) {
        return Err(PlanError::Fault(format!(
            "column {index}: rank {rank} waits for ever in slot {}",
            column.ranks[rank].slot
        )));
    }
    let mut outcome = column.outcome;
    outcome.n_tasks = record.n_tasks;
    outcome.laws = record.laws;
    outcome.ports.measure(program, &record.served);
    for (rank, state) in column.ranks.iter().enumerate() {
        outcome.ranks[rank / program.n_members as usize].add(&state.totals);
    }
    Ok(outcome)
}

/// Where a rank stands.
#[derive(Debug, Default)]
struct RankState {
    slot: usize,
    running: bool,
    done: bool,
    at: [usize; 2],
    busy: [bool; 2],
    reached: Vec<u64>,
    began: SimTime,
    /// Messages that the next slot waits for because they must have left.
    unsent: u32,
    n_exchanges: u32,
    /// The kernels that its compute stream runs now.
    kernels: Vec<u32>,
    totals: RankTotals,
}

struct Column<'a> {
    program: &'a Program,
    index: u32,
    keep: Keep,
    progress: &'a Progress,
    ranks: Vec<RankState>,
    /// `[rank x n_keys + key]`: messages that have come, a bit each.
    here: Vec<u64>,
    n_keys: u32,
    /// By kernel: whether its shortest time is that of its memory traffic.
    of_memory: Vec<bool>,
    exchanges: Exchanges,
    rings: Rings,
    outcome: ColumnOutcome,
}

impl<'a> Column<'a> {
    fn new(program: &'a Program, index: u32, keep: Keep, progress: &'a Progress) -> Self {
        let n_ranks = program.ranks.len();
        let n_held = program.slots.iter().flatten().flat_map(|slot| [slot.forward, slot.backward]);
        let n_held = n_held.flatten().map(|half| u32::from(half.chunk.virtual_stage) + 1).max().unwrap_or(1);
        let n_keys = n_held * 2 * program.n_micro_batches;
        let group = if program.n_members == 1 { 1 } else { program.layout.ep };
        Self {
            program,
            index,
            keep,
            progress,
            ranks: (0..n_ranks).map(|_| RankState::default()).collect(),
            here: vec![0; (n_ranks * n_keys as usize).div_ceil(64)],
            n_keys,
            of_memory: program.kernels.iter().map(|kernel| kernel.limit.is_of_memory()).collect(),
            exchanges: Exchanges::new(group, n_ranks as u32 / group),
            rings: Rings::default(),
            outcome: ColumnOutcome {
                ranks: vec![RankTotals::default(); program.layout.pp as usize],
                ops: vec![OpTotal::default(); program.ops.len()],
                ..ColumnOutcome::default()
            },
        }
    }

    fn pipeline_rank(&self, rank: u32) -> u32 {
        rank / self.program.n_members
    }

    fn slots(&self, rank: u32) -> &'a [SlotPlan] {
        &self.program.slots[self.pipeline_rank(rank) as usize]
    }

    fn slot(&self, rank: u32) -> &'a SlotPlan {
        &self.slots(rank)[self.ranks[rank as usize].slot]
    }

    fn key(&self, virtual_stage: u8, half: Half, micro_batch: u32) -> u32 {
        let half = u32::from(half == Half::Backward);
        (u32::from(virtual_stage) * 2 + half) * self.program.n_micro_batches + micro_batch
    }

    /// Where a message for a rank is noted.
    fn place(&self, rank: u32, key: u32) -> (usize, u64) {
        let bit = rank as usize * self.n_keys as usize + key as usize;
        (bit / 64, 1 << (bit % 64))
    }

    fn has_come(&self, rank: u32, key: u32) -> bool {
        let (word, bit) = self.place(rank, key);
        self.here[word] & bit != 0
    }

    fn comes(&mut self, rank: u32, key: u32) {
        let (word, bit) = self.place(rank, key);
        self.here[word] |= bit;
    }

    /// Begins the next slot if everything it needs is there.
    fn try_begin(&mut self, rank: u32, now: SimTime, actions: &mut Actions<Tag>) {
        let state = &self.ranks[rank as usize];
        if state.running || state.unsent > 0 || state.slot == self.slots(rank).len() {
            return;
        }
        let plan = self.slot(rank);
        for (half, of) in [(plan.forward, Half::Forward), (plan.backward, Half::Backward)] {
            let Some(half) = half.filter(|half| half.receives) else { continue };
            let key = self.key(half.chunk.virtual_stage, of, half.chunk.micro_batch);
            if !self.has_come(rank, key) {
                return;
            }
        }
        let n_events = self.program.templates[plan.template as usize].n_events;
        let state = &mut self.ranks[rank as usize];
        state.running = true;
        state.began = now;
        state.at = [0, 0];
        state.reached.clear();
        state.reached.resize(usize::from(n_events).div_ceil(64), 0);
        self.advance(rank, now, actions);
    }

    /// Runs both streams as far as they get.
    fn advance(&mut self, rank: u32, now: SimTime, actions: &mut Actions<Tag>) {
        let program = self.program;
        let template = &program.templates[self.slot(rank).template as usize];
        loop {
            let mut moved = false;
            for stream in [COMPUTE, COMMUNICATION] {
                while let Some(open) = template.streams[stream].get(self.ranks[rank as usize].at[stream]..) {
                    if open.is_empty() || self.ranks[rank as usize].busy[stream] {
                        break;
                    }
                    let n_done = self.step(rank, stream, open, now, actions);
                    if n_done == 0 {
                        break;
                    }
                    self.ranks[rank as usize].at[stream] += n_done;
                    moved = true;
                }
            }
            if !moved {
                break;
            }
        }
        let state = &self.ranks[rank as usize];
        let through = (0..2).all(|stream| !state.busy[stream] && state.at[stream] == template.streams[stream].len());
        if through {
            self.end_slot(rank, now, actions);
        }
    }

    /// Carries out the first of the open instructions, or all kernels before the next of another kind; how many it could.
    fn step(
        &mut self,
        rank: u32,
        stream: usize,
        open: &[Instruction],
        now: SimTime,
        actions: &mut Actions<Tag>,
    ) -> usize {
        match open[0] {
            Instruction::Signal(event) => {
                self.ranks[rank as usize].reached[usize::from(event) / 64] |= 1 << (event % 64);
            }
            Instruction::Await(event) => {
                return (self.ranks[rank as usize].reached[usize::from(event) / 64] >> (event % 64) & 1) as usize;
            }
            Instruction::Kernel(_) | Instruction::Loaded { .. } => return self.kernels(rank, stream, open, actions),
            Instruction::Exchange { kind, half, layer, sms } => {
                let batch = self.batch(rank, half, layer);
                self.ranks[rank as usize].busy[stream] = true;
                self.arrive(rank, kind, batch, sms, now, actions);
            }
            Instruction::Ring(ring) => {
                self.ranks[rank as usize].busy[stream] = true;
                self.ring(rank, ring, actions);
            }
            Instruction::Send(half) => self.send(rank, half, actions),
        }
        1
    }

    /// The sampled batch that a layer of a half's micro-batch takes.
    fn batch(&self, rank: u32, half: Half, layer: u16) -> u32 {
        let plan = self.slot(rank);
        let half = if half == Half::Forward { plan.forward } else { plan.backward };
        let micro_batch = half.map_or(0, |half| half.chunk.micro_batch);
        let group = self.index * self.exchanges.per_rank(self.program.n_members)
            + self.exchanges.group_in(rank, self.program.n_members);
        self.program.pool.as_ref().map_or(0, |pool| pool.draw(u32::from(layer), micro_batch, group) as u32)
    }

    fn ring(&mut self, rank: u32, index: u32, actions: &mut Actions<Tag>) {
        let ring = &self.program.rings[index as usize];
        let n_members = self.program.n_members;
        for member in self.rings.arrive(rank, ring, n_members) {
            let resources = &self.program.ranks[member as usize];
            let task = Task::new(Tag::Ring { rank: member, ring: index })
                .demand(resources.up_send, ring.up)
                .demand(resources.up_receive, ring.up)
                .demand(resources.out_send, ring.out)
                .demand(resources.out_receive, ring.out)
                .latency(ring.latency);
            actions.submit(task);
        }
    }

    /// The half's result leaves for the next stage; on the same rank it is there at once.
    fn send(&mut self, rank: u32, half: Half, actions: &mut Actions<Tag>) {
        let plan = self.slot(rank);
        let sender = if half == Half::Forward { plan.forward } else { plan.backward };
        let Some((chunk, (pipeline_rank, virtual_stage))) =
            sender.and_then(|sender| Some((sender.chunk, sender.sends_to?)))
        else {
            return;
        };
        let to = pipeline_rank * self.program.n_members + rank % self.program.n_members;
        let key = self.key(virtual_stage, half, chunk.micro_batch);
        if to == rank {
            self.comes(to, key);
            return;
        }
        let messages = &self.program.messages;
        self.ranks[rank as usize].unsent += u32::from(messages.waited);
        let [from_ports, to_ports] = [rank, to].map(|rank| &self.program.ranks[rank as usize]);
        let task = Task::new(Tag::Message { from: rank, to, key })
            .demand(from_ports.out_send, messages.out)
            .demand(to_ports.out_receive, messages.out)
            .demand(from_ports.up_send, messages.up)
            .demand(to_ports.up_receive, messages.up)
            .no_faster_than(messages.shortest)
            .latency(messages.latency);
        self.outcome.ports.message_bytes += messages.bytes;
        actions.submit(task);
    }

    fn end_slot(&mut self, rank: u32, now: SimTime, actions: &mut Actions<Tag>) {
        self.progress.step();
        let plan = self.slot(rank);
        let n_slots = self.slots(rank).len();
        let hiding = self.program.hiding.get(self.pipeline_rank(rank) as usize);
        let state = &mut self.ranks[rank as usize];
        let took = now.since(state.began);
        let phases = &mut state.totals.phases;
        match plan.slot {
            Slot::Forward(_) => phases.forward += took,
            Slot::Backward(_) | Slot::BackwardInput(_) => phases.backward += took,
            Slot::Weight(_) => phases.weight_gradient += took,
            Slot::Overlapped { .. } => phases.overlapped += took,
        }
        let began = state.began;
        if let Some(hiding) = hiding {
            let beside = state.totals.beside.get_or_insert(Beside { completing: began, forwarded: now });
            if state.slot == hiding.completes as usize {
                beside.completing = began;
            }
            if state.slot == hiding.needs as usize {
                beside.forwarded = now;
            }
        }
        state.running = false;
        state.slot += 1;
        if state.slot == n_slots {
            state.done = true;
            state.totals.last = now;
        }
        if self.records(rank) {
            let (rank, replica) = self.recorded(rank);
            self.outcome.chunks.push(ChunkSpan { rank, replica, slot: Some(plan.slot), start: began, end: now });
        }
        self.try_begin(rank, now, actions);
    }

    fn ring_ended(&mut self, rank: u32, index: u32, task: &Finished<Tag>, actions: &mut Actions<Tag>) {
        let ring = &self.program.rings[index as usize];
        let total = &mut self.outcome.ops[usize::from(ring.op)];
        total.count += 1;
        total.span += task.end.since(task.start);
        total.links += task.end.since(task.start);
        self.computed(rank, ring.op, false, (task.start, task.end));
        self.compute_ended(rank, task.end, actions);
    }

    fn records(&self, rank: u32) -> bool {
        match self.keep.ranks {
            Recording::None => false,
            Recording::All => true,
            Recording::OnePerStage => self.index == 0 && rank.is_multiple_of(self.program.n_members),
        }
    }

    /// Its pipeline rank and replica.
    fn recorded(&self, rank: u32) -> (u32, u32) {
        let n_members = self.program.n_members;
        (rank / n_members, self.index * n_members + rank % n_members)
    }

    fn span(&mut self, rank: u32, stream: usize, what: Ran, start: SimTime, end: SimTime) {
        let (rank, replica) = self.recorded(rank);
        self.outcome.streams.push(StreamSpan { rank, replica, stream: stream as u8, what, start, end });
    }
}

impl Driver for Column<'_> {
    type Tag = Tag;

    fn begin(&mut self, actions: &mut Actions<Tag>) {
        for rank in 0..self.ranks.len() as u32 {
            self.try_begin(rank, SimTime::ZERO, actions);
        }
    }

    fn finished(&mut self, task: &Finished<Tag>, actions: &mut Actions<Tag>) {
        match task.tag {
            Tag::Ring { rank, ring } => self.ring_ended(rank, ring, task, actions),
            Tag::Copying { exchange, member } => self.part_done(exchange, member, task.end, actions),
            Tag::Message { from, to, key } => {
                self.comes(to, key);
                if self.program.messages.waited {
                    self.ranks[from as usize].unsent -= 1;
                    self.try_begin(from, task.end, actions);
                }
                self.try_begin(to, task.end, actions);
            }
        }
    }

    #[inline(always)]
    fn listed(&self, list: List, index: u32) -> Task<()> {
        match Listed::of(list) {
            Listed::Kernels { rank } => {
                let state = &self.ranks[rank as usize];
                self.program.kernels[state.kernels[index as usize] as usize].task(&self.program.ranks[rank as usize])
            }
            Listed::Messages { exchange } => self.message_of(exchange, index),
        }
    }

    fn parts(&self, list: List, index: u32) -> [u32; 2] {
        match Listed::of(list) {
            Listed::Kernels { .. } => [0, 0],
            Listed::Messages { exchange } => self.exchanges.parts(self.template(exchange), index),
        }
    }

    fn part_ended(&mut self, list: List, part: u32, now: SimTime, actions: &mut Actions<Tag>) {
        if let Listed::Messages { exchange } = Listed::of(list) {
            self.messages_ended(exchange, part, now, actions);
        }
    }

    fn chain_ended(&mut self, list: List, turns: &[Turn], actions: &mut Actions<Tag>) {
        if let Listed::Kernels { rank } = Listed::of(list) {
            self.kernels_ended(rank, turns, actions);
        }
    }
}
