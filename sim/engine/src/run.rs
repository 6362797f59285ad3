//! The loop: take an instant's events, apply them, solve once, go on.

use std::collections::VecDeque;

use units::{SimSpan, SimTime};

use crate::chain::Chain;
use crate::driver::{Actions, Driver, Finished, Order};
use crate::fault::{Fault, Law};
use crate::handle::{Handle, What};
use crate::queue::{Due, Queue};
use crate::record::{Laws, Record};
use crate::replay::{Open, Trajectories};
use crate::resource::{PoolId, Resources};
use crate::share::{NO_GROUP, Occupant, Sharing};
use crate::task::{MAX_CLAIMS, Task};

mod batches;
mod cancels;
mod chains;
mod groups;

use groups::Group;

/// Up to so many tasks solved together get an event each; more share one for the first to end.
const EVENT_EACH: usize = 4;
/// No chain.
const NO_CHAIN: u32 = u32::MAX;

/// Runs a driver's tasks on the resources until nothing is left.
///
/// # Errors
/// [`Fault::Stuck`] if tasks remain that can never start, [`Fault::Broken`] if a law does not hold. Every caller has both
/// checks: a record that is returned is lawful.
pub fn run<D: Driver>(resources: &Resources, driver: &mut D) -> Result<Record, Fault> {
    let mut engine = Engine::new(resources, driver);
    engine.driver.begin(&mut engine.actions);
    engine.apply();
    engine.solve();
    while let Some(now) = engine.queue.next_time().filter(|_| !engine.actions.stops) {
        if now < engine.now {
            return Err(Fault::Broken { law: Law::Clock, amount: engine.now.since(now).seconds() });
        }
        engine.now = now;
        engine.instant();
    }
    engine.close()
}

/// A task between submission and end.
struct Entry<T> {
    of: Of<T>,
    /// Of its slot.
    turn: u32,
    sequence: u64,
    start: SimTime,
    latency: SimSpan,
    class: u8,
    n_claims: u8,
    claims: [(PoolId, u32); MAX_CLAIMS],
}

/// Where a task comes from.
#[derive(Clone, Copy)]
enum Of<T> {
    /// Nobody is in the slot.
    Nowhere,
    /// Submitted alone.
    Driver(T),
    Chain(u32),
    Batch {
        batch: u32,
        index: u32,
    },
}

/// Something that ends at this instant, in the order it is told: class, then sequence of submission.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Ended {
    class: u8,
    sequence: u64,
    what: Ending,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Ending {
    Slot(u32),
    /// A part of a batch that is replayed, or was until now.
    Part {
        batch: u32,
        order: u32,
        part: u32,
    },
    Course {
        chain: u32,
        version: u32,
    },
}

impl<T> Entry<T> {
    /// What stands in a slot that nobody has come to.
    fn nobody() -> Self {
        let claims = [(PoolId(0), 0); MAX_CLAIMS];
        let (start, latency) = (SimTime::ZERO, SimSpan::ZERO);
        Self { of: Of::Nowhere, turn: 0, sequence: 0, start, latency, class: 0, n_claims: 0, claims }
    }
}

struct PoolState {
    count: u32,
    free: u32,
    waiting: VecDeque<u32>,
    /// The chain on course that claims from it.
    chain: u32,
}

impl PoolState {
    /// Whether nobody waits and no chain is on course here.
    fn is_quiet(&self) -> bool {
        self.waiting.is_empty() && self.chain == NO_CHAIN
    }
}

struct Engine<'a, D: Driver> {
    driver: &'a mut D,
    now: SimTime,
    queue: Queue,
    sharing: Sharing,
    entries: Vec<Entry<D::Tag>>,
    groups: Vec<Group>,
    free_groups: Vec<u32>,
    /// Groups whose first member ended in this instant.
    due_groups: Vec<(u32, u32)>,
    pools: Vec<PoolState>,
    /// Pools that got something back in this instant.
    released: Vec<PoolId>,
    actions: Actions<D::Tag>,
    batches: Vec<Open>,
    trajectories: Trajectories,
    chains: Vec<Chain>,
    /// Chains whose next task got its claims in this instant.
    hopeful: Vec<u32>,
    ended: Vec<Ended>,
    woken: Vec<u64>,
    sequence: u64,
    n_open: u64,
    record: Record,
}

