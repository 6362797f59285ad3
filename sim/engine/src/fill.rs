//! One filling: raise all levels together, freeze what stops.
//!
//! Works on dense arrays of the gathered tasks and the lanes (capacities) between them; it knows no slots.

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

/// The arrays of one filling, kept between fillings.
#[derive(Debug, Default)]
pub(crate) struct Filling {
    pub(crate) lanes: Vec<Lane>,
    /// Rate of each task, and the capacity that stopped it; none: its own limit.
    pub(crate) rates: Vec<(f64, Option<u32>)>,
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
        self.tasks.clear();
        self.pulls.clear();
        self.limited.clear();
    }

    /// Adds a task; its uses follow. One without uses is stopped by its limit alone.
    pub(crate) fn add_task(&mut self, per_level: f64, limit: f64, alone: bool) {
        if alone || limit.is_finite() {
            self.limited.push((limit / per_level, self.tasks.len() as u32));
        }
        self.tasks.push(Open { per_level, limit, first_pull: self.pulls.len() as u32, frozen: false });
        self.rates.push((0.0, None));
    }

    pub(crate) fn add_lane(&mut self, capacity: u32) -> u32 {
        let lane = Lane { capacity, n_open: 0, n_users: 0, first: 0, rest: 0.0, load: 0.0, load_all: 0.0, own: 0.0 };
        self.lanes.push(lane);
        self.lanes.len() as u32 - 1
    }

    /// The last task added draws from a lane: `amount` units for all of it, `load` a level, `own` a second until now.
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
        for task in 0..self.tasks.len() {
            for pull in &self.pulls[self.range(task)] {
                let lane = &mut self.lanes[pull.lane as usize];
                self.members[(lane.first + lane.n_users) as usize] = task as u32;
                lane.n_users += 1;
            }
        }
        // Ties by position: the order of freezing must not depend on the sort.
        self.limited.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    }

    fn range(&self, task: usize) -> std::ops::Range<usize> {
        let end = self.tasks.get(task + 1).map_or(self.pulls.len(), |next| next.first_pull as usize);
        self.tasks[task].first_pull as usize..end
    }

    pub(crate) fn fill(&mut self) {
        let mut n_open = self.tasks.len();
        let mut next_limit = 0;
        while n_open > 0 {
            let (lane, level) = self.tightest();
            while self.limited.get(next_limit).is_some_and(|&(_, task)| self.tasks[task as usize].frozen) {
                next_limit += 1;
            }
            match self.limited.get(next_limit) {
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

    fn tightest(&self) -> (usize, f64) {
        let mut tightest = (0, f64::INFINITY);
        for (lane, &level) in self.levels.iter().enumerate() {
            if level < tightest.1 {
                tightest = (lane, level);
            }
        }
        tightest
    }

    fn freeze_members(&mut self, lane: usize, level: f64) -> usize {
        let Lane { first, n_users, capacity, .. } = self.lanes[lane];
        let mut n_frozen = 0;
        for i in first..first + n_users {
            let task = self.members[i as usize] as usize;
            if !self.tasks[task].frozen {
                self.freeze(task, level * self.tasks[task].per_level, Some(capacity));
                n_frozen += 1;
            }
        }
        n_frozen
    }

    fn freeze(&mut self, task: usize, rate: f64, stop: Option<u32>) {
        self.tasks[task].frozen = true;
        self.rates[task] = (rate, stop);
        for i in self.range(task) {
            let Pull { lane: index, amount, load } = self.pulls[i];
            let lane = &mut self.lanes[index as usize];
            lane.rest -= amount * rate;
            lane.load -= load;
            lane.n_open -= 1;
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
