//! The solve: which tasks a change can be felt by, in families that share nothing with each other, and their new rates.

use std::ops::Range;

use units::SimTime;

use super::{FULL, Shared, Sharing};
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
    fn begin(&mut self, n_tasks: usize) {
        self.parents.clear();
        self.parents.extend(0..n_tasks as u32);
        self.firsts.clear();
        self.n_families = n_tasks;
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
        self.spread(0);
    }

    fn take_users(&mut self, id: u32) {
        let shared = &mut self.shared[id as usize];
        if shared.taken == self.stamp {
            return;
        }
        shared.taken = self.stamp;
        for &(slot, _) in &shared.users {
            let draw = &mut self.draws[slot as usize];
            if draw.stamp != self.stamp {
                draw.stamp = self.stamp;
                self.set.push(slot);
            }
        }
    }

    /// Follows full capacities from the `from`-th gathered task on.
    fn spread(&mut self, from: usize) {
        let mut next = from;
        while let Some(&slot) = self.set.get(next) {
            for i in 0..self.n_uses(slot) {
                let capacity = self.uses[slot as usize].0[i].capacity;
                let shared = &self.shared[capacity as usize];
                if shared.taken != self.stamp && shared.users.len() > 1 && shared.used >= shared.rate * FULL {
                    self.take_users(capacity);
                }
            }
            next += 1;
        }
    }

    /// A task that shares nothing full: its rate is what the tightest of its capacities leaves it, or its limit. Whether
    /// that was all; if it fills a capacity that others use, they must be solved with it.
    fn solve_one(&mut self, slot: u32, now: SimTime) -> bool {
        let draw = &self.draws[slot as usize];
        let uses = &self.uses[slot as usize].0[..usize::from(draw.n_uses)];
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

    /// Lays the gathered tasks and the capacities between them out for a filling, family by family.
    fn lay(&mut self) {
        self.kin.begin(self.set.len());
        self.filling.clear();
        self.filling.add_family();
        self.lay_tasks::<true>(0..self.set.len());
        self.kin.sort(&self.set);
        if self.kin.n_families > 1 {
            self.filling.clear();
            let mut begin = 0;
            for family in 0..self.kin.ends.len() {
                let end = self.kin.ends[family] as usize;
                self.filling.add_family();
                self.lay_tasks::<false>(begin..end);
                begin = end;
            }
        }
        for lane in &mut self.filling.lanes {
            lane.rest = self.shared[lane.capacity as usize].rest_beside(lane.own, lane.n_open as usize);
        }
        self.filling.index();
    }

    /// Lays out some of the gathered tasks: as they were gathered, to find their families, or by family.
    fn lay_tasks<const FIND: bool>(&mut self, tasks: Range<usize>) {
        self.pass = self.pass.wrapping_add(1).max(1);
        let Self { set, draws, uses, shared, pass, filling, kin, .. } = self;
        for task in tasks {
            let slot = if FIND { set[task] } else { kin.sorted[task] } as usize;
            let draw = &draws[slot];
            filling.add_task(draw.per_level, draw.limit, draw.n_uses == 0);
            for entry in &uses[slot].0[..usize::from(draw.n_uses)] {
                let shared = &mut shared[entry.capacity as usize];
                if shared.pass != *pass {
                    shared.pass = *pass;
                    shared.lane = filling.add_lane(entry.capacity);
                    if FIND {
                        kin.firsts.push(task as u32);
                    }
                } else if FIND && kin.n_families > 1 {
                    kin.unite(kin.firsts[shared.lane as usize], task as u32);
                }
                let amount = draw.copies * entry.amount;
                let load = draw.copies * (entry.amount * draw.per_level);
                filling.add_use(shared.lane, amount, load, amount * draw.rate);
            }
        }
    }

    /// Takes in the other users of capacities that the new rates fill. Whether there were any.
    fn widen(&mut self) -> bool {
        let before = self.set.len();
        for i in 0..self.filling.lanes.len() {
            let lane = &self.filling.lanes[i];
            let shared: &Shared = &self.shared[lane.capacity as usize];
            let full = lane.rest <= shared.rate * (1.0 - FULL);
            if full && (lane.n_users as usize) < shared.users.len() {
                self.take_users(lane.capacity);
            }
        }
        self.spread(before);
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
