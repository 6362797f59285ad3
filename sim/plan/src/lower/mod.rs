//! The one place where hardware meets workload meets measurement: a plan becomes a program.
//!
//! What each thing costs is the [`Platform`]'s to say; here is what the job does with it:
//!
//! - `shape`: what one rank computes for one micro-batch;
//! - `groups`: who meets in collectives;
//! - `kernels`: ops as numbered kernels and collectives;
//! - `chunks`: kernels and exchanges as routines of two streams, lone or overlapped;
//! - `load`: what the picks of a sampled batch make of a rank's tokens;
//! - `ending`: what follows the last chunk;
//! - `horizon`: whether all of it has ports and a time that can be counted.

mod beside;
mod chunks;
mod ending;
mod groups;
mod hidden;
mod horizon;
mod kernels;
mod load;
mod memo;
mod segments;
mod shape;
mod sharded;
mod writer;

use std::sync::Arc;

use calibrate::EstimateKey;
use engine::Resources;
use platform::{ExchangeKind, ExchangeSetup, ExchangeTemplate, Message, Placement, Platform, RankResources, held_sms};
use rayon::prelude::*;
use topology::{CommEngine, Network};
use units::SimSpan;
use workloads::parallel::Stage;
use workloads::recipe::GradientStream;
use workloads::step::Dispatcher;
use workloads::traffic::{ExpertLayout, PicksPool, Router, Sampler, TrafficError, TrafficSpec};

use chunks::Chunks;

use crate::layout::Layout;
use crate::program::{Messages, Program};
use crate::{Contradiction, Folding, PlanError, PointToPoint, TrainPlan};

use groups::Groups;
pub(crate) use kernels::Kernels;
pub use load::expert_layout;
pub use memo::ExchangeMemo;
pub use shape::{casting, shape};

/// What every part of the lowering reads.
pub(crate) struct Context<'a> {
    pub(crate) plan: TrainPlan<'a>,
    pub(crate) platform: Platform<'a>,
    pub(crate) layout: Layout,
    pub(crate) groups: Groups,
    pub(crate) shape: workloads::step::Shape,
    pub(crate) stages: Vec<Stage>,
    pub(crate) pool: Option<PicksPool>,
    /// Members of an expert-parallel group that are simulated: one where replicas are folded.
    pub(crate) n_members: u32,
}

impl Context<'_> {
    pub(crate) fn folded(&self) -> bool {
        self.plan.simulation.folding == Folding::Auto
    }

    /// SMs that a communication kernel holds in an overlapped pair; none where an engine copies.
    pub(crate) fn comm_sms(&self) -> u32 {
        self.software(self.plan.job.policy.comm_sms)
    }

    /// SMs that a communication kernel holds in a lone chunk.
    pub(crate) fn lone_comm_sms(&self) -> u32 {
        self.software(self.plan.job.policy.lone_comm_sms)
    }

    fn software(&self, sms: u32) -> u32 {
        let library = self.plan.job.policy.dispatcher != Dispatcher::DeepEp;
        // A library takes what it likes.
        let own = || self.plan.site.profile.value(EstimateKey::CollectiveSms).round().max(1.0) as u32;
        let sms = if library { own().min(self.plan.site.machine.device.sms - 1) } else { sms };
        match self.plan.site.machine.device.comm_engine {
            // Under a copy engine they sum what a combine brings.
            CommEngine::None | CommEngine::Copy => sms,
            CommEngine::Full => 0,
        }
    }

    /// Of `sms` of a communication kernel, those that this kind holds: nobody sums in a dispatch.
    pub(crate) fn held(&self, sms: u32, kind: ExchangeKind) -> u32 {
        held_sms(self.plan.site.machine.device.comm_engine, kind, sms)
    }
}

/// Where sampled batches come from.
pub type Sampling<'a> = &'a (dyn Fn(&TrafficSpec, &ExpertLayout) -> Result<PicksPool, TrafficError> + Sync);

