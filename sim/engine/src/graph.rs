//! A graph of tasks known beforehand: the trivial driver.

use units::SimTime;

use crate::driver::{Actions, Driver, Finished};
use crate::task::Task;

/// Index of a task in its graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId(pub u32);

/// Tasks and their order. A task is submitted when its last predecessor ends.
#[derive(Clone, Debug)]
pub struct TaskGraph<T> {
    tasks: Vec<Task<(TaskId, T)>>,
    waiting: Vec<u32>,
    edges: Vec<(TaskId, TaskId)>,
    offsets: Vec<u32>,
    successors: Vec<TaskId>,
    ends: Vec<SimTime>,
}

impl<T> Default for TaskGraph<T> {
    fn default() -> Self {
        Self {
            tasks: Vec::new(),
            waiting: Vec::new(),
            edges: Vec::new(),
            offsets: Vec::new(),
            successors: Vec::new(),
            ends: Vec::new(),
        }
    }
}

impl<T: Copy> TaskGraph<T> {
    /// Adds a task after tasks already added; a cycle cannot be written.
    ///
    /// # Panics
    /// If a predecessor is not in the graph yet.
    pub fn add(&mut self, task: Task<T>, after: &[TaskId]) -> TaskId {
        let id = TaskId(self.tasks.len() as u32);
        for predecessor in after {
            assert!(predecessor.0 < id.0, "a task comes after tasks already added");
            self.edges.push((*predecessor, id));
        }
        self.waiting.push(after.len() as u32);
        self.tasks.push(task.with_tag(|tag| (id, tag)));
        id
    }

    /// When a task ended; zero before the run.
    #[must_use]
    pub fn end(&self, id: TaskId) -> SimTime {
        self.ends.get(id.0 as usize).copied().unwrap_or_default()
    }

    /// Lays the successors in one flat array, by predecessor.
    fn flatten(&mut self) {
        self.edges.sort_unstable();
        self.offsets = vec![0; self.tasks.len() + 1];
        for (before, _) in &self.edges {
            self.offsets[before.0 as usize + 1] += 1;
        }
        for i in 1..self.offsets.len() {
            self.offsets[i] += self.offsets[i - 1];
        }
        self.successors = self.edges.iter().map(|(_, after)| *after).collect();
    }
}

impl<T: Copy> Driver for TaskGraph<T> {
    type Tag = (TaskId, T);

    fn begin(&mut self, actions: &mut Actions<Self::Tag>) {
        self.flatten();
        self.ends = vec![SimTime::ZERO; self.tasks.len()];
        for (task, waiting) in self.tasks.iter().zip(&self.waiting) {
            if *waiting == 0 {
                actions.submit(*task);
            }
        }
    }

    fn finished(&mut self, task: &Finished<Self::Tag>, actions: &mut Actions<Self::Tag>) {
        let index = task.tag.0.0 as usize;
        self.ends[index] = task.end;
        for i in self.offsets[index]..self.offsets[index + 1] {
            let successor = self.successors[i as usize].0 as usize;
            self.waiting[successor] -= 1;
            if self.waiting[successor] == 0 {
                actions.submit(self.tasks[successor]);
            }
        }
    }
}

impl<T> Task<T> {
    fn with_tag<U>(self, tag: impl FnOnce(T) -> U) -> Task<U> {
        Task {
            tag: tag(self.tag),
            latency: self.latency,
            weight: self.weight,
            limit: self.limit,
            copies: self.copies,
            n_demands: self.n_demands,
            n_claims: self.n_claims,
            class: self.class,
            claims: self.claims,
            demands: self.demands,
        }
    }
}
