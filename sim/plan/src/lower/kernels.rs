//! Ops on SMs: the tables that instructions refer to.

use std::collections::BTreeMap;

use calibrate::{CannotRun, CollectiveCall, EstimateKey};
use platform::{Kernel, Leg, Throttle};
use units::{Bytes, Seconds, SimSpan};
use workloads::op::{Axis, Category, Collective, Op, OpKind, Overlap, Pass};
use workloads::step::{Dispatcher, Load, Passes};

use super::Context;
use super::beside::RingsBeside;
use super::groups::Communicator;
use crate::launches::Launches;
use crate::program::{HostWaits, LoadTable, OpKernel, OpName, Ring};
use crate::routine::{Half, Instruction};

/// An instruction, and whether it runs on the side stream.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Placed {
    pub(crate) is_side: bool,
    pub(crate) overlap: Overlap,
    pub(crate) instruction: Instruction,
}

/// Collects kernels while chunks are laid out.
#[derive(Debug)]
pub(crate) struct Kernels {
    sms_all: u32,
    pub(super) ops: Vec<OpName>,
    index: BTreeMap<OpName, u16>,
    pub(super) kernels: Vec<OpKernel>,
    pub(super) tables: Vec<LoadTable>,
    pub(super) rings: Vec<Ring>,
    /// What power leaves the kernels that are made now; none: each draws its power for itself.
    throttle: Option<Throttle>,
    /// What runs beside the kernels that are made now.
    pub(super) beside: Option<RingsBeside>,
}

impl Kernels {
    pub(crate) fn new(context: &Context<'_>) -> Self {
        Self {
            sms_all: context.plan.site.machine.device.sms,
            ops: Vec::new(),
            index: BTreeMap::new(),
            kernels: Vec::new(),
            tables: Vec::new(),
            rings: Vec::new(),
            throttle: None,
            beside: None,
        }
    }

    /// From here on kernels have the clock that these ops, one after another, leave them; `None`: each draws its power for itself.
    pub(crate) fn follow_each_other(
        &mut self,
        context: &Context<'_>,
        ops: Option<&[Op]>,
        sms: u32,
    ) -> Result<(), CannotRun> {
        let kernels = ops.unwrap_or_default().iter().filter(|op| !matches!(op.kind, OpKind::Collective { .. }));
        let kernels: Vec<_> = kernels.map(|op| context.platform.kernel(op, sms)).collect::<Result<_, _>>()?;
        self.throttle = ops.map(|_| context.platform.throttle(&kernels));
        Ok(())
    }

    fn name(&mut self, op: &Op, sms: u32) -> u16 {
        let name = OpName { name: op.name, pass: op.pass, overlapped: sms < self.sms_all, misaligned: op.misaligned() };
        let next = self.ops.len() as u16;
        *self.index.entry(name.clone()).or_insert_with(|| {
            self.ops.push(name);
            next
        })
    }

    /// The index of an op that holds every SM, or none.
    pub(super) fn op(&mut self, op: &Op) -> u16 {
        self.name(op, self.sms_all)
    }

    /// Something that takes its time and nothing else.
    pub(super) fn wait(&mut self, name: &'static str, time: Seconds, limit: EstimateKey) -> Instruction {
        let (what, bytes) = (Collective::AllToAll, Bytes::ZERO);
        let op = self.op(&Op::new(name, Pass::Forward, OpKind::Collective { axis: Axis::Ep, what, bytes }));
        let leg = Leg::lasting(time, limit);
        self.rings.push(Ring { op, span: 1, stride: 1, leg, layer: None, launch: SimSpan::ZERO });
        Instruction::Ring(self.rings.len() as u32 - 1)
    }

    /// Instructions of ops whose sizes are fixed.
    pub(crate) fn fixed(&mut self, context: &Context<'_>, ops: &[Op], sms: u32) -> Result<Vec<Placed>, CannotRun> {
        let placed = |op: &Op| {
            let instruction = self.instruction(context, op, sms)?;
            Ok(Placed { is_side: op.is_side, overlap: op.overlap, instruction })
        };
        ops.iter().map(placed).collect()
    }

    fn instruction(&mut self, context: &Context<'_>, op: &Op, sms: u32) -> Result<Instruction, CannotRun> {
        if let OpKind::Collective { axis, what, bytes } = op.kind {
            let name = self.name(op, sms);
            self.rings.push(ring(context, name, context.groups.inside(axis), &CollectiveCall::new(what, bytes), 1));
            return Ok(Instruction::Ring(self.rings.len() as u32 - 1));
        }
        let kernel = self.kernel(context, op, sms)?;
        self.kernels.push(kernel);
        Ok(Instruction::Kernel(self.kernels.len() as u32 - 1))
    }

