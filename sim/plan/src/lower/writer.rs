//! Chunks as routines of two streams, a third where weight gradients run beside, and two more where weights or gradients are spread over replicas.
//!
//! A chunk is a list of units: layers, and what the first and the last stage do besides. Alone it runs them one after the
//! other: attention, dispatch, MLP, combine. An overlapped pair zips the layers of its forward with those of its backward
//! (arXiv:2412.19437 section 3.2.1; order as in the published trace):
//!
//! - compute stream: attention F, MLP B, MLP W, MLP F, attention B, attention W
//! - communication stream: combine B, dispatch F, dispatch B, combine F
//!
//! where the gradient of a combine is a dispatch and that of a dispatch a combine. Layers without a partner overlap
//! only with themselves; units that are no layers run first in their place.

use calibrate::EstimateKey;
use platform::{Delivery, ExchangeKind};
use units::{Seconds, SimSpan};
use workloads::op::Overlap;
use workloads::recipe::GradientStream;
use workloads::step;

use super::Context;
use super::kernels::{Kernels, Placed};
use super::load;
use super::segments::Segments;
use super::sharded::{self, Sharded};
use crate::PlanError;
use crate::routine::{COMPUTE, Half, Instruction, Routine};

/// Indices into the passes of a segment.
const FORWARD: usize = 0;
const INPUT: usize = 1;
const WEIGHT: usize = 2;

/// One part of a chunk.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    /// What arrives from the stage before, or backward from the one behind.
    Handed,
    Embedding,
    Dense,
    Moe(u16),
    Mtp,
    Head,
}

impl Unit {
    fn is_layer(self) -> bool {
        matches!(self, Self::Dense | Self::Moe(_))
    }
}

/// The stream beside the compute stream.
const COMMUNICATION: usize = 1;
/// Where weight gradients run, if not on the compute stream.
const SIDE: usize = 2;
/// Where weights come that are spread over replicas.
const GATHERS: usize = 3;
/// Where gradients are summed that are.
const REDUCES: usize = 4;
/// Where collectives of tensor and context parallelism run beside what computes.
const TENSOR: usize = 5;

/// What a job's chunks do besides their kernels.
pub(super) struct Means {
    /// Weights and gradients that are spread over replicas.
    pub(super) sharded: Option<Sharded>,
    exchanges: bool,
    /// What a dispatch takes longer that must count its tokens; none where its slots are fixed, or a library has its own way.
    counts: Option<Instruction>,
    /// What gathers all tokens and reduces and scatters results in place of a dispatch and a combine.
    gathers: Option<[Instruction; 2]>,
    again: bool,
    gradients: GradientStream,
    /// Whether collectives inside a layer run beside what computes.
    overlaps: bool,
}

impl Means {
    pub(super) fn new(
        context: &Context<'_>,
        kernels: &mut Kernels,
        sharded: Option<Sharded>,
    ) -> Result<Self, PlanError> {
        let job = context.plan.job;
        Ok(Self {
            sharded,
            exchanges: step::exchange(&job.model, &context.shape).is_some(),
            counts: counts(context, kernels),
            gathers: gathers(context, kernels)?,
            again: context.shape.recompute.layers(),
            gradients: job.recipe.weight_gradients,
            overlaps: context.shape.overlaps_tensor && context.shape.tp > 1
                || context.shape.ring_attention && context.shape.cp > 1,
        })
    }

    /// What a layer gathers and sums where that is spread.
    fn rings(&self, unit: Unit) -> Option<&sharded::Unit> {
        let sharded = self.sharded.as_ref()?;
        match unit {
            Unit::Dense => Some(&sharded.dense),
            Unit::Moe(_) => Some(&sharded.moe),
            Unit::Handed | Unit::Embedding | Unit::Mtp | Unit::Head => None,
        }
    }

    fn n_streams(&self) -> usize {
        match &self.sharded {
            _ if self.overlaps => TENSOR + 1,
            Some(_) => REDUCES + 1,
            None if self.gradients == GradientStream::Compute => SIDE,
            None => SIDE + 1,
        }
    }
}

