//! Tasks that start together on idle capacities have the same future every time: worked out once, then replayed.
//!
//! The future of such a batch depends on its demands, weights, limits, which of them meet at which capacity, and the rates
//! there, and on nothing else until somebody else draws from one of these capacities. A [`Trajectory`] is that future in
//! times since the start, worked out by the same [`Sharing`] in the same arithmetic; it is known by the kind of the batch
//! and those rates. A replay only reports when parts of the batch are over. When a stranger comes, the tasks that have not
//! ended become ordinary ones, with the progress they have made, before the stranger starts.

use std::collections::BTreeMap;
use std::rc::Rc;

use units::{SimSpan, SimTime};

use crate::driver::{Batch, Driver, List};
use crate::handle::Handle;
use crate::resource::{Capacity, CapacityId, Resources};
use crate::share::Sharing;
use crate::task::Task;

/// The future of a batch, in times since its start.
#[derive(Debug, Default)]
pub(crate) struct Trajectory {
    /// When parts end, and which: up to `closings[until]`.
    pub(crate) steps: Vec<Step>,
    pub(crate) closings: Vec<Closing>,
    /// Tasks in the order in which they end.
    pub(crate) ended: Vec<Over>,
    /// What each of them has drawn by then: lane, and units of all copies.
    drawn: Vec<(u32, f64)>,
    /// Where each lane is first met: a task and which of its demands. The rate of each.
    lanes: Vec<(u32, u8)>,
    rates: Vec<f64>,
    /// By task: its rates over time.
    legs: Vec<Leg>,
    first_leg: Vec<u32>,
    /// All that it depends on but rates.
    shape: u128,
    n_solves: u64,
    overload_max: f64,
    residue_max: f64,
}

/// An instant at which parts of a batch are over.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    pub(crate) at: SimSpan,
    pub(crate) until: u32,
}

/// The last task of a part ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Closing {
    pub(crate) task: u32,
    pub(crate) part: u32,
}

/// A task that has ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Over {
    pub(crate) at: SimSpan,
    pub(crate) task: u32,
    pub(crate) copies: u32,
    /// Where what it has drawn ends.
    drawn: u32,
}

/// A stretch of a task at one rate.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Leg {
    pub(crate) from: SimSpan,
    pub(crate) rate: f64,
    /// Progress not made yet at `from`.
    pub(crate) left: f64,
    pub(crate) end: SimSpan,
}

impl Trajectory {
    /// The tasks that have ended by a moment, or then.
    pub(crate) fn ended_by(&self, until: SimSpan) -> &[Over] {
        &self.ended[..self.ended.partition_point(|over| over.at <= until)]
    }

    /// What tasks that have ended first have drawn.
    pub(crate) fn drawn_by(&self, ended: &[Over]) -> &[(u32, f64)] {
        &self.drawn[..ended.last().map_or(0, |over| over.drawn as usize)]
    }

    /// Where a task stands just before what happens at `at`.
    pub(crate) fn leg(&self, task: u32, at: SimSpan) -> Leg {
        let legs = &self.legs[self.first_leg[task as usize] as usize..self.first_leg[task as usize + 1] as usize];
        let n_begun = legs.partition_point(|leg| leg.from < at);
        legs[n_begun.max(1) - 1]
    }
}

/// Works out a future: tasks on capacities numbered in order of first use.
struct Worker {
    sharing: Sharing,
    tasks: Vec<Task<()>>,
    /// Open tasks of each part, and the two parts of each task.
    n_left: Vec<u32>,
    parts: Vec<[u32; 2]>,
    legs: Vec<Vec<Leg>>,
    trajectory: Trajectory,
}

impl Worker {
    fn new<D: Driver>(driver: &D, what: &Batch, lanes: &[u32], rates: Vec<f64>) -> Self {
        let mut resources = Resources::default();
        for &rate in &rates {
            resources.add_capacity(Capacity { rate });
        }
        let (tasks, parts) = (on_lanes(driver, what, lanes), parts(driver, what));
        let mut n_left = vec![0; what.n_parts as usize];
        for [first, second] in &parts {
            n_left[*first as usize] += 1;
            n_left[*second as usize] += u32::from(first != second);
        }
        let mut firsts = Vec::with_capacity(rates.len());
        for (index, task) in (0..).zip(&tasks) {
            for (demand, (lane, _)) in (0..).zip(task.demands()) {
                if lane.0 as usize == firsts.len() {
                    firsts.push((index, demand));
                }
            }
        }
        let shape = shape(&tasks, &parts);
        Self {
            sharing: Sharing::new(&resources),
            n_left,
            legs: vec![Vec::new(); tasks.len()],
            tasks,
            parts,
            trajectory: Trajectory { rates, lanes: firsts, shape, ..Trajectory::default() },
        }
    }

