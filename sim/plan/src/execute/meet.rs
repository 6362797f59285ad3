//! Where ranks meet: all-to-alls of expert-parallel groups, rings of tensor- and context-parallel ones.

use std::collections::BTreeMap;

use engine::Handle;
use units::SimTime;

use platform::{ExchangeKind, ExchangeTemplate};

use super::gang::{CallId, Gang};
use super::tag::At;
use crate::program::Ring;

/// All-to-alls of a stream that a rank may be ahead of others of its group by: one running, one being arrived at.
const DEPTH: usize = 2;
const NOBODY: u32 = u32::MAX;

/// All-to-alls under way, by group.
#[derive(Debug)]
pub(super) struct Exchanges {
    /// Simulated ranks of a group.
    pub(super) size: u32,
    /// By group and stream.
    open: Vec<[u32; DEPTH]>,
    all: Vec<Exchange>,
    free: Vec<u32>,
}

/// One all-to-all.
#[derive(Debug)]
pub(super) struct Exchange {
    /// Whose it is; none once it is over.
    call: Option<CallId>,
    pub(super) batch: u32,
    pub(super) kind: ExchangeKind,
    /// First rank of the group.
    pub(super) first: u32,
    stream: u8,
    /// Whether a rank came for another one.
    pub(super) mixed: bool,
    n_arrived: u32,
    n_ended: u32,
    arrived: Vec<SimTime>,
    last: SimTime,
    /// Parts of it that each member still waits for.
    waits: Vec<u32>,
    pub(super) copied: f64,
    /// Its messages, and what its members' SMs copy.
    tasks: Vec<Handle>,
}

/// A rank whose part in an all-to-all is over.
#[derive(Clone, Copy, Debug)]
pub(super) struct Met {
    pub(super) at: At,
    pub(super) kind: ExchangeKind,
    pub(super) arrived: SimTime,
    pub(super) last: SimTime,
}

/// A rank at its stream's next all-to-all.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrival {
    pub(super) at: At,
    pub(super) call: CallId,
    /// The group and stream, as a number.
    pub(super) place: usize,
    /// How many all-to-alls the stream had before.
    pub(super) sequence: u32,
    pub(super) now: SimTime,
}

impl Exchanges {
    /// `n_places`: groups times streams.
    pub(super) fn new(size: u32, n_places: usize) -> Self {
        Self { size, open: vec![[NOBODY; DEPTH]; n_places], all: Vec::new(), free: Vec::new() }
    }

    pub(super) fn get(&self, id: u32) -> &Exchange {
        &self.all[id as usize]
    }

    /// A rank arrives at an all-to-all; the all-to-all's id if it was the last to.
    pub(super) fn arrive(
        &mut self,
        arrival: &Arrival,
        what: (u32, ExchangeKind),
        template: &ExchangeTemplate,
    ) -> Option<u32> {
        let Arrival { at, call, place, sequence, now } = *arrival;
        let (member, turn) = (at.rank % self.size, sequence as usize % DEPTH);
        if self.open[place][turn] == NOBODY {
            let id = self.reserve(what, At { rank: at.rank - member, ..at }, template);
            self.all[id as usize].call = Some(call);
            self.open[place][turn] = id;
        }
        let id = self.open[place][turn];
        let exchange = &mut self.all[id as usize];
        exchange.mixed |= (exchange.batch, exchange.kind) != what;
        exchange.arrived[member as usize] = now;
        exchange.n_arrived += 1;
        exchange.last = now;
        (exchange.n_arrived == self.size).then(|| {
            self.open[place][turn] = NOBODY;
            id
        })
    }

    fn reserve(&mut self, (batch, kind): (u32, ExchangeKind), first: At, template: &ExchangeTemplate) -> u32 {
        let id = self.free.pop().unwrap_or_else(|| {
            self.all.push(Exchange {
                call: None,
                batch,
                kind,
                first: first.rank,
                stream: first.stream,
                mixed: false,
                n_arrived: 0,
                n_ended: 0,
                arrived: Vec::new(),
                last: SimTime::ZERO,
                waits: Vec::new(),
                copied: 0.0,
                tasks: Vec::new(),
            });
            self.all.len() as u32 - 1
        });
        let exchange = &mut self.all[id as usize];
        exchange.batch = batch;
        exchange.kind = kind;
        exchange.first = first.rank;
        exchange.stream = first.stream;
        exchange.mixed = false;
        exchange.n_arrived = 0;
        exchange.n_ended = 0;
        exchange.tasks.clear();
        exchange.arrived.clear();
        exchange.arrived.resize(self.size as usize, SimTime::ZERO);
        exchange.waits.clear();
        if self.size == 1 {
            // One more: the kernel's own memory traffic.
            exchange.waits.push(template.flows.len() as u32 + 1);
        } else {
            let waits = template.waits.iter().enumerate().map(|(member, &waits)| {
                let of_node = u32::from(template.node_waits[member / template.devices as usize] > 0);
                of_node + u32::from(waits > of_node) + 1
            });
            exchange.waits.extend(waits);
        }
        id
    }

