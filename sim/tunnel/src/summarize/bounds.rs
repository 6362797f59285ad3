//! Which estimate decided what bound an op.

use calibrate::EstimateKey;
use plan::{Ending, OpKernel, OpTotal, Program};
use platform::{Kernel, RankResources};

/// The estimate behind each way in which one op can be bound.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) tensor: EstimateKey,
    pub(super) memory: EstimateKey,
    pub(super) links: EstimateKey,
}

/// Bounds of every op of a program, by its index.
pub(super) fn bounds(program: &Program) -> Vec<Bounds> {
    let unknown = Bounds {
        tensor: EstimateKey::KernelLatency,
        memory: EstimateKey::MemoryFraction,
        links: EstimateKey::CollectiveScaleOutFraction,
    };
    let mut bounds = vec![unknown; program.ops.len()];
    let Some(on) = program.ranks.first() else { return bounds };
    for OpKernel { op, kernel, .. } in &program.kernels {
        let bound = &mut bounds[usize::from(*op)];
        bound.tensor = kernel.limit;
        bound.memory = memory_key(program, on, kernel);
    }
    let endings = program.optimizer.iter().flatten().filter_map(|ending| match ending {
        Ending::Ring(ring) => Some(ring),
        Ending::Kernel(_) | Ending::Barrier => None,
    });
    for ring in program.rings.iter().chain(endings) {
        bounds[usize::from(ring.op)].links = ring.leg.limit;
    }
    bounds
}

/// A kernel bound by memory waits either for the memory or for what its own code or its SMs ask of it.
fn memory_key(program: &Program, on: &RankResources, kernel: &Kernel) -> EstimateKey {
    let memory = kernel.memory / program.resources.rate(on.memory);
    if kernel.limit.is_of_memory() && kernel.shortest > memory { kernel.limit } else { EstimateKey::MemoryFraction }
}

impl Bounds {
    /// What bound most of an op's time, by its name in results, and the estimate behind it.
    pub(super) fn most(&self, total: &OpTotal) -> (&'static str, EstimateKey) {
        let links = if self.links == EstimateKey::CollectiveScaleOutFraction { "scale_out" } else { "scale_up" };
        let mut most = ("tensor", self.tensor, total.tensor);
        for next in [
            ("memory", self.memory, total.memory),
            ("latency", EstimateKey::KernelLatency, total.latency),
            (links, self.links, total.links + total.beside),
        ] {
            if next.2 > most.2 {
                most = next;
            }
        }
        (most.0, most.1)
    }
}
