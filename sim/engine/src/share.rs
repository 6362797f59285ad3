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

use crate::resource::{Capacity, CapacityId};
use crate::task::{Bound, MAX_DEMANDS, Task};

/// A capacity this close to its rate is full.
const FULL: f64 = 1.0 - 1e-9;
/// A load this small beside what it was has lost its digits to subtraction.
const CANCELLED: f64 = 1e-6;
/// No group of tasks.
pub(crate) const NO_GROUP: u32 = u32::MAX;

/// A task that draws.
#[derive(Clone, Debug)]
pub(crate) struct Draw {
    /// Progress per second; 1 is the whole task.
    rate: f64,
    /// The rate that the solve under way gives it.
    next: f64,
    /// Progress not made yet at `since`.
    left: f64,
    since: SimTime,
    /// When it ends at its present rate.
    pub(crate) end: SimTime,
    /// Counts changes of `end`.
    pub(crate) version: u32,
    /// The version whose end is in the queue.
    pub(crate) scheduled: u32,
    /// The solve it was last part of, if that was a large one.
    pub(crate) group: u32,
    pub(crate) bound: Bound,
    weight: f64,
    limit: f64,
    copies: f64,
    n_demands: u8,
    drawing: bool,
    frozen: bool,
    /// The solve that gathered it last.
    stamp: u32,
    demands: [(CapacityId, f64); MAX_DEMANDS],
    /// Where it stands among the users of each demand's capacity.
    places: [u32; MAX_DEMANDS],
}

#[derive(Clone, Debug)]
struct Shared {
    rate: f64,
    used: f64,
    /// Slots that draw from it, with the index of the demand.
    users: Vec<(u32, u8)>,
    served: f64,
    /// The filling that touched it last.
    pass: u32,
    /// Of the solve under way: rate not given out, load per level, users not frozen, users gathered.
    rest: f64,
    load: f64,
    load_all: f64,
    n_open: u32,
    n_gathered: u32,
    own: f64,
}

/// All drawing tasks and the capacities between them.
#[derive(Debug)]
pub(crate) struct Sharing {
    pub(crate) draws: Vec<Draw>,
    shared: Vec<Shared>,
    stamp: u32,
    /// Counts fillings; a solve that widens fills more than once.
    pass: u32,
    /// Slots to solve; after [`Sharing::solve`] those whose rate was solved.
    set: Vec<u32>,
    /// Capacities that lost or gained a user, or changed their rate, while full.
    felt: Vec<u32>,
    touched: Vec<u32>,
    open: Vec<u32>,
    limited: Vec<(f64, u32)>,
    pub(crate) n_solves: u64,
    pub(crate) overload_max: f64,
    pub(crate) residue_max: f64,
}

impl Sharing {
    pub(crate) fn new(capacities: &[Capacity]) -> Self {
        let shared = capacities
            .iter()
            .map(|capacity| Shared {
                rate: capacity.rate,
                used: 0.0,
                users: Vec::new(),
                served: 0.0,
                pass: 0,
                rest: 0.0,
                load: 0.0,
                load_all: 0.0,
                n_open: 0,
                n_gathered: 0,
                own: 0.0,
            })
            .collect();
        Self {
            draws: Vec::new(),
            shared,
            stamp: 0,
            pass: 0,
            set: Vec::new(),
            felt: Vec::new(),
            touched: Vec::new(),
            open: Vec::new(),
            limited: Vec::new(),
            n_solves: 0,
            overload_max: 0.0,
            residue_max: 0.0,
        }
    }

    pub(crate) fn served(&self) -> Vec<f64> {
        self.shared.iter().map(|shared| shared.served).collect()
    }