/// What many plans of one machine need once.
#[derive(Clone)]
pub struct Shared<'a> {
    /// The network of the machine; none: it is built.
    pub network: Option<Arc<Network>>,
    /// Must give what [`sampled`] gives.
    pub sample: Sampling<'a>,
    /// Exchanges of other plans of the same machine and profile; none: all are made.
    pub exchanges: Option<&'a ExchangeMemo>,
}

impl Default for Shared<'_> {
    fn default() -> Self {
        Self { network: None, sample: &sampled, exchanges: None }
    }
}

/// As [`PicksPool::sample`], the batches side by side on the threads that the caller's other work has. The same on any number of them.
///
/// # Errors
/// As [`TrafficSpec::check`].
pub fn sampled(spec: &TrafficSpec, layout: &ExpertLayout) -> Result<PicksPool, TrafficError> {
    let sampler = Sampler::new(spec, layout)?;
    let batches = (0..sampler.n_batches()).into_par_iter().map(|index| sampler.batch(index));
    PicksPool::from_batches(spec.seed, layout, batches.collect())
}

/// Lowers a plan to a program.
///
/// # Errors
/// When the job cannot be placed, scheduled or sampled.
pub fn lower(plan: TrainPlan<'_>) -> Result<Program, PlanError> {
    lower_with(plan, &Shared::default())
}

/// As [`lower`], with what other plans have made already.
///
/// # Errors
/// As [`lower`].
pub fn lower_with(plan: TrainPlan<'_>, shared: &Shared<'_>) -> Result<Program, PlanError> {
    program(context(plan, shared)?, shared.exchanges)
}

/// The rest of a program, from what it is made in.
pub(crate) fn program(context: Context<'_>, memo: Option<&ExchangeMemo>) -> Result<Program, PlanError> {
    let plan = context.plan;
    let (resources, ranks) = resources(&context);
    let mut kernels = Kernels::new(&context);
    let exchanges = exchanges(&context, memo)?;
    let optimizer = ending::ending(&context, &mut kernels)?;
    let Chunks { routines, slots, hiding } = chunks::chunks(&context, &mut kernels, &optimizer)?;
    let n_micro_batches = n_micro_batches(plan)?;
    let messages = messages(&context)?;
    let (copy_binds, host) = (copy_binds(&context, &exchanges), kernels::host(&context));
    let n_columns = if context.folded() { 1 } else { context.layout.n_columns() };
    let (n_members, comm_sms) = (context.n_members, context.comm_sms());
    let program = Program {
        network: Arc::clone(context.platform.network()),
        layout: context.layout,
        n_members,
        n_columns,
        resources,
        ranks,
        ops: kernels.ops,
        kernels: kernels.kernels,
        tables: kernels.tables,
        rings: kernels.rings,
        routines,
        slots,
        exchanges,
        pool: context.pool,
        messages,
        optimizer,
        hiding,
        n_micro_batches,
        comm_sms,
        host,
        copy_binds,
    };
    horizon::check(plan, &program)?;
    Ok(program)
}

/// Whether the SMs of a communication kernel, in a pair or alone, can bind: they copy less in a second than a rank has to copy
/// while two exchanges fill its ports, a dispatch and a combine.
fn copy_binds(context: &Context<'_>, exchanges: &[[ExchangeTemplate; 2]]) -> bool {
    let sms = context.comm_sms().min(context.lone_comm_sms());
    let rate = f64::from(sms) * context.plan.site.profile.value(context.plan.job.policy.copy_rate_per_sm());
    let most = exchanges.iter().map(|kinds| kinds.iter().map(copied_per_second).sum::<f64>()).fold(0.0, f64::max);
    sms > 0 && rate < most
}

