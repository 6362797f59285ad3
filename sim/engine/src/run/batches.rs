//! Batches: tasks submitted together, replayed while nobody disturbs them.

use super::{Ended, Ending, Engine};
use crate::driver::Finished;
use crate::queue::Due;
use crate::replay::Batch;
use crate::share::Occupant;
use crate::task::Task;

impl<T: Copy> Engine<T> {
    pub(super) fn submit_batch(&mut self, tasks: Vec<Task<T>>) {
        let Some(latency) = tasks.first().map(|task| task.latency) else { return };
        let id = self.free_batches.pop().unwrap_or_else(|| {
            self.batches.push(Batch::default());
            self.batches.len() as u32 - 1
        });
        let batch = &mut self.batches[id as usize];
        batch.sequence = self.sequence + 1;
        batch.submitted = self.now;
        batch.n_open = tasks.len();
        self.sequence += tasks.len() as u64;
        self.n_open += tasks.len() as u64;
        batch.tasks = tasks;
        if latency.picos() > 0 {
            self.queue.push(self.now + latency, Due::Start { batch: id });
        } else {
            self.start_batch(id);
        }
    }

    /// Replays a batch if nobody else draws where it does; else its tasks start as any others.
    pub(super) fn start_batch(&mut self, id: u32) {
        let batch = &mut self.batches[id as usize];
        batch.start = self.now;
        batch.n_steps = 0;
        match self.trajectories.of(&batch.tasks, &mut self.sharing) {
            Some((trajectory, new)) => {
                if new {
                    self.sharing.n_solves += trajectory.n_solves;
                    self.sharing.overload_max = self.sharing.overload_max.max(trajectory.overload_max);
                    self.sharing.residue_max = self.sharing.residue_max.max(trajectory.residue_max);
                }
                self.sharing.occupy(&batch.tasks, Occupant::Batch(id));
                let first = trajectory.steps.first().map_or(self.now, |step| self.now + step.at);
                let version = batch.version;
                batch.replay = Some(trajectory);
                self.queue.push(first, Due::Step { batch: id, version });
            }
            None => {
                let tasks = std::mem::take(&mut batch.tasks);
                let (sequence, submitted) = (batch.sequence, batch.submitted);
                for (i, task) in tasks.iter().enumerate() {
                    let slot = self.enter(task, sequence + i as u64, submitted);
                    self.draw(slot);
                }
                self.close_batch(id, tasks);
            }
        }
    }

    pub(super) fn collect_step(&mut self, id: u32, version: u32) {
        let batch = &mut self.batches[id as usize];
        let Some(trajectory) = batch.replay.clone().filter(|_| batch.version == version) else { return };
        let step = batch.n_steps;
        for &index in trajectory.ended(step) {
            let class = batch.tasks[index as usize].class;
            let what = Ending::Replayed { batch: id, index };
            self.ended.push(Ended { class, sequence: batch.sequence + u64::from(index), what });
        }
        batch.n_steps += 1;
        if let Some(next) = trajectory.steps.get(step + 1) {
            self.queue.push(batch.start + next.at, Due::Step { batch: id, version });
        }
    }

    pub(super) fn end_replayed(&mut self, id: u32, index: u32) -> Finished<T> {
        let batch = &mut self.batches[id as usize];
        let task = &batch.tasks[index as usize];
        self.sharing.serve(task);
        self.record.end = self.now;
        self.record.n_tasks += 1;
        self.record.n_copies += task.copies as u64;
        self.n_open -= 1;
        let bound = batch.replay.as_ref().map_or(crate::Bound::Latency, |trajectory| trajectory.bound(index, task));
        let finished = Finished { tag: task.tag, start: batch.submitted, end: self.now, bound };
        batch.n_open -= 1;
        if batch.n_open == 0 {
            let tasks = std::mem::take(&mut batch.tasks);
            if batch.replay.is_some() {
                self.sharing.occupy(&tasks, Occupant::Nobody);
            }
            self.close_batch(id, tasks);
        }
        finished
    }

    fn close_batch(&mut self, id: u32, tasks: Vec<Task<T>>) {
        let batch = &mut self.batches[id as usize];
        batch.replay = None;
        batch.version = batch.version.wrapping_add(1);
        self.free_batches.push(id);
        self.actions.put_back(tasks);
    }

    /// Somebody else comes to the capacities of a replayed batch: its tasks go on as ordinary ones. Those that end at this
    /// instant have been or will be told so.
    pub(super) fn disturb_batch(&mut self, id: u32) {
        let batch = &mut self.batches[id as usize];
        let Some(trajectory) = batch.replay.take() else { return };
        let (start, sequence, submitted, n_steps) = (batch.start, batch.sequence, batch.submitted, batch.n_steps);
        // Tasks told to end at this very instant still stand in `ended`, by their index: the batch stays until then.
        let tasks = std::mem::take(&mut batch.tasks);
        self.sharing.occupy(&tasks, Occupant::Nobody);
        let told = n_steps.checked_sub(1).map_or(0, |last| trajectory.steps[last].until as usize);
        let mut open = vec![true; tasks.len()];
        for &index in &trajectory.ended[..told] {
            open[index as usize] = false;
        }
        let now = self.now.since(start);
        let mut n_adopted = 0;
        for (index, task) in tasks.iter().enumerate().filter(|(index, _)| open[*index]) {
            let slot = self.enter(task, sequence + index as u64, submitted);
            self.sharing.adopt(slot, trajectory.leg(index as u32, now), start);
            n_adopted += 1;
        }
        let batch = &mut self.batches[id as usize];
        batch.version = batch.version.wrapping_add(1);
        batch.n_open -= n_adopted;
        if batch.n_open == 0 {
            self.close_batch(id, tasks);
        } else {
            batch.tasks = tasks;
        }
    }
}