impl<'a, D: Driver> Engine<'a, D> {
    fn new(resources: &Resources, driver: &'a mut D) -> Self {
        let pools = resources
            .pools
            .iter()
            .map(|pool| PoolState { count: pool.count, free: pool.count, waiting: VecDeque::new(), chain: NO_CHAIN })
            .collect();
        Self {
            driver,
            now: SimTime::ZERO,
            queue: Queue::default(),
            sharing: Sharing::new(resources),
            entries: Vec::new(),
            groups: Vec::new(),
            free_groups: Vec::new(),
            due_groups: Vec::new(),
            pools,
            released: Vec::new(),
            actions: Actions::default(),
            batches: Vec::new(),
            trajectories: Trajectories::default(),
            chains: Vec::new(),
            hopeful: Vec::new(),
            ended: Vec::new(),
            woken: Vec::new(),
            sequence: 0,
            n_open: 0,
            record: Record {
                cancelled: vec![0.0; resources.n_capacities()],
                cut: vec![0.0; resources.n_capacities()],
                ..Record::default()
            },
        }
    }

    /// Everything that happens at `now`, then one solve. A task that takes no time ends in a further round of the same
    /// instant.
    fn instant(&mut self) {
        self.collect();
        let mut ended = std::mem::take(&mut self.ended);
        ended.sort_unstable();
        for ended in &ended {
            self.tell(ended.what);
        }
        ended.clear();
        self.ended = ended;
        let mut woken = std::mem::take(&mut self.woken);
        for token in woken.drain(..) {
            self.driver.woken(token, self.now, &mut self.actions);
        }
        self.woken = woken;
        self.apply();
        self.solve();
    }

    /// Ends a task and tells the driver.
    fn tell(&mut self, what: Ending) {
        match what {
            Ending::Slot(slot) => {
                let entry = &mut self.entries[slot as usize];
                let handle = Handle { what: What::Task, place: slot, turn: entry.turn };
                let of = std::mem::replace(&mut entry.of, Of::Nowhere);
                let finished = self.end(slot);
                match of {
                    Of::Nowhere => {}
                    Of::Driver(_) if self.actions.gives_up(Some(handle)) => {}
                    Of::Driver(tag) => {
                        let Finished { start, end, bound, .. } = finished;
                        self.driver.finished(&Finished { tag, start, end, bound }, &mut self.actions);
                    }
                    Of::Chain(chain) => {
                        self.end_link(chain, &finished);
                        self.go_on(chain);
                    }
                    Of::Batch { batch, index } => self.end_member(batch, index),
                }
            }
            Ending::Part { batch, part, .. } => self.end_part(batch, part),
            // It may have been disturbed in this very instant.
            Ending::Course { chain, version } => {
                if self.chains[chain as usize].version == version {
                    self.end_course(chain);
                    self.go_on(chain);
                }
            }
        }
    }

    /// Takes this instant's events off the queue.
    fn collect(&mut self) {
        while let Some(due) = self.queue.pop_at(self.now) {
            match due {
                Due::Draw { slot, version } => {
                    if self.sharing.draws[slot as usize].version == version {
                        self.draw(slot);
                    }
                }
                Due::End { slot, version } => {
                    let draw = &mut self.sharing.draws[slot as usize];
                    if draw.version == version && draw.group == NO_GROUP {
                        // A second event of the same end must not count.
                        draw.version = version.wrapping_add(1);
                        self.ended.push(self.rank(slot));
                    }
                }
                Due::Group { group, version } => self.collect_group(group, version),
                Due::Start { batch, version } => {
                    if self.batches[batch as usize].version == version {
                        self.start_batch(batch);
                    }
                }
                Due::Step { batch, version } => self.collect_step(batch, version),
                Due::Course { chain, version } => self.collect_course(chain, version),
                Due::Wake { token } => self.woken.push(token),
            }
        }
    }

    /// Its place among what ends at this instant.
    fn rank(&self, slot: u32) -> Ended {
        let entry = &self.entries[slot as usize];
        Ended { class: entry.class, sequence: entry.sequence, what: Ending::Slot(slot) }
    }

