//! What the ends of kernels and messages add up to.

use platform::{Flow, Kernel};
use units::SimSpan;

use super::outcome::{OpTotal, Ports};
use super::routines::Routines;

impl OpTotal {
    /// Adds a kernel, which arithmetic bound or not; who counts ops knows whether it is their first.
    #[inline]
    pub(super) fn add_kernel(&mut self, kernel: &Kernel, took: SimSpan, tensor: bool) {
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
    pub(super) fn measure(&mut self, routines: &Routines<'_>, served: &[f64]) {
        for rank in routines.ranks {
            let seconds = |id: engine::CapacityId| served[id.0 as usize] / routines.resources.rate(id);
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
