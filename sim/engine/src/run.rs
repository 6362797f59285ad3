//! The loop: take an instant's events, apply them, solve once, go on.

use std::collections::VecDeque;

use units::SimTime;

use crate::driver::{Actions, Driver, Finished};
use crate::queue::{Due, Queue};
use crate::record::{Laws, Record};
use crate::replay::{Batch, Trajectories};
use crate::resource::{PoolId, Resources};
use crate::share::{NO_BATCH, NO_GROUP, Sharing};
use crate::task::{MAX_CLAIMS, Task};

mod batches;
mod groups;

use groups::Group;

/// Up to so many tasks solved together get an event each; more share one for the first to end.
const EVENT_EACH: usize = 4;

/// The run cannot go on: tasks wait for claims that nobody will release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stuck {
    /// When it stopped.
    pub at: SimTime,
    /// Tasks submitted and not ended.
    pub n_tasks: u64,
}

impl std::fmt::Display for Stuck {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "stuck at {}: {} tasks wait for claims that nobody will release", self.at, self.n_tasks)
    }
}

impl std::error::Error for Stuck {}

/// Runs a driver's tasks on the resources until nothing is left.
///
/// # Errors
/// [`Stuck`] if tasks remain that can never start.
pub fn run<D: Driver>(resources: &Resources, driver: &mut D) -> Result<Record, Stuck> {
    let mut engine = Engine::new(resources);
    driver.begin(&mut engine.actions);
    engine.apply();
    engine.solve();
    while let Some(now) = engine.queue.next_time() {
        assert!(now >= engine.now, "time went back");
        engine.now = now;
        engine.instant(driver);
    }
    engine.close()
}

/// A task between submission and end.
struct Entry<T> {
    tag: T,
    sequence: u64,
    start: SimTime,
    latency: units::SimSpan,
    class: u8,
    n_claims: u8,
    claims: [(PoolId, u32); MAX_CLAIMS],
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
    Replayed { batch: u32, index: u32 },
}

#[derive(Default)]
struct PoolState {
    count: u32,
    free: u32,
    waiting: VecDeque<u32>,
}

struct Engine<T> {
    now: SimTime,
    queue: Queue,
    sharing: Sharing,
    entries: Vec<Entry<T>>,
    free: Vec<u32>,
    groups: Vec<Group>,
    free_groups: Vec<u32>,
    /// Groups whose first member ended in this instant.
    due_groups: Vec<(u32, u32)>,
    pools: Vec<PoolState>,
    /// Pools that got something back in this instant.
    released: Vec<PoolId>,
    actions: Actions<T>,
    batches: Vec<Batch<T>>,
    free_batches: Vec<u32>,
    trajectories: Trajectories,
    ended: Vec<Ended>,
    woken: Vec<u64>,
    sequence: u64,
    n_open: u64,
    record: Record,
}

impl<T: Copy> Engine<T> {
    fn new(resources: &Resources) -> Self {
        let pools = resources
            .pools
            .iter()
            .map(|pool| PoolState { count: pool.count, free: pool.count, waiting: VecDeque::new() })
            .collect();
        Self {
            now: SimTime::ZERO,
            queue: Queue::default(),
            sharing: Sharing::new(&resources.capacities),
            entries: Vec::new(),
            free: Vec::new(),
            groups: Vec::new(),
            free_groups: Vec::new(),
            due_groups: Vec::new(),
            pools,
            released: Vec::new(),
            actions: Actions::default(),
            batches: Vec::new(),
            free_batches: Vec::new(),
            trajectories: Trajectories::default(),
            ended: Vec::new(),
            woken: Vec::new(),
            sequence: 0,
            n_open: 0,
            record: Record::default(),
        }
    }

    /// Everything that happens at `now`, then one solve. A task that takes no time ends in a further round of the same
    /// instant.
    fn instant<D: Driver<Tag = T>>(&mut self, driver: &mut D) {
        self.collect();
        let mut ended = std::mem::take(&mut self.ended);
        ended.sort_unstable();
        for ended in &ended {
            let finished = match ended.what {
                Ending::Slot(slot) => self.end(slot),
                Ending::Replayed { batch, index } => self.end_replayed(batch, index),
            };
            driver.finished(&finished, &mut self.actions);
        }
        ended.clear();
        self.ended = ended;
        let mut woken = std::mem::take(&mut self.woken);
        for token in woken.drain(..) {
            driver.woken(token, self.now, &mut self.actions);
        }
        self.woken = woken;
        self.apply();
        self.solve();
    }

    /// Takes this instant's events off the queue.
    fn collect(&mut self) {
        while let Some(due) = self.queue.pop_at(self.now) {
            match due {
                Due::Draw { slot } => self.draw(slot),
                Due::End { slot, version } => {
                    let draw = &mut self.sharing.draws[slot as usize];
                    if draw.version == version && draw.group == NO_GROUP {
                        // A second event of the same end must not count.
                        draw.version = version.wrapping_add(1);
                        self.ended.push(self.rank(slot));
                    }
                }
                Due::Group { group, version } => self.collect_group(group, version),
                Due::Start { batch } => self.start_batch(batch),
                Due::Step { batch, version } => self.collect_step(batch, version),
                Due::Wake { token } => self.woken.push(token),
            }
        }
    }

