//! The end of a step: every pipeline rank reduces, waits for the others, updates and gathers.
//!
//! Where rings hide beside chunks ([`Hiding`]), each is two tasks: one layer of it runs between the chunks as otherwise, the
//! others beside them. What is reduced early begins when the first layer's gradients are complete; what is gathered late
//! belongs to the next step, which is like this one, and lengthens the step only where it comes after it is needed.

use engine::{Task, TaskGraph, TaskId};
use platform::RankResources;
use units::{SimSpan, SimTime};

use super::outcome::{ChunkSpan, Outcome, RankTotals};
use crate::program::{Ending, Hiding, OpKernel, Program, Ring};
use crate::{Label, PlanError};

/// Runs the end after the last chunk of each pipeline rank. Replicas are alike in it, so one of each is run.
pub(super) fn run(program: &Program, outcome: &mut Outcome) -> Result<(), PlanError> {
    let mut ends = Ends::new(program, outcome);
    ends.lay();
    let Ends { mut graph, steps, .. } = ends;
    let record = engine::run(&program.resources, &mut graph)
        .map_err(|fault| PlanError::Fault(format!("the end of the step: {fault}")))?;
    let lasting = outcome.ranks.iter().zip(&steps).map(|(rank, steps)| until(rank, steps, &graph));
    let until = lasting.max().unwrap_or(SimTime::ZERO);
    outcome.step = until.since(SimTime::ZERO);
    outcome.n_tasks += record.n_tasks;
    outcome.laws = outcome.laws.worse(record.laws);
    let n_simulated = u64::from(outcome.n_simulated);
    for (rank, steps) in steps.iter().enumerate() {
        let last = outcome.ranks[rank].last;
        let mut busy = Vec::new();
        for step in steps.iter().filter(|step| !step.barrier) {
            let interval = step.interval(&graph);
            busy.push(interval);
            if let Some(op) = step.op {
                // What hides beside chunks is in nobody's way.
                let shows = covered(vec![interval], last, until) * n_simulated;
                let total = &mut outcome.ops[usize::from(op)];
                total.count += n_simulated * u64::from(matches!(step.part, Part::Whole | Part::Layer));
                total.span += shows;
                *(if step.memory { &mut total.memory } else { &mut total.links }) += shows;
            }
        }
        outcome.ranks[rank].phases[Label::OPTIMIZER] += covered(busy, last, until) * n_simulated;
        let own = steps.iter().filter(|step| step.part != Part::Gathered);
        let end = own.map(|step| graph.end(step.task)).fold(last, SimTime::max).min(until);
        outcome.chunks.push(ChunkSpan { rank: rank as u32, replica: 0, slot: None, start: last, end });
    }
    Ok(())
}

/// When a rank's step is over: all its own is done, and what it still gathers comes in time for the next.
fn until(rank: &RankTotals, steps: &[Step], graph: &TaskGraph<()>) -> SimTime {
    steps.iter().fold(rank.last, |until, step| {
        let end = graph.end(step.task);
        let needed = match (step.part, rank.beside) {
            (Part::Gathered, Some(beside)) => SimTime::ZERO + end.since(beside.forwarded.min(end)),
            _ => end,
        };
        until.max(needed)
    })
}

/// How much of the time between two moments some of the intervals cover.
fn covered(mut intervals: Vec<(SimTime, SimTime)>, from: SimTime, until: SimTime) -> SimSpan {
    intervals.sort_unstable();
    let (mut covered, mut reached) = (SimSpan::ZERO, from);
    for (start, end) in intervals {
        let (start, end) = (start.max(reached), end.min(until));
        if end > start {
            covered += end.since(start);
            reached = end;
        }
    }
    covered
}

/// One task of a rank's end.
struct Step {
    task: TaskId,
    /// It starts when both have ended.
    after: [TaskId; 2],
    barrier: bool,
    memory: bool,
    op: Option<u16>,
    part: Part,
}

/// Which part of what is to be done a task is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Whole,
    /// Of a ring the layers that are reduced beside this step's chunks.
    Reduced,
    /// Of a ring the layer that nothing hides.
    Layer,
    /// Of a ring the layers that are gathered beside the next step's chunks.
    Gathered,
}

impl Step {
    fn interval(&self, graph: &TaskGraph<()>) -> (SimTime, SimTime) {
        let [a, b] = self.after.map(|task| graph.end(task));
        (a.max(b), graph.end(self.task))
    }
}

struct Ends<'a> {
    program: &'a Program,
    graph: TaskGraph<()>,
    /// The last task of each rank.
    last: Vec<TaskId>,
    /// The last of those that run beside chunks: before this step's end, or after it.
    beside: Vec<TaskId>,
    steps: Vec<Vec<Step>>,
}

impl<'a> Ends<'a> {
    fn new(program: &'a Program, outcome: &Outcome) -> Self {
        let mut graph = TaskGraph::default();
        let mut at = |time: SimTime| graph.add(Task::new(()).latency(time.since(SimTime::ZERO)), &[]);
        // Nothing of a rank's end starts before its last chunk ends, unless it hides.
        let last: Vec<TaskId> = outcome.ranks.iter().map(|rank| at(rank.last)).collect();
        let mut beside = last.clone();
        for ((beside, rank), hiding) in beside.iter_mut().zip(&outcome.ranks).zip(&program.hiding) {
            let completing = rank.beside.map_or(rank.last, |beside| beside.completing);
            // The first layer is complete a layer's time later.
            let layer = rank.last.since(completing).picos() / u64::from(hiding.n_layers);
            *beside = at(completing + SimSpan::from_picos(layer));
        }
        let steps = last.iter().map(|_| Vec::new()).collect();
        Self { program, graph, last, beside, steps }
    }

