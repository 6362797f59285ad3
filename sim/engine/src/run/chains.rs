//! Chains: tasks submitted in turn, foreseen while nobody disturbs them.

use super::{Ended, Ending, Engine, NO_CHAIN};
use crate::chain::Chain;
use crate::driver::{Driver, Finished};
use crate::queue::Due;
use crate::share::{Draw, Occupant, Turn};
use crate::task::Task;

impl<T: Copy> Engine<T> {
    pub(super) fn submit_chain(&mut self, tasks: Vec<Task<T>>) {
        let id = self.free_chains.pop().unwrap_or_else(|| {
            self.chains.push(Chain::default());
            self.chains.len() as u32 - 1
        });
        let chain = &mut self.chains[id as usize];
        chain.sequence = self.sequence + 1;
        chain.n_ended = 0;
        chain.turns.clear();
        self.sequence += tasks.len() as u64;
        self.n_open += tasks.len() as u64;
        chain.tasks = tasks;
        self.submit_next(id);
    }

    /// The next task of a chain asks for its claims.
    pub(super) fn submit_next(&mut self, id: u32) {
        let chain = &mut self.chains[id as usize];
        chain.since = self.now;
        let task = chain.tasks[chain.n_ended];
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
        let Chain { tasks, turns, n_ended, since, course, .. } = &mut self.chains[id as usize];
        let first = &tasks[*n_ended];
        let alone = first.claims().iter().all(|(pool, _)| self.pools[pool.0 as usize].is_quiet());
        course.clear();
        let mut start = *since;
        for task in tasks[*n_ended..].iter().take_while(|task| alone && task.claims() == first.claims()) {
            let Some(turn) = self.sharing.foresee(course, task, start) else { break };
            self.sharing.pass(course, task, &turn);
            start = turn.end;
            turns.push(turn);
        }
        if turns.len() == *n_ended {
            let (task, start) = (*first, *since);
            let slot = self.enter_link(id, &task);
            self.queue.push(start + task.latency, Due::Draw { slot });
            return;
        }
        self.sharing.occupy_course(course, Occupant::Chain(id));
        for (pool, _) in first.claims() {
            self.pools[pool.0 as usize].chain = id;
        }
        let withheld = course.moved();
        let chain = &mut self.chains[id as usize];
        chain.withheld = withheld;
        self.queue.push(start, Due::Course { chain: id, version: chain.version });
        if let Some(slot) = withheld {
            self.leave_group(slot);
            self.sharing.withhold(slot);
        }
    }

    /// Gives the first task of a chain that has not ended a slot.
    fn enter_link(&mut self, id: u32, task: &Task<T>) -> u32 {
        let chain = &self.chains[id as usize];
        let (sequence, start) = (chain.sequence + chain.n_ended as u64, chain.since);
        let slot = self.enter(task, sequence, start);
        self.entries[slot as usize].chain = id;
        slot
    }

    /// Somebody else comes: what has happened until now is kept, and the task that is at it goes on as an ordinary one.
    pub(super) fn disturb_chain(&mut self, id: u32) {
        let chain = &mut self.chains[id as usize];
        let at = chain.n_ended + chain.turns[chain.n_ended..].partition_point(|turn| turn.end < self.now);
        let turn = chain.turns[at];
        let task = chain.tasks[at];
        let from = turn.start + task.latency;
        let draws = from < self.now;
        self.leave_course(id);
        let Chain { tasks, turns, n_ended, course, .. } = &mut self.chains[id as usize];
        // The lanes as they are now, for they stand at the end of the course.
        course.rewind(&self.sharing);
        for (task, turn) in tasks[*n_ended..at].iter().zip(&turns[*n_ended..at]) {
            self.sharing.foresee(course, task, turn.start);
            self.sharing.pass(course, task, turn);
        }
        if draws {
            self.sharing.foresee(course, &task, turn.start);
        }
        self.commit(id, false);
        self.count_ended(id, at);
        self.chains[id as usize].since = turn.start;
        self.chains[id as usize].turns.truncate(at);
        let slot = self.enter_link(id, &task);
        if draws {
            self.sharing.resume(slot, &turn, from);
            let version = self.sharing.draws[slot as usize].version;
            self.queue.push(turn.end, Due::End { slot, version });
        } else {
            self.queue.push(from, Due::Draw { slot });
        }
    }

    pub(super) fn collect_course(&mut self, id: u32, version: u32) {
        let chain = &self.chains[id as usize];
        if chain.version == version {
            let last = chain.turns.len() - 1;
            let (class, sequence) = (chain.tasks[last].class, chain.sequence + last as u64);
            self.ended.push(Ended { class, sequence, what: Ending::Course { chain: id, version } });
        }
    }

    /// All that was foreseen has happened.
    pub(super) fn end_course(&mut self, id: u32) {
        self.leave_course(id);
        self.commit(id, true);
        let chain = &self.chains[id as usize];
        let last = chain.turns.len();
        let claims = chain.tasks[last - 1];
        self.count_ended(id, last);
        self.release(claims.claims());
    }

    fn leave_course(&mut self, id: u32) {
        let chain = &mut self.chains[id as usize];
        chain.version = chain.version.wrapping_add(1);
        self.sharing.occupy_course(&chain.course, Occupant::Nobody);
        for (pool, _) in chain.tasks[chain.n_ended].claims() {
            self.pools[pool.0 as usize].chain = NO_CHAIN;
        }
    }

    /// The course is what happened; where it `ends` with its last task, the neighbor is to hear of that.
    fn commit(&mut self, id: u32, ends: bool) {
        let chain = &mut self.chains[id as usize];
        self.sharing.commit(&chain.course, ends);
        if let Some(slot) = chain.withheld.take() {
            self.sharing.give_back(&chain.course);
            let Draw { end, version, .. } = self.sharing.draws[slot as usize];
            self.queue.push(end.max(self.now), Due::End { slot, version });
        }
    }

    /// The tasks of a chain before `until` have ended.
    fn count_ended(&mut self, id: u32, until: usize) {
        let chain = &mut self.chains[id as usize];
        for task in &chain.tasks[chain.n_ended..until] {
            self.sharing.serve(task);
            self.record.n_copies += task.copies as u64;
        }
        let n_more = (until - chain.n_ended) as u64;
        self.record.n_tasks += n_more;
        self.n_open -= n_more;
        if let Some(turn) = chain.turns[..until].last() {
            self.record.end = self.record.end.max(turn.end);
        }
        chain.n_ended = until;
    }

    /// A task of a chain that had a slot has ended.
    pub(super) fn end_link(&mut self, id: u32, finished: &Finished<T>) {
        let chain = &mut self.chains[id as usize];
        chain.n_ended += 1;
        let Finished { start, end, bound, .. } = *finished;
        chain.turns.push(Turn { start, end, rate: 0.0, bound });
    }

    /// Goes on with a chain, or tells the driver of all of it.
    pub(super) fn go_on<D: Driver<Tag = T>>(&mut self, id: u32, driver: &mut D) {
        let chain = &mut self.chains[id as usize];
        if chain.n_ended < chain.tasks.len() {
            self.actions.next(id);
            return;
        }
        for (task, turn) in chain.tasks.iter().zip(&chain.turns) {
            let finished = Finished { tag: task.tag, start: turn.start, end: turn.end, bound: turn.bound };
            driver.finished(&finished, &mut self.actions);
        }
        self.actions.put_back(std::mem::take(&mut chain.tasks));
        self.free_chains.push(id);
    }
}