    /// Prepares a slot for a task that does not draw yet.
    pub(crate) fn place<T>(&mut self, slot: u32, task: &Task<T>) {
        let draw = Draw {
            rate: 0.0,
            next: 0.0,
            left: 1.0,
            since: SimTime::ZERO,
            end: SimTime::MAX,
            version: self
                .draws
                .get(slot as usize)
                .map_or(0, |old| old.version.wrapping_add(1)),
            scheduled: self.draws.get(slot as usize).map_or(0, |old| old.version),
            group: NO_GROUP,
            bound: Bound::Latency,
            weight: task.weight,
            limit: task.limit,
            copies: task.copies,
            n_demands: task.n_demands,
            drawing: false,
            frozen: false,
            stamp: 0,
            demands: task.demands,
            places: [0; MAX_DEMANDS],
        };
        if slot as usize == self.draws.len() {
            self.draws.push(draw);
        } else {
            self.draws[slot as usize] = draw;
        }
    }

    /// The task in this slot starts to draw.
    pub(crate) fn start(&mut self, slot: u32, now: SimTime) {
        let draw = &mut self.draws[slot as usize];
        draw.drawing = true;
        draw.since = now;
        for i in 0..draw.n_demands {
            let id = draw.demands[usize::from(i)].0.0;
            let shared = &mut self.shared[id as usize];
            draw.places[usize::from(i)] = shared.users.len() as u32;
            shared.users.push((slot, i));
            if shared.used >= shared.rate * FULL {
                self.felt.push(id);
            }
        }
        self.set.push(slot);
    }

    /// The task in this slot ends: it gives back what it used.
    pub(crate) fn finish(&mut self, slot: u32, now: SimTime) {
        let draw = &mut self.draws[slot as usize];
        let done = draw.rate * now.since(draw.since).seconds();
        if std::mem::replace(&mut draw.drawing, false) && draw.rate.is_finite() {
            self.residue_max = self.residue_max.max(residue(draw.left, done, draw.rate));
        }
        for i in 0..usize::from(draw.n_demands) {
            let (id, amount) = self.draws[slot as usize].demands[i];
            let (rate, copies, place) = {
                let draw = &self.draws[slot as usize];
                (draw.rate, draw.copies, draw.places[i] as usize)
            };
            let shared = &mut self.shared[id.0 as usize];
            if shared.used >= shared.rate * FULL {
                self.felt.push(id.0);
            }
            shared.used -= copies * amount * rate;
            shared.served += copies * amount;
            shared.users.swap_remove(place);
            if let Some(&(moved, demand)) = shared.users.get(place) {
                self.draws[moved as usize].places[usize::from(demand)] = place as u32;
            }
            if shared.users.is_empty() {
                shared.used = 0.0;
            }
        }
    }

    /// A capacity changes its rate.
    pub(crate) fn set_rate(&mut self, id: CapacityId, rate: f64) {
        self.shared[id.0 as usize].rate = rate;
        self.felt.push(id.0);
    }

    /// Whether something changed that a solve must take in.
    pub(crate) fn stale(&self) -> bool {
        !self.set.is_empty() || !self.felt.is_empty()
    }

    /// Solves what the changes since the last call can be felt by; returns the slots solved.
    pub(crate) fn solve(&mut self, now: SimTime) -> &[u32] {
        self.n_solves += 1;
        self.stamp = self.stamp.wrapping_add(1).max(1);
        self.gather();
        loop {
            self.prepare();
            self.fill();
            if !self.widen() {
                break;
            }
        }
        self.settle(now);
        &self.set
    }

    /// Slots of the last solve.
    pub(crate) fn set(&self) -> &[u32] {
        &self.set
    }

    /// One of them.
    pub(crate) fn solved(&self, index: usize) -> u32 {
        self.set[index]
    }

    /// Forgets the last solve's set.
    pub(crate) fn clear(&mut self) {
        self.set.clear();
    }

