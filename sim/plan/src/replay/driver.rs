//! The driver: nodes start when what they wait for has ended.
//!
//! Sends are buffered, as those of the libraries are that such traces come from: a message sets out when its sender is ready, whoever
//! waits for it. Its send ends when the bytes have arrived, its receive when they have and it has begun itself. So a ring in which
//! every rank sends and then receives goes round; one in which every rank receives first does not.

use std::collections::{BTreeMap, VecDeque};

use engine::{Actions, Driver, Finished, Record};
use units::{Bytes, Seconds, SimTime};
use workloads::import::{Graph, GraphNode, ProcessGroup, Work};

use super::cost::{Costs, Evidence};
use super::{RankReplay, Replayed};
use crate::{Contradiction, PlanError};

/// A node of a trace.
type At = (u32, u32);

/// The i-th message of a sender, a receiver and a tag.
type Key = (u32, u32, u64, u32);

/// A message at one end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Halfway {
    Arrived,
    Awaited(u32),
}

/// What the driver calls a task.
#[derive(Clone, Copy, Debug)]
pub(super) enum Tag {
    Device(At),
    Host(At),
    Collective(At),
    Message { send: At, index: u32 },
}

/// Where the nodes of one rank stand.
#[derive(Debug, Default)]
struct Rank {
    /// Nodes that each node still waits for.
    missing: Vec<u32>,
    /// Nodes that wait for each.
    next: Vec<Vec<u32>>,
    /// Nodes that wait for the device and for the host; the first of each runs.
    device: VecDeque<u32>,
    host: VecDeque<u32>,
    /// Collectives and messages it takes part in or waits for a partner in.
    n_communications: u32,
    /// Collectives begun, by group.
    n_met: BTreeMap<u32, u32>,
    /// Messages begun, by sender, receiver and tag.
    n_messages: BTreeMap<(u32, u32, u64), u32>,
    n_done: usize,
    since: SimTime,
    spent: RankReplay,
}

pub(super) struct Replay<'a> {
    job: &'a Graph,
    costs: &'a Costs<'a>,
    ranks: Vec<Rank>,
    /// Ranks that have come to the i-th collective of a group.
    meetings: BTreeMap<(u32, u32), Vec<At>>,
    /// Messages of which one end has come: it has arrived, or a node waits to receive it.
    messages: BTreeMap<Key, Halfway>,
    /// The first thing that could not be priced.
    error: Option<PlanError>,
}

impl<'a> Replay<'a> {
    pub(super) fn new(job: &'a Graph, costs: &'a Costs<'a>) -> Self {
        let ranks = job.traces.iter().map(|trace| rank(&trace.nodes)).collect();
        Self { job, costs, ranks, meetings: BTreeMap::new(), messages: BTreeMap::new(), error: None }
    }

    pub(super) fn outcome(mut self, record: &Record) -> Result<Replayed, PlanError> {
        if let Some(error) = self.error.take() {
            return Err(error);
        }
        let stuck = self.ranks.iter().zip(&self.job.traces).find(|(rank, trace)| rank.n_done < trace.nodes.len());
        if let Some((rank, trace)) = stuck {
            let node = self.waiting(rank, trace.nodes.len());
            let node = node.map(|index| trace.nodes[index].name.clone());
            return Err(Contradiction::Circle { trace: trace.name.clone(), node }.into());
        }
        (0..self.ranks.len()).for_each(|rank| self.account(rank, record.end));
        Ok(Replayed {
            makespan: Seconds::new(record.end.seconds()),
            ranks: self.ranks.iter().map(|rank| rank.spent).collect(),
            n_nodes: self.job.traces.iter().map(|trace| trace.nodes.len() as u64).sum(),
            n_tasks: record.n_tasks,
            evidence: Evidence::new(),
        })
    }

    /// A node that has begun and not ended.
    fn waiting(&self, rank: &Rank, n_nodes: usize) -> Option<usize> {
        (0..n_nodes).find(|&index| rank.missing[index] == 0)
    }

