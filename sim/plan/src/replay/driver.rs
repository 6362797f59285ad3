//! The driver: nodes start when what they wait for has ended.

use std::collections::{BTreeMap, VecDeque};

use engine::{Actions, Driver, Finished, Record};
use units::{Seconds, SimTime};
use workloads::import::{Group, Job, Node, Work};

use super::cost::Costs;
use super::{RankReplay, Replayed};
use crate::PlanError;

/// A node of a trace.
type At = (u32, u32);

/// What the driver calls a task.
#[derive(Clone, Copy, Debug)]
pub(super) enum Tag {
    Device(At),
    Host(At),
    Collective(At),
    Message { send: At, receive: At },
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
    job: &'a Job,
    costs: &'a Costs<'a>,
    ranks: Vec<Rank>,
    /// Ranks that have come to the i-th collective of a group.
    meetings: BTreeMap<(u32, u32), Vec<At>>,
    /// The i-th message of two ranks and a tag: who has come, sender and receiver.
    messages: BTreeMap<(u32, u32, u64, u32), [Option<u32>; 2]>,
    /// The first thing that could not be priced.
    error: Option<PlanError>,
}

impl<'a> Replay<'a> {
    pub(super) fn new(job: &'a Job, costs: &'a Costs<'a>) -> Self {
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
            return Err(PlanError::Contradiction(format!(
                "{}: {} waits for ever: ranks call collectives or messages in orders that do not meet",
                trace.name,
                node.map_or("a node", |index| trace.nodes[index].name.as_str())
            )));
        }
        (0..self.ranks.len()).for_each(|rank| self.account(rank, record.end));
        Ok(Replayed {
            makespan: Seconds::new(record.end.seconds()),
            ranks: self.ranks.iter().map(|rank| rank.spent).collect(),
            n_nodes: self.job.traces.iter().map(|trace| trace.nodes.len() as u64).sum(),
            n_tasks: record.n_tasks,
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

    fn node(&self, (rank, node): At) -> &'a Node {
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
                Work::Send { to, tag, .. } => self.message(at, (at.0, to, tag), 0, actions),
                Work::Receive { from, tag } => self.message(at, (from, at.0, tag), 1, actions),
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
            Group::Ranks(ranks) if !self.job.lockstep() => ranks.len(),
            Group::Ranks(_) | Group::Even { .. } => 1,
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

    /// One end of a message: 0 the sender, 1 the receiver.
    fn message(&mut self, at: At, ends: (u32, u32, u64), side: usize, actions: &mut Actions<Tag>) {
        let rank = &mut self.ranks[at.0 as usize];
        rank.n_communications += 1;
        let index = rank.n_messages.entry(ends).or_default();
        let key = (ends.0, ends.1, ends.2, *index);
        *index += 1;
        let here = self.messages.entry(key).or_default();
        here[side] = Some(at.1);
        let [Some(send), Some(receive)] = *here else { return };
        self.messages.remove(&key);
        let (send, receive) = ((ends.0, send), (ends.1, receive));
        let Work::Send { bytes, .. } = self.node(send).work else { return };
        match self.costs.message(Tag::Message { send, receive }, [ends.0, ends.1], bytes) {
            Ok(task) => actions.submit(task),
            Err(error) => self.error = self.error.take().or(Some(error)),
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

fn rank(nodes: &[Node]) -> Rank {
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
            Tag::Message { send, receive } => {
                for at in [send, receive] {
                    self.leave(at, now);
                    self.end(at, now, actions);
                }
            }
        }
    }
}