/// An exchange of counts beside the barriers that every exchange has: time alone.
fn counts(context: &Context<'_>, kernels: &mut Kernels) -> Option<Instruction> {
    let value = |key| context.plan.site.profile.value(key);
    let more = value(EstimateKey::AllToAllNotify) - value(EstimateKey::AllToAllCached);
    step::exchange(&context.plan.job.model, &context.shape)?;
    let is_counted = context.plan.job.policy.exchange == Delivery::Forwarded && more > 0.0;
    is_counted.then(|| kernels.wait("token-counts", Seconds::new(more), EstimateKey::AllToAllNotify))
}

/// Gathers of all tokens and sums of results, where a stack brings tokens so. The sum waits for the fullest rank.
fn gathers(context: &Context<'_>, kernels: &mut Kernels) -> Result<Option<[Instruction; 2]>, PlanError> {
    let Some(ops) = step::token_gather(&context.plan.job.model, &context.shape) else { return Ok(None) };
    let all = context.plan.site.machine.device.sms;
    let placed = kernels.fixed(context, &ops, all)?;
    let late = load::late(context)?;
    let mean = late.iter().map(|late| late.get()).sum::<f64>() / late.len().max(1) as f64;
    if let Instruction::Ring(sum) = placed[1].instruction {
        let leg = &mut kernels.rings[sum as usize].leg;
        leg.latency += SimSpan::from(Seconds::new(mean));
    }
    Ok(Some([placed[0].instruction, placed[1].instruction]))
}

/// Writes one routine.
pub(super) struct Writer<'a> {
    means: &'a Means,
    segments: &'a Segments,
    comm_sms: [u32; 2],
    pub(super) routine: Routine,
    /// When the unit before began to compute: then the weights of the next may come.
    began: Option<u16>,
}

impl<'a> Writer<'a> {
    pub(super) fn new(means: &'a Means, segments: &'a Segments, comm_sms: [u32; 2]) -> Self {
        Self { means, segments, comm_sms, routine: Routine::new(means.n_streams()), began: None }
    }

    pub(super) fn forward(&mut self, units: &[Unit]) {
        for &unit in units {
            self.gather(unit, FORWARD);
            self.attention(unit, FORWARD);
            if let Unit::Moe(layer) = unit {
                self.exchange_here(ExchangeKind::Dispatch, Half::Forward, layer);
                self.mlp(unit, FORWARD, Half::Forward);
                self.exchange_here(ExchangeKind::Combine, Half::Forward, layer);
            } else {
                self.mlp(unit, FORWARD, Half::Forward);
            }
        }
        self.compute(Instruction::Send(Half::Forward));
    }

    pub(super) fn backward(&mut self, units: &[Unit], with_weight: bool) {
        let half = Half::Backward;
        for &unit in units {
            self.gather(unit, INPUT);
            if let Unit::Moe(layer) = unit {
                if self.means.again {
                    self.exchange_here(ExchangeKind::Dispatch, half, layer);
                }
                self.exchange_here(ExchangeKind::Dispatch, half, layer);
            }
            self.mlp(unit, INPUT, half);
            if with_weight {
                self.mlp(unit, WEIGHT, half);
            }
            if let Unit::Moe(layer) = unit {
                self.exchange_here(ExchangeKind::Combine, half, layer);
            }
            self.attention(unit, INPUT);
            if with_weight {
                self.attention(unit, WEIGHT);
                self.reduce(unit);
            }
        }
        self.compute(Instruction::Send(half));
    }

    pub(super) fn weight(&mut self, units: &[Unit]) {
        for &unit in units {
            self.mlp(unit, WEIGHT, Half::Backward);
            self.attention(unit, WEIGHT);
        }
    }

    pub(super) fn pair(&mut self, forward: &[Unit], backward: &[Unit]) {
        let (mut f, mut b) = (forward.iter().copied().peekable(), backward.iter().copied().peekable());
        let mut forward_sent = false;
        loop {
            while let Some(unit) = f.next_if(|unit| !unit.is_layer()) {
                self.attention(unit, FORWARD);
            }
            while let Some(unit) = b.next_if(|unit| !unit.is_layer()) {
                self.attention(unit, INPUT);
                self.attention(unit, WEIGHT);
            }
            if f.peek().is_none() && !forward_sent {
                self.compute(Instruction::Send(Half::Forward));
                forward_sent = true;
            }
            match (f.next(), b.next()) {
                (None, None) => break,
                (forward, backward) => self.layers(forward, backward),
            }
        }
        self.compute(Instruction::Send(Half::Backward));
    }

