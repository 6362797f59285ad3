//! Batches: tasks submitted together, replayed while nobody disturbs them.

use units::{SimSpan, SimTime};

use super::{Ended, Ending, Engine, Of};
use crate::driver::{Batch, Driver};
use crate::handle::Handle;
use crate::queue::Due;
use crate::replay::Open;
use crate::share::Occupant;

impl<D: Driver> Engine<'_, D> {
    pub(super) fn submit_batch(&mut self, what: Batch, handle: Handle) {
        let id = handle.place;
        if id as usize >= self.batches.len() {
            self.batches.resize_with(id as usize + 1, Open::default);
        }
        let first = self.driver.listed(what.list, 0);
        let batch = &mut self.batches[id as usize];
        batch.handle = Some(handle);
        batch.begin(what, first.class, self.sequence + 1, self.now);
        let version = batch.version;
        self.sequence += u64::from(what.n_tasks);
        self.n_open += u64::from(what.n_tasks);
        if first.latency.picos() > 0 {
            self.queue.push(self.now + first.latency, Due::Start { batch: id, version });
        } else {
            self.start_batch(id);
        }
    }

    /// Replays a batch if nobody else draws where it does; else its tasks start as any others.
    pub(super) fn start_batch(&mut self, id: u32) {
        let batch = &mut self.batches[id as usize];
        (batch.begun, batch.start) = (true, self.now);
        if let Some(trajectory) = self.trajectories.of(&*self.driver, batch, &mut self.sharing) {
            self.sharing.occupy(&batch.capacities, Occupant::Batch(id));
            let first = self.now + trajectory.steps[0].at;
            batch.n_parts_left = trajectory.closings.len() as u32;
            batch.replay = Some(trajectory);
            self.queue.push(first, Due::Step { batch: id, version: batch.version });
            return;
        }
        let (what, sequence, submitted) = (batch.what, batch.sequence, batch.submitted);
        self.count_parts(id, 0..what.n_tasks);
        for index in 0..what.n_tasks {
            let task = self.driver.listed(what.list, index);
            let of = Of::Batch { batch: id, index };
            let slot = self.enter(of, &task, sequence + u64::from(index), submitted);
            self.draw(slot);
        }
    }

    /// Counts the tasks of each part of a batch that are still to end.
    fn count_parts(&mut self, id: u32, tasks: impl Iterator<Item = u32>) {
        let batch = &mut self.batches[id as usize];
        batch.n_left.clear();
        batch.n_left.resize(batch.what.n_parts as usize, 0);
        for index in tasks {
            let [first, second] = self.driver.parts(batch.what.list, index);
            batch.n_left[first as usize] += 1;
            batch.n_left[second as usize] += u32::from(second != first);
        }
        batch.n_parts_left = batch.n_left.iter().filter(|left| **left > 0).count() as u32;
    }

    pub(super) fn collect_step(&mut self, id: u32, version: u32) {
        let batch = &self.batches[id as usize];
        if batch.version == version && batch.replay.is_some() {
            self.collect_until(id, self.now);
            let batch = &self.batches[id as usize];
            let next = batch.replay.as_ref().and_then(|trajectory| trajectory.steps.get(batch.n_steps));
            if let Some(step) = next {
                self.queue.push(batch.start + step.at, Due::Step { batch: id, version });
            }
        }
    }

    /// The parts that end in the steps of a replayed batch up to a moment.
    fn collect_until(&mut self, id: u32, until: SimTime) {
        let batch = &mut self.batches[id as usize];
        let Some(trajectory) = &batch.replay else { return };
        while let Some(step) = trajectory.steps.get(batch.n_steps).filter(|step| batch.start + step.at <= until) {
            for order in batch.n_closed..step.until {
                let closing = trajectory.closings[order as usize];
                let what = Ending::Part { batch: id, order, part: closing.part };
                let sequence = batch.sequence + u64::from(closing.task);
                self.ended.push(Ended { class: batch.class, sequence, what });
            }
            batch.n_closed = step.until;
            batch.n_steps += 1;
        }
    }

    /// A part of a batch is over; with the last of them the batch.
    pub(super) fn end_part(&mut self, id: u32, part: u32) {
        let batch = &mut self.batches[id as usize];
        batch.n_parts_left -= 1;
        let (list, handle) = (batch.what.list, batch.handle);
        if batch.n_parts_left == 0 {
            if batch.replay.is_some() {
                self.account(id, SimSpan::from_picos(u64::MAX));
            }
            self.close_batch(id);
        }
        if !self.actions.gives_up(handle) {
            self.driver.part_ended(list, part, self.now, &mut self.actions);
        }
    }

    pub(super) fn close_batch(&mut self, id: u32) {
        let batch = &mut self.batches[id as usize];
        batch.version = batch.version.wrapping_add(1);
        if let Some(handle) = batch.handle.take() {
            self.actions.handles.batches.free(id, handle.turn);
        }
    }

    /// A task of a batch that had a slot has ended.
    pub(super) fn end_member(&mut self, id: u32, index: u32) {
        let batch = &mut self.batches[id as usize];
        let [first, second] = self.driver.parts(batch.what.list, index);
        for part in [Some(first), (second != first).then_some(second)].into_iter().flatten() {
            let left = &mut self.batches[id as usize].n_left[part as usize];
            *left -= 1;
            if *left == 0 {
                self.end_part(id, part);
            }
        }
    }

    /// A batch is not replayed any more: what has ended by then, in times since its start, is counted. How many tasks.
    fn account(&mut self, id: u32, until: SimSpan) -> usize {
        let batch = &mut self.batches[id as usize];
        let Some(trajectory) = batch.replay.take() else { return 0 };
        self.sharing.occupy(&batch.capacities, Occupant::Nobody);
        let ended = trajectory.ended_by(until);
        self.sharing.serve(&batch.capacities, trajectory.drawn_by(ended));
        if let Some(last) = ended.last() {
            self.record.end = self.record.end.max(batch.start + last.at);
        }
        self.record.n_tasks += ended.len() as u64;
        self.record.n_copies += ended.iter().map(|over| u64::from(over.copies)).sum::<u64>();
        self.n_open -= ended.len() as u64;
        ended.len()
    }

    /// Somebody else comes to the capacities of a replayed batch: its tasks go on as ordinary ones. Those that end at this
    /// instant have ended.
    pub(super) fn disturb_batch(&mut self, id: u32) {
        self.collect_until(id, self.now);
        let batch = &mut self.batches[id as usize];
        let Some(trajectory) = batch.replay.clone() else { return };
        batch.version = batch.version.wrapping_add(1);
        let (what, start, sequence, submitted) = (batch.what, batch.start, batch.sequence, batch.submitted);
        let n_untold = batch.n_parts_left - (trajectory.closings.len() as u32 - batch.n_closed);
        let now = self.now.since(start);
        let n_ended = self.account(id, now);
        let mut open: Vec<u32> = trajectory.ended[n_ended..].iter().map(|over| over.task).collect();
        open.sort_unstable();
        self.count_parts(id, open.iter().copied());
        self.batches[id as usize].n_parts_left += n_untold;
        for index in open {
            let task = self.driver.listed(what.list, index);
            let of = Of::Batch { batch: id, index };
            let slot = self.enter(of, &task, sequence + u64::from(index), submitted);
            self.sharing.adopt(slot, trajectory.leg(index, now), start);
        }
    }
}
