//! Kernels of a stream: those that wait for nothing between them are a chain.

use engine::{Actions, Bound, Turn};
use units::{SimSpan, SimTime};

use super::{At, Listed, RoutineDriver, Tag};
use crate::execute::outcome::Ran;
use crate::execute::sequencer::Sequencer;
use crate::execute::state::RankState;
use crate::label::Label;
use crate::program::OpKernel;
use crate::routine::{COMPUTE, Instruction};

impl<S: Sequencer> RoutineDriver<'_, S> {
    /// Runs the kernels that the open instructions begin with; how many.
    pub(super) fn kernels(&mut self, at: At, open: &[Instruction], now: SimTime, actions: &mut Actions<Tag>) -> u32 {
        let mut kernels = std::mem::take(&mut self.stream(at).kernels);
        kernels.clear();
        kernels.extend(open.iter().map_while(|instruction| self.kernel(at.rank, instruction)));
        let n_kernels = kernels.len() as u32;
        self.launch(at, &kernels, now);
        let stream = at.rank * self.n_streams as u32 + u32::from(at.stream);
        let task = actions.submit_in_turn(Listed::Kernels { stream }.list(), n_kernels);
        let state = self.stream(at);
        state.task = task;
        state.kernels = kernels;
        state.busy = true;
        n_kernels
    }

    /// How much later than the device could each kernel begins because the host launches it no earlier. The host launches without a pause
    /// what a rank runs, in its order; when the device is through with a kernel is what it takes alone.
    fn launch(&mut self, at: At, kernels: &[u32], now: SimTime) {
        let mut delays = std::mem::take(&mut self.stream(at).delays);
        delays.clear();
        let host = &mut self.ranks[at.rank as usize].host;
        let mut device = now;
        let mut is_late = false;
        for &kernel in kernels {
            let OpKernel { launch, .. } = self.routines.kernels[kernel as usize];
            *host = *host + launch;
            let late = host.since(device.min(*host));
            is_late |= late > SimSpan::ZERO;
            delays.push(late);
            device = device + late + self.alone[kernel as usize];
        }
        if !is_late {
            delays.clear();
        }
        self.stream(at).delays = delays;
    }

    /// How late the host launches the kernel of a stream at a place in its chain.
    #[inline]
    pub(super) fn delay(&self, stream: u32, index: u32) -> SimSpan {
        self.streams[stream as usize].delays.get(index as usize).copied().unwrap_or(SimSpan::ZERO)
    }

    /// Which kernel an instruction runs; none if it runs another thing.
    fn kernel(&self, rank: u32, instruction: &Instruction) -> Option<u32> {
        match *instruction {
            Instruction::Kernel(kernel) => Some(kernel),
            Instruction::Loaded { table, half, layer } => {
                let batch = self.batch(rank, half, layer);
                let state = &self.ranks[rank as usize];
                let n_members = self.routines.gangs[state.gang.0 as usize].ranks.len() as u32;
                Some(self.routines.tables[table as usize].first + batch * n_members + state.member)
            }
            Instruction::Exchange { .. }
            | Instruction::Ring(_)
            | Instruction::Signal(_)
            | Instruction::Await(_)
            | Instruction::Send(_) => None,
        }
    }

    pub(super) fn kernels_ended(&mut self, stream: u32, turns: &[Turn], actions: &mut Actions<Tag>) {
        let n_streams = self.n_streams as u32;
        let at = At { rank: stream / n_streams, stream: (stream % n_streams) as u8 };
        for (index, turn) in turns.iter().enumerate() {
            let delay = self.delay(stream, index as u32);
            let turn = Turn { start: turn.start + delay, ..*turn };
            self.ranks[at.rank as usize].totals.unlaunched += delay;
            self.kernel_ended(at, self.streams[stream as usize].kernels[index], &turn);
        }
        if let Some(last) = turns.last() {
            self.free(at, last.end, actions);
        }
    }

    fn kernel_ended(&mut self, at: At, index: u32, turn: &Turn) {
        let OpKernel { op, category, continues, loaded, kernel, .. } = &self.routines.kernels[index as usize];
        let took = turn.end.since(turn.start);
        let tensor = match turn.bound {
            Bound::Latency => false,
            Bound::Limit => !self.of_memory[index as usize],
            Bound::Capacity(id) => id == self.resources(at.rank).tensor,
        };
        let total = &mut self.outcome.ops[usize::from(*op)];
        total.count += u64::from(!continues);
        total.add_kernel(kernel, took, tensor);
        let RankState { totals, label, .. } = &mut self.ranks[at.rank as usize];
        if *label == Label::OVERLAPPED {
            totals.overlapped.add(*category, took);
            totals.overlapped.side += if usize::from(at.stream) == COMPUTE { SimSpan::ZERO } else { took };
        }
        if usize::from(at.stream) == COMPUTE {
            totals.compute += took;
            totals.loaded += if *loaded { took } else { SimSpan::ZERO };
        } else {
            totals.side += took;
        }
        self.span(at, Ran::Op { op: *op, tensor }, turn.start, turn.end);
    }
}