    /// One layer of each half, or of one.
    fn layers(&mut self, forward: Option<Unit>, backward: Option<Unit>) {
        let (f, b) = (forward.and_then(routed), backward.and_then(routed));
        let gradient_ready = b.map(|_| self.signal(COMPUTE));
        if let Some(unit) = forward {
            self.attention(unit, FORWARD);
        }
        let attended = f.map(|_| self.signal(COMPUTE));
        let gradient_here = b.map(|layer| {
            if self.means.again {
                self.exchange(ExchangeKind::Dispatch, Half::Backward, layer, gradient_ready);
            }
            self.exchange(ExchangeKind::Dispatch, Half::Backward, layer, gradient_ready)
        });
        let tokens_here = f.map(|layer| self.exchange(ExchangeKind::Dispatch, Half::Forward, layer, attended));
        let mut input_done = None;
        if let Some(unit) = backward {
            self.wait(gradient_here);
            self.mlp(unit, INPUT, Half::Backward);
            input_done = b.map(|_| self.signal(COMPUTE));
            self.mlp(unit, WEIGHT, Half::Backward);
        }
        let returned_back = b.map(|layer| self.exchange(ExchangeKind::Combine, Half::Backward, layer, input_done));
        let mut experts_done = None;
        if let Some(unit) = forward {
            self.wait(tokens_here);
            self.mlp(unit, FORWARD, Half::Forward);
            experts_done = f.map(|_| self.signal(COMPUTE));
        }
        let returned = f.map(|layer| self.exchange(ExchangeKind::Combine, Half::Forward, layer, experts_done));
        if let Some(unit) = backward {
            self.wait(returned_back);
            self.attention(unit, INPUT);
            self.attention(unit, WEIGHT);
        }
        self.wait(returned);
    }

    /// Weights of a layer that are spread come while the unit before computes.
    fn gather(&mut self, unit: Unit, pass: usize) {
        if let Some(rings) = self.means.rings(unit) {
            self.gather_unit(rings, usize::from(pass != FORWARD));
        }
    }

    /// Those of embedding and head come before anything else, and stay.
    pub(super) fn gather_ends(&mut self, stage: u32) {
        if let Some(sharded) = &self.means.sharded {
            self.gather_unit(&sharded.ends[stage as usize], FORWARD);
        }
    }

    fn gather_unit(&mut self, unit: &sharded::Unit, direction: usize) {
        if unit.gathers[direction].is_empty() {
            return;
        }
        let stream = &mut self.routine.streams[GATHERS];
        stream.extend(self.began.map(Instruction::Await));
        stream.extend(&unit.gathers[direction]);
        let here = self.signal(GATHERS);
        self.wait(Some(here));
        self.began = Some(self.signal(COMPUTE));
        self.place(&unit.copies[direction]);
    }

    /// Gradients of a layer are summed while what follows computes.
    fn reduce(&mut self, unit: Unit) {
        if let Some(rings) = self.means.rings(unit) {
            self.reduce_unit(rings);
        }
    }

    pub(super) fn reduce_ends(&mut self, stage: u32) {
        if let Some(sharded) = &self.means.sharded {
            self.reduce_unit(&sharded.ends[stage as usize]);
        }
    }

    fn reduce_unit(&mut self, unit: &sharded::Unit) {
        if unit.reduces.is_empty() {
            return;
        }
        self.place(&unit.packs);
        let ready = self.signal(COMPUTE);
        // Where weight gradients end on a stream of their own.
        let beside = (self.means.gradients == GradientStream::Side).then(|| self.signal(SIDE));
        let stream = &mut self.routine.streams[REDUCES];
        stream.extend([Some(ready), beside].into_iter().flatten().map(Instruction::Await));
        stream.extend(&unit.reduces);
    }

