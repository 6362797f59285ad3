//! The solve: which tasks a change can be felt by, in families that share nothing with each other, and their new rates.

use units::SimTime;

use super::{Draw, FULL, Shared, Sharing, Use};
use crate::fill::Drawn;
use crate::resource::CapacityId;
use crate::task::Bound;

/// Gathered tasks by family: tasks that share capacities, directly or through others.
#[derive(Debug, Default)]
pub(super) struct Kin {
    /// By gathered task: an earlier one of its family, or itself.
    parents: Vec<u32>,
    /// By lane: its first user among the gathered tasks.
    firsts: Vec<u32>,
    n_families: usize,
    /// Where there are several: slots of gathered tasks, families side by side; each in the order in which it was gathered.
    sorted: Vec<u32>,
    /// Where each family ends.
    ends: Vec<u32>,
}

impl Kin {
    fn begin(&mut self) {
        self.parents.clear();
        self.firsts.clear();
        self.n_families = 0;
    }

    /// The next task is a family of its own, as far as is known.
    fn add_task(&mut self) {
        self.parents.push(self.parents.len() as u32);
        self.n_families += 1;
    }

    /// The first task of a family.
    fn root(&mut self, mut task: u32) -> u32 {
        while self.parents[task as usize] != task {
            let above = self.parents[self.parents[task as usize] as usize];
            self.parents[task as usize] = above;
            task = above;
        }
        task
    }

    /// Makes one family of two.
    #[inline]
    fn unite(&mut self, a: u32, b: u32) {
        if self.parents[a as usize] != self.parents[b as usize] {
            let (a, b) = (self.root(a), self.root(b));
            self.parents[a.max(b) as usize] = a.min(b);
            self.n_families -= usize::from(a != b);
        }
    }

    /// Lays the gathered tasks out by family, families by their first tasks.
    fn sort(&mut self, set: &[u32]) {
        self.ends.clear();
        if self.n_families == 1 {
            self.ends.push(set.len() as u32);
            return;
        }
        // Sizes of families, by root, become the places of their next tasks.
        self.sorted.clear();
        self.sorted.resize(2 * set.len(), 0);
        for task in 0..set.len() as u32 {
            let root = self.root(task);
            self.parents[task as usize] = root;
            self.sorted[set.len() + root as usize] += 1;
        }
        let mut end = 0;
        for root in set.len()..2 * set.len() {
            if self.sorted[root] > 0 {
                end += std::mem::replace(&mut self.sorted[root], end);
                self.ends.push(end);
            }
        }
        for (&slot, &root) in set.iter().zip(&self.parents) {
            let place = self.sorted[set.len() + root as usize];
            self.sorted[set.len() + root as usize] += 1;
            self.sorted[place as usize] = slot;
        }
        self.sorted.truncate(set.len());
    }
}

impl Sharing {
    /// Whether something changed that a solve must take in.
    pub(crate) fn stale(&self) -> bool {
        !self.set.is_empty() || !self.felt.is_empty()
    }

    /// Solves what the changes since the last call can be felt by.
    pub(crate) fn solve(&mut self, now: SimTime) {
        self.n_solves += 1;
        self.stamp = self.stamp.wrapping_add(1).max(1);
        self.gather();
        if let [slot] = *self.set
            && self.is_apart(slot)
            && self.solve_one(slot, now)
        {
            self.kin.n_families = 1;
            self.kin.sort(&self.set);
            return;
        }
        loop {
            self.lay();
            self.filling.fill();
            if !self.widen() {
                break;
            }
        }
        self.settle(now);
    }

    /// The slots of the last solve, families of them that share capacities side by side.
    pub(crate) fn solved(&self) -> &[u32] {
        if self.kin.n_families == 1 { &self.set } else { &self.kin.sorted }
    }

    /// Where a family of the last solve ends in [`Sharing::solved`].
    pub(crate) fn family_end(&self, family: usize) -> Option<usize> {
        self.kin.ends.get(family).map(|&end| end as usize)
    }

    /// Forgets what was gathered for the last solve.
    pub(crate) fn clear(&mut self) {
        self.set.clear();
    }