/// Bytes a second that the busiest rank copies in an exchange that has the machine to itself.
fn copied_per_second(template: &ExchangeTemplate) -> f64 {
    let mut copied = vec![0.0; template.waits.len()];
    for flow in &template.flows {
        for (rank, bytes) in [flow.from, flow.to].into_iter().zip(flow.copied) {
            copied[usize::from(rank)] += bytes * f64::from(flow.copies);
        }
    }
    copied.into_iter().fold(0.0, f64::max) / template.alone.get().max(f64::MIN_POSITIVE)
}

/// Micro-batches a pipeline runs in a step: global batch over replicas and micro-batch.
///
/// # Errors
/// When the global batch does not divide.
pub fn n_micro_batches(plan: TrainPlan<'_>) -> Result<u32, PlanError> {
    let together = u64::from(plan.job.parallel.dp) * plan.job.micro_batch;
    if together == 0 || !plan.job.global_batch.is_multiple_of(together) {
        let (global_batch, micro_batch) = (plan.job.global_batch, plan.job.micro_batch);
        return Err(Contradiction::GlobalBatch { global_batch, dp: plan.job.parallel.dp, micro_batch }.into());
    }
    Ok((plan.job.global_batch / together) as u32)
}

/// The platform, the layout and the traffic of a plan that is sound.
pub(crate) fn context<'a>(plan: TrainPlan<'a>, shared: &Shared<'_>) -> Result<Context<'a>, PlanError> {
    let layout = Layout::new(&plan.job.parallel, &plan.site.machine, plan.job.policy.devices_per_node)?;
    let platform = platform(plan, layout.placement, shared.network.clone())?;
    let shape = sound_shape(plan)?;
    let stages = workloads::parallel::stage_layers(&plan.job.model, &plan.job.parallel.stages);
    let pool = match expert_layout(plan, &layout) {
        Some(experts) => Some((shared.sample)(&plan.job.traffic, &experts)?),
        None => None,
    };
    let n_members = if plan.simulation.folding == Folding::Auto { 1 } else { layout.width };
    let groups = Groups::new(plan, &layout, &platform)?;
    Ok(Context { plan, platform, layout, groups, shape, stages, pool, n_members })
}

/// The shape of a micro-batch, of a job that can be laid out.
pub(crate) fn sound_shape(plan: TrainPlan<'_>) -> Result<workloads::step::Shape, PlanError> {
    let shape = shape(plan);
    if let Some(error) = shape.check(&plan.job.model).into_iter().next() {
        return Err(Contradiction::Shape(error).into());
    }
    if let Some(error) = plan.job.parallel.check(&plan.job.model, plan.job.policy.schedule).into_iter().next() {
        return Err(Contradiction::Layout(error).into());
    }
    Ok(shape)
}

fn platform(
    plan: TrainPlan<'_>,
    placement: Placement,
    network: Option<Arc<Network>>,
) -> Result<Platform<'_>, PlanError> {
    let (machine, profile, routing) = (&plan.site.machine, &plan.site.profile, plan.job.policy.routing);
    let platform = match network {
        Some(network) => Platform::on(network, machine, profile, placement, routing),
        None => Platform::new(machine, profile, placement, routing)?,
    };
    Ok(platform.promoting(plan.job.policy.promote).with_grids(plan.job.recipe.grids))
}

/// Resources of one column; columns are alike.
fn resources(context: &Context<'_>) -> (Resources, Vec<RankResources>) {
    let rate = context.platform.profile().value(context.plan.job.policy.copy_rate_per_sm());
    let rates = context.platform.port_rates(f64::from(context.comm_sms().max(1)) * rate);
    let mut resources = Resources::default();
    let n_ranks = context.layout.pp * context.n_members;
    let has_side = context.plan.job.recipe.weight_gradients != GradientStream::Compute;
    let ranks = (0..n_ranks).map(|_| {
        let ports = rates.add_to(&mut resources);
        if has_side { ports.in_turn(&mut resources) } else { ports }
    });
    let ranks = ranks.collect();
    (resources, ranks)
}

