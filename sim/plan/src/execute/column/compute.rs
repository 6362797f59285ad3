//! The compute stream: kernels that wait for nothing between them are a chain.

use engine::{Actions, Finished};
use units::{SimSpan, SimTime};

use super::{COMPUTE, Column, Tag};
use crate::execute::outcome::Ran;
use crate::program::{Instruction, OpKernel};

impl Column<'_> {
    /// Runs the kernels that the open instructions begin with; how many.
    pub(super) fn kernels(
        &mut self,
        rank: u32,
        stream: usize,
        open: &[Instruction],
        actions: &mut Actions<Tag>,
    ) -> usize {
        self.ranks[rank as usize].busy[stream] = true;
        let is_kernel = |what: &&Instruction| matches!(what, Instruction::Kernel(_) | Instruction::Loaded { .. });
        let n_kernels = open.iter().take_while(is_kernel).count();
        let on = &self.program.ranks[rank as usize];
        let indices = open[..n_kernels].iter().filter_map(|instruction| self.kernel(rank, instruction));
        actions.submit_in_turn(indices.enumerate().map(|(i, kernel)| {
            let tag = Tag::Kernel { rank, kernel, last: i + 1 == n_kernels };
            self.program.kernels[kernel as usize].kernel.task(tag, on)
        }));
        n_kernels
    }

    /// Which kernel an instruction runs; none if it runs another thing.
    fn kernel(&self, rank: u32, instruction: &Instruction) -> Option<u32> {
        match *instruction {
            Instruction::Kernel(kernel) => Some(kernel),
            Instruction::Loaded { table, half, layer } => {
                let batch = self.batch(rank, half, layer);
                let n_members = self.program.n_members;
                Some(self.program.tables[table as usize].first + batch * n_members + rank % n_members)
            }
            Instruction::Exchange { .. }
            | Instruction::Ring(_)
            | Instruction::Signal(_)
            | Instruction::Await(_)
            | Instruction::Send(_) => None,
        }
    }

    pub(super) fn kernel_ended(&mut self, rank: u32, index: u32, task: &Finished<Tag>) {
        let OpKernel { op, loaded, kernel } = &self.program.kernels[index as usize];
        let took = task.end.since(task.start);
        let resources = &self.program.ranks[rank as usize];
        let tensor = self.outcome.ops[usize::from(*op)].add_kernel(kernel, took, task.bound, resources);
        let totals = &mut self.ranks[rank as usize].totals;
        totals.compute += took;
        totals.loaded += if *loaded { took } else { SimSpan::ZERO };
        self.computed(rank, *op, tensor, task);
    }

    pub(super) fn computed(&mut self, rank: u32, op: u16, tensor: bool, task: &Finished<Tag>) {
        if self.keep.streams && self.records(rank) {
            self.span(rank, COMPUTE, Ran::Op { op, tensor }, task.start, task.end);
        }
    }

    pub(super) fn compute_ended(&mut self, rank: u32, now: SimTime, actions: &mut Actions<Tag>) {
        self.ranks[rank as usize].busy[COMPUTE] = false;
        self.advance(rank, now, actions);
    }
}
