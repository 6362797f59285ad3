//! Whether a program can be run: its ports exist, and its time can be counted.
//!
//! The clock of a run counts [`SimTime::MAX`], 213 days. What a pipeline rank has in hand, each thing alone and one after the other, is
//! longer than it would be side by side, and shorter than where things wait for each other: at most for every other
//! pipeline rank, and for a few others at a shared port. So it is refused where that many times it does not fit.

use engine::CapacityId;
use platform::{CROWDED, ExchangeKind, Kernel, Leg, Message, RankResources};
use units::SimTime;

use crate::program::{Ending, OpKernel, Program, Ring};
use crate::routine::Instruction;
use crate::{PlanError, TrainPlan};

/// Keys that parts of a program follow from, as a message names them; `*` is any part of a key.
const ARITHMETIC_KEYS: &str = "`gpu.*`, `profile.*` or a size of `model.*`";
const MEMORY_KEYS: &str = "`gpu.memory.*`, `profile.*` or a size of `model.*`";
const KERNEL_LATENCY_KEYS: &str = "`profile.*.latency`";
const HOST_KEYS: &str = "`profile.host.*`";
const UP_KEYS: &str = "`gpu.scale-up.rate-per-link`, `profile.*` or a size of `model.*`";
const OUT_KEYS: &str = "`node.nic.rate`, `node.host.pcie-rate`, `fabric.link-rate`, `profile.*` or a size of `model.*`";
const WAY_KEYS: &str = "`gpu.scale-up.rate-per-link`, `node.nic.rate`, `node.host.pcie-rate`, `fabric.link-rate`, `profile.*` or a size of `model.*`";
const WAY_LATENCY_KEYS: &str = "`gpu.scale-up.latency`, `node.host.pcie-latency`, `fabric.switch-latency`, `fabric.endpoint-latency` or `profile.*.latency`";
const EXCHANGE_KEYS: &str = "`gpu.scale-up.*`, `gpu.memory.*`, `node.nic.rate`, `node.host.*`, `fabric.*`, `profile.all-to-all.*` or a size of `model.*`";

/// Refuses a program whose messages have no port or whose time cannot be counted.
pub(super) fn check(plan: TrainPlan<'_>, program: &Program) -> Result<(), PlanError> {
    ports(plan, program)?;
    let mut alone = Alone::new(program);
    let n_together = (f64::from(program.layout.pp) + 1.0).max(f64::from(program.n_members * program.n_columns));
    let limit = SimTime::MAX.seconds() / CROWDED / n_together;
    for rank in 0..program.slots.len() {
        let seconds = alone.rank(rank);
        if seconds.is_nan() || seconds > limit {
            let (longest, keys) = alone.longest();
            return Err(PlanError::Uncountable { rank: rank as u32, seconds, limit, longest, keys });
        }
    }
    Ok(())
}

/// Bytes over a fabric need a port there.
fn ports(plan: TrainPlan<'_>, program: &Program) -> Result<(), PlanError> {
    let device = &plan.site.machine.device;
    let endings = program.optimizer.iter().flatten().filter_map(|ending| match ending {
        Ending::Ring(ring) => Some(*ring),
        Ending::Kernel(_) | Ending::Barrier => None,
    });
    let rings = program.rings.iter().copied().chain(endings);
    let (mut up, mut out) = (program.messages.each.up > 0.0, program.messages.each.out > 0.0);
    for ring in rings {
        up |= ring.leg.up != [0.0; 2];
        out |= ring.leg.out != [0.0; 2];
    }
    for flow in program.exchanges.iter().flatten().flat_map(|template| &template.flows) {
        up |= flow.up;
        out |= !flow.up;
    }
    for (needed, rate, port, key) in [
        (up, device.scale_up_rate(), "scale-up port", "gpu.scale-up.rate-per-link"),
        (out, plan.site.machine.nic_rate_per_device(), "NIC", "node.nic.rate"),
    ] {
        if needed && rate.get() <= 0.0 {
            return Err(PlanError::NoPort { port, key });
        }
    }
    Ok(())
}

/// What things of a program take alone, in seconds.
struct Alone<'a> {
    program: &'a Program,
    routines: Vec<Option<f64>>,
    tables: Vec<Option<f64>>,
    exchanges: [f64; 2],
}

impl<'a> Alone<'a> {
    fn new(program: &'a Program) -> Self {
        let memory = program.ranks.first().map_or(1.0, |rank| program.resources.rate(rank.memory));
        let longest = |kind: ExchangeKind| {
            let of_kind = program.exchanges.iter().map(|kinds| &kinds[kind as usize]);
            of_kind.fold(0.0_f64, |longest, template| {
                let most = template.memory.iter().copied().fold(0.0, f64::max) / memory;
                larger(longest, template.delay().seconds() + larger(template.alone.get(), most))
            })
        };
        Self {
            program,
            routines: vec![None; program.routines.len()],
            tables: vec![None; program.tables.len()],
            exchanges: [ExchangeKind::Dispatch, ExchangeKind::Combine].map(longest),
        }
    }

    /// Everything that a pipeline rank does in a step.
    fn rank(&mut self, rank: usize) -> f64 {
        let program = self.program;
        let chunks: f64 = program.slots[rank].iter().map(|slot| self.routine(slot.routine as usize)).sum();
        let ending = program.optimizer[rank].iter().map(|ending| match ending {
            Ending::Kernel(kernel) => self.kernel(&program.kernels[*kernel as usize].kernel),
            Ending::Ring(ring) => self.ring(ring),
            Ending::Barrier => 0.0,
        });
        chunks + ending.sum::<f64>()
    }