    /// Ranks have the same number of barriers, so they are laid barrier by barrier.
    fn lay(&mut self) {
        let n_barriers = self.barriers(0);
        for round in 0..=n_barriers {
            for rank in 0..self.last.len() {
                let endings = self.program.optimizer[rank].split(|ending| *ending == Ending::Barrier).nth(round);
                let endings = endings.unwrap_or_default();
                let hiding = self.program.hiding.get(rank).filter(|hiding| hiding.n_layers > 1);
                match hiding.copied() {
                    Some(hiding) if round < n_barriers => self.reduce_beside(rank, endings, hiding),
                    Some(hiding) => self.gather_beside(rank, endings, hiding),
                    None => endings.iter().for_each(|ending| self.add(rank, ending, Part::Whole, 1)),
                }
            }
            if round < n_barriers {
                self.meet();
            }
        }
    }

    fn barriers(&self, rank: usize) -> usize {
        self.program.optimizer[rank].iter().filter(|ending| **ending == Ending::Barrier).count()
    }

    /// All layers but one of every ring beside this step's chunks, then what is left.
    fn reduce_beside(&mut self, rank: usize, endings: &[Ending], hiding: Hiding) {
        self.add_layers(rank, endings, Part::Reduced, hiding);
        self.add_rest(rank, endings, hiding);
    }

    /// What comes before the rings and one layer of each, then the other layers; what comes after does not wait for those.
    fn gather_beside(&mut self, rank: usize, endings: &[Ending], hiding: Hiding) {
        let until = endings.iter().rposition(is_by_layer).map_or(0, |at| at + 1);
        let (before, after) = endings.split_at(until);
        self.add_rest(rank, before, hiding);
        self.add_layers(rank, before, Part::Gathered, hiding);
        self.add_rest(rank, after, hiding);
    }

    /// Of every ring all layers but one.
    fn add_layers(&mut self, rank: usize, endings: &[Ending], part: Part, hiding: Hiding) {
        for ring in endings.iter().filter(|ending| is_by_layer(ending)) {
            self.add(rank, ring, part, hiding.n_layers);
        }
    }

    /// Of every ring one layer, and what is no ring.
    fn add_rest(&mut self, rank: usize, endings: &[Ending], hiding: Hiding) {
        for ending in endings {
            let part = if is_by_layer(ending) { Part::Layer } else { Part::Whole };
            self.add(rank, ending, part, hiding.n_layers);
        }
    }

    fn add(&mut self, rank: usize, ending: &Ending, part: Part, n_layers: u32) {
        let on = self.program.ranks[rank * self.program.n_members as usize];
        let (task, op, memory) = match ending {
            Ending::Kernel(kernel) => {
                let OpKernel { op, kernel, .. } = &self.program.kernels[*kernel as usize];
                let task = Task::new(())
                    .demand(on.memory, kernel.memory)
                    .no_faster_than(kernel.shortest)
                    .latency(kernel.latency)
                    .claim(on.sms, kernel.sms);
                (task, Some(*op), true)
            }
            Ending::Ring(ring) => (ring_task(ring, on, part, n_layers), Some(ring.op), false),
            Ending::Barrier => return,
        };
        let after = match part {
            Part::Whole => [self.last[rank]; 2],
            Part::Reduced => [self.beside[rank]; 2],
            Part::Layer | Part::Gathered => [self.last[rank], self.beside[rank]],
        };
        let task = self.graph.add(task, &after);
        self.steps[rank].push(Step { task, after, barrier: false, memory, op, part });
        match part {
            Part::Whole | Part::Layer => self.last[rank] = task,
            Part::Reduced | Part::Gathered => self.beside[rank] = task,
        }
    }

    fn meet(&mut self) {
        let task = self.graph.add(Task::new(()), &self.last);
        for (last, steps) in self.last.iter_mut().zip(&mut self.steps) {
            steps.push(Step { task, after: [*last; 2], barrier: true, memory: false, op: None, part: Part::Whole });
            *last = task;
        }
    }
}

/// Whether it is a collective that runs layer by layer where it hides.
fn is_by_layer(ending: &Ending) -> bool {
    matches!(ending, Ending::Ring(Ring { layer: Some(_), .. }))
}

/// The layers of a ring that are of one part, one after the other; whole, it is one call.
fn ring_task(ring: &Ring, on: RankResources, part: Part, n_layers: u32) -> Task<()> {
    let leg = match (part, ring.layer) {
        (Part::Layer, Some(layer)) => layer,
        (Part::Reduced | Part::Gathered, Some(layer)) => layer.times(n_layers - 1),
        (Part::Whole, _) | (_, None) => ring.leg,
    };
    leg.task((), &on)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_overlaps_is_covered_once_and_only_between_the_two_moments() {
        let at = |picos: u64| SimTime::ZERO + SimSpan::from_picos(picos);
        let intervals = vec![(at(10), at(20)), (at(0), at(4)), (at(15), at(30)), (at(40), at(90))];
        assert_eq!(covered(intervals, at(2), at(50)), SimSpan::from_picos(2 + 20 + 10));
        assert_eq!(covered(Vec::new(), at(2), at(50)), SimSpan::ZERO);
    }
}