    /// Adds what a rank did since it last changed.
    fn account(&mut self, rank: usize, now: SimTime) {
        let Rank { device, host, n_communications, since, spent, .. } = &mut self.ranks[rank];
        let took = now.since(*since);
        *since = now;
        let communicates = *n_communications > 0;
        match (device.is_empty(), communicates) {
            (false, _) => spent.device += took,
            (true, true) => spent.exposed += took,
            (true, false) => spent.idle += took,
        }
        if communicates {
            spent.communication += took;
        }
        if !host.is_empty() {
            spent.host += took;
        }
    }

    fn node(&self, (rank, node): At) -> &'a GraphNode {
        &self.job.traces[rank as usize].nodes[node as usize]
    }

    /// Starts a node that waits for nothing more, and all that follow from it at once.
    fn start(&mut self, first: At, now: SimTime, actions: &mut Actions<Tag>) {
        let mut ready = VecDeque::from([first]);
        while let Some(at) = ready.pop_front() {
            self.account(at.0 as usize, now);
            match self.node(at).work {
                Work::Mark => self.done(at, &mut ready),
                Work::Device(_) | Work::Arithmetic { .. } => self.queue(at, Tag::Device(at), actions),
                Work::Host(_) => self.queue(at, Tag::Host(at), actions),
                Work::Collective { group, .. } => self.meet(at, group, actions),
                Work::Send { to, tag, bytes } => self.send(at, (to, tag), bytes, actions),
                Work::Receive { from, tag } => self.receive(at, (from, tag), &mut ready),
            }
        }
    }

    fn queue(&mut self, at: At, tag: Tag, actions: &mut Actions<Tag>) {
        let rank = &mut self.ranks[at.0 as usize];
        let queue = if matches!(tag, Tag::Host(_)) { &mut rank.host } else { &mut rank.device };
        queue.push_back(at.1);
        if queue.len() == 1 {
            self.submit(at, tag, actions);
        }
    }

    fn submit(&mut self, at: At, tag: Tag, actions: &mut Actions<Tag>) {
        if let Some(task) = self.costs.alone(tag, at.0 as usize, &self.node(at).work) {
            actions.submit(task);
        }
    }

    /// The i-th call of a group on this rank meets the i-th on the others.
    fn meet(&mut self, at: At, group: u32, actions: &mut Actions<Tag>) {
        let rank = &mut self.ranks[at.0 as usize];
        rank.n_communications += 1;
        let index = rank.n_met.entry(group).or_default();
        let key = (group, *index);
        *index += 1;
        let here = self.meetings.entry(key).or_default();
        here.push(at);
        let expected = match &self.job.groups[group as usize] {
            ProcessGroup::Ranks(ranks) if !self.job.lockstep() => ranks.len(),
            ProcessGroup::Ranks(_) | ProcessGroup::Even { .. } => 1,
        };
        if here.len() < expected {
            return;
        }
        for at in self.meetings.remove(&key).unwrap_or_default() {
            if let Work::Collective { what, bytes, .. } = self.node(at).work {
                actions.submit(self.costs.collective(Tag::Collective(at), at.0 as usize, group, what, bytes));
            }
        }
    }

    /// How many messages of two ranks and a tag this rank has begun before.
    fn count(&mut self, rank: u32, ends: (u32, u32, u64)) -> u32 {
        let next = self.ranks[rank as usize].n_messages.entry(ends).or_default();
        let index = *next;
        *next += 1;
        index
    }

    /// A message sets out.
    fn send(&mut self, at: At, (to, tag): (u32, u64), bytes: Bytes, actions: &mut Actions<Tag>) {
        self.ranks[at.0 as usize].n_communications += 1;
        let index = self.count(at.0, (at.0, to, tag));
        match self.costs.message(Tag::Message { send: at, index }, [at.0, to], bytes) {
            Ok(task) => {
                actions.submit(task);
            }
            Err(error) => self.error = self.error.take().or(Some(error)),
        }
    }

    /// A node waits for a message, unless it is there.
    fn receive(&mut self, at: At, (from, tag): (u32, u64), ready: &mut VecDeque<At>) {
        let index = self.count(at.0, (from, at.0, tag));
        let key = (from, at.0, tag, index);
        if self.messages.get(&key) == Some(&Halfway::Arrived) {
            self.messages.remove(&key);
            self.done(at, ready);
        } else {
            self.ranks[at.0 as usize].n_communications += 1;
            self.messages.insert(key, Halfway::Awaited(at.1));
        }
    }

    /// A message has arrived: its send ends, and its receive if that has begun.
    fn arrived(&mut self, send: At, index: u32, now: SimTime, actions: &mut Actions<Tag>) {
        self.leave(send, now);
        self.end(send, now, actions);
        let Work::Send { to, tag, .. } = self.node(send).work else { return };
        let key = (send.0, to, tag, index);
        match self.messages.remove(&key) {
            Some(Halfway::Awaited(node)) => {
                self.leave((to, node), now);
                self.end((to, node), now, actions);
            }
            Some(Halfway::Arrived) | None => {
                self.messages.insert(key, Halfway::Arrived);
            }
        }
    }

    /// A node has ended: what waited for it alone is ready.
    fn done(&mut self, (rank, node): At, ready: &mut VecDeque<At>) {
        let state = &mut self.ranks[rank as usize];
        state.n_done += 1;
        // Marks that the node is not waiting any more.
        state.missing[node as usize] = u32::MAX;
        for &next in &state.next[node as usize] {
            state.missing[next as usize] -= 1;
            if state.missing[next as usize] == 0 {
                ready.push_back((rank, next));
            }
        }
    }

    fn end(&mut self, at: At, now: SimTime, actions: &mut Actions<Tag>) {
        let mut ready = VecDeque::new();
        self.done(at, &mut ready);
        while let Some(at) = ready.pop_front() {
            self.start(at, now, actions);
        }
    }

    /// The next node of a device or host begins.
    fn take_next(&mut self, rank: u32, on_host: bool, actions: &mut Actions<Tag>) {
        let state = &mut self.ranks[rank as usize];
        let queue = if on_host { &mut state.host } else { &mut state.device };
        queue.pop_front();
        if let Some(&next) = queue.front() {
            let at = (rank, next);
            self.submit(at, if on_host { Tag::Host(at) } else { Tag::Device(at) }, actions);
        }
    }

    fn leave(&mut self, at: At, now: SimTime) {
        self.account(at.0 as usize, now);
        self.ranks[at.0 as usize].n_communications -= 1;
    }
}

