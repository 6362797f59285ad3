//! What sharing knows of chains: how their tasks will fare, one after the other, while nobody else comes.
//!
//! A task of a chain shares its capacities with nobody, or one of them with a *neighbor* that draws from nothing else.
//! Then nothing but these two moves, and their future is plain arithmetic: for each task what [`Sharing::solve`]
//! would do when it starts to draw and when it ends, in the same order of operations, so that the bits are the same.

use units::SimTime;

use super::{FULL, NO_GROUP, Occupant, Sharing, Use, residue, time_to};
use crate::driver::Turn;
use crate::fill::Drawn;
use crate::resource::CapacityId;
use crate::task::{Bound, MAX_DEMANDS, Task};

/// The capacities of a chain as its tasks come and go, ahead of the clock.
#[derive(Debug, Default)]
pub(crate) struct Course {
    lanes: [Lane; MAX_DEMANDS],
    n_lanes: usize,
    neighbor: Option<Neighbor>,
    /// The neighbor as it was at the beginning.
    before: Moving,
    /// The neighbor's share grew again at the end of the last task.
    felt: bool,
    /// Copies of the tasks that have passed.
    pub(crate) n_copies: u64,
}

/// A task of a chain as it is foreseen.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Foreseen {
    pub(crate) turn: Turn,
    /// When it begins to draw.
    from: SimTime,
    /// Progress a second while it draws.
    rate: f64,
    /// Which lanes its demands are.
    places: Places,
}

#[derive(Clone, Copy, Debug, Default)]
struct Lane {
    capacity: u32,
    /// Whether the neighbor draws from it.
    beside: bool,
    rate: f64,
    used: f64,
    served: f64,
}

/// Who else draws from a lane.
#[derive(Clone, Copy, Debug)]
struct Neighbor {
    slot: u32,
    lane: u8,
    draw: Moving,
    /// Units of all copies; units a level.
    amount: f64,
    load: f64,
    per_level: f64,
    limit: f64,
}

/// What a new rate changes in a task that draws; as in [`super::Draw`].
#[derive(Clone, Copy, Debug, PartialEq)]
struct Moving {
    rate: f64,
    left: f64,
    since: SimTime,
    end: SimTime,
    bound: Bound,
}

/// Lanes of a task's demands.
type Places = [u8; MAX_DEMANDS];

const IN_ORDER: Places = [0, 1, 2, 3];

/// A use that is so much below what is left does not bind, however the last digits are rounded.
const CLEARLY: f64 = 1.0 - 1e-9;

impl Course {
    pub(crate) fn clear(&mut self) {
        self.n_lanes = 0;
        (self.neighbor, self.felt, self.n_copies) = (None, false, 0);
    }

    /// Back to where the capacities stand: nothing of the course is committed.
    pub(crate) fn rewind(&mut self, sharing: &Sharing) {
        if let Some(neighbor) = &mut self.neighbor {
            neighbor.draw = self.before;
        }
        (self.felt, self.n_copies) = (false, 0);
        for lane in &mut self.lanes[..self.n_lanes] {
            lane.used = sharing.shared[lane.capacity as usize].used;
            lane.served = sharing.served[lane.capacity as usize];
        }
    }

    /// The neighbor's slot, if its rate changes on the way.
    pub(crate) fn moved(&self) -> Option<u32> {
        self.neighbor.filter(|neighbor| neighbor.draw != self.before).map(|neighbor| neighbor.slot)
    }

    /// Whether the neighbor ends before a moment, or then.
    #[inline]
    fn is_over_by(&self, now: SimTime) -> bool {
        self.neighbor.is_some_and(|neighbor| neighbor.draw.end <= now)
    }

    #[inline]
    fn lanes(&self) -> &[Lane] {
        &self.lanes[..self.n_lanes]
    }
}

impl Lane {
    /// What is left for a task that comes.
    #[inline]
    fn rest(&self) -> f64 {
        let held = if self.beside { self.used.max(0.0) } else { 0.0 };
        (self.rate - held).max(0.0)
    }
}