    fn kernel(&mut self, context: &Context<'_>, op: &Op, sms: u32) -> Result<OpKernel, CannotRun> {
        let on = |sms| context.platform.kernel(op, sms);
        let kernel = self.beside.map_or_else(|| on(sms), |beside| beside.mixed(op.pass, sms, on))?;
        let kernel = self.throttle.map_or(kernel, |throttle| context.platform.throttled(kernel, throttle));
        let (op, category, continues, launch) =
            (self.name(op, sms), op.category(), op.continues, launch(context, op.category()));
        let kernel = Kernel { latency: kernel.latency + gap(context), ..kernel };
        Ok(OpKernel { op, category, continues, loaded: false, kernel, launch })
    }

    /// Instructions of a segment whose sizes follow the load: one list of ops for every batch and member.
    pub(crate) fn loaded(
        &mut self,
        context: &Context<'_>,
        loads: &[Load],
        passes: impl Fn(&Load) -> Passes,
        sms: u32,
    ) -> Result<Loaded, CannotRun> {
        let all: Vec<Passes> = loads.iter().map(passes).collect();
        let mut segment = Loaded::default();
        let lists: [fn(&Passes) -> &Vec<Op>; 3] = [|p| &p.forward, |p| &p.input_gradient, |p| &p.weight_gradient];
        for (list, steps) in lists.iter().zip(&mut segment.steps) {
            for i in 0..all.first().map_or(0, |passes| list(passes).len()) {
                let op = &list(&all[0])[i];
                if matches!(op.kind, OpKind::Collective { .. }) {
                    steps.push((op.is_side, Step::Fixed(self.instruction(context, op, sms)?)));
                    continue;
                }
                let first = self.kernels.len() as u32;
                for passes in &all {
                    let kernel = OpKernel { loaded: true, ..self.kernel(context, &list(passes)[i], sms)? };
                    self.kernels.push(kernel);
                }
                self.tables.push(LoadTable { first });
                steps.push((op.is_side, Step::Table(self.tables.len() as u32 - 1)));
            }
        }
        Ok(segment)
    }
}

/// What the host of every rank waits for.
pub(super) fn host(context: &Context<'_>) -> HostWaits {
    let host = context.plan.job.host;
    HostWaits {
        messages: host.waits_for_messages,
        // Sizes of a library's messages, and of the products of experts, are on the host.
        counts: host.waits_for_counts || context.plan.job.policy.dispatcher != Dispatcher::DeepEp,
        launch: launch(context, Category::Collectives),
    }
}

/// What the host needs for a kernel: nothing where graphs launch it.
pub(super) fn launch(context: &Context<'_>, category: Category) -> SimSpan {
    let key = match category {
        Category::MemoryBound => EstimateKey::HostLaunch,
        Category::Attention | Category::Products => EstimateKey::HostProduct,
        Category::Collectives => EstimateKey::HostCollective,
    };
    one_by_one(context, key)
}

/// What lies between kernels that no graph holds together.
fn gap(context: &Context<'_>) -> SimSpan {
    one_by_one(context, EstimateKey::KernelGap)
}

/// What the host needs for a ring of a unit that is spread over replicas.
pub(super) fn launch_unit(context: &Context<'_>) -> SimSpan {
    one_by_one(context, EstimateKey::HostUnit)
}

fn one_by_one(context: &Context<'_>, key: EstimateKey) -> SimSpan {
    match context.plan.job.host.launches {
        Launches::Each => SimSpan::from(Seconds::new(context.plan.site.profile.value(key))),
        Launches::Graphs => SimSpan::ZERO,
    }
}

/// A collective of a communicator, over the weights or gradients of `n_layers`; of none, it is of no layer.
pub(super) fn ring(context: &Context<'_>, op: u16, among: &Communicator, call: &CollectiveCall, n_layers: u32) -> Ring {
    let Communicator { span, stride, group } = among;
    let of_layer = CollectiveCall { bytes: call.bytes / f64::from(n_layers), ..*call };
    let leg = context.platform.collective(group, call);
    let layer = (n_layers > 0).then(|| context.platform.collective(group, &of_layer));
    Ring { op, span: *span, stride: *stride, leg, layer, launch: launch(context, Category::Collectives) }
}

/// A segment whose sizes follow the load: forward, input gradient, weight gradient.
#[derive(Clone, Debug, Default)]
pub(crate) struct Loaded {
    steps: [Vec<(bool, Step)>; 3],
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Fixed(Instruction),
    Table(u32),
}

impl Loaded {
    /// Instructions of one pass (0 forward, 1 input gradient, 2 weight gradient) of a layer.
    pub(crate) fn instructions(&self, pass: usize, half: Half, layer: u16) -> Vec<Placed> {
        let instruction = |step| match step {
            Step::Fixed(instruction) => instruction,
            Step::Table(table) => Instruction::Loaded { table, half, layer },
        };
        self.steps[pass]
            .iter()
            .map(|&(is_side, step)| Placed { is_side, overlap: Overlap::None, instruction: instruction(step) })
            .collect()
    }
}
