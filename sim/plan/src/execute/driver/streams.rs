//! The streams of a rank: instructions in order, as far as they get.

use engine::{Actions, Finished};
use platform::ExchangeKind;
use units::{SimSpan, SimTime};

use super::{At, RoutineDriver, Tag};
use crate::Recording;
use crate::execute::gang::CallId;
use crate::execute::outcome::{Ran, StreamSpan};
use crate::execute::sequencer::Sequencer;
use crate::routine::{COMPUTE, Half, Instruction};

impl<S: Sequencer> RoutineDriver<'_, S> {
    /// All streams of a rank stand before their first instruction.
    pub(in crate::execute) fn rewind(&mut self, rank: u32) {
        let first = rank as usize * self.n_streams;
        for stream in &mut self.streams[first..first + self.n_streams] {
            (stream.at, stream.n_exchanges_before) = (0, stream.n_exchanges);
        }
    }

    /// Gives up all that is under way of a call on the ranks of its gang that run it.
    pub(in crate::execute) fn clear(&mut self, call: CallId, running: &[u32], actions: &mut Actions<Tag>) {
        for &rank in running {
            self.ranks[rank as usize].counts = false;
            let first = rank as usize * self.n_streams;
            for stream in &mut self.streams[first..first + self.n_streams] {
                stream.busy = false;
                // Others of the group pass the call over and have none of its exchanges.
                stream.n_exchanges = stream.n_exchanges_before;
                stream.task.take().into_iter().for_each(|task| actions.cancel(task));
            }
        }
        self.rings.leave(running);
        self.exchanges.give_up(call).into_iter().for_each(|task| actions.cancel(task));
    }

    /// Runs all streams of a rank as far as they get.
    pub(in crate::execute) fn advance(&mut self, rank: u32, now: SimTime, actions: &mut Actions<Tag>) {
        let routines = self.routines;
        let routine = &routines.routines[self.ranks[rank as usize].call.routine as usize];
        let first = rank as usize * self.n_streams;
        loop {
            let mut moved = false;
            for (index, instructions) in routine.streams.iter().enumerate() {
                let at = At { rank, stream: index as u8 };
                loop {
                    let stream = &self.streams[first + index];
                    let open = &instructions[stream.at as usize..];
                    if open.is_empty() || stream.busy {
                        break;
                    }
                    let n_done = self.step(at, open, now, actions);
                    if n_done == 0 {
                        break;
                    }
                    self.streams[first + index].at += n_done;
                    moved = true;
                }
            }
            if !moved {
                break;
            }
        }
        let mut streams = routine.streams.iter().zip(&self.streams[first..]);
        if streams.all(|(instructions, stream)| !stream.busy && stream.at as usize == instructions.len()) {
            self.end_call(rank, now, actions);
        }
    }

    /// Carries out the first of the open instructions, or all kernels before the next of another kind; how many it could.
    fn step(&mut self, at: At, open: &[Instruction], now: SimTime, actions: &mut Actions<Tag>) -> u32 {
        let rank = at.rank as usize;
        match open[0] {
            Instruction::Signal(event) => {
                self.ranks[rank].reached[usize::from(event) / 64] |= 1 << (event % 64);
            }
            Instruction::Await(event) => {
                return (self.ranks[rank].reached[usize::from(event) / 64] >> (event % 64) & 1) as u32;
            }
            Instruction::Kernel(_) | Instruction::Loaded { .. } => return self.kernels(at, open, now, actions),
            Instruction::Exchange { kind, half, layer, sms } => {
                let batch = self.batch(at.rank, half, layer);
                self.stream(at).busy = true;
                let counts = self.routines.host.counts && (kind, half) == (ExchangeKind::Dispatch, Half::Forward);
                self.ranks[rank].counts |= counts;
                self.arrive(at, (batch, kind), sms, now, actions);
            }
            Instruction::Ring(ring) => {
                self.stream(at).busy = true;
                self.ring(at, ring, actions);
            }
            Instruction::Send(half) => self.send(at.rank, half, actions),
        }
        1
    }

    pub(super) fn stream(&mut self, at: At) -> &mut super::StreamState {
        &mut self.streams[at.rank as usize * self.n_streams + usize::from(at.stream)]
    }

    /// A stream has ended what kept it busy.
    pub(super) fn free(&mut self, at: At, now: SimTime, actions: &mut Actions<Tag>) {
        self.stream(at).busy = false;
        self.advance(at.rank, now, actions);
    }

    /// The sampled batch that a layer of a half's micro-batch takes.
    pub(super) fn batch(&self, rank: u32, half: Half, layer: u16) -> u32 {
        let state = &self.ranks[rank as usize];
        let micro_batch = state.call.lanes[half as usize].map_or(0, |lane| lane.micro_batch);
        let group = self.routines.first_group + state.member / self.routines.group_size;
        self.routines.picks.map_or(0, |pool| pool.draw(u32::from(layer), micro_batch, group) as u32)
    }

    fn ring(&mut self, at: At, index: u32, actions: &mut Actions<Tag>) {
        let ring = &self.routines.rings[index as usize];
        self.launch_takes(at.rank, ring.launch);
        let gang = &self.routines.gangs[self.ranks[at.rank as usize].gang.0 as usize];
        for rank in self.rings.arrive(at, ring, gang) {
            let tag = Tag::Ring { at: At { rank, ..at }, ring: index };
            let task = actions.submit(ring.leg.task(tag, self.resources(rank)));
            self.stream(At { rank, ..at }).task = Some(task);
        }
    }

    /// The host launches an exchange: what it launches afterwards is later by as much.
    pub(super) fn launch_collective(&mut self, rank: u32) {
        self.launch_takes(rank, self.routines.host.launch);
    }

    fn launch_takes(&mut self, rank: u32, time: SimSpan) {
        let host = &mut self.ranks[rank as usize].host;
        *host = *host + time;
    }

    pub(super) fn ring_ended(&mut self, at: At, index: u32, task: &Finished<Tag>, actions: &mut Actions<Tag>) {
        let ring = &self.routines.rings[index as usize];
        let total = &mut self.outcome.ops[usize::from(ring.op)];
        total.count += 1;
        total.span += task.end.since(task.start);
        let is_beside = usize::from(at.stream) != COMPUTE;
        *(if is_beside { &mut total.beside } else { &mut total.links }) += task.end.since(task.start);
        self.span(at, Ran::Op { op: ring.op, tensor: false }, task.start, task.end);
        self.free(at, task.end, actions);
    }

    /// The half's result leaves for its receiver; on the same rank it is there at once.
    fn send(&mut self, rank: u32, half: Half, actions: &mut Actions<Tag>) {
        let state = &self.ranks[rank as usize];
        let Some(address) = state.call.lanes[half as usize].and_then(|lane| lane.sends) else { return };
        let to = self.routines.gangs[address.gang.0 as usize].ranks.start + state.member;
        if to == rank {
            self.comes(to, address.key);
            return;
        }
        self.ranks[rank as usize].unsent += u32::from(self.routines.is_message_waited);
        let message = &self.routines.message;
        self.outcome.ports.message_bytes += message.bytes;
        actions.submit(self.message(Tag::Message { from: rank, to, key: address.key }, message, [rank, to]));
    }

    fn records(&self, rank: u32) -> bool {
        let is_first = self.ranks[rank as usize].member == 0;
        self.keep.streams
            && match self.keep.ranks {
                Recording::None => false,
                Recording::All => true,
                Recording::OnePerStage => is_first,
            }
    }

    pub(super) fn span(&mut self, at: At, what: Ran, start: SimTime, end: SimTime) {
        if self.records(at.rank) {
            let state = &self.ranks[at.rank as usize];
            let (rank, replica) = (state.gang.0, self.routines.first_replica + state.member);
            self.outcome.streams.push(StreamSpan { rank, replica, stream: at.stream, what, start, end });
        }
    }
}