impl Sharing {
    /// How a task fares that gets its claims at `start`; its use is then part of the course. None where a third task would
    /// be felt, or the neighbor ends meanwhile; the course is then as it was.
    #[inline(always)]
    pub(crate) fn foresee<T>(&mut self, course: &mut Course, task: &Task<T>, start: SimTime) -> Option<Foreseen> {
        let (n_lanes, alone) = (course.n_lanes, course.neighbor.is_none());
        let foreseen = self.reckon(course, task, start);
        if foreseen.is_none() {
            course.n_lanes = n_lanes;
            if alone {
                course.neighbor = None;
            }
        }
        foreseen
    }

    #[inline(always)]
    fn reckon<T>(&mut self, course: &mut Course, task: &Task<T>, start: SimTime) -> Option<Foreseen> {
        let places = self.places(course, task)?;
        let from = start + task.latency;
        if course.is_over_by(from) || (from == start && course.felt) {
            return None;
        }
        if task.n_demands == 0 && task.limit.is_infinite() {
            return Some(Foreseen { turn: Turn { start, end: from, bound: Bound::Latency }, from, rate: 0.0, places });
        }
        let mut clearly = true;
        let mut used = [0.0; MAX_DEMANDS];
        for (i, &(_, amount)) in task.demands().iter().enumerate() {
            let lane = &course.lanes[usize::from(places[i])];
            let (rest, use_at_limit) = (lane.rest(), f64::from(task.copies) * amount * task.limit);
            clearly &= use_at_limit < rest * CLEARLY;
            used[i] = lane.rate - (rest - use_at_limit).max(0.0);
        }
        let (rate, bound) =
            if clearly { (task.limit, Bound::Limit) } else { self.stop(course, task, &places, from, &mut used)? };
        let end = from + time_to(1.0, rate);
        if course.is_over_by(end) {
            return None;
        }
        for (place, used) in places.into_iter().zip(used).take(usize::from(task.n_demands)) {
            course.lanes[usize::from(place)].used = used;
        }
        course.felt = false;
        Some(Foreseen { turn: Turn { start, end, bound }, from, rate, places })
    }

    /// What stops a task that its limit does not clearly stop: its limit, what its lanes leave it, or what it and the neighbor
    /// leave each other; and what is then used of the lanes. None where the neighbor, as it was, would end meanwhile.
    fn stop<T>(
        &mut self,
        course: &mut Course,
        task: &Task<T>,
        places: &Places,
        from: SimTime,
        used: &mut [f64; MAX_DEMANDS],
    ) -> Option<(f64, Bound)> {
        let per_level = task.weight / if task.n_demands == 0 { 1.0 } else { task.demands[0].1 };
        let (mut level, mut bound, mut meets) = (task.limit / per_level, Bound::Limit, false);
        for (i, &(capacity, amount)) in task.demands().iter().enumerate() {
            let lane = &course.lanes[usize::from(places[i])];
            let at = lane.rest() / (f64::from(task.copies) * (amount * per_level));
            if at < level {
                (level, bound, meets) = (at, Bound::Capacity(capacity), lane.beside);
            }
        }
        let mut rate = if bound == Bound::Limit { task.limit } else { level * per_level };
        if meets {
            let before = course.neighbor;
            (rate, bound) = self.meet(course, task, places, per_level, from)?;
            if course.is_over_by(from + time_to(1.0, rate)) {
                course.neighbor = before;
                return None;
            }
        }
        for (i, &(_, amount)) in task.demands().iter().enumerate() {
            let lane = &course.lanes[usize::from(places[i])];
            let rest =
                if meets { self.filling.lanes[i].rest } else { lane.rest() - f64::from(task.copies) * amount * rate };
            if meets {
                self.overload_max = self.overload_max.max(-rest / lane.rate);
            }
            used[i] = lane.rate - rest.max(0.0);
        }
        Some((rate, bound))
    }