    /// Its place among what ends at this instant.
    fn rank(&self, slot: u32) -> Ended {
        let entry = &self.entries[slot as usize];
        Ended { class: entry.class, sequence: entry.sequence, what: Ending::Slot(slot) }
    }

    fn end(&mut self, slot: u32) -> Finished<T> {
        self.leave_group(slot);
        self.sharing.finish(slot, self.now);
        let entry = &self.entries[slot as usize];
        for &(pool, count) in &entry.claims[..usize::from(entry.n_claims)] {
            self.pools[pool.0 as usize].free += count;
            self.released.push(pool);
        }
        // Events made stale by a new rate may still come later: the run ends with its last task.
        self.record.end = self.now;
        self.record.n_tasks += 1;
        self.record.n_copies += self.sharing.draws[slot as usize].copies as u64;
        self.n_open -= 1;
        self.free.push(slot);
        Finished { tag: entry.tag, start: entry.start, end: self.now, bound: self.sharing.draws[slot as usize].bound }
    }

    /// Carries out what the driver asked for, and grants claims that became free.
    fn apply(&mut self) {
        for (capacity, rate) in std::mem::take(&mut self.actions.rates) {
            let id = self.sharing.occupant(capacity);
            if id != NO_BATCH {
                self.disturb(id);
            }
            self.sharing.set_rate(capacity, rate);
        }
        for (at, token) in std::mem::take(&mut self.actions.wakes) {
            self.queue.push(at.max(self.now), Due::Wake { token });
        }
        self.grant();
        let mut tasks = std::mem::take(&mut self.actions.tasks);
        for task in tasks.drain(..) {
            self.submit(&task);
        }
        self.actions.tasks = tasks;
        let mut batches = std::mem::take(&mut self.actions.batches);
        for tasks in batches.drain(..) {
            self.submit_batch(tasks);
        }
        self.actions.batches = batches;
    }

    fn submit(&mut self, task: &Task<T>) {
        self.sequence += 1;
        self.n_open += 1;
        let slot = self.enter(task, self.sequence, self.now);
        // Nobody overtakes in a queue for a pool.
        let must_wait = task.claims().iter().find(|(pool, _)| !self.pools[pool.0 as usize].waiting.is_empty());
        let short = task.claims().iter().find(|(pool, count)| self.pools[pool.0 as usize].free < *count);
        match must_wait.or(short) {
            Some(&(pool, _)) => self.pools[pool.0 as usize].waiting.push_back(slot),
            None => self.begin(slot),
        }
    }

    /// Gives a task a slot.
    fn enter(&mut self, task: &Task<T>, sequence: u64, start: SimTime) -> u32 {
        let slot = self.free.pop().unwrap_or(self.entries.len() as u32);
        let entry = Entry {
            tag: task.tag,
            sequence,
            start,
            latency: task.latency,
            class: task.class,
            n_claims: task.n_claims,
            claims: task.claims,
        };
        if slot as usize == self.entries.len() {
            self.entries.push(entry);
        } else {
            self.entries[slot as usize] = entry;
        }
        self.sharing.place(slot, task);
        slot
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
        for &(pool, count) in &entry.claims[..usize::from(entry.n_claims)] {
            let state = &mut self.pools[pool.0 as usize];
            let over = count.saturating_sub(state.free);
            self.record.laws.overclaim_max = self.record.laws.overclaim_max.max(over);
            state.free -= count.min(state.free);
            debug_assert!(state.free <= state.count);
        }
        let latency = entry.latency;
        if latency.picos() > 0 {
            self.queue.push(self.now + latency, Due::Draw { slot });
        } else {
            self.draw(slot);
        }
    }

    fn draw(&mut self, slot: u32) {
        if self.sharing.is_instant(slot) {
            let version = self.sharing.draws[slot as usize].version;
            self.queue.push(self.now, Due::End { slot, version });
        } else {
            for i in 0..self.sharing.n_uses(slot) {
                let id = self.sharing.occupant(self.sharing.used(slot, i));
                if id != NO_BATCH {
                    self.disturb(id);
                }
            }
            self.sharing.start(slot, self.now);
        }
    }

    /// Solves what changed and puts the new ends in the queue.
    fn solve(&mut self) {
        if self.sharing.stale() {
            let n_solved = self.sharing.solve(self.now).len();
            if n_solved > EVENT_EACH {
                self.schedule_group();
            } else {
                self.schedule_each(n_solved);
            }
            self.sharing.clear();
        }
        for (id, version) in std::mem::take(&mut self.due_groups) {
            self.schedule_rest(id, version);
        }
    }

    fn close(mut self) -> Result<Record, Stuck> {
        if self.n_open > 0 {
            return Err(Stuck { at: self.now, n_tasks: self.n_open });
        }
        self.record.n_solves = self.sharing.n_solves;
        self.record.served = self.sharing.served();
        self.record.laws = Laws {
            overload_max: self.sharing.overload_max,
            residue_max: self.sharing.residue_max,
            n_unfinished: self.n_open,
            overclaim_max: self.record.laws.overclaim_max,
        };
        Ok(self.record)
    }
}
