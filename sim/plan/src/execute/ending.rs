//! The end of a step: every pipeline rank reduces, waits for the others, updates and gathers.

use engine::{Task, TaskGraph, TaskId};
use units::SimSpan;

use super::outcome::{ChunkSpan, Outcome, worse};
use crate::PlanError;
use crate::program::{Ending, Program, RankResources};

/// Runs the end after the last chunk of each pipeline rank. Replicas are alike in it, so one of each is run.
pub(super) fn run(program: &Program, outcome: &mut Outcome) -> Result<(), PlanError> {
    let mut ends = Ends::new(program, outcome);
    ends.lay();
    let Ends { mut graph, steps, .. } = ends;
    let record = engine::run(&program.resources, &mut graph)
        .map_err(|stuck| PlanError::Fault(format!("the end of the step is {stuck}")))?;
    outcome.step = record.end.since(units::SimTime::ZERO);
    outcome.n_tasks += record.n_tasks;
    outcome.laws = worse(outcome.laws, record.laws);
    let n_simulated = u64::from(outcome.n_simulated);
    for (rank, steps) in steps.iter().enumerate() {
        let mut from = outcome.ranks[rank].last;
        let mut busy = SimSpan::ZERO;
        for step in steps {
            let end = graph.end(step.task);
            let start = if step.barrier { end } else { from.max(graph.end(step.after)) };
            busy += end.since(start);
            if let Some(op) = step.op {
                let total = &mut outcome.ops[usize::from(op)];
                total.count += n_simulated;
                total.span += end.since(start) * n_simulated;
                *(if step.memory { &mut total.memory } else { &mut total.links }) += end.since(start) * n_simulated;
            }
            from = end;
        }
        let last = steps.last().map_or(from, |step| graph.end(step.task));
        outcome.chunks.push(ChunkSpan {
            rank: rank as u32,
            replica: 0,
            slot: None,
            start: outcome.ranks[rank].last,
            end: last,
        });
        outcome.ranks[rank].phases.optimizer += busy * n_simulated;
    }
    Ok(())
}

/// One task of a rank's end.
struct Step {
    task: TaskId,
    after: TaskId,
    barrier: bool,
    memory: bool,
    op: Option<u16>,
}

struct Ends<'a> {
    program: &'a Program,
    graph: TaskGraph<()>,
    /// The last task of each rank.
    last: Vec<TaskId>,
    steps: Vec<Vec<Step>>,
}

impl<'a> Ends<'a> {
    fn new(program: &'a Program, outcome: &Outcome) -> Self {
        let mut graph = TaskGraph::default();
        // Nothing of a rank's end starts before its last chunk ends.
        let chunks = outcome.ranks.iter();
        let last = chunks.map(|rank| graph.add(Task::new(()).latency(rank.last.since(units::SimTime::ZERO)), &[]));
        let last: Vec<TaskId> = last.collect();
        let steps = last.iter().map(|_| Vec::new()).collect();
        Self { program, graph, last, steps }
    }

    /// Ranks have the same number of barriers, so they are laid barrier by barrier.
    fn lay(&mut self) {
        let n_barriers = self.barriers(0);
        for round in 0..=n_barriers {
            for rank in 0..self.last.len() {
                let part = self.program.optimizer[rank].split(|ending| *ending == Ending::Barrier).nth(round);
                for ending in part.unwrap_or_default() {
                    self.add(rank, ending);
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

    fn add(&mut self, rank: usize, ending: &Ending) {
        let on = self.program.ranks[rank * self.program.n_members as usize];
        let (task, op, memory) = match ending {
            Ending::Kernel(kernel) => {
                let kernel = &self.program.kernels[*kernel as usize];
                let task = Task::new(())
                    .demand(on.memory, kernel.memory)
                    .no_faster_than(kernel.shortest)
                    .latency(kernel.latency)
                    .claim(on.sms, kernel.sms);
                (task, Some(kernel.op), true)
            }
            Ending::Ring(ring) => (ring_task(ring, on), Some(ring.op), false),
            Ending::Barrier => return,
        };
        let after = self.last[rank];
        let task = self.graph.add(task, &[after]);
        self.steps[rank].push(Step { task, after, barrier: false, memory, op });
        self.last[rank] = task;
    }

    fn meet(&mut self) {
        let task = self.graph.add(Task::new(()), &self.last);
        for (last, steps) in self.last.iter_mut().zip(&mut self.steps) {
            steps.push(Step { task, after: *last, barrier: true, memory: false, op: None });
            *last = task;
        }
    }
}

fn ring_task(ring: &crate::program::Ring, on: RankResources) -> Task<()> {
    Task::new(())
        .demand(on.up_send, ring.up)
        .demand(on.up_receive, ring.up)
        .demand(on.out_send, ring.out)
        .demand(on.out_receive, ring.out)
        .latency(ring.latency)
}
