//! Tasks that start together on idle capacities have the same future every time: worked out once, then replayed.
//!
//! The future of such a batch depends on its demands, weights, limits, which of them meet at which capacity, and the rates
//! there, and on nothing else until somebody else draws from one of these capacities. A [`Trajectory`] is that future in
//! times since the start, worked out by the same [`Sharing`] in the same arithmetic; it is known by a hash of all that
//! it depends on. A replay only reports ends. When a stranger comes, the tasks that have not ended become ordinary
//! ones, with the progress they have made, before the stranger starts.

use std::collections::BTreeMap;
use std::rc::Rc;

use units::{SimSpan, SimTime};

use crate::resource::Capacity;
use crate::share::Sharing;
use crate::task::{Bound, Task};

/// The future of a batch, in times since its start.
#[derive(Debug, Default)]
pub(crate) struct Trajectory {
    /// When tasks end, and which: up to `ended[until]`.
    pub(crate) steps: Vec<Step>,
    pub(crate) ended: Vec<u32>,
    /// By task: its rates over time.
    legs: Vec<Leg>,
    first_leg: Vec<u32>,
    /// By task: which of its uses stopped it at the end; none: its own limit.
    stops: Vec<Option<u8>>,
    pub(crate) n_solves: u64,
    pub(crate) overload_max: f64,
    pub(crate) residue_max: f64,
}

/// An instant at which tasks of a batch end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    pub(crate) at: SimSpan,
    pub(crate) until: u32,
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
    /// Which tasks end in a step.
    pub(crate) fn ended(&self, step: usize) -> &[u32] {
        let from = if step == 0 { 0 } else { self.steps[step - 1].until };
        &self.ended[from as usize..self.steps[step].until as usize]
    }

    /// Where a task stands just before what happens at `at`.
    pub(crate) fn leg(&self, task: u32, at: SimSpan) -> Leg {
        let legs = &self.legs[self.first_leg[task as usize] as usize..self.first_leg[task as usize + 1] as usize];
        let n_begun = legs.partition_point(|leg| leg.from < at);
        legs[n_begun.max(1) - 1]
    }

    pub(crate) fn bound<T>(&self, index: u32, task: &Task<T>) -> Bound {
        self.stops[index as usize].map_or(Bound::Limit, |i| Bound::Capacity(task.demands[usize::from(i)].0))
    }

    /// Works the future of tasks out, on capacities numbered in order of first use.
    fn work_out<T: Copy>(tasks: &[Task<T>], rates: &[Capacity], lanes: &[u32]) -> Self {
        let mut sharing = Sharing::new(rates);
        let mut lanes = lanes.iter();
        for (slot, task) in tasks.iter().enumerate() {
            let mut local = *task;
            for demand in &mut local.demands[..usize::from(task.n_demands)] {
                demand.0.0 = lanes.next().copied().unwrap_or_default();
            }
            sharing.place(slot as u32, &local);
            sharing.start(slot as u32, SimTime::ZERO);
        }
        Worker { sharing, legs: vec![Vec::new(); tasks.len()], trajectory: Self::default() }.run(tasks.len())
    }
}

struct Worker {
    sharing: Sharing,
    legs: Vec<Vec<Leg>>,
    trajectory: Trajectory,
}

impl Worker {
    fn run(mut self, n_tasks: usize) -> Trajectory {
        let mut open: Vec<u32> = (0..n_tasks as u32).collect();
        let mut now = SimTime::ZERO;
        self.solve(now);
        while !open.is_empty() {
            now = open.iter().map(|&task| self.sharing.draws[task as usize].end).min().unwrap_or(now);
            // Ends are told in order of submission.
            open.retain(|&task| {
                let ends = self.sharing.draws[task as usize].end == now;
                if ends {
                    self.trajectory.ended.push(task);
                    self.sharing.finish(task, now);
                }
                !ends
            });
            let until = self.trajectory.ended.len() as u32;
            self.trajectory.steps.push(Step { at: now.since(SimTime::ZERO), until });
            self.solve(now);
        }
        self.finish()
    }

    fn solve(&mut self, now: SimTime) {
        if !self.sharing.stale() {
            return;
        }
        self.sharing.solve(now);
        let since = |time: SimTime| time.since(SimTime::ZERO);
        for &task in self.sharing.set() {
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
        trajectory.stops = (0..self.legs.len() as u32).map(|task| self.sharing.stopped_by(task)).collect();
        trajectory.n_solves = self.sharing.n_solves;
        trajectory.overload_max = self.sharing.overload_max;
        trajectory.residue_max = self.sharing.residue_max;
        trajectory
    }
}

/// Trajectories by what they depend on.
#[derive(Debug, Default)]
pub(crate) struct Trajectories {
    known: BTreeMap<u128, Rc<Trajectory>>,
    /// Lanes of all uses, in order; the rate of each lane.
    lanes: Vec<u32>,
    rates: Vec<Capacity>,
}

impl Trajectories {
    /// The trajectory of tasks on the capacities of `sharing`, and whether it was worked out just now; none if one of these
    /// is in use.
    pub(crate) fn of<T: Copy>(&mut self, tasks: &[Task<T>], sharing: &mut Sharing) -> Option<(Rc<Trajectory>, bool)> {
        self.lanes.clear();
        self.rates.clear();
        let hash = sharing.identify(tasks, &mut self.lanes, &mut self.rates)?;
        if let Some(known) = self.known.get(&hash) {
            return Some((Rc::clone(known), false));
        }
        let trajectory = Rc::new(Trajectory::work_out(tasks, &self.rates, &self.lanes));
        self.known.insert(hash, Rc::clone(&trajectory));
        Some((trajectory, true))
    }
}

/// A batch of tasks between submission and the last end.
#[derive(Debug)]
pub(crate) struct Batch<T> {
    pub(crate) tasks: Vec<Task<T>>,
    /// Sequence of the first task; the others follow.
    pub(crate) sequence: u64,
    /// When the tasks got going: their latency is part of them.
    pub(crate) submitted: SimTime,
    pub(crate) start: SimTime,
    pub(crate) replay: Option<Rc<Trajectory>>,
    /// Steps reported.
    pub(crate) n_steps: usize,
    pub(crate) n_open: usize,
    pub(crate) version: u32,
}

impl<T> Default for Batch<T> {
    fn default() -> Self {
        Self {
            tasks: Vec::new(),
            sequence: 0,
            submitted: SimTime::ZERO,
            start: SimTime::ZERO,
            replay: None,
            n_steps: 0,
            n_open: 0,
            version: 0,
        }
    }
}

/// Mixes a word into a hash of two halves; multipliers are odd with bits in every byte.
pub(crate) fn mix(hash: u128, word: u64) -> u128 {
    const LEFT: u64 = 0x9E37_79B9_7F4A_7C15;
    const RIGHT: u64 = 0xC2B2_AE3D_27D4_EB4F;
    let (left, right) = ((hash >> 64) as u64, hash as u64);
    let left = (left ^ word).wrapping_mul(LEFT).rotate_left(29);
    let right = (right.rotate_left(23) ^ word).wrapping_mul(RIGHT);
    u128::from(left) << 64 | u128::from(right)
}