    fn routine(&mut self, index: usize) -> f64 {
        if let Some(known) = self.routines[index] {
            return known;
        }
        let program = self.program;
        let seconds = program.routines[index].streams.iter().flatten().map(|what| self.instruction(*what)).sum();
        self.routines[index] = Some(seconds);
        seconds
    }

    fn instruction(&mut self, what: Instruction) -> f64 {
        match what {
            Instruction::Kernel(kernel) => self.launched(&self.program.kernels[kernel as usize]),
            Instruction::Loaded { table, .. } => self.table(table as usize),
            Instruction::Exchange { kind, .. } => self.exchanges[kind as usize] + self.program.host.launch.seconds(),
            Instruction::Ring(ring) => {
                self.program.rings[ring as usize].launch.seconds() + self.ring(&self.program.rings[ring as usize])
            }
            Instruction::Send(_) => self.message(),
            Instruction::Signal(_) | Instruction::Await(_) => 0.0,
        }
    }

    /// The longest kernel of a table.
    fn table(&mut self, index: usize) -> f64 {
        if let Some(known) = self.tables[index] {
            return known;
        }
        let program = self.program;
        let first = program.tables[index].first as usize;
        let n_batches = program.pool.as_ref().map_or(0, |pool| pool.batches().len());
        let kernels = program.kernels.iter().skip(first).take(n_batches * program.n_members as usize);
        let seconds = kernels.map(|kernel| self.launched(kernel)).fold(0.0, larger);
        self.tables[index] = Some(seconds);
        seconds
    }

    /// A kernel that the host launches only when it could begin.
    fn launched(&self, kernel: &OpKernel) -> f64 {
        kernel.launch.seconds() + self.kernel(&kernel.kernel)
    }

    fn kernel(&self, kernel: &Kernel) -> f64 {
        let memory = self.over(kernel.memory, |rank| rank.memory);
        kernel.latency.seconds() + larger(larger(kernel.shortest, kernel.tensor), memory)
    }

    fn ring(&self, ring: &Ring) -> f64 {
        // Layers apart are longer than all of them at once.
        let Leg { up, out, shortest, latency, .. } = ring.leg;
        let [up, out] = [up, out].map(|bytes| larger(bytes[0], bytes[1]));
        let ports = larger(self.over(up, |rank| rank.up_send), self.over(out, |rank| rank.out_send));
        latency.seconds() + larger(shortest, ports)
    }

    fn message(&self) -> f64 {
        let Message { up, out, shortest, latency, .. } = self.program.messages.each;
        let ports = larger(self.over(up, |rank| rank.up_send), self.over(out, |rank| rank.out_send));
        latency.seconds() + larger(shortest, ports)
    }

    /// The longest part of a single thing, seconds, and the keys that it follows from: where a sum cannot be counted, this is
    /// where a mistyped value shows.
    fn longest(&self) -> (f64, &'static str) {
        let program = self.program;
        let kernels = program.kernels.iter().flat_map(|kernel| self.parts_of_kernel(&kernel.kernel));
        let endings = program.optimizer.iter().flatten().filter_map(|ending| match ending {
            Ending::Ring(ring) => Some(ring),
            Ending::Kernel(_) | Ending::Barrier => None,
        });
        let legs = program.rings.iter().chain(endings).map(|ring| ring.leg);
        let carried = legs.flat_map(|leg| {
            let [up, out] = [leg.up, leg.out].map(|bytes| larger(bytes[0], bytes[1]));
            self.parts_of_message(up, out, leg.shortest, leg.latency.seconds())
        });
        let Message { up, out, shortest, latency, .. } = program.messages.each;
        let sent = self.parts_of_message(up, out, shortest, latency.seconds());
        let exchanged = self.exchanges.map(|seconds| (seconds, EXCHANGE_KEYS));
        let of_rings = program.rings.iter().map(|ring| ring.launch);
        let launches = program.kernels.iter().map(|kernel| kernel.launch).chain(of_rings).chain([program.host.launch]);
        let launched = launches.map(|launch| (launch.seconds(), HOST_KEYS));
        let parts = kernels.chain(launched).chain(carried).chain(sent).chain(exchanged);
        parts.fold(
            (0.0, ARITHMETIC_KEYS),
            |longest, part| {
                if longest.0.is_nan() || longest.0 >= part.0 { longest } else { part }
            },
        )
    }

    fn parts_of_kernel(&self, kernel: &Kernel) -> [(f64, &'static str); 3] {
        [
            (larger(kernel.shortest, kernel.tensor), ARITHMETIC_KEYS),
            (self.over(kernel.memory, |rank| rank.memory), MEMORY_KEYS),
            (kernel.latency.seconds(), KERNEL_LATENCY_KEYS),
        ]
    }

    fn parts_of_message(&self, up: f64, out: f64, shortest: f64, latency: f64) -> [(f64, &'static str); 4] {
        [
            (self.over(up, |rank| rank.up_send), UP_KEYS),
            (self.over(out, |rank| rank.out_send), OUT_KEYS),
            (shortest, WAY_KEYS),
            (latency, WAY_LATENCY_KEYS),
        ]
    }

    fn over(&self, amount: f64, capacity: impl Fn(&RankResources) -> CapacityId) -> f64 {
        let Some(rank) = self.program.ranks.first() else { return 0.0 };
        if amount > 0.0 { amount / self.program.resources.rate(capacity(rank)) } else { 0.0 }
    }
}

/// The larger of two numbers; none where one is none, which `f64::max` would hide.
fn larger(a: f64, b: f64) -> f64 {
    if a.is_nan() || a > b { a } else { b }
}
