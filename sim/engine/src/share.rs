//! Weighted max-min sharing of capacities, solved again only where a change can be felt.
//!
//! Every drawing task has a level: its usage of its main demand over its weight. The solve raises all levels together
//! until a capacity is full or a task meets its own limit, freezes those it stops, and goes on with the rest
//! (progressive filling; Bertsekas and Gallager, *Data Networks*, section 6.5). A task's other demands follow its main
//! demand in proportion.
//!
//! Which tasks to solve again: a change spreads through capacities that are full. A capacity that is not full is only
//! a sum of usages and connects nothing. If the new rates fill a capacity that was not full, its other users join and
//! the solve is repeated. The result is the one max-min allocation; a test compares it with a solve over everything.

use units::{SimSpan, SimTime};

use crate::fill::Filling;
use crate::resource::{Capacity, CapacityId, Resources, RouteId, Routes};
use crate::task::{Bound, Task};

mod batch;
mod course;
mod solve;
mod uses;

pub(crate) use course::Course;
use uses::{AllUses, Use};

/// A capacity this close to its rate is full.
pub(crate) const FULL: f64 = 1.0 - 1e-9;
/// No group of tasks.
pub(crate) const NO_GROUP: u32 = u32::MAX;

/// A task that draws, but for its uses.
#[derive(Clone, Debug)]
pub(crate) struct Draw {
    /// Progress per second; 1 is the whole task.
    rate: f64,
    /// Progress not made yet at `since`.
    left: f64,
    since: SimTime,
    /// When it ends at its present rate.
    pub(crate) end: SimTime,
    /// Progress per second and level: weight over main demand.
    per_level: f64,
    limit: f64,
    pub(crate) copies: f64,
    /// Counts changes of `end`.
    pub(crate) version: u32,
    /// The version whose end is in the queue.
    pub(crate) scheduled: u32,
    /// The solve it was last part of, if that was a large one.
    pub(crate) group: u32,
    /// The solve that gathered it last.
    stamp: u32,
    pub(crate) bound: Bound,
    n_uses: u8,
    /// Draws from one capacity more than once.
    repeats: bool,
    drawing: bool,
}

/// A capacity between its users.
#[derive(Clone, Debug)]
struct Shared {
    rate: f64,
    /// What it could have served until `since`, and then at its present rate.
    supply: f64,
    since: SimTime,
    used: f64,
    /// Slots that draw from it, with the index of the use.
    users: Vec<(u32, u8)>,
    /// The solve that took its users in last.
    taken: u32,
    /// The filling that touched it last, and its lane there.
    pass: u32,
    lane: u32,
    /// Whose future here is known, as long as nobody else comes.
    occupant: Occupant,
}

/// Whose future on a capacity is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Occupant {
    Nobody,
    /// A batch that is replayed.
    Batch(u32),
    /// A chain on its course.
    Chain(u32),
}

/// All drawing tasks and the capacities between them.
#[derive(Debug)]
pub(crate) struct Sharing {
    pub(crate) draws: Vec<Draw>,
    uses: AllUses,
    shared: Vec<Shared>,
    routes: Routes,
    /// Units drawn from each capacity by tasks that have ended.
    served: Vec<f64>,
    stamp: u32,
    /// Counts fillings; a solve that widens fills more than once.
    pass: u32,
    /// Slots to solve.
    set: Vec<u32>,
    /// Capacities that lost or gained a user, or changed their rate, while full.
    felt: Vec<u32>,
    filling: Filling,
    kin: solve::Kin,
    pub(crate) n_solves: u64,
    pub(crate) overload_max: f64,
    pub(crate) residue_max: f64,
}

impl Sharing {
    pub(crate) fn new(resources: &Resources) -> Self {
        let shared = |capacity: &Capacity| Shared {
            rate: capacity.rate,
            supply: 0.0,
            since: SimTime::ZERO,
            used: 0.0,
            users: Vec::new(),
            taken: 0,
            pass: 0,
            lane: 0,
            occupant: Occupant::Nobody,
        };
        Self {
            draws: Vec::new(),
            uses: AllUses::default(),
            shared: resources.capacities.iter().map(shared).collect(),
            routes: resources.routes.clone(),
            served: vec![0.0; resources.capacities.len()],
            stamp: 0,
            pass: 0,
            set: Vec::new(),
            felt: Vec::new(),
            filling: Filling::default(),
            kin: solve::Kin::default(),
            n_solves: 0,
            overload_max: 0.0,
            residue_max: 0.0,
        }
    }

