//! Kernels and messages as tasks of the engine, and what their ends add up to.

use engine::Task;
use units::SimSpan;

use super::outcome::{OpTotal, Ports};
use crate::program::{Flow, Kernel, Program, RankResources};

impl Kernel {
    /// The main demand is memory: kernels and copies that meet there are judged in one unit.
    #[inline]
    pub(super) fn task(&self, on: &RankResources) -> Task<()> {
        Task::drawing((), [(on.memory, self.memory), (on.tensor, self.tensor)])
            .weight(f64::from(self.sms))
            .no_faster_than(self.shortest)
            .latency(self.latency)
            .claim(on.sms, self.sms)
    }
}

impl Flow {
    /// A message between two ranks; `copied` is what a byte that SMs copy takes of their capacity.
    pub(super) fn task(&self, [from, to]: [&RankResources; 2], copied: f64, latency: SimSpan) -> Task<()> {
        let (send, receive) = if self.up { (from.up_send, to.up_receive) } else { (from.out_send, to.out_receive) };
        Task::drawing((), [(send, self.occupied[0]), (receive, self.occupied[1])])
            .demand(from.copy, self.copied[0] * copied)
            .demand(to.copy, self.copied[1] * copied)
            .no_faster_than(self.shortest)
            .copies(self.copies)
            .latency(latency)
    }
}

impl OpTotal {
    /// Adds a run, which arithmetic bound or not.
    #[inline]
    pub(super) fn add_kernel(&mut self, kernel: &Kernel, took: SimSpan, tensor: bool) {
        self.count += 1;
        self.span += took;
        self.latency += kernel.latency;
        let drawn = took - kernel.latency;
        *(if tensor { &mut self.tensor } else { &mut self.memory }) += drawn;
    }
}

impl Ports {
    pub(super) fn count(&mut self, flow: &Flow) {
        let bytes = flow.bytes * f64::from(flow.copies);
        *(if flow.up { &mut self.up_bytes } else { &mut self.out_bytes }) += bytes;
    }

    /// Occupied seconds of every port, from what it served.
    pub(super) fn measure(&mut self, program: &Program, served: &[f64]) {
        for rank in &program.ranks {
            let seconds = |id: engine::CapacityId| served[id.0 as usize] / program.resources.rate(id);
            let [up, out, memory] = [rank.up_send, rank.out_send, rank.memory].map(seconds);
            self.up_seconds += up;
            self.up_seconds_max = self.up_seconds_max.max(up);
            self.out_seconds += out;
            self.out_seconds_max = self.out_seconds_max.max(out);
            self.memory_seconds += memory;
            self.memory_seconds_max = self.memory_seconds_max.max(memory);
            self.memory_bytes += served[rank.memory.0 as usize];
        }
    }
}