    /// A task and the neighbor share a lane that both together fill: rate and bound of the task; the neighbor has its new
    /// rate.
    fn meet<T>(
        &mut self,
        course: &mut Course,
        task: &Task<T>,
        places: &Places,
        per_level: f64,
        now: SimTime,
    ) -> Option<(f64, Bound)> {
        let neighbor = course.neighbor.as_mut()?;
        self.filling.clear();
        self.filling.add_family();
        self.filling.add_task(per_level, task.limit, false);
        let mut shared = 0;
        for (&place, &(capacity, amount)) in places.iter().zip(task.demands()) {
            let lane = self.filling.add_lane(capacity.0);
            if place == neighbor.lane {
                shared = lane;
            }
            let copies = f64::from(task.copies);
            let drawn = Drawn { amount: copies * amount, load: copies * (amount * per_level), own: 0.0 };
            self.filling.add_use(lane, drawn);
        }
        self.filling.add_task(neighbor.per_level, neighbor.limit, false);
        let Neighbor { amount, load, .. } = *neighbor;
        self.filling.add_use(shared, Drawn { amount, load, own: amount * neighbor.draw.rate });
        // Everybody there is takes part, so all of a lane is to be had.
        for (lane, &place) in self.filling.lanes.iter_mut().zip(places) {
            lane.rest = course.lanes[usize::from(place)].rate;
        }
        self.filling.begin();
        self.filling.fill();
        let of = |task: usize| {
            let rate = self.filling.rates[task];
            (rate.rate, self.filling.stop(rate).map_or(Bound::Limit, |id| Bound::Capacity(CapacityId(id))))
        };
        let (rate, bound) = of(1);
        neighbor.draw.settle(rate, bound, now);
        Some(of(0))
    }

    /// The task that was foreseen last ends: the course has what it used back.
    #[inline(always)]
    pub(crate) fn pass<T>(&mut self, course: &mut Course, task: &Task<T>, foreseen: &Foreseen) {
        course.n_copies += u64::from(task.copies);
        let Foreseen { turn, from, rate, places } = *foreseen;
        if turn.bound == Bound::Latency {
            return;
        }
        if rate.is_finite() {
            self.residue_max = self.residue_max.max(residue(1.0, rate * turn.end.since(from).seconds(), rate));
        }
        for (i, &(_, amount)) in task.demands().iter().enumerate() {
            let lane = &mut course.lanes[usize::from(places[i])];
            lane.served += f64::from(task.copies) * amount;
            if !lane.beside {
                lane.used = 0.0;
                continue;
            }
            let full = lane.used >= lane.rate * FULL;
            lane.used -= f64::from(task.copies) * amount * rate;
            if let Some(neighbor) = course.neighbor.as_mut().filter(|_| full) {
                neighbor.alone(lane, turn.end);
                course.felt = true;
            }
        }
    }

    /// Finds the lanes of a task, laying new ones; none where a course cannot be foreseen.
    #[inline(always)]
    fn places<T>(&self, course: &mut Course, task: &Task<T>) -> Option<Places> {
        // Most tasks of a chain have the same capacities in the same order.
        let is_lane = |i: usize| i < course.n_lanes && course.lanes[i].capacity == task.demands[i].0.0;
        if (0..usize::from(task.n_demands)).all(is_lane) {
            return Some(IN_ORDER);
        }
        self.search(course, task)
    }

    fn search<T>(&self, course: &mut Course, task: &Task<T>) -> Option<Places> {
        let mut places = IN_ORDER;
        for (i, &(capacity, _)) in task.demands().iter().enumerate() {
            let known = course.lanes().iter().position(|lane| lane.capacity == capacity.0);
            places[i] = match known {
                Some(place) => place as u8,
                None => self.add_lane(course, capacity)?,
            };
            // Twice the same capacity is a matter for the solve.
            if places[..i].contains(&places[i]) {
                return None;
            }
        }
        Some(places)
    }

    /// A new lane, on a capacity with one user at most, and where that one draws from nothing else and leaves something.
    fn add_lane(&self, course: &mut Course, id: CapacityId) -> Option<u8> {
        // A route is no capacity: tasks along one are not foreseen.
        let shared = self.shared.get(id.0 as usize)?;
        let lane = course.n_lanes as u8;
        match *shared.users {
            _ if shared.occupant != Occupant::Nobody || course.n_lanes == MAX_DEMANDS => return None,
            [] => {}
            [(slot, _)] if course.neighbor.is_none() && shared.used < shared.rate * FULL => {
                let neighbor = self.neighbor(slot, lane)?;
                (course.neighbor, course.before) = (Some(neighbor), neighbor.draw);
            }
            _ => return None,
        }
        let beside = !shared.users.is_empty();
        let served = self.served[id.0 as usize];
        course.lanes[course.n_lanes] = Lane { capacity: id.0, rate: shared.rate, used: shared.used, served, beside };
        course.n_lanes += 1;
        Some(lane)
    }