    fn run(mut self) -> Trajectory {
        for (slot, task) in (0..).zip(&self.tasks) {
            self.sharing.place(slot, task);
            self.sharing.start(slot, SimTime::ZERO);
        }
        let mut open: Vec<u32> = (0..self.tasks.len() as u32).collect();
        let mut now = SimTime::ZERO;
        self.solve(now);
        while !open.is_empty() {
            now = open.iter().map(|&task| self.sharing.draws[task as usize].end).min().unwrap_or(now);
            // Ends are told in order of submission.
            open.retain(|&task| {
                let ends = self.sharing.draws[task as usize].end == now;
                if ends {
                    self.end(task, now);
                }
                !ends
            });
            let until = self.trajectory.closings.len() as u32;
            if self.trajectory.steps.last().map_or(0, |step| step.until) < until {
                self.trajectory.steps.push(Step { at: now.since(SimTime::ZERO), until });
            }
            self.solve(now);
        }
        self.finish()
    }

    fn end(&mut self, index: u32, now: SimTime) {
        self.sharing.finish(index, now);
        let task = &self.tasks[index as usize];
        let drawn = task.demands().iter().map(|&(lane, amount)| (lane.0, f64::from(task.copies) * amount));
        self.trajectory.drawn.extend(drawn);
        let drawn = self.trajectory.drawn.len() as u32;
        let at = now.since(SimTime::ZERO);
        self.trajectory.ended.push(Over { at, task: index, copies: task.copies, drawn });
        let [first, second] = self.parts[index as usize];
        for part in [Some(first), (second != first).then_some(second)].into_iter().flatten() {
            self.n_left[part as usize] -= 1;
            if self.n_left[part as usize] == 0 {
                self.trajectory.closings.push(Closing { task: index, part });
            }
        }
    }

    fn solve(&mut self, now: SimTime) {
        if !self.sharing.stale() {
            return;
        }
        self.sharing.solve(now);
        let since = |time: SimTime| time.since(SimTime::ZERO);
        for &task in self.sharing.solved() {
            let draw = &self.sharing.draws[task as usize];
            if draw.scheduled != draw.version {
                let (rate, left) = draw.pace();
                self.legs[task as usize].push(Leg { from: since(now), rate, left, end: since(draw.end) });
            }
        }
        self.sharing.mark_scheduled();
        self.sharing.clear();
    }

    fn finish(self) -> Trajectory {
        let mut trajectory = self.trajectory;
        trajectory.first_leg.push(0);
        for legs in &self.legs {
            trajectory.legs.extend(legs);
            trajectory.first_leg.push(trajectory.legs.len() as u32);
        }
        trajectory.n_solves = self.sharing.n_solves;
        trajectory.overload_max = self.sharing.overload_max;
        trajectory.residue_max = self.sharing.residue_max;
        trajectory
    }
}

/// Trajectories by kind of batch and numbers of its tasks and parts; those of one kind differ in rates.
#[derive(Debug, Default)]
pub(crate) struct Trajectories {
    known: BTreeMap<(u64, u32, u32), Vec<Rc<Trajectory>>>,
    /// Lanes of all uses, in order.
    lanes: Vec<u32>,
}

impl Trajectories {
    /// The trajectory of a batch, which gets the capacities of its lanes; none if one of these is in use.
    pub(crate) fn of<D: Driver>(
        &mut self,
        driver: &D,
        batch: &mut Open,
        sharing: &mut Sharing,
    ) -> Option<Rc<Trajectory>> {
        let what = batch.what;
        let known = self.known.entry((what.kind, what.n_tasks, what.n_parts)).or_default();
        self.lanes.clear();
        batch.capacities.clear();
        if let Some(first) = known.first() {
            let first = first.lanes.iter();
            let firsts = first.map(|&(task, demand)| driver.listed(what.list, task).demands[usize::from(demand)].0.0);
            sharing.lay_out(firsts, &mut self.lanes, &mut batch.capacities)?;
            let rates = |id: &u32| sharing.rate(*id).to_bits();
            let same = |known: &&Rc<Trajectory>| {
                known.rates.iter().map(|rate| rate.to_bits()).eq(batch.capacities.iter().map(rates))
            };
            if let Some(known) = known.iter().find(same) {
                if cfg!(debug_assertions) {
                    let (mut lanes, mut capacities) = (Vec::new(), Vec::new());
                    sharing.lay_out(met(driver, what), &mut lanes, &mut capacities)?;
                    let shape = shape(&on_lanes(driver, &what, &lanes), &parts(driver, &what));
                    assert_eq!((known.shape, &batch.capacities), (shape, &capacities), "batches of a kind are alike");
                }
                return Some(Rc::clone(known));
            }
            self.lanes.clear();
            batch.capacities.clear();
        }
        sharing.lay_out(met(driver, what), &mut self.lanes, &mut batch.capacities)?;
        let rates = batch.capacities.iter().map(|&id| sharing.rate(id)).collect();
        let trajectory = Rc::new(Worker::new(driver, &what, &self.lanes, rates).run());
        sharing.n_solves += trajectory.n_solves;
        sharing.overload_max = sharing.overload_max.max(trajectory.overload_max);
        sharing.residue_max = sharing.residue_max.max(trajectory.residue_max);
        known.push(Rc::clone(&trajectory));
        Some(trajectory)
    }
}

