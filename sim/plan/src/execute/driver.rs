//! The driver of gangs: every rank a small machine of streams, driven by what ends.
//!
//! A sequencer decides what a gang runs; `calls` queues its decisions, and each rank of the gang goes through them at its own
//! pace. A rank begins its next call when the one before has ended and its messages are there; its streams then run their
//! instructions in order (`streams`), each waiting for its own kernel and for points of other streams. An all-to-all begins
//! when the last of its ranks arrives.

use engine::{Actions, Driver, Finished, Handle, List, Task, Turn};
use platform::{Kernel, Message, RankResources};
use units::{SimSpan, SimTime};

use super::Keep;
use super::gang::CallId;
use super::meet::{Exchanges, Rings};
use super::outcome::{GangsOutcome, OpTotal, RankTotals};
use super::routines::Routines;
use super::sequencer::{CANCELLED, Command, Commands, Event, Sequencer};
use super::state::{GangState, RankState};
use super::tag::{At, Tag};
use crate::PlanError;

mod compute;
mod exchange;
mod streams;

/// What the driver calls a list of tasks.
#[derive(Clone, Copy, Debug)]
enum Listed {
    /// The kernels that a stream runs without waiting for anything; the number of the stream among those of all ranks.
    Kernels { stream: u32 },
    /// The messages of an all-to-all.
    Messages { exchange: u32 },
}

impl Listed {
    const MESSAGES: u64 = 1 << 32;

    fn list(self) -> List {
        match self {
            Self::Kernels { stream } => List(u64::from(stream)),
            Self::Messages { exchange } => List(Self::MESSAGES | u64::from(exchange)),
        }
    }

    fn of(List(name): List) -> Self {
        let number = name as u32;
        if name < Self::MESSAGES { Self::Kernels { stream: number } } else { Self::Messages { exchange: number } }
    }
}

/// Runs gangs until their sequencer has nothing more for them.
///
/// # Errors
/// A fault of the sequencer or of the simulator: a gang that waits for ever, ranks of a group in different exchanges, a law broken.
pub fn run_gangs<S: Sequencer>(
    routines: &Routines<'_>,
    sequencer: &mut S,
    keep: Keep,
) -> Result<GangsOutcome, PlanError> {
    drive(routines, sequencer, keep).map_err(PlanError::Fault)
}

/// As [`run_gangs`]; what went wrong as text.
pub(super) fn drive<S: Sequencer>(
    routines: &Routines<'_>,
    sequencer: &mut S,
    keep: Keep,
) -> Result<GangsOutcome, String> {
    if let Some(fault) = routines.fault() {
        return Err(fault);
    }
    let mut driver = RoutineDriver::new(routines, sequencer, keep);
    let record = engine::run(routines.resources, &mut driver).map_err(|fault| fault.to_string())?;
    let waits = || if driver.is_stopped { None } else { driver.waits_for_ever() };
    if let Some(fault) = driver.fault.clone().or_else(waits) {
        return Err(fault);
    }
    let mut outcome = driver.outcome;
    outcome.end = record.end;
    outcome.n_tasks = record.n_tasks;
    outcome.laws = record.laws;
    outcome.ports.measure(routines, &record.served);
    for state in &driver.ranks {
        outcome.gangs[state.gang.0 as usize].add(&state.totals);
    }
    Ok(outcome)
}

/// One stream of a rank.
#[derive(Debug, Default)]
pub(super) struct StreamState {
    /// The next instruction.
    at: u32,
    busy: bool,
    n_exchanges: u32,
    /// How many it had had when its call began.
    n_exchanges_before: u32,
    /// The kernels that it runs now.
    kernels: Vec<u32>,
    /// How late the host launches each of them; none where it is in time for all.
    delays: Vec<SimSpan>,
    /// They, or its part in a collective.
    task: Option<Handle>,
}

pub(super) struct RoutineDriver<'a, S> {
    pub(super) routines: &'a Routines<'a>,
    pub(super) sequencer: &'a mut S,
    keep: Keep,
    pub(super) gangs: Vec<GangState>,
    pub(super) ranks: Vec<RankState>,
    /// `[rank x n_streams + stream]`.
    pub(super) streams: Vec<StreamState>,
    pub(super) n_streams: usize,
    /// `[rank x n_keys + key]`: messages that have come, a bit each.
    here: Vec<u64>,
    /// By kernel: whether its shortest time is that of its memory traffic.
    of_memory: Vec<bool>,
    /// By kernel: what it takes alone.
    alone: Vec<SimSpan>,
    pub(super) exchanges: Exchanges,
    rings: Rings,
    pub(super) commands: Commands,
    outcome: GangsOutcome,
    /// Calls that were given up at this instant, with the ranks that ran them.
    pub(super) cancelled: Vec<(CallId, Vec<u32>)>,
    /// The sequencer has ended the run.
    is_stopped: bool,
    /// The first thing that went wrong.
    pub(super) fault: Option<String>,
}