/// Dispatch and combine of every batch of the pool.
fn exchanges(context: &Context<'_>, memo: Option<&ExchangeMemo>) -> Result<Vec<[ExchangeTemplate; 2]>, PlanError> {
    let plan = context.plan;
    let sizes = workloads::step::exchange(&plan.job.model, &context.shape);
    let (Some(pool), Some(sizes)) = (&context.pool, sizes) else {
        return Ok(Vec::new());
    };
    let setup = ExchangeSetup {
        n_ranks: context.layout.ep,
        n_ranks_job: context.layout.pp * context.layout.per_stage,
        delivery: plan.job.policy.exchange,
        copies: plan.job.policy.exchange_copies,
        sms: context.comm_sms(),
        sizes,
    };
    let make = || punctual(context, pool, &setup);
    let mut templates = match (memo, expert_layout(plan, &context.layout)) {
        (Some(memo), Some(experts)) => {
            // `Debug` of floats is their shortest exact form, so equal texts are equal questions.
            let (job, placement) = (plan.job, context.layout.placement);
            let how = (&job.policy.routing, context.folded(), placement);
            memo.get(format!("{setup:?}{:?}{experts:?}{how:?}", job.traffic), make)?
        }
        _ => make()?,
    };
    // Both wait for the fullest rank: a combine for its results, the next dispatch because it has fallen behind.
    for (kinds, late) in templates.iter_mut().zip(load::late(context)?) {
        kinds.iter_mut().for_each(|kind| kind.late = SimSpan::from(late));
    }
    has_sms(context, &templates)?;
    Ok(templates)
}

/// Dispatch and combine of every batch, on time.
fn punctual(
    context: &Context<'_>,
    pool: &PicksPool,
    setup: &ExchangeSetup,
) -> Result<Vec<[ExchangeTemplate; 2]>, PlanError> {
    let group = context.platform.exchange_group(setup)?;
    let balanced = context.plan.job.traffic.router == Router::Balanced;
    let template = |batch, kind| {
        let whole = group.exchange(batch, kind)?;
        if context.folded() { group.folded(&whole, balanced) } else { Ok(whole) }
    };
    let of_batch = |batch| Ok([template(batch, ExchangeKind::Dispatch)?, template(batch, ExchangeKind::Combine)?]);
    pool.batches().iter().map(of_batch).collect()
}

/// What no SM copies or sums costs nothing, so there must be none to do, or SMs.
fn has_sms(context: &Context<'_>, templates: &[[ExchangeTemplate; 2]]) -> Result<(), PlanError> {
    let held = [("policy.comm-sms", context.comm_sms()), ("policy.lone-comm-sms", context.lone_comm_sms())];
    for (kind, name) in [(ExchangeKind::Dispatch, "a dispatch"), (ExchangeKind::Combine, "a combine")] {
        let mut flows = templates.iter().flat_map(|kinds| &kinds[kind as usize].flows);
        if !flows.any(|flow| flow.copied.iter().any(|copied| *copied > 0.0)) {
            continue;
        }
        if let Some((key, _)) = held.into_iter().find(|(_, sms)| context.held(*sms, kind) == 0) {
            return Err(PlanError::NoCommSms { key, kind: name });
        }
    }
    Ok(())
}

/// Activations between neighboring stages. Stages are `per_stage` ranks apart, so the i-th ranks of two pipeline ranks
/// meet over the network, or within a node where a node holds several pipeline ranks.
fn messages(context: &Context<'_>) -> Result<Messages, PlanError> {
    let bytes = workloads::step::point_to_point(&context.plan.job.model, &context.shape);
    let pairs = groups::stage_pairs(&context.layout);
    Ok(Messages {
        each: context.platform.message_among(&pairs, context.layout.width, bytes)?.unwrap_or(Message::default()),
        waited: context.plan.job.policy.point_to_point == PointToPoint::Waited,
        n_stages: context.stages.len() as u32,
    })
}