/// A batch of tasks between submission and the last end.
#[derive(Debug)]
pub(crate) struct Open {
    /// None once it is over.
    pub(crate) handle: Option<Handle>,
    pub(crate) what: Batch,
    pub(crate) class: u8,
    /// Sequence of the first task; the others follow.
    pub(crate) sequence: u64,
    /// When the tasks got going: their latency is part of them.
    pub(crate) submitted: SimTime,
    /// Its latency is paid.
    pub(crate) begun: bool,
    pub(crate) start: SimTime,
    pub(crate) replay: Option<Rc<Trajectory>>,
    /// By lane of its trajectory.
    pub(crate) capacities: Vec<u32>,
    /// Steps reported, and parts that ended in them.
    pub(crate) n_steps: usize,
    pub(crate) n_closed: u32,
    /// Parts the driver has not heard of.
    pub(crate) n_parts_left: u32,
    /// Where it is not replayed: open tasks of each part.
    pub(crate) n_left: Vec<u32>,
    pub(crate) version: u32,
}

impl Open {
    pub(crate) fn begin(&mut self, what: Batch, class: u8, sequence: u64, now: SimTime) {
        (self.what, self.class, self.sequence, self.submitted) = (what, class, sequence, now);
        (self.n_steps, self.n_closed, self.begun) = (0, 0, false);
    }
}

impl Default for Open {
    fn default() -> Self {
        Self {
            handle: None,
            what: Batch { list: List(0), n_tasks: 0, n_parts: 0, kind: 0 },
            class: 0,
            sequence: 0,
            submitted: SimTime::ZERO,
            begun: false,
            start: SimTime::ZERO,
            replay: None,
            capacities: Vec::new(),
            n_steps: 0,
            n_closed: 0,
            n_parts_left: 0,
            n_left: Vec::new(),
            version: 0,
        }
    }
}

/// The tasks of a batch, their capacities numbered as lanes.
fn on_lanes<D: Driver>(driver: &D, what: &Batch, lanes: &[u32]) -> Vec<Task<()>> {
    let mut lanes = lanes.iter();
    let on_lanes = |index| {
        let mut task = driver.listed(what.list, index);
        for demand in &mut task.demands[..usize::from(task.n_demands)] {
            demand.0 = CapacityId(lanes.next().copied().unwrap_or_default());
        }
        task
    };
    (0..what.n_tasks).map(on_lanes).collect()
}

/// The capacities of a batch's uses, in order.
fn met<D: Driver>(driver: &D, what: Batch) -> impl Iterator<Item = u32> {
    (0..what.n_tasks).flat_map(move |index| {
        let task = driver.listed(what.list, index);
        task.demands.into_iter().take(usize::from(task.n_demands)).map(|(capacity, _)| capacity.0)
    })
}

fn parts<D: Driver>(driver: &D, what: &Batch) -> Vec<[u32; 2]> {
    (0..what.n_tasks).map(|index| driver.parts(what.list, index)).collect()
}

/// A hash of all that the future of tasks on numbered lanes depends on but rates.
fn shape(tasks: &[Task<()>], parts: &[[u32; 2]]) -> u128 {
    let mut hash = tasks.len() as u128;
    for (task, [first, second]) in tasks.iter().zip(parts) {
        hash = mix(hash, task.weight.to_bits() ^ u64::from(task.n_demands));
        hash = mix(hash, task.limit.to_bits() ^ u64::from(task.copies).rotate_left(17));
        hash = mix(hash, u64::from(*first) << 32 | u64::from(*second));
        for &(lane, amount) in task.demands() {
            hash = mix(hash, amount.to_bits() ^ u64::from(lane.0));
        }
    }
    hash
}

/// Mixes a word into a hash of two halves; multipliers are odd with bits in every byte.
fn mix(hash: u128, word: u64) -> u128 {
    const LEFT: u64 = 0x9E37_79B9_7F4A_7C15;
    const RIGHT: u64 = 0xC2B2_AE3D_27D4_EB4F;
    let (left, right) = ((hash >> 64) as u64, hash as u64);
    let left = (left ^ word).wrapping_mul(LEFT).rotate_left(29);
    let right = (right.rotate_left(23) ^ word).wrapping_mul(RIGHT);
    u128::from(left) << 64 | u128::from(right)
}