    /// Collects the tasks that the changes can be felt by at once; others follow through full capacities.
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
            self.shared[id as usize].take_users(stamp, &mut self.draws, &mut self.set);
        }
    }

    /// Whether a task meets nobody at a full capacity, itself included: two uses of one capacity share what is left of it.
    fn is_apart(&self, slot: u32) -> bool {
        let Draw { n_uses, repeats, .. } = self.draws[slot as usize];
        !repeats
            && self.uses.of(slot, n_uses).iter().all(|entry| !self.shared[entry.capacity as usize].spreads(self.stamp))
    }

    /// A task that shares nothing full: its rate is what the tightest of its capacities leaves it, or its limit. Whether
    /// that was all; if it fills a capacity that others use, they must be solved with it.
    fn solve_one(&mut self, slot: u32, now: SimTime) -> bool {
        let draw = &self.draws[slot as usize];
        let uses = self.uses.of(slot, draw.n_uses);
        let (mut level, mut bound) = (draw.limit / draw.per_level, Bound::Limit);
        for entry in uses {
            let shared = &self.shared[entry.capacity as usize];
            let load = draw.copies * (entry.amount * draw.per_level);
            let at = shared.rest_beside(draw.copies * entry.amount * draw.rate, 1) / load;
            if at < level {
                (level, bound) = (at, Bound::Capacity(CapacityId(entry.capacity)));
            }
        }
        if let Bound::Capacity(id) = bound
            && self.shared[id.0 as usize].users.len() > 1
        {
            return false;
        }
        let rate = if bound == Bound::Limit { draw.limit } else { level * draw.per_level };
        for entry in uses {
            let shared = &mut self.shared[entry.capacity as usize];
            let amount = draw.copies * entry.amount;
            let rest = shared.rest_beside(amount * draw.rate, 1) - amount * rate;
            shared.used = shared.rate - rest.max(0.0);
        }
        self.draws[slot as usize].settle(rate, bound, now);
        true
    }

    /// Lays the gathered tasks, those that meet them at full capacities, and the capacities between them out for a filling,
    /// family by family.
    fn lay(&mut self) {
        self.kin.begin();
        self.filling.clear();
        self.filling.add_family();
        self.gather_and_lay();
        self.kin.sort(&self.set);
        if self.kin.n_families > 1 {
            self.filling.clear();
            self.lay_families();
        }
        for lane in &mut self.filling.lanes {
            lane.rest = self.shared[lane.capacity as usize].rest_beside(lane.own, lane.n_open as usize);
        }
        self.filling.begin();
    }

    /// Lays tasks out as they are gathered, finds their families, and follows full capacities to further tasks.
    fn gather_and_lay(&mut self) {
        self.pass = self.pass.wrapping_add(1).max(1);
        let Self { set, draws, uses, shared, pass, stamp, filling, kin, .. } = self;
        let mut task = 0;
        while let Some(&slot) = set.get(task as usize) {
            kin.add_task();
            let Draw { per_level, limit, n_uses, .. } = draws[slot as usize];
            let pulls = draws[slot as usize].pulls();
            filling.add_task(per_level, limit, n_uses == 0);
            for entry in uses.of(slot, n_uses) {
                let shared = &mut shared[entry.capacity as usize];
                if shared.pass != *pass {
                    shared.pass = *pass;
                    shared.lane = filling.add_lane(entry.capacity);
                    kin.firsts.push(task);
                    if shared.spreads(*stamp) {
                        shared.take_users(*stamp, draws, set);
                    }
                } else {
                    kin.unite(kin.firsts[shared.lane as usize], task);
                }
                filling.add_use(shared.lane, pulls.of(entry));
            }
            task += 1;
        }
    }

    /// Lays the gathered tasks out by family.
    fn lay_families(&mut self) {
        self.pass = self.pass.wrapping_add(1).max(1);
        let Self { draws, uses, shared, pass, filling, kin, .. } = self;
        let mut begin = 0;
        for &end in &kin.ends {
            filling.add_family();
            for &slot in &kin.sorted[begin as usize..end as usize] {
                let draw = &draws[slot as usize];
                filling.add_task(draw.per_level, draw.limit, draw.n_uses == 0);
                for entry in uses.of(slot, draw.n_uses) {
                    let shared = &mut shared[entry.capacity as usize];
                    if shared.pass != *pass {
                        shared.pass = *pass;
                        shared.lane = filling.add_lane(entry.capacity);
                    }
                    filling.add_use(shared.lane, draw.pulls().of(entry));
                }
            }
            begin = end;
        }
    }

    /// Takes in the other users of capacities that the new rates fill. Whether there were any.
    fn widen(&mut self) -> bool {
        let before = self.set.len();
        for lane in &self.filling.lanes {
            let shared = &mut self.shared[lane.capacity as usize];
            let full = lane.rest <= shared.rate * (1.0 - FULL);
            if full && (lane.n_users as usize) < shared.users.len() {
                shared.take_users(self.stamp, &mut self.draws, &mut self.set);
            }
        }
        self.set.len() > before
    }

    /// Makes the new rates the rates.
    fn settle(&mut self, now: SimTime) {
        for lane in &self.filling.lanes {
            let shared = &mut self.shared[lane.capacity as usize];
            self.overload_max = self.overload_max.max(-lane.rest / shared.rate);
            shared.used = shared.rate - lane.rest.max(0.0);
        }
        let solved = if self.kin.n_families == 1 { &self.set } else { &self.kin.sorted };
        for (&slot, &rate) in solved.iter().zip(&self.filling.rates) {
            let bound = self.filling.stop(rate).map_or(Bound::Limit, |id| Bound::Capacity(CapacityId(id)));
            self.draws[slot as usize].settle(rate.rate, bound, now);
        }
    }
}

impl Shared {
    /// Whether a change here is felt by users that have not been taken in.
    #[inline]
    fn spreads(&self, stamp: u32) -> bool {
        self.taken != stamp && self.users.len() > 1 && self.used >= self.rate * FULL
    }

    fn take_users(&mut self, stamp: u32, draws: &mut [Draw], set: &mut Vec<u32>) {
        if std::mem::replace(&mut self.taken, stamp) == stamp {
            return;
        }
        for &(slot, _) in &self.users {
            let draw = &mut draws[slot as usize];
            if std::mem::replace(&mut draw.stamp, stamp) != stamp {
                set.push(slot);
            }
        }
    }
}

impl Draw {
    #[inline]
    fn pulls(&self) -> Pulls {
        Pulls { copies: self.copies, per_level: self.per_level, rate: self.rate }
    }
}

/// What makes a use of one copy what all draw.
#[derive(Clone, Copy)]
struct Pulls {
    copies: f64,
    per_level: f64,
    rate: f64,
}

impl Pulls {
    #[inline]
    fn of(self, entry: &Use) -> Drawn {
        let amount = self.copies * entry.amount;
        Drawn { amount, load: self.copies * (entry.amount * self.per_level), own: amount * self.rate }
    }
}
