//! The one seam for what cannot be known beforehand.

use units::SimTime;

use crate::handle::{Handle, Handles};
use crate::resource::CapacityId;
use crate::task::{Bound, Task};

/// Decides what is submitted when. It is told what happened and answers with [`Actions`]; only the engine mutates the
/// run. A static graph is the trivial driver ([`crate::TaskGraph`]).
///
/// Besides single tasks a driver may submit *lists*, batches and chains, whose tasks stay with the driver: the engine reads each
/// ([`Driver::listed`]) when it comes to it, so that what is long to run is not long to keep.
pub trait Driver {
    /// What the driver calls a task.
    type Tag: Copy;

    /// Called once, at time zero.
    fn begin(&mut self, actions: &mut Actions<Self::Tag>);

    /// A task ended. Called in the order (time, class, sequence).
    fn finished(&mut self, task: &Finished<Self::Tag>, actions: &mut Actions<Self::Tag>);

    /// A moment asked for by [`Actions::wake`] has come.
    fn woken(&mut self, _token: u64, _now: SimTime, _actions: &mut Actions<Self::Tag>) {}

    /// The `index`-th task of a list: the same from the list's submission to its end, however often it is read.
    ///
    /// # Panics
    /// Where a driver submits lists without writing this: a fault of the driver.
    fn listed(&self, list: List, index: u32) -> Task<()> {
        unreachable!("a driver that submits {list:?} has its task {index}")
    }

    /// The two parts of a batch that one of its tasks belongs to; twice the same for one.
    fn parts(&self, _list: List, _index: u32) -> [u32; 2] {
        [0, 0]
    }

    /// The last task of a part of a batch has ended. Called in the order in which those tasks come; of two parts that one
    /// task completes, its first part comes first.
    fn part_ended(&mut self, _list: List, _part: u32, _now: SimTime, _actions: &mut Actions<Self::Tag>) {}

    /// The last task of a chain has ended: how each of them fared.
    fn chain_ended(&mut self, _list: List, _turns: &[Turn], _actions: &mut Actions<Self::Tag>) {}
}

/// What a driver calls tasks that it submits together or in turn, and keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct List(pub u64);

/// Tasks that start together: of one latency and class, without claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Which list.
    pub list: List,
    /// How many tasks it has.
    pub n_tasks: u32,
    /// How many parts they belong to ([`Driver::parts`]).
    pub n_parts: u32,
    /// Batches of one kind are equal in all but *which* capacities their tasks draw from: the same amounts, weights, limits,
    /// copies and parts, and two demands meet at one capacity in all of them or in none.
    pub kind: u64,
}

/// A task that ended.
#[derive(Clone, Copy, Debug)]
pub struct Finished<T> {
    /// What the driver called it.
    pub tag: T,
    /// When it got its claims.
    pub start: SimTime,
    /// Now.
    pub end: SimTime,
    /// What set its rate at the end.
    pub bound: Bound,
}

/// How a task of a chain fared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// When it got its claims.
    pub start: SimTime,
    /// When it ended.
    pub end: SimTime,
    /// What set its rate at the end.
    pub bound: Bound,
}

/// What a driver wants done at this instant.
#[derive(Debug)]
pub struct Actions<T> {
    pub(crate) orders: Vec<Order<T>>,
    pub(crate) wakes: Vec<(SimTime, u64)>,
    pub(crate) rates: Vec<(CapacityId, f64)>,
    pub(crate) stops: bool,
    /// Whether there is a cancellation among the orders.
    cancels: bool,
    pub(crate) handles: Handles,
}

/// What is carried out in the order in which it was wanted.
#[derive(Debug)]
pub(crate) enum Order<T> {
    Alone(Task<T>, Handle),
    Together(Batch, Handle),
    InTurn {
        list: List,
        n_tasks: u32,
        handle: Handle,
    },
    /// The next task of a chain that is under way.
    Next(Handle),
    Cancel(Handle),
}

impl<T> Default for Actions<T> {
    fn default() -> Self {
        Self {
            orders: Vec::new(),
            wakes: Vec::new(),
            rates: Vec::new(),
            stops: false,
            cancels: false,
            handles: Handles::default(),
        }
    }
}

impl<T> Actions<T> {
    /// Submits a task now. Its predecessors are the driver's affair.
    pub fn submit(&mut self, task: Task<T>) -> Handle {
        let handle = self.handles.task();
        self.orders.push(Order::Alone(task, handle));
        handle
    }

    /// Submits a batch. The same as submitting its tasks one by one, but the driver hears of its parts, and if nobody disturbs
    /// them their future is worked out once for all batches of the kind. None for a batch without tasks.
    pub fn submit_together(&mut self, batch: Batch) -> Option<Handle> {
        (batch.n_tasks > 0).then(|| {
            let handle = self.handles.batch();
            self.orders.push(Order::Together(batch, handle));
            handle
        })
    }

    /// Submits a chain: the first task now, each other when the one before ends. The same as submitting each at the end
    /// of the one before, but the driver hears of all of them when the last has ended, and where nobody disturbs them
    /// the engine goes through many of them at once. None for a chain without tasks.
    pub fn submit_in_turn(&mut self, list: List, n_tasks: u32) -> Option<Handle> {
        (n_tasks > 0).then(|| {
            let handle = self.handles.chain();
            self.orders.push(Order::InTurn { list, n_tasks, handle });
            handle
        })
    }

    /// Gives up what was submitted, and of a batch or a chain what is left of it: nothing more is drawn, claims are released,
    /// and the driver hears no more of it, also where it ends at this very instant. What is over already stays.
    pub fn cancel(&mut self, handle: Handle) {
        self.orders.push(Order::Cancel(handle));
        self.cancels = true;
    }

    /// Whether a handle was given up at this instant.
    #[inline]
    pub(crate) fn gives_up(&self, handle: Option<Handle>) -> bool {
        let is_of = |order: &Order<T>| matches!(order, Order::Cancel(given_up) if Some(*given_up) == handle);
        self.cancels && self.orders.iter().any(is_of)
    }

    /// The orders, to be carried out.
    pub(crate) fn take_orders(&mut self) -> Vec<Order<T>> {
        self.cancels = false;
        std::mem::take(&mut self.orders)
    }

    /// Ends the run at this instant: what is open is cut.
    pub fn stop(&mut self) {
        self.stops = true;
    }

    /// Asks to be woken at a moment; one that has passed is now.
    pub fn wake(&mut self, at: SimTime, token: u64) {
        self.wakes.push((at, token));
    }

    /// Changes the rate of a capacity from now on: a link that degrades, a clock that throttles.
    ///
    /// # Panics
    /// If the rate is not positive and finite.
    pub fn set_rate(&mut self, capacity: CapacityId, rate: f64) {
        assert!(rate.is_finite() && rate > 0.0, "a capacity needs a positive rate, not {rate}");
        self.rates.push((capacity, rate));
    }
}