fn rank(nodes: &[GraphNode]) -> Rank {
    let mut next = vec![Vec::new(); nodes.len()];
    for (index, node) in (0_u32..).zip(nodes) {
        node.after.iter().for_each(|&before| next[before as usize].push(index));
    }
    let missing = nodes.iter().map(|node| node.after.len() as u32).collect();
    Rank { missing, next, ..Rank::default() }
}

impl Driver for Replay<'_> {
    type Tag = Tag;

    fn begin(&mut self, actions: &mut Actions<Tag>) {
        for rank in 0..self.ranks.len() as u32 {
            for node in 0..self.ranks[rank as usize].missing.len() as u32 {
                if self.ranks[rank as usize].missing[node as usize] == 0 && self.node((rank, node)).after.is_empty() {
                    self.start((rank, node), SimTime::ZERO, actions);
                }
            }
        }
    }

    fn finished(&mut self, task: &Finished<Tag>, actions: &mut Actions<Tag>) {
        let now = task.end;
        match task.tag {
            Tag::Device(at) | Tag::Host(at) => {
                self.account(at.0 as usize, now);
                self.take_next(at.0, matches!(task.tag, Tag::Host(_)), actions);
                self.end(at, now, actions);
            }
            Tag::Collective(at) => {
                self.leave(at, now);
                self.end(at, now, actions);
            }
            Tag::Message { send, index } => self.arrived(send, index, now, actions),
        }
    }
}