    /// Collects the tasks that the changes can be felt by, through full capacities.
    fn gather(&mut self) {
        let stamp = self.stamp;
        let draws = &mut self.draws;
        // A task that started and ended within one instant is no longer there.
        self.set.retain(|&slot| {
            let draw = &mut draws[slot as usize];
            let first = draw.drawing && draw.stamp != stamp;
            draw.stamp = stamp;
            first
        });
        while let Some(id) = self.felt.pop() {
            self.take_users(id);
        }
        let mut next = 0;
        while next < self.set.len() {
            self.spread(self.set[next]);
            next += 1;
        }
    }

    fn take_users(&mut self, id: u32) {
        for &(slot, _) in &self.shared[id as usize].users {
            let draw = &mut self.draws[slot as usize];
            if draw.stamp != self.stamp {
                draw.stamp = self.stamp;
                self.set.push(slot);
            }
        }
    }

    fn spread(&mut self, slot: u32) {
        for i in 0..usize::from(self.draws[slot as usize].n_demands) {
            let id = self.draws[slot as usize].demands[i].0.0;
            let shared = &self.shared[id as usize];
            if shared.users.len() > 1 && shared.used >= shared.rate * FULL {
                self.take_users(id);
            }
        }
    }

    /// What each capacity between the gathered tasks has to give, and how fast it would be used up.
    fn prepare(&mut self) {
        self.pass = self.pass.wrapping_add(1).max(1);
        self.touched.clear();
        self.limited.clear();
        let shared = &mut self.shared;
        for &slot in &self.set {
            let draw = &mut self.draws[slot as usize];
            draw.frozen = false;
            let main = draw.demands[0].1;
            let per_level = if draw.n_demands == 0 {
                1.0
            } else {
                draw.weight / main
            };
            for &(id, amount) in &draw.demands[..usize::from(draw.n_demands)] {
                let capacity = &mut shared[id.0 as usize];
                if capacity.pass != self.pass {
                    capacity.pass = self.pass;
                    capacity.own = 0.0;
                    capacity.load = 0.0;
                    capacity.n_open = 0;
                    self.touched.push(id.0);
                }
                capacity.own += draw.copies * amount * draw.rate;
                capacity.load += draw.copies * (amount * per_level);
                capacity.n_open += 1;
            }
            if draw.limit.is_finite() || draw.n_demands == 0 {
                self.limited.push((draw.limit / per_level, slot));
            }
        }
        for &id in &self.touched {
            let capacity = &mut shared[id as usize];
            capacity.n_gathered = capacity.n_open;
            capacity.load_all = capacity.load;
            let alone = capacity.n_gathered as usize == capacity.users.len();
            let held = if alone {
                0.0
            } else {
                (capacity.used - capacity.own).max(0.0)
            };
            capacity.rest = (capacity.rate - held).max(0.0);
        }
        self.open.clone_from(&self.touched);
        // Ties by slot: the order of freezing must not depend on the sort.
        self.limited
            .sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    }

    /// Raises all levels together; whatever stops a task freezes it.
    fn fill(&mut self) {
        let mut n_open = self.set.len();
        let mut next_limit = 0;
        while n_open > 0 {
            let mut level = f64::INFINITY;
            let mut tightest = None;
            let mut i = 0;
            while i < self.open.len() {
                let capacity = &self.shared[self.open[i] as usize];
                if capacity.n_open == 0 {
                    self.open.swap_remove(i);
                    continue;
                }
                if capacity.load < capacity.load_all * CANCELLED {
                    self.reload(self.open[i]);
                }
                let capacity = &self.shared[self.open[i] as usize];
                let at = (capacity.rest / capacity.load).max(0.0);
                if at < level {
                    level = at;
                    tightest = Some(self.open[i]);
                }
                i += 1;
            }
            while next_limit < self.limited.len()
                && self.draws[self.limited[next_limit].1 as usize].frozen
            {
                next_limit += 1;
            }
            if let Some(&(limit, slot)) = self.limited.get(next_limit)
                && limit <= level
            {
                let rate = self.draws[slot as usize].limit;
                self.freeze(slot, rate, Bound::Limit);
                n_open -= 1;
            } else if let Some(id) = tightest {
                n_open -= self.freeze_users(id, level);
            } else {
                break;
            }
        }
    }