    /// Units drawn from each capacity until the run's end. What a capacity served above what its rate allows until then is an
    /// overload like any other.
    pub(crate) fn close(&mut self, end: SimTime) -> Vec<f64> {
        for (shared, &served) in self.shared.iter().zip(&self.served) {
            if served > 0.0 {
                let tick = 1e-12;
                let supply = shared.supply + shared.rate * (end.since(shared.since).seconds() + tick);
                self.overload_max = self.overload_max.max(served / supply - 1.0);
            }
        }
        std::mem::take(&mut self.served)
    }

    /// Prepares a slot for a task that does not draw yet.
    pub(crate) fn place<T>(&mut self, slot: u32, task: &Task<T>) {
        let n_uses = self.uses.place(slot, task.demands(), &self.routes);
        let main = if task.n_demands == 0 { 1.0 } else { task.demands[0].1 };
        let old = self.draws.get(slot as usize).map_or(0, |old| old.version);
        let draw = Draw {
            rate: 0.0,
            left: 1.0,
            since: SimTime::ZERO,
            end: SimTime::MAX,
            per_level: task.weight / main,
            limit: task.limit,
            copies: f64::from(task.copies),
            version: old.wrapping_add(1),
            scheduled: old,
            group: NO_GROUP,
            stamp: 0,
            bound: Bound::Latency,
            n_uses,
            repeats: self.uses.repeats(slot, n_uses),
            drawing: false,
        };
        if slot as usize >= self.draws.len() {
            self.draws.resize(slot as usize + 1, draw.clone());
        }
        self.draws[slot as usize] = draw;
    }

    /// The task in this slot starts to draw.
    pub(crate) fn start(&mut self, slot: u32, now: SimTime) {
        self.join(slot, now);
        self.set.push(slot);
        for entry in self.uses.of(slot, self.draws[slot as usize].n_uses) {
            let shared = &self.shared[entry.capacity as usize];
            if shared.used >= shared.rate * FULL {
                self.felt.push(entry.capacity);
            }
        }
    }

    /// The task in this slot is among the users of its capacities.
    fn join(&mut self, slot: u32, since: SimTime) {
        let draw = &mut self.draws[slot as usize];
        draw.drawing = true;
        draw.since = since;
        for (i, entry) in self.uses.of_mut(slot, draw.n_uses).iter_mut().enumerate() {
            let shared = &mut self.shared[entry.capacity as usize];
            entry.place = shared.users.len() as u32;
            shared.users.push((slot, i as u8));
        }
    }

    /// How many capacities the task in this slot draws from.
    pub(crate) fn n_uses(&self, slot: u32) -> usize {
        usize::from(self.draws[slot as usize].n_uses)
    }

    /// Whose future is known on one of them.
    pub(crate) fn occupant_at(&self, slot: u32, index: usize) -> Occupant {
        let uses = self.uses.of(slot, self.draws[slot as usize].n_uses);
        self.shared[uses[index].capacity as usize].occupant
    }

    /// Whose future on a capacity is known.
    pub(crate) fn occupant(&self, id: CapacityId) -> Occupant {
        self.shared[id.0 as usize].occupant
    }

    /// Whether the task in this slot has begun to draw.
    pub(crate) fn is_drawing(&self, slot: u32) -> bool {
        self.draws[slot as usize].drawing
    }

    /// Whether the task in this slot needs no time once its latency is paid.
    pub(crate) fn is_instant(&self, slot: u32) -> bool {
        let draw = &self.draws[slot as usize];
        draw.n_uses == 0 && draw.limit.is_infinite()
    }

    /// The task in this slot ends: it gives back what it used.
    pub(crate) fn finish(&mut self, slot: u32, now: SimTime) {
        let draw = &mut self.draws[slot as usize];
        let done = draw.rate * now.since(draw.since).seconds();
        if std::mem::replace(&mut draw.drawing, false) && draw.rate.is_finite() {
            self.residue_max = self.residue_max.max(residue(draw.left, done, draw.rate));
        }
        let copies = draw.copies;
        for entry in self.uses.of(slot, draw.n_uses) {
            self.served[entry.capacity as usize] += copies * entry.amount;
        }
        self.leave(slot);
    }

