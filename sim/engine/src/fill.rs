//! One filling: raise all levels together, freeze what stops.
//!
//! Works on dense arrays of the gathered tasks and the lanes (capacities) between them; it knows no slots. Families that share
//! no lane are filled one after the other: what one does is not felt by another.

use std::ops::Range;

/// A load this small beside what it was has lost its digits to subtraction.
const CANCELLED: f64 = 1e-6;

/// A capacity between gathered tasks.
#[derive(Clone, Debug)]
pub(crate) struct Lane {
    pub(crate) capacity: u32,
    /// Gathered users not frozen.
    pub(crate) n_open: u32,
    /// Gathered users.
    pub(crate) n_users: u32,
    /// Where its members begin in `members`.
    first: u32,
    /// Rate not given out.
    pub(crate) rest: f64,
    /// What its open users draw per level.
    load: f64,
    load_all: f64,
    /// What its gathered users draw at their old rates.
    pub(crate) own: f64,
}

/// What a task draws from a lane.
#[derive(Clone, Copy, Debug)]
struct Pull {
    lane: u32,
    /// Units of all copies.
    amount: f64,
    /// Units per level.
    load: f64,
}

#[derive(Clone, Copy, Debug)]
struct Open {
    per_level: f64,
    limit: f64,
    first_pull: u32,
    frozen: bool,
}

/// Where a family begins among tasks, lanes and limited tasks.
#[derive(Clone, Copy, Debug)]
struct Family {
    task: u32,
    lane: u32,
    limited: u32,
}

/// The arrays of one filling, kept between fillings.
#[derive(Debug, Default)]
pub(crate) struct Filling {
    pub(crate) lanes: Vec<Lane>,
    /// Rate of each task, and the capacity that stopped it; none: its own limit.
    pub(crate) rates: Vec<(f64, Option<u32>)>,
    families: Vec<Family>,
    tasks: Vec<Open>,
    pulls: Vec<Pull>,
    /// Tasks by lane.
    members: Vec<u32>,
    /// Level at which each lane is full; infinite without open users.
    levels: Vec<f64>,
    /// Tasks with a limit of their own, lowest level first.
    limited: Vec<(f64, u32)>,
}

impl Filling {
    pub(crate) fn clear(&mut self) {
        self.lanes.clear();
        self.rates.clear();
        self.families.clear();
        self.tasks.clear();
        self.pulls.clear();
        self.limited.clear();
    }

    /// Begins a family: its tasks follow.
    #[inline]
    pub(crate) fn add_family(&mut self) {
        self.families.push(self.here());
    }

    #[inline]
    fn here(&self) -> Family {
        Family { task: self.tasks.len() as u32, lane: self.lanes.len() as u32, limited: self.limited.len() as u32 }
    }

    /// Adds a task; its uses follow. One without uses is stopped by its limit alone.
    #[inline]
    pub(crate) fn add_task(&mut self, per_level: f64, limit: f64, alone: bool) {
        if alone || limit.is_finite() {
            self.limited.push((limit / per_level, self.tasks.len() as u32));
        }
        self.tasks.push(Open { per_level, limit, first_pull: self.pulls.len() as u32, frozen: false });
        self.rates.push((0.0, None));
    }

    #[inline]
    pub(crate) fn add_lane(&mut self, capacity: u32) -> u32 {
        let lane = Lane { capacity, n_open: 0, n_users: 0, first: 0, rest: 0.0, load: 0.0, load_all: 0.0, own: 0.0 };
        self.lanes.push(lane);
        self.lanes.len() as u32 - 1
    }

    /// The last task added draws from a lane: `amount` units for all of it, `load` a level, `own` a second until now.
    #[inline]
    pub(crate) fn add_use(&mut self, lane: u32, amount: f64, load: f64, own: f64) {
        self.pulls.push(Pull { lane, amount, load });
        let lane = &mut self.lanes[lane as usize];
        lane.n_open += 1;
        lane.load += load;
        lane.own += own;
    }

    /// Sorts tasks by lane and lanes by nothing: ready to fill.
    pub(crate) fn index(&mut self) {
        let mut first = 0;
        self.levels.clear();
        for lane in &mut self.lanes {
            lane.first = first;
            first += lane.n_open;
            lane.load_all = lane.load;
            self.levels.push(lane.rest / lane.load);
        }
        self.members.clear();
        self.members.resize(self.pulls.len(), 0);
        let ends = self.pulls.len() as u32;
        for task in 0..self.tasks.len() {
            let end = self.tasks.get(task + 1).map_or(ends, |next| next.first_pull);
            for pull in &self.pulls[self.tasks[task].first_pull as usize..end as usize] {
                let lane = &mut self.lanes[pull.lane as usize];
                self.members[(lane.first + lane.n_users) as usize] = task as u32;
                lane.n_users += 1;
            }
        }
    }