    /// Sums the load anew where subtracting has cancelled its digits.
    fn reload(&mut self, id: u32) {
        let capacity = &self.shared[id as usize];
        let open = capacity.users.iter().filter_map(|&(slot, demand)| {
            let draw = &self.draws[slot as usize];
            let amount = draw.demands[usize::from(demand)].1;
            let open = draw.stamp == self.stamp && !draw.frozen;
            open.then(|| draw.copies * (amount * (draw.weight / draw.demands[0].1)))
        });
        let load = open.sum();
        let capacity = &mut self.shared[id as usize];
        capacity.load = load;
        capacity.load_all = load;
    }

    fn freeze_users(&mut self, id: u32, level: f64) -> usize {
        let mut n_frozen = 0;
        for i in 0..self.shared[id as usize].users.len() {
            let slot = self.shared[id as usize].users[i].0;
            let draw = &self.draws[slot as usize];
            if draw.stamp == self.stamp && !draw.frozen {
                let rate = level * (draw.weight / draw.demands[0].1);
                self.freeze(slot, rate, Bound::Capacity(CapacityId(id)));
                n_frozen += 1;
            }
        }
        n_frozen
    }

    fn freeze(&mut self, slot: u32, rate: f64, bound: Bound) {
        let draw = &mut self.draws[slot as usize];
        draw.frozen = true;
        draw.bound = bound;
        let per_level = draw.weight / draw.demands[0].1;
        draw.next = rate;
        let copies = draw.copies;
        for &(id, amount) in &draw.demands[..usize::from(draw.n_demands)] {
            let capacity = &mut self.shared[id.0 as usize];
            capacity.rest -= copies * amount * rate;
            capacity.load -= copies * (amount * per_level);
            capacity.n_open -= 1;
        }
    }

    /// Takes in the other users of capacities that the new rates fill. Whether there were any.
    fn widen(&mut self) -> bool {
        let before = self.set.len();
        for i in 0..self.touched.len() {
            let id = self.touched[i];
            let capacity = &self.shared[id as usize];
            let full = capacity.rest <= capacity.rate * (1.0 - FULL);
            if full && (capacity.n_gathered as usize) < capacity.users.len() {
                self.take_users(id);
            }
        }
        let mut next = before;
        while next < self.set.len() {
            self.spread(self.set[next]);
            next += 1;
        }
        self.set.len() > before
    }

    /// Makes the new rates the rates: brings progress up to date and reckons new ends.
    fn settle(&mut self, now: SimTime) {
        for &id in &self.touched {
            let capacity = &mut self.shared[id as usize];
            self.overload_max = self.overload_max.max(-capacity.rest / capacity.rate);
            capacity.used = capacity.rate - capacity.rest.max(0.0);
        }
        for &slot in &self.set {
            let draw = &mut self.draws[slot as usize];
            if draw.next.to_bits() == draw.rate.to_bits() {
                continue;
            }
            draw.left = (draw.left - draw.rate * now.since(draw.since).seconds()).max(0.0);
            draw.since = now;
            draw.rate = draw.next;
            draw.version = draw.version.wrapping_add(1);
            draw.end = now + time_to(draw.left, draw.rate);
        }
    }
}

/// Time until `left` is done, rounded up to a picosecond so that no work is dropped.
fn time_to(left: f64, rate: f64) -> SimSpan {
    let picos = (left / rate * 1e12).ceil();
    // A rate of zero would never end; the run then reports what is stuck.
    SimSpan::from_picos(if picos.is_finite() {
        picos as u64
    } else if rate > 0.0 {
        0
    } else {
        u64::MAX
    })
}

/// Share of a task's work left or done twice, beyond what rounding its end to a picosecond explains.
fn residue(left: f64, done: f64, rate: f64) -> f64 {
    ((left - done).abs() - rate * 2e-12).max(0.0)
}