    /// The task in this slot is no longer among the users of its capacities.
    fn leave(&mut self, slot: u32) {
        let Draw { rate, copies, n_uses, .. } = self.draws[slot as usize];
        for i in 0..usize::from(n_uses) {
            let Use { capacity, place, amount } = self.uses.of(slot, n_uses)[i];
            let shared = &mut self.shared[capacity as usize];
            if shared.used >= shared.rate * FULL {
                self.felt.push(capacity);
            }
            shared.used -= copies * amount * rate;
            shared.users.swap_remove(place as usize);
            if let Some(&(moved, index)) = shared.users.get(place as usize) {
                let n_uses = self.draws[moved as usize].n_uses;
                self.uses.of_mut(moved, n_uses)[usize::from(index)].place = place;
            }
            if shared.users.is_empty() {
                shared.used = 0.0;
            }
        }
    }

    /// The task in this slot is given up: what it has drawn is served, the rest goes to `forgone`.
    pub(crate) fn withdraw(&mut self, slot: u32, now: SimTime, forgone: &mut [f64]) {
        let draw = &mut self.draws[slot as usize];
        // Its events are of a version that is over.
        draw.version = draw.version.wrapping_add(1);
        let drew = std::mem::replace(&mut draw.drawing, false);
        let drawn = if drew { draw.rate * now.since(draw.since).seconds() } else { 0.0 };
        self.residue_max = self.residue_max.max(drawn - draw.left - draw.rate * 2e-12);
        let left = (draw.left - drawn).clamp(0.0, 1.0);
        let copies = draw.copies;
        for entry in self.uses.of(slot, draw.n_uses) {
            let units = copies * entry.amount;
            self.served[entry.capacity as usize] += units * (1.0 - left);
            forgone[entry.capacity as usize] += units * left;
        }
        if drew {
            self.leave(slot);
        }
    }

    /// A task that never began is given up.
    pub(crate) fn forgo<T>(&self, task: &Task<T>, forgone: &mut [f64]) {
        for &(id, amount) in task.demands() {
            let route = RouteId::of_demand(id);
            for id in route.map_or(std::slice::from_ref(&id), |route| self.routes.of(route)) {
                forgone[id.0 as usize] += f64::from(task.copies) * amount;
            }
        }
    }

    /// A capacity changes its rate.
    pub(crate) fn set_rate(&mut self, id: CapacityId, rate: f64, now: SimTime) {
        let shared = &mut self.shared[id.0 as usize];
        shared.supply += shared.rate * now.since(shared.since).seconds();
        (shared.rate, shared.since) = (rate, now);
        self.felt.push(id.0);
    }
}

impl Shared {
    /// What is left for some of its users, given what these use now: all of it if they are all there are, so that no
    /// rounding of the sum remains.
    fn rest_beside(&self, own: f64, n_own: usize) -> f64 {
        let held = if n_own == self.users.len() { 0.0 } else { (self.used - own).max(0.0) };
        (self.rate - held).max(0.0)
    }
}

impl Draw {
    /// Rate, and progress not made yet when it was set.
    pub(crate) fn pace(&self) -> (f64, f64) {
        (self.rate, self.left)
    }

    /// Brings progress up to date and reckons the new end.
    fn settle(&mut self, rate: f64, bound: Bound, now: SimTime) {
        self.bound = bound;
        if rate.to_bits() == self.rate.to_bits() {
            return;
        }
        self.left = (self.left - self.rate * now.since(self.since).seconds()).max(0.0);
        self.since = now;
        self.rate = rate;
        self.version = self.version.wrapping_add(1);
        self.end = now + time_to(self.left, rate);
    }
}

/// Time until `left` is done, rounded up to a picosecond so that no work is dropped.
#[inline]
fn time_to(left: f64, rate: f64) -> SimSpan {
    let picos = left / rate * 1e12;
    // Signed, as processors convert.
    if picos < i64::MAX as f64 {
        let whole = picos as i64;
        return SimSpan::from_picos(whole as u64 + u64::from((whole as f64) < picos));
    }
    if picos.is_nan() {
        // A rate of zero would never end; the run then reports what is stuck.
        return SimSpan::from_picos(if rate > 0.0 { 0 } else { u64::MAX });
    }
    // What the clock does not count ends with it.
    let whole = picos as u64;
    SimSpan::from_picos(whole.saturating_add(u64::from((whole as f64) < picos)))
}

/// Share of a task's work left or done twice, beyond what rounding its end to a picosecond explains.
#[inline]
fn residue(left: f64, done: f64, rate: f64) -> f64 {
    ((left - done).abs() - rate * 2e-12).max(0.0)
}