    pub(crate) fn fill(&mut self) {
        let end = self.here();
        for family in 0..self.families.len() {
            let from = self.families[family];
            let until = self.families.get(family + 1).copied().unwrap_or(end);
            if until.task - from.task == 1 {
                self.fill_one(from, until);
            } else {
                self.fill_family(from, until);
            }
        }
    }

    fn fill_one(&mut self, from: Family, until: Family) {
        let task = from.task as usize;
        let (lane, level) = self.tightest(from.lane as usize..until.lane as usize);
        match self.limited[from.limited as usize..until.limited as usize].first() {
            Some(&(limit, _)) if limit <= level => self.rates[task] = (self.tasks[task].limit, None),
            _ if level.is_finite() => {
                self.rates[task] = (level * self.tasks[task].per_level, Some(self.lanes[lane].capacity));
            }
            _ => return,
        }
        let rate = self.rates[task].0;
        for pull in &self.pulls[self.range(task)] {
            self.lanes[pull.lane as usize].rest -= pull.amount * rate;
        }
    }

    fn fill_family(&mut self, from: Family, until: Family) {
        // Ties by position: the order of freezing must not depend on the sort.
        let limited = &mut self.limited[from.limited as usize..until.limited as usize];
        limited.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let lanes = from.lane as usize..until.lane as usize;
        let (mut next_limit, last_limit) = (from.limited as usize, until.limited as usize);
        let mut n_open = (until.task - from.task) as usize;
        while n_open > 0 {
            let (lane, level) = self.tightest(lanes.clone());
            while next_limit < last_limit && self.tasks[self.limited[next_limit].1 as usize].frozen {
                next_limit += 1;
            }
            match self.limited[next_limit..last_limit].first() {
                Some(&(limit, task)) if limit <= level => {
                    let rate = self.tasks[task as usize].limit;
                    self.freeze(task as usize, rate, None);
                    n_open -= 1;
                }
                _ if level.is_finite() => n_open -= self.freeze_members(lane, level),
                _ => break,
            }
        }
    }

    #[inline]
    fn range(&self, task: usize) -> Range<usize> {
        let end = self.tasks.get(task + 1).map_or(self.pulls.len(), |next| next.first_pull as usize);
        self.tasks[task].first_pull as usize..end
    }

    #[inline]
    fn tightest(&self, lanes: Range<usize>) -> (usize, f64) {
        let mut tightest = (lanes.start, f64::INFINITY);
        for (lane, &level) in lanes.clone().zip(&self.levels[lanes]) {
            if level < tightest.1 {
                tightest = (lane, level);
            }
        }
        tightest
    }

    fn freeze_members(&mut self, lane: usize, level: f64) -> usize {
        let Lane { first, n_users, .. } = self.lanes[lane];
        let mut n_frozen = 0;
        for i in first..first + n_users {
            let task = self.members[i as usize] as usize;
            if !self.tasks[task].frozen {
                self.freeze(task, level * self.tasks[task].per_level, Some(lane));
                n_frozen += 1;
            }
        }
        self.levels[lane] = f64::INFINITY;
        n_frozen
    }

    /// Fixes the rate of a task that a full lane or its limit stops. All users of that lane are frozen with it, so what its
    /// open users draw does not matter any more.
    #[inline]
    fn freeze(&mut self, task: usize, rate: f64, stop: Option<usize>) {
        self.tasks[task].frozen = true;
        self.rates[task] = (rate, stop.map(|lane| self.lanes[lane].capacity));
        for i in self.range(task) {
            let Pull { lane: index, amount, load } = self.pulls[i];
            let lane = &mut self.lanes[index as usize];
            lane.rest -= amount * rate;
            lane.load -= load;
            lane.n_open -= 1;
            if stop == Some(index as usize) {
                continue;
            }
            self.levels[index as usize] = if lane.n_open == 0 {
                f64::INFINITY
            } else {
                if lane.load < lane.load_all * CANCELLED {
                    self.reload(index as usize);
                }
                let lane = &self.lanes[index as usize];
                (lane.rest / lane.load).max(0.0)
            };
        }
    }

    /// Sums a lane's load anew where subtracting has cancelled its digits.
    fn reload(&mut self, index: usize) {
        let Lane { first, n_users, .. } = self.lanes[index];
        let mut load = 0.0;
        for &task in &self.members[first as usize..(first + n_users) as usize] {
            if !self.tasks[task as usize].frozen {
                let pulls = &self.pulls[self.range(task as usize)];
                load += pulls.iter().filter(|pull| pull.lane as usize == index).map(|pull| pull.load).sum::<f64>();
            }
        }
        self.lanes[index].load = load;
        self.lanes[index].load_all = load;
    }
}
