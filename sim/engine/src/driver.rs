//! The one seam for what cannot be known beforehand.

use units::SimTime;

use crate::task::{Bound, Task};

/// Decides what is submitted when. It is told what happened and answers with [`Actions`]; only the engine mutates the
/// run. A static graph is the trivial driver ([`crate::TaskGraph`]).
pub trait Driver {
    /// What the driver calls a task.
    type Tag: Copy;

    /// Called once, at time zero.
    fn begin(&mut self, actions: &mut Actions<Self::Tag>);

    /// A task ended. Called in the order (time, class, sequence); tasks of a chain, all of them when the last has ended.
    fn finished(&mut self, task: &Finished<Self::Tag>, actions: &mut Actions<Self::Tag>);

    /// A moment asked for by [`Actions::wake`] has come.
    fn woken(&mut self, _token: u64, _now: SimTime, _actions: &mut Actions<Self::Tag>) {}
}

/// A task that ended.
#[derive(Clone, Copy, Debug)]
pub struct Finished<T> {
    /// What the driver called it.
    pub tag: T,
    /// When it got its claims.
    pub start: SimTime,
    /// Now; in a chain maybe earlier.
    pub end: SimTime,
    /// What set its rate at the end.
    pub bound: Bound,
}

/// What a driver wants done at this instant.
#[derive(Debug)]
pub struct Actions<T> {
    pub(crate) submissions: Vec<Submission<T>>,
    pub(crate) spare: Vec<Vec<Task<T>>>,
    pub(crate) wakes: Vec<(SimTime, u64)>,
    pub(crate) rates: Vec<(crate::CapacityId, f64)>,
}

/// Tasks as they were submitted.
#[derive(Debug)]
pub(crate) enum Submission<T> {
    Alone(Task<T>),
    Together(Vec<Task<T>>),
    InTurn(Vec<Task<T>>),
    /// The next task of a chain that is under way.
    Next {
        chain: u32,
    },
}

impl<T> Default for Actions<T> {
    fn default() -> Self {
        Self { submissions: Vec::new(), spare: Vec::new(), wakes: Vec::new(), rates: Vec::new() }
    }
}

impl<T> Actions<T> {
    /// Submits a task now. Its predecessors are the driver's affair.
    pub fn submit(&mut self, task: Task<T>) {
        self.submissions.push(Submission::Alone(task));
    }

    /// Submits many tasks that start together: of one latency and class, without claims. The same as submitting them one
    /// by one, but if nobody disturbs them their future is worked out once for all batches that are alike.
    ///
    /// # Panics
    /// In debug builds, if latencies or classes differ or a task claims something.
    pub fn submit_together(&mut self, tasks: impl IntoIterator<Item = Task<T>>) {
        let batch = self.listed(tasks);
        debug_assert!(
            batch
                .iter()
                .all(|task| { task.n_claims == 0 && task.latency == batch[0].latency && task.class == batch[0].class })
        );
        self.submissions.push(Submission::Together(batch));
    }

    /// Submits a chain: the first task now, each other when the one before ends. The same as submitting each at the end
    /// of the one before, but the driver hears of all of them when the last has ended, and where nobody disturbs them
    /// the engine goes through many of them at once.
    pub fn submit_in_turn(&mut self, tasks: impl IntoIterator<Item = Task<T>>) {
        let chain = self.listed(tasks);
        if !chain.is_empty() {
            self.submissions.push(Submission::InTurn(chain));
        }
    }

    /// The next task of a chain is to be submitted.
    pub(crate) fn next(&mut self, chain: u32) {
        self.submissions.push(Submission::Next { chain });
    }

    /// Keeps the memory of a list for the next one.
    pub(crate) fn put_back(&mut self, mut list: Vec<Task<T>>) {
        list.clear();
        self.spare.push(list);
    }

    fn listed(&mut self, tasks: impl IntoIterator<Item = Task<T>>) -> Vec<Task<T>> {
        let mut list = self.spare.pop().unwrap_or_default();
        list.extend(tasks);
        list
    }

    /// Asks to be woken at a moment; one that has passed is now.
    pub fn wake(&mut self, at: SimTime, token: u64) {
        self.wakes.push((at, token));
    }

    /// Changes the rate of a capacity from now on: a link that degrades, a clock that throttles.
    ///
    /// # Panics
    /// If the rate is not positive and finite.
    pub fn set_rate(&mut self, capacity: crate::CapacityId, rate: f64) {
        assert!(rate.is_finite() && rate > 0.0, "a capacity needs a positive rate, not {rate}");
        self.rates.push((capacity, rate));
    }
}