    /// The task in a slot as a neighbor of a chain, if it draws from one capacity only.
    fn neighbor(&self, slot: u32, lane: u8) -> Option<Neighbor> {
        let draw = &self.draws[slot as usize];
        let [Use { amount, .. }] = *self.uses.of(slot, draw.n_uses) else { return None };
        Some(Neighbor {
            slot,
            lane,
            draw: Moving { rate: draw.rate, left: draw.left, since: draw.since, end: draw.end, bound: draw.bound },
            amount: draw.copies * amount,
            load: draw.copies * (amount * draw.per_level),
            per_level: draw.per_level,
            limit: draw.limit,
        })
    }

    /// Says whether a chain is on a course over its lanes.
    pub(crate) fn occupy_course(&mut self, course: &Course, occupant: Occupant) {
        for lane in course.lanes() {
            self.shared[lane.capacity as usize].occupant = occupant;
        }
    }

    /// The course is what happened; where it `ends` with its last task, the neighbor is to hear of that.
    pub(crate) fn commit(&mut self, course: &Course, ends: bool) {
        for lane in course.lanes() {
            self.shared[lane.capacity as usize].used = lane.used;
            self.served[lane.capacity as usize] = lane.served;
            if ends && course.felt && lane.beside {
                self.felt.push(lane.capacity);
            }
        }
    }

    /// The end of a neighbor whose rate changes on a course is not known before the course is over.
    pub(crate) fn withhold(&mut self, slot: u32) {
        let draw = &mut self.draws[slot as usize];
        debug_assert!(draw.group == NO_GROUP);
        draw.end = SimTime::MAX;
        draw.version = draw.version.wrapping_add(1);
        draw.scheduled = draw.version;
    }

    /// The neighbor as it stands on the course.
    pub(crate) fn give_back(&mut self, course: &Course) {
        if let Some(Neighbor { slot, draw: moving, .. }) = course.neighbor {
            let draw = &mut self.draws[slot as usize];
            (draw.rate, draw.left, draw.since, draw.end) = (moving.rate, moving.left, moving.since, moving.end);
            draw.bound = moving.bound;
            draw.version = draw.version.wrapping_add(1);
            draw.scheduled = draw.version;
        }
    }

    /// A task of a course goes on as an ordinary one in this slot, as it was foreseen.
    pub(crate) fn resume(&mut self, slot: u32, foreseen: &Foreseen) {
        self.join(slot, foreseen.from);
        let draw = &mut self.draws[slot as usize];
        (draw.rate, draw.end, draw.bound) = (foreseen.rate, foreseen.turn.end, foreseen.turn.bound);
        draw.scheduled = draw.version;
    }
}

impl Neighbor {
    /// It has the lane to itself again; as [`Sharing::solve`] does for one task.
    fn alone(&mut self, lane: &mut Lane, now: SimTime) {
        let own = self.limit / self.per_level;
        let at = lane.rate / self.load;
        let stop = Bound::Capacity(CapacityId(lane.capacity));
        let (rate, bound) = if at < own { (at * self.per_level, stop) } else { (self.limit, Bound::Limit) };
        let rest = lane.rate - self.amount * rate;
        lane.used = lane.rate - rest.max(0.0);
        self.draw.settle(rate, bound, now);
    }
}

impl Default for Moving {
    fn default() -> Self {
        Self { rate: 0.0, left: 0.0, since: SimTime::ZERO, end: SimTime::ZERO, bound: Bound::Latency }
    }
}

impl Moving {
    /// As [`super::Draw::settle`].
    fn settle(&mut self, rate: f64, bound: Bound, now: SimTime) {
        self.bound = bound;
        if rate.to_bits() != self.rate.to_bits() {
            self.left = (self.left - self.rate * now.since(self.since).seconds()).max(0.0);
            (self.since, self.rate) = (now, rate);
            self.end = now + time_to(self.left, rate);
        }
    }
}
