//! One filling: raise all levels together, freeze what stops.
//!
//! Works on dense arrays of the gathered tasks and the lanes (capacities) between them; it knows no slots. Families that share
//! no lane are filled one after the other: what one does is not felt by another.

/// A load this small beside what it was has lost its digits to subtraction.
const CANCELLED: f64 = 1e-6;
/// No pull.
const NONE: u32 = u32::MAX;

/// A capacity between gathered tasks.
#[derive(Clone, Debug)]
pub(crate) struct Lane {
    pub(crate) capacity: u32,
    /// Gathered users not frozen.
    pub(crate) n_open: u32,
    /// Gathered users.
    pub(crate) n_users: u32,
    /// Its first and last pull.
    first: u32,
    last: u32,
    /// Rate not given out.
    pub(crate) rest: f64,
    /// What its open users draw per level.
    load: f64,
    load_all: f64,
    /// What its gathered users draw at their old rates.
    pub(crate) own: f64,
}

/// What a task, all its copies, draws from a lane.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Drawn {
    /// Units in all.
    pub(crate) amount: f64,
    /// Units a level.
    pub(crate) load: f64,
    /// Units a second, until now.
    pub(crate) own: f64,
}

/// The same in a filling.
#[derive(Clone, Copy, Debug)]
struct Pull {
    lane: u32,
    task: u32,
    /// The next pull of the lane.
    next: u32,
    /// Units of all copies.
    amount: f64,
    /// Units per level.
    load: f64,
}

#[derive(Clone, Copy, Debug)]
struct Open {
    per_level: f64,
    limit: f64,
    /// Where its pulls begin and end.
    pulls: [u32; 2],
}

/// A rate, and the lane that stopped it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rate {
    pub(crate) rate: f64,
    stop: u32,
}

impl Rate {
    /// Nothing has stopped the task yet: it is not frozen.
    const OPEN: u32 = u32::MAX;
    /// Its own limit has.
    const LIMIT: u32 = u32::MAX - 1;
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
    /// By task.
    pub(crate) rates: Vec<Rate>,
    families: Vec<Family>,
    tasks: Vec<Open>,
    pulls: Vec<Pull>,
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
    pub(crate) fn add_family(&mut self) {
        self.families.push(self.here());
    }

    fn here(&self) -> Family {
        Family { task: self.tasks.len() as u32, lane: self.lanes.len() as u32, limited: self.limited.len() as u32 }
    }

    /// Adds a task; its uses follow. One without uses is stopped by its limit alone.
    #[inline]
    pub(crate) fn add_task(&mut self, per_level: f64, limit: f64, alone: bool) {
        if alone || limit.is_finite() {
            self.limited.push((limit / per_level, self.tasks.len() as u32));
        }
        self.tasks.push(Open { per_level, limit, pulls: [self.pulls.len() as u32; 2] });
        self.rates.push(Rate { rate: 0.0, stop: Rate::OPEN });
    }

    #[inline]
    pub(crate) fn add_lane(&mut self, capacity: u32) -> u32 {
        self.lanes.push(Lane {
            capacity,
            n_open: 0,
            n_users: 0,
            first: NONE,
            last: NONE,
            rest: 0.0,
            load: 0.0,
            load_all: 0.0,
            own: 0.0,
        });
        self.lanes.len() as u32 - 1
    }

    /// The last task added draws from a lane.
    #[inline]
    pub(crate) fn add_use(&mut self, index: u32, Drawn { amount, load, own }: Drawn) {
        let pull = self.pulls.len() as u32;
        let lane = &mut self.lanes[index as usize];
        lane.n_open += 1;
        lane.load += load;
        lane.own += own;
        match std::mem::replace(&mut lane.last, pull) {
            NONE => lane.first = pull,
            last => self.pulls[last as usize].next = pull,
        }
        self.pulls.push(Pull { lane: index, task: self.tasks.len() as u32 - 1, next: NONE, amount, load });
        if let Some(task) = self.tasks.last_mut() {
            task.pulls[1] = pull + 1;
        }
    }

    /// The capacity that stopped a task; none: its own limit.
    pub(crate) fn stop(&self, rate: Rate) -> Option<u32> {
        self.lanes.get(rate.stop as usize).map(|lane| lane.capacity)
    }