    fn end(&mut self, slot: u32) -> Finished<()> {
        self.leave_group(slot);
        self.clear_way(slot);
        self.sharing.finish(slot, self.now);
        let entry = &self.entries[slot as usize];
        let (claims, n_claims) = (entry.claims, usize::from(entry.n_claims));
        // Events made stale by a new rate may still come later: the run ends with its last task.
        self.record.end = self.now;
        self.record.n_tasks += 1;
        let draw = &self.sharing.draws[slot as usize];
        self.record.n_copies += draw.copies as u64;
        self.n_open -= 1;
        self.actions.handles.tasks.free(slot, entry.turn);
        let finished = Finished { tag: (), start: entry.start, end: self.now, bound: draw.bound };
        self.release(&claims[..n_claims]);
        finished
    }

    fn release(&mut self, claims: &[(PoolId, u32)]) {
        for &(pool, count) in claims {
            self.pools[pool.0 as usize].free += count;
            self.released.push(pool);
        }
    }

    /// Carries out what the driver asked for, and grants claims that became free.
    fn apply(&mut self) {
        let mut rates = std::mem::take(&mut self.actions.rates);
        for (capacity, rate) in rates.drain(..) {
            self.disturb(self.sharing.occupant(capacity));
            self.sharing.set_rate(capacity, rate, self.now);
        }
        self.actions.rates = rates;
        let mut wakes = std::mem::take(&mut self.actions.wakes);
        for (at, token) in wakes.drain(..) {
            self.queue.push(at.max(self.now), Due::Wake { token });
        }
        self.actions.wakes = wakes;
        self.grant();
        let mut orders = self.actions.take_orders();
        for order in orders.drain(..) {
            match order {
                Order::Alone(task, handle) => self.submit(&task, handle),
                Order::Together(batch, handle) => self.submit_batch(batch, handle),
                Order::InTurn { list, n_tasks, handle } => self.submit_chain(list, n_tasks, handle),
                Order::Next(handle) => {
                    if self.chains[handle.place as usize].handle == Some(handle) {
                        self.submit_next(handle.place);
                    }
                }
                Order::Cancel(handle) => self.cancel(handle),
            }
        }
        self.actions.orders = orders;
    }

    fn submit(&mut self, task: &Task<D::Tag>, handle: Handle) {
        self.sequence += 1;
        self.n_open += 1;
        let Handle { place, turn, .. } = handle;
        self.enter_at((place, turn), Of::Driver(task.tag), task, (self.sequence, self.now));
        self.claim(place);
    }

    /// A task asks for its claims: it begins, or waits for them.
    fn claim(&mut self, slot: u32) {
        let entry = &self.entries[slot as usize];
        match self.lacking(&entry.claims[..usize::from(entry.n_claims)]) {
            Some(pool) => {
                let chain = self.pools[pool.0 as usize].chain;
                if chain != NO_CHAIN {
                    self.disturb_chain(chain);
                }
                self.pools[pool.0 as usize].waiting.push_back(slot);
            }
            None => self.begin(slot),
        }
    }

    /// The pool to wait at for some claims; nobody overtakes in a queue for a pool.
    fn lacking(&self, claims: &[(PoolId, u32)]) -> Option<PoolId> {
        let must_wait = claims.iter().find(|(pool, _)| !self.pools[pool.0 as usize].waiting.is_empty());
        let short = claims.iter().find(|(pool, count)| self.pools[pool.0 as usize].free < *count);
        must_wait.or(short).map(|&(pool, _)| pool)
    }

    /// Gives a task of a list a slot.
    fn enter(&mut self, of: Of<D::Tag>, task: &Task<()>, sequence: u64, start: SimTime) -> u32 {
        let place = self.actions.handles.tasks.take();
        self.enter_at(place, of, task, (sequence, start));
        place.0
    }

    /// Puts a task into its slot.
    fn enter_at<T>(&mut self, place: (u32, u32), of: Of<D::Tag>, task: &Task<T>, order: (u64, SimTime)) {
        let ((slot, turn), (sequence, start)) = (place, order);
        let Task { latency, class, n_claims, claims, .. } = *task;
        let entry = Entry { of, turn, sequence, start, latency, class, n_claims, claims };
        // Slots are given out when a task is submitted, and filled when that is carried out: not always in the same order.
        if slot as usize >= self.entries.len() {
            self.entries.resize_with(slot as usize + 1, Entry::nobody);
        }
        self.entries[slot as usize] = entry;
        self.sharing.place(slot, task);
    }

