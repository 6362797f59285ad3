//! What the driver gives up: a task, the rest of a batch or a chain, or all there is.

use super::{Ending, Engine, Entry, Of};
use crate::driver::Driver;
use crate::handle::{Handle, What};

impl<D: Driver> Engine<'_, D> {
    /// Gives up what a handle names, if it is still open.
    pub(super) fn cancel(&mut self, handle: Handle) {
        let mut forgone = std::mem::take(&mut self.record.cancelled);
        let n_tasks = self.give_up(handle, &mut forgone);
        self.record.cancelled = forgone;
        self.record.n_cancelled += n_tasks;
        if n_tasks > 0 {
            self.record.end = self.record.end.max(self.now);
        }
        self.grant();
    }

    /// Gives up all that is open.
    pub(super) fn cut(&mut self) {
        let mut n_tasks = 0;
        let mut forgone = std::mem::take(&mut self.record.cut);
        let batches: Vec<Handle> = self.batches.iter().filter_map(|batch| batch.handle).collect();
        let chains: Vec<Handle> = self.chains.iter().filter_map(|chain| chain.handle).collect();
        for handle in batches.into_iter().chain(chains) {
            n_tasks += self.give_up(handle, &mut forgone);
        }
        for slot in 0..self.entries.len() as u32 {
            if !matches!(self.entries[slot as usize].of, Of::Nowhere) {
                n_tasks += self.give_up_slot(slot, &mut forgone);
            }
        }
        self.record.cut = forgone;
        self.record.n_cut += n_tasks;
        self.record.end = self.now;
    }

    /// Gives up what a handle names; what was asked and not drawn goes to `forgone`. How many tasks that are.
    fn give_up(&mut self, handle: Handle, forgone: &mut [f64]) -> u64 {
        let Handle { what, place, turn } = handle;
        match what {
            What::Task => match &self.entries[place as usize] {
                Entry { of: Of::Driver(_), turn: open, .. } if *open == turn => self.give_up_slot(place, forgone),
                _ => 0,
            },
            What::Batch if self.batches[place as usize].handle == Some(handle) => self.give_up_batch(place, forgone),
            What::Chain if self.chains[place as usize].handle == Some(handle) => self.give_up_chain(place, forgone),
            What::Batch | What::Chain => 0,
        }
    }

    /// The task in a slot waits for claims, pays its latency or draws: it does so no longer.
    fn give_up_slot(&mut self, slot: u32, forgone: &mut [f64]) -> u64 {
        let entry = &mut self.entries[slot as usize];
        entry.of = Of::Nowhere;
        let (turn, claims, n_claims) = (entry.turn, entry.claims, usize::from(entry.n_claims));
        let claims = &claims[..n_claims];
        let waits = claims.iter().map(|&(pool, _)| pool).find(|pool| {
            let waiting = &mut self.pools[pool.0 as usize].waiting;
            let before = waiting.len();
            waiting.retain(|&other| other != slot);
            waiting.len() < before
        });
        match waits {
            // Whoever stands behind it may have what it could not have.
            Some(pool) => self.released.push(pool),
            None => self.release(claims),
        }
        self.leave_group(slot);
        if self.sharing.is_drawing(slot) {
            self.clear_way(slot);
        }
        self.sharing.withdraw(slot, self.now, forgone);
        self.n_open -= 1;
        self.actions.handles.tasks.free(slot, turn);
        1
    }

    fn give_up_batch(&mut self, id: u32, forgone: &mut [f64]) -> u64 {
        // Its tasks go on as ordinary ones, and are found in their slots.
        self.disturb_batch(id);
        self.ended.retain(|ended| !matches!(ended.what, Ending::Part { batch, .. } if batch == id));
        let batch = &self.batches[id as usize];
        let mut n_tasks = 0;
        if batch.begun {
            for slot in 0..self.entries.len() as u32 {
                if matches!(self.entries[slot as usize].of, Of::Batch { batch, .. } if batch == id) {
                    n_tasks += self.give_up_slot(slot, forgone);
                }
            }
        } else {
            let what = batch.what;
            n_tasks = u64::from(what.n_tasks);
            for index in 0..what.n_tasks {
                self.sharing.forgo(&self.driver.listed(what.list, index), forgone);
            }
            self.n_open -= n_tasks;
        }
        self.close_batch(id);
        n_tasks
    }

    fn give_up_chain(&mut self, id: u32, forgone: &mut [f64]) -> u64 {
        if self.chains[id as usize].foreseen {
            self.disturb_chain(id);
        }
        let chain = &self.chains[id as usize];
        let (list, n_tasks, first) = (chain.list, chain.n_tasks, chain.n_ended);
        let mut next = first;
        let slot = self.entries.iter().position(|entry| matches!(entry.of, Of::Chain(chain) if chain == id));
        if let Some(slot) = slot {
            self.give_up_slot(slot as u32, forgone);
            next += 1;
        } else if let Some(place) = self.hopeful.iter().position(|&chain| chain == id) {
            // It has its claims, and would have been put on course when this instant is solved.
            self.hopeful.remove(place);
            let task = self.driver.listed(list, first);
            self.release(task.claims());
        }
        for index in next..n_tasks {
            self.sharing.forgo(&self.driver.listed(list, index), forgone);
        }
        self.n_open -= u64::from(n_tasks - next);
        if let Some(handle) = self.chains[id as usize].handle.take() {
            self.actions.handles.chains.free(id, handle.turn);
        }
        u64::from(n_tasks - first)
    }
}
