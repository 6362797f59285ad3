//! The compute stream: kernels that wait for nothing between them are a chain.

use engine::{Actions, Bound, Turn};
use units::{SimSpan, SimTime};

use super::{COMPUTE, Column, Listed, Tag};
use crate::execute::outcome::Ran;
use crate::program::OpKernel;
use crate::routine::Instruction;

impl Column<'_> {
    /// Runs the kernels that the open instructions begin with; how many.
    pub(super) fn kernels(
        &mut self,
        rank: u32,
        stream: usize,
        open: &[Instruction],
        actions: &mut Actions<Tag>,
    ) -> usize {
        let mut kernels = std::mem::take(&mut self.ranks[rank as usize].kernels);
        kernels.clear();
        kernels.extend(open.iter().map_while(|instruction| self.kernel(rank, instruction)));
        let n_kernels = kernels.len();
        actions.submit_in_turn(Listed::Kernels { rank }.list(), n_kernels as u32);
        let state = &mut self.ranks[rank as usize];
        state.kernels = kernels;
        state.busy[stream] = true;
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

    pub(super) fn kernels_ended(&mut self, rank: u32, turns: &[Turn], actions: &mut Actions<Tag>) {
        for (index, turn) in turns.iter().enumerate() {
            self.kernel_ended(rank, self.ranks[rank as usize].kernels[index], turn);
        }
        if let Some(last) = turns.last() {
            self.compute_ended(rank, last.end, actions);
        }
    }

    fn kernel_ended(&mut self, rank: u32, index: u32, turn: &Turn) {
        let OpKernel { op, loaded, kernel } = &self.program.kernels[index as usize];
        let took = turn.end.since(turn.start);
        let tensor = match turn.bound {
            Bound::Latency => false,
            Bound::Limit => !self.of_memory[index as usize],
            Bound::Capacity(id) => id == self.program.ranks[rank as usize].tensor,
        };
        self.outcome.ops[usize::from(*op)].add_kernel(kernel, took, tensor);
        let totals = &mut self.ranks[rank as usize].totals;
        totals.compute += took;
        totals.loaded += if *loaded { took } else { SimSpan::ZERO };
        self.computed(rank, *op, tensor, (turn.start, turn.end));
    }

    pub(super) fn computed(&mut self, rank: u32, op: u16, tensor: bool, (start, end): (SimTime, SimTime)) {
        if self.keep.streams && self.records(rank) {
            self.span(rank, COMPUTE, Ran::Op { op, tensor }, start, end);
        }
    }

    pub(super) fn compute_ended(&mut self, rank: u32, now: SimTime, actions: &mut Actions<Tag>) {
        self.ranks[rank as usize].busy[COMPUTE] = false;
        self.advance(rank, now, actions);
    }
}
