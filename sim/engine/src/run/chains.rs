//! Chains: tasks submitted in turn, foreseen while nobody disturbs them.

use super::{Ended, Ending, Engine, NO_CHAIN, Of};
use crate::chain::Chain;
use crate::driver::{Driver, Finished, List, Order, Turn};
use crate::handle::Handle;
use crate::queue::Due;
use crate::share::Occupant;
use crate::task::Task;

impl<D: Driver> Engine<'_, D> {
    pub(super) fn submit_chain(&mut self, list: List, n_tasks: u32, handle: Handle) {
        let id = handle.place;
        if id as usize >= self.chains.len() {
            self.chains.resize_with(id as usize + 1, Chain::default);
        }
        let chain = &mut self.chains[id as usize];
        chain.handle = Some(handle);
        (chain.list, chain.n_tasks, chain.n_ended) = (list, n_tasks, 0);
        chain.sequence = self.sequence + 1;
        chain.turns.clear();
        self.sequence += u64::from(n_tasks);
        self.n_open += u64::from(n_tasks);
        self.submit_next(id);
    }

    /// The next task of a chain asks for its claims.
    pub(super) fn submit_next(&mut self, id: u32) {
        let chain = &mut self.chains[id as usize];
        chain.since = self.now;
        let task = self.driver.listed(chain.list, chain.n_ended);
        if task.latency.picos() > 0 && self.lacking(task.claims()).is_none() {
            self.take(task.claims());
            self.hopeful.push(id);
        } else {
            let slot = self.enter_link(id, &task);
            self.claim(slot);
        }
    }

    /// Puts a chain on course as far as it can be foreseen, now that this instant is solved; its next task has its claims.
    pub(super) fn look_ahead(&mut self, id: u32) {
        let Self { chains, driver, pools, sharing, .. } = self;
        let Chain { list, n_tasks, n_ended, class, turns, since, course, .. } = &mut chains[id as usize];
        let first = driver.listed(*list, *n_ended);
        let mut start = *since;
        course.clear();
        if first.claims().iter().all(|(pool, _)| pools[pool.0 as usize].is_quiet()) {
            for index in *n_ended..*n_tasks {
                let task = driver.listed(*list, index);
                if !task.claims_as(&first) {
                    break;
                }
                let Some(foreseen) = sharing.foresee(course, &task, start) else { break };
                sharing.pass(course, &task, &foreseen);
                (start, *class) = (foreseen.turn.end, task.class);
                turns.push(foreseen.turn);
            }
        }
        if turns.len() == *n_ended as usize {
            let start = *since;
            let slot = self.enter_link(id, &first);
            self.await_draw(slot, start + first.latency);
            return;
        }
        sharing.occupy_course(course, Occupant::Chain(id));
        for (pool, _) in first.claims() {
            pools[pool.0 as usize].chain = id;
        }
        let withheld = course.moved();
        let chain = &mut chains[id as usize];
        (chain.withheld, chain.foreseen) = (withheld, true);
        self.queue.push(start, Due::Course { chain: id, version: chain.version });
        if let Some(slot) = withheld {
            self.leave_group(slot);
            self.sharing.withhold(slot);
        }
    }

    /// Gives the first task of a chain that has not ended a slot.
    fn enter_link(&mut self, id: u32, task: &Task<()>) -> u32 {
        let chain = &self.chains[id as usize];
        let (sequence, start) = (chain.sequence + u64::from(chain.n_ended), chain.since);
        self.enter(Of::Chain(id), task, sequence, start)
    }

    /// Somebody else comes: what has happened until now is kept, and the task that is at it goes on as an ordinary one.
    pub(super) fn disturb_chain(&mut self, id: u32) {
        self.leave_course(id);
        let now = self.now;
        let Self { chains, driver, sharing, .. } = self;
        let Chain { list, n_ended, turns, course, .. } = &mut chains[id as usize];
        let at = *n_ended + turns[*n_ended as usize..].partition_point(|turn| turn.end < now) as u32;
        let turn = turns[at as usize];
        // The lanes as they are now, for they stand at the end of the course.
        course.rewind(sharing);
        for index in *n_ended..at {
            let task = driver.listed(*list, index);
            match sharing.foresee(course, &task, turns[index as usize].start) {
                Some(foreseen) => sharing.pass(course, &task, &foreseen),
                // The driver has another task there than before.
                None => sharing.residue_max = f64::INFINITY,
            }
        }
        let task = driver.listed(*list, at);
        let from = turn.start + task.latency;
        let drawn = if from < now { sharing.foresee(course, &task, turn.start) } else { None };
        self.commit(id, false);
        self.count_ended(id, at);
        self.chains[id as usize].since = turn.start;
        self.chains[id as usize].turns.truncate(at as usize);
        let slot = self.enter_link(id, &task);
        if let Some(foreseen) = drawn {
            self.sharing.resume(slot, &foreseen);
            let version = self.sharing.draws[slot as usize].version;
            self.queue.push(turn.end, Due::End { slot, version });
        } else {
            self.await_draw(slot, from.max(now));
        }
    }

    pub(super) fn collect_course(&mut self, id: u32, version: u32) {
        let chain = &self.chains[id as usize];
        if chain.version == version {
            let sequence = chain.sequence + chain.turns.len() as u64 - 1;
            self.ended.push(Ended { class: chain.class, sequence, what: Ending::Course { chain: id, version } });
        }
    }

    /// All that was foreseen has happened.
    pub(super) fn end_course(&mut self, id: u32) {
        self.leave_course(id);
        self.commit(id, true);
        let chain = &self.chains[id as usize];
        let last = chain.turns.len() as u32;
        let claims = self.driver.listed(chain.list, last - 1);
        self.count_ended(id, last);
        self.release(claims.claims());
    }

    fn leave_course(&mut self, id: u32) {
        let chain = &mut self.chains[id as usize];
        (chain.version, chain.foreseen) = (chain.version.wrapping_add(1), false);
        self.sharing.occupy_course(&chain.course, Occupant::Nobody);
        for (pool, _) in self.driver.listed(chain.list, chain.n_ended).claims() {
            self.pools[pool.0 as usize].chain = NO_CHAIN;
        }
    }

    /// The course is what happened; where it `ends` with its last task, the neighbor is to hear of that.
    fn commit(&mut self, id: u32, ends: bool) {
        let chain = &mut self.chains[id as usize];
        self.sharing.commit(&chain.course, ends);
        if let Some(slot) = chain.withheld.take() {
            self.sharing.give_back(&chain.course);
            let draw = &self.sharing.draws[slot as usize];
            self.queue.push(draw.end.max(self.now), Due::End { slot, version: draw.version });
        }
    }

    /// The tasks of a chain before `until`, those that have passed on its course, have ended.
    fn count_ended(&mut self, id: u32, until: u32) {
        let chain = &mut self.chains[id as usize];
        let n_more = u64::from(until - chain.n_ended);
        self.record.n_tasks += n_more;
        self.record.n_copies += chain.course.n_copies;
        self.n_open -= n_more;
        if let Some(turn) = chain.turns[..until as usize].last() {
            self.record.end = self.record.end.max(turn.end);
        }
        chain.n_ended = until;
    }

    /// A task of a chain that had a slot has ended.
    pub(super) fn end_link(&mut self, id: u32, finished: &Finished<()>) {
        let chain = &mut self.chains[id as usize];
        chain.n_ended += 1;
        let Finished { start, end, bound, .. } = *finished;
        chain.turns.push(Turn { start, end, bound });
    }

    /// Goes on with a chain, or tells the driver of all of it.
    pub(super) fn go_on(&mut self, id: u32) {
        let chain = &mut self.chains[id as usize];
        let Some(handle) = chain.handle else { return };
        if chain.n_ended < chain.n_tasks {
            self.actions.orders.push(Order::Next(handle));
            return;
        }
        chain.handle = None;
        if !self.actions.gives_up(Some(handle)) {
            self.driver.chain_ended(chain.list, &chain.turns, &mut self.actions);
        }
        self.actions.handles.chains.free(id, handle.turn);
    }
}