    /// Lets waiting tasks have what was released, first come, first served.
    fn grant(&mut self) {
        while let Some(pool) = self.released.pop() {
            while let Some(&slot) = self.pools[pool.0 as usize].waiting.front() {
                let entry = &self.entries[slot as usize];
                let claims = &entry.claims[..usize::from(entry.n_claims)];
                let short = claims.iter().find(|(pool, count)| self.pools[pool.0 as usize].free < *count);
                match short {
                    None => {
                        self.pools[pool.0 as usize].waiting.pop_front();
                        self.begin(slot);
                    }
                    // Short of another pool: it waits there, so that a release there finds it.
                    Some(&(other, _)) if other != pool => {
                        self.pools[pool.0 as usize].waiting.pop_front();
                        self.pools[other.0 as usize].waiting.push_back(slot);
                    }
                    Some(_) => break,
                }
            }
        }
    }

    fn begin(&mut self, slot: u32) {
        let entry = &mut self.entries[slot as usize];
        entry.start = self.now;
        let (claims, n_claims, latency) = (entry.claims, usize::from(entry.n_claims), entry.latency);
        self.take(&claims[..n_claims]);
        if latency.picos() > 0 {
            self.await_draw(slot, self.now + latency);
        } else {
            self.draw(slot);
        }
    }

    /// The task in a slot has its claims and pays its latency until a moment.
    fn await_draw(&mut self, slot: u32, at: SimTime) {
        let version = self.sharing.draws[slot as usize].version;
        self.queue.push(at, Due::Draw { slot, version });
    }

    fn take(&mut self, claims: &[(PoolId, u32)]) {
        for &(pool, count) in claims {
            let state = &mut self.pools[pool.0 as usize];
            let over = count.saturating_sub(state.free);
            self.record.laws.overclaim_max = self.record.laws.overclaim_max.max(over);
            state.free -= count.min(state.free);
            debug_assert!(state.free <= state.count);
        }
    }

    fn draw(&mut self, slot: u32) {
        if self.sharing.is_instant(slot) {
            let version = self.sharing.draws[slot as usize].version;
            self.queue.push(self.now, Due::End { slot, version });
        } else {
            self.clear_way(slot);
            self.sharing.start(slot, self.now);
        }
    }

    /// Before a task starts or ends, nobody's future is known on its capacities any more.
    fn clear_way(&mut self, slot: u32) {
        for i in 0..self.sharing.n_uses(slot) {
            self.disturb(self.sharing.occupant_at(slot, i));
        }
    }

    fn disturb(&mut self, occupant: Occupant) {
        match occupant {
            Occupant::Nobody => {}
            Occupant::Batch(batch) => self.disturb_batch(batch),
            Occupant::Chain(chain) => self.disturb_chain(chain),
        }
    }

    /// Solves what changed and puts the new ends in the queue.
    fn solve(&mut self) {
        if self.sharing.stale() {
            self.sharing.solve(self.now);
            self.schedule();
            self.sharing.clear();
        }
        let mut due = std::mem::take(&mut self.due_groups);
        for (id, version) in due.drain(..) {
            self.schedule_rest(id, version);
        }
        self.due_groups = due;
        let mut hopeful = std::mem::take(&mut self.hopeful);
        for chain in hopeful.drain(..) {
            self.look_ahead(chain);
        }
        self.hopeful = hopeful;
    }

    fn close(mut self) -> Result<Record, Fault> {
        if self.actions.stops {
            self.cut();
        }
        if self.n_open > 0 {
            return Err(Fault::Stuck { at: self.now, n_tasks: self.n_open });
        }
        self.record.n_solves = self.sharing.n_solves;
        self.record.served = self.sharing.close(self.record.end);
        let n_over = self.record.n_tasks + self.record.n_cancelled + self.record.n_cut;
        self.record.laws = Laws {
            overload_max: self.sharing.overload_max,
            residue_max: self.sharing.residue_max,
            n_lost: self.sequence as i64 - n_over as i64,
            overclaim_max: self.record.laws.overclaim_max,
        };
        self.record.laws.hold()?;
        Ok(self.record)
    }
}