    /// The first segment of a unit, or all of a unit that is no layer.
    fn attention(&mut self, unit: Unit, pass: usize) {
        let fixed = match unit {
            Unit::Handed => &self.segments.handed,
            Unit::Embedding => &self.segments.embedding,
            Unit::Mtp => &self.segments.mtp,
            Unit::Head => &self.segments.head,
            Unit::Dense => &self.segments.dense[0],
            Unit::Moe(_) => &self.segments.attention,
        };
        self.place(&fixed.0[pass]);
    }

    /// The second segment of a layer.
    fn mlp(&mut self, unit: Unit, pass: usize, half: Half) {
        match unit {
            Unit::Dense => self.place(&self.segments.dense[1].0[pass]),
            Unit::Moe(layer) => self.place(&self.segments.experts.instructions(pass, half, layer)),
            Unit::Handed | Unit::Embedding | Unit::Mtp | Unit::Head => {}
        }
    }

    /// Puts a segment on the compute stream, and what of it runs beside on the side stream, which begins when the segment does.
    fn place(&mut self, segment: &[Placed]) {
        let has_side = segment.iter().any(|placed| placed.is_side);
        if has_side {
            let began = self.signal(COMPUTE);
            self.routine.streams[SIDE].push(Instruction::Await(began));
        }
        let mut beside = None;
        for Placed { is_side, overlap, instruction } in segment {
            if *overlap == Overlap::Beside {
                beside = Some(self.beside(*instruction));
                continue;
            }
            self.routine.streams[if *is_side { SIDE } else { COMPUTE }].push(*instruction);
            if *overlap == Overlap::Joins {
                self.wait(beside.take());
            }
        }
        if has_side && self.means.gradients == GradientStream::Alternating {
            let done = self.signal(SIDE);
            self.wait(Some(done));
        }
    }

    /// A collective inside a layer that begins now beside what computes; returns the point where it has ended.
    fn beside(&mut self, instruction: Instruction) -> u16 {
        let began = self.signal(COMPUTE);
        self.routine.streams[TENSOR].extend([Instruction::Await(began), instruction]);
        self.signal(TENSOR)
    }

    fn compute(&mut self, instruction: Instruction) {
        self.routine.streams[COMPUTE].push(instruction);
    }

    fn signal(&mut self, stream: usize) -> u16 {
        let event = self.routine.n_events;
        // At its most it is refused once the routine is whole.
        self.routine.n_events = event.saturating_add(1);
        self.routine.streams[stream].push(Instruction::Signal(event));
        event
    }

    fn wait(&mut self, event: Option<u16>) {
        if let Some(event) = event {
            self.compute(Instruction::Await(event));
        }
    }

    /// An exchange on the communication stream after a point of the compute stream; returns the point it signals.
    fn exchange(&mut self, kind: ExchangeKind, half: Half, layer: u16, after: Option<u16>) -> u16 {
        let stream = &mut self.routine.streams[COMMUNICATION];
        if let Some(event) = after {
            stream.push(Instruction::Await(event));
        }
        if let Some(gathers) = self.means.gathers {
            stream.push(gathers[kind as usize]);
        }
        // The gradient of a dispatch goes where its tokens went.
        if let (ExchangeKind::Dispatch, Half::Forward, Some(counts)) = (kind, half, self.means.counts) {
            stream.push(counts);
        }
        if self.means.exchanges {
            stream.push(Instruction::Exchange { kind, half, layer, sms: self.comm_sms[kind as usize] });
        }
        self.signal(COMMUNICATION)
    }

    /// An exchange that compute waits for.
    fn exchange_here(&mut self, kind: ExchangeKind, half: Half, layer: u16) {
        let ready = self.signal(COMPUTE);
        let done = self.exchange(kind, half, layer, Some(ready));
        self.wait(Some(done));
    }
}

fn routed(unit: Unit) -> Option<u16> {
    match unit {
        Unit::Moe(layer) => Some(layer),
        Unit::Handed | Unit::Embedding | Unit::Dense | Unit::Mtp | Unit::Head => None,
    }
}