impl<'a, S: Sequencer> RoutineDriver<'a, S> {
    fn new(routines: &'a Routines<'a>, sequencer: &'a mut S, keep: Keep) -> Self {
        let n_ranks = routines.ranks.len();
        let n_streams = routines.routines.iter().map(|routine| routine.streams.len()).max().unwrap_or(0);
        let n_groups = n_ranks.div_ceil(routines.group_size as usize);
        Self {
            routines,
            sequencer,
            keep,
            gangs: routines.gangs.iter().map(|_| GangState::default()).collect(),
            ranks: RankState::of(routines),
            streams: (0..n_ranks * n_streams).map(|_| StreamState::default()).collect(),
            n_streams,
            here: vec![0; (n_ranks * routines.n_keys as usize).div_ceil(64)],
            alone: routines.alone(),
            of_memory: routines.kernels.iter().map(|kernel| kernel.kernel.limit.is_of_memory()).collect(),
            exchanges: Exchanges::new(routines.group_size, n_groups * n_streams),
            rings: Rings::default(),
            commands: Commands::default(),
            outcome: GangsOutcome {
                gangs: vec![RankTotals::new(routines.n_labels); routines.gangs.len()],
                ops: vec![OpTotal::default(); routines.n_ops],
                ..GangsOutcome::default()
            },
            cancelled: Vec::new(),
            is_stopped: false,
            fault: None,
        }
    }

    /// Where a message for a rank is noted.
    fn place(&self, rank: u32, key: u32) -> (usize, u64) {
        let bit = rank as usize * self.routines.n_keys as usize + key as usize;
        (bit / 64, 1 << (bit % 64))
    }

    pub(super) fn has_come(&self, rank: u32, key: u32) -> bool {
        let (word, bit) = self.place(rank, key);
        self.here[word] & bit != 0
    }

    fn comes(&mut self, rank: u32, key: u32) {
        if self.has_come(rank, key) {
            self.fault
                .get_or_insert_with(|| format!("rank {rank} got a second message {key} before it used the first"));
        }
        let (word, bit) = self.place(rank, key);
        self.here[word] |= bit;
    }

    pub(super) fn uses(&mut self, rank: u32, key: u32) {
        let (word, bit) = self.place(rank, key);
        self.here[word] &= !bit;
    }

    /// A message between two ranks: it draws from their ports, and from the pooled ports of their gangs.
    fn message(&self, tag: Tag, message: &Message, ends: [u32; 2]) -> Task<Tag> {
        let ports = ends.map(|rank| &self.routines.ranks[rank as usize]);
        let mut task = message.task(tag, ports);
        let [from, to] = ends.map(|rank| self.ranks[rank as usize].gang);
        let other = Some(to).filter(|to| *to != from);
        for gang in std::iter::once(from).chain(other) {
            let Some(pooled) = self.routines.gangs[gang.0 as usize].pooled else { continue };
            task = task.demand(pooled.out, message.out).demand(pooled.up, message.up);
        }
        task
    }

    /// Carries out what the sequencer wants, until it wants nothing more.
    fn carry_out(&mut self, now: SimTime, actions: &mut Actions<Tag>) {
        while !self.commands.0.is_empty() {
            for command in std::mem::take(&mut self.commands.0) {
                match command {
                    Command::Ask(gang) => self.ask(gang, now, actions),
                    Command::Wake(at, token) => actions.wake(at, token),
                    Command::Send { message, ends, token } => {
                        self.outcome.ports.message_bytes += message.bytes;
                        actions.submit(self.message(Tag::Sent { token }, &message, ends));
                    }
                    Command::Cancel(call) => self.cancel(call, now, actions),
                    Command::SetRate(capacity, rate) => actions.set_rate(capacity, rate),
                    Command::Stop => {
                        self.is_stopped = true;
                        actions.stop();
                    }
                }
            }
        }
    }

    fn resources(&self, rank: u32) -> &'a RankResources {
        &self.routines.ranks[rank as usize]
    }
}

impl<S: Sequencer> Driver for RoutineDriver<'_, S> {
    type Tag = Tag;

    fn begin(&mut self, actions: &mut Actions<Tag>) {
        for rank in 0..self.ranks.len() as u32 {
            self.try_begin(rank, SimTime::ZERO, actions);
        }
        self.carry_out(SimTime::ZERO, actions);
    }

    fn finished(&mut self, task: &Finished<Tag>, actions: &mut Actions<Tag>) {
        match task.tag {
            Tag::Ring { at, ring } => self.ring_ended(at, ring, task, actions),
            Tag::Copying { exchange, member } => self.part_done(exchange, member, task.end, actions),
            Tag::Message { from, to, key } => {
                self.comes(to, key);
                if self.routines.is_message_waited {
                    self.ranks[from as usize].unsent -= 1;
                    self.try_begin(from, task.end, actions);
                }
                self.try_begin(to, task.end, actions);
            }
            Tag::Sent { token } => self.sequencer.event(Event::Delivered(token), task.end, &mut self.commands),
            Tag::Tabulated { call } => self.tabulated_ended(call, task.end, actions),
        }
        self.carry_out(task.end, actions);
    }

    fn woken(&mut self, token: u64, now: SimTime, actions: &mut Actions<Tag>) {
        if token == CANCELLED {
            self.go_on(now, actions);
        } else {
            self.sequencer.event(Event::Woken(token), now, &mut self.commands);
        }
        self.carry_out(now, actions);
    }

    #[inline(always)]
    fn listed(&self, list: List, index: u32) -> Task<()> {
        match Listed::of(list) {
            Listed::Kernels { stream } => {
                let kernel = self.streams[stream as usize].kernels[index as usize];
                let rank = stream as usize / self.n_streams;
                let kernel = self.routines.kernels[kernel as usize].kernel;
                let kernel = Kernel { latency: kernel.latency + self.delay(stream, index), ..kernel };
                kernel.task((), &self.routines.ranks[rank])
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
            self.carry_out(now, actions);
        }
    }

    fn chain_ended(&mut self, list: List, turns: &[Turn], actions: &mut Actions<Tag>) {
        if let (Listed::Kernels { stream }, Some(last)) = (Listed::of(list), turns.last()) {
            self.kernels_ended(stream, turns, actions);
            self.carry_out(last.end, actions);
        }
    }
}