    /// The all-to-all starts; `copied` is what a byte that SMs copy takes of their capacity.
    pub(super) fn starts(&mut self, id: u32, copied: f64) {
        self.all[id as usize].copied = copied;
    }

    /// The parts that a message is of: its sender's, and its receiver's or that of the receiver's node where all of the node
    /// wait for it. Those of nodes come after those of members; a lone member has one for each bundle of messages.
    pub(super) fn parts(&self, template: &ExchangeTemplate, index: u32) -> [u32; 2] {
        if self.size == 1 {
            return [index, index];
        }
        let flow = &template.flows[index as usize];
        let (from, to) = (u32::from(flow.from), u32::from(flow.to));
        let node = to / template.devices;
        let of_node = !flow.up && template.node_waits[node as usize] > 0;
        [from, if of_node { self.size + node } else { to }]
    }

    pub(super) fn n_parts(&self, template: &ExchangeTemplate) -> u32 {
        if self.size == 1 { template.flows.len() as u32 } else { self.size + template.node_waits.len() as u32 }
    }

    /// One thing less for a member to wait for; the member if that was the last.
    pub(super) fn part_done(&mut self, id: u32, member: u32) -> Option<Met> {
        let exchange = &mut self.all[id as usize];
        exchange.waits[member as usize] -= 1;
        if exchange.waits[member as usize] > 0 {
            return None;
        }
        let met = Met {
            at: At { rank: exchange.first + member, stream: exchange.stream },
            kind: exchange.kind,
            arrived: exchange.arrived[member as usize],
            last: exchange.last,
        };
        exchange.n_ended += 1;
        if exchange.n_ended == self.size {
            exchange.call = None;
            self.free.push(id);
        }
        Some(met)
    }

    /// A task of an all-to-all runs.
    pub(super) fn runs(&mut self, id: u32, task: Option<Handle>) {
        self.all[id as usize].tasks.extend(task);
    }

    /// What the all-to-alls of a call are at: all of it is given up. Nobody arrives at them any more.
    pub(super) fn give_up(&mut self, call: CallId) -> Vec<Handle> {
        let all = &self.all;
        let is_of = |id: &&mut u32| **id != NOBODY && all[**id as usize].call == Some(call);
        self.open.iter_mut().flatten().filter(is_of).for_each(|id| *id = NOBODY);
        let given_up = self.all.iter_mut().filter(|exchange| exchange.call == Some(call));
        given_up.flat_map(|exchange| std::mem::take(&mut exchange.tasks)).collect()
    }

    /// The all-to-alls of a call are gone.
    pub(super) fn release(&mut self, call: CallId) {
        for (id, exchange) in (0..).zip(&mut self.all).filter(|(_, exchange)| exchange.call == Some(call)) {
            exchange.call = None;
            self.free.push(id);
        }
    }
}

/// Rings being arrived at, by first rank, stride and stream of their group.
#[derive(Debug, Default)]
pub(super) struct Rings {
    waiting: BTreeMap<(u32, u32, u8), Vec<u32>>,
}

impl Rings {
    /// A rank of a gang arrives at a ring; all its members if it was the last, else nobody.
    pub(super) fn arrive(&mut self, at: At, ring: &Ring, gang: &Gang) -> Vec<u32> {
        if gang.ranks.len() == 1 || ring.span <= 1 {
            return vec![at.rank];
        }
        let member = at.rank - gang.ranks.start;
        let first = gang.ranks.start + member / ring.span * ring.span + member % ring.stride;
        let members = self.waiting.entry((first, ring.stride, at.stream)).or_default();
        members.push(at.rank);
        if members.len() as u32 == ring.span / ring.stride { std::mem::take(members) } else { Vec::new() }
    }

    /// Ranks that have arrived at a ring go away again.
    pub(super) fn leave(&mut self, ranks: &[u32]) {
        self.waiting.values_mut().for_each(|members| members.retain(|rank| !ranks.contains(rank)));
    }
}