    /// What is left of each lane is known: ready to fill.
    pub(crate) fn begin(&mut self) {
        self.levels.clear();
        for lane in &mut self.lanes {
            lane.n_users = lane.n_open;
            lane.load_all = lane.load;
            self.levels.push(lane.rest / lane.load);
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
        let (lane, level) = self.tightest(from, until);
        let open = &self.tasks[from.task as usize];
        let rate = match self.limited[from.limited as usize..until.limited as usize].first() {
            Some(&(limit, _)) if limit <= level => Rate { rate: open.limit, stop: Rate::LIMIT },
            _ if level.is_finite() => Rate { rate: level * open.per_level, stop: lane },
            _ => return,
        };
        self.rates[from.task as usize] = rate;
        for pull in &self.pulls[open.pulls[0] as usize..open.pulls[1] as usize] {
            self.lanes[pull.lane as usize].rest -= pull.amount * rate.rate;
        }
    }

    fn fill_family(&mut self, from: Family, until: Family) {
        // Ties by position: the order of freezing must not depend on the sort.
        let limited = &mut self.limited[from.limited as usize..until.limited as usize];
        limited.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let (mut next_limit, last_limit) = (from.limited as usize, until.limited as usize);
        let mut n_open = until.task - from.task;
        while n_open > 0 {
            let (lane, level) = self.tightest(from, until);
            while next_limit < last_limit && self.is_frozen(self.limited[next_limit].1) {
                next_limit += 1;
            }
            match self.limited[next_limit..last_limit].first() {
                Some(&(limit, task)) if limit <= level => {
                    let rate = self.tasks[task as usize].limit;
                    self.freeze(task, Rate { rate, stop: Rate::LIMIT });
                    n_open -= 1;
                }
                _ if level.is_finite() => n_open -= self.freeze_members(lane, level),
                _ => break,
            }
        }
    }

    fn is_frozen(&self, task: u32) -> bool {
        self.rates[task as usize].stop != Rate::OPEN
    }

    /// The first lane of a family to be full as levels rise, and at which.
    #[inline]
    fn tightest(&self, from: Family, until: Family) -> (u32, f64) {
        let mut tightest = (from.lane, f64::INFINITY);
        for (lane, &level) in (from.lane..).zip(&self.levels[from.lane as usize..until.lane as usize]) {
            if level < tightest.1 {
                tightest = (lane, level);
            }
        }
        tightest
    }

    fn freeze_members(&mut self, lane: u32, level: f64) -> u32 {
        let mut n_frozen = 0;
        let mut next = self.lanes[lane as usize].first;
        while next != NONE {
            let pull = &self.pulls[next as usize];
            let task = pull.task;
            next = pull.next;
            if !self.is_frozen(task) {
                self.freeze(task, Rate { rate: level * self.tasks[task as usize].per_level, stop: lane });
                n_frozen += 1;
            }
        }
        self.levels[lane as usize] = f64::INFINITY;
        n_frozen
    }

    /// Fixes the rate of a task that a full lane or its limit stops. All users of that lane are frozen with it, so what its
    /// open users draw does not matter any more.
    #[inline]
    fn freeze(&mut self, task: u32, rate: Rate) {
        self.rates[task as usize] = rate;
        let [first, end] = self.tasks[task as usize].pulls;
        for i in first as usize..end as usize {
            let Pull { lane: index, amount, load, .. } = self.pulls[i];
            let lane = &mut self.lanes[index as usize];
            lane.rest -= amount * rate.rate;
            lane.load -= load;
            lane.n_open -= 1;
            if index == rate.stop {
                continue;
            }
            let level = if lane.n_open == 0 { f64::INFINITY } else { (lane.rest / lane.load).max(0.0) };
            self.levels[index as usize] = level;
            if lane.load < lane.load_all * CANCELLED && lane.n_open > 0 {
                self.reload(index);
            }
        }
    }

    /// Sums a lane's load anew where subtracting has cancelled its digits.
    #[cold]
    fn reload(&mut self, index: u32) {
        let mut load = 0.0;
        let mut next = self.lanes[index as usize].first;
        while next != NONE {
            let pull = &self.pulls[next as usize];
            load += if self.is_frozen(pull.task) { 0.0 } else { pull.load };
            next = pull.next;
        }
        let lane = &mut self.lanes[index as usize];
        (lane.load, lane.load_all) = (load, load);
        self.levels[index as usize] = (lane.rest / load).max(0.0);
    }
}
