//! What one op of an iteration takes, with its device to itself.

use calibrate::{CollectiveCall, EstimateKey, Subject};
use platform::{Delivery, ExpertSpread, Group, Kernel, Leg, Placement, Platform, UniformExchange};
use units::Bytes;
use workloads::iteration::{ExpertRows, unit_footprint};
use workloads::op::{Axis, Op, OpKind};
use workloads::step::Dispatcher;

use super::job::AllReduces;
use super::time::{BoundBy, IterationTime, Priced, UnitLoad};
use crate::PlanError;
use crate::plan::ServePlan;

/// Prices iterations of a unit.
#[derive(Debug)]
pub struct IterationPricer<'a> {
    pub(super) plan: ServePlan<'a>,
    platform: Platform<'a>,
    tensor_group: Group,
    expert_group: Group,
    spread: ExpertSpread,
}

impl<'a> IterationPricer<'a> {
    /// For the units of a service.
    ///
    /// # Errors
    /// When the machine cannot be wired, or its devices do not reach each other.
    pub fn new(plan: ServePlan<'a>) -> Result<Self, PlanError> {
        let ServePlan { site, job, .. } = plan;
        let placement = Placement::new(&site.machine, job.devices_per_node);
        let platform = Platform::new(&site.machine, &site.profile, placement, job.routing)?
            .with_grids(job.layout.recipe.grids)
            .promoting(job.promote);
        let (tp, n_ranks) = (job.layout.tp as u32, job.layout.n_ranks() as u32);
        let groups = |size: u32| (0..n_ranks / size).map(move |group| (group * size..(group + 1) * size).collect());
        Ok(Self {
            tensor_group: platform.group(&groups(tp).collect::<Vec<_>>())?,
            expert_group: platform.group(&groups(n_ranks).collect::<Vec<_>>())?,
            spread: ExpertSpread::new(n_ranks, placement),
            platform,
            plan,
        })
    }

    /// Ops one after the other, so many times.
    pub(super) fn in_turn(&self, ops: &[Op], times: f64, time: &mut IterationTime) -> Result<(), PlanError> {
        for op in ops {
            let priced = self.price(op, self.plan.site.machine.device.sms)?;
            time.add(op.name, &priced, times);
            time.seconds += priced.seconds() * times;
        }
        Ok(())
    }

    /// One op on so many SMs.
    pub(super) fn price(&self, op: &Op, sms: u32) -> Result<Priced, PlanError> {
        if let OpKind::Collective { axis, what, bytes } = op.kind {
            let group = if axis == Axis::Tp { &self.tensor_group } else { &self.expert_group };
            let call = CollectiveCall::new(what, bytes);
            let own = self.plan.job.stack.all_reduce == AllReduces::Own && axis == Axis::Tp;
            let leg = if own {
                self.platform.collective_of_stack(group, &call)
            } else {
                self.platform.collective(group, &call)
            };
            return Ok(of_leg(&leg));
        }
        Ok(self.of_kernel(&self.platform.kernel(op, sms)?))
    }

    fn of_kernel(&self, kernel: &Kernel) -> Priced {
        let memory = kernel.memory / self.platform.memory_together();
        let latency = kernel.latency.seconds();
        let work = self.platform.alone(kernel).get() - latency;
        let is_of_memory = memory >= work || kernel.limit.is_of_memory();
        let bound = if is_of_memory { BoundBy::Memory } else { BoundBy::Tensor };
        Priced { latency, work, bound, limit: kernel.limit }
    }

    /// Attention ranks of a unit.
    pub(super) fn n_attention_ranks(&self) -> u64 {
        self.plan.job.layout.dp
    }

    /// Tokens of a request that are computed when it is decoded.
    pub(super) fn queries(&self) -> u64 {
        self.plan.job.drafts.queries()
    }

    /// What a cache of so many tokens takes from a device of this unit to one of another, each of which has a part of it: the first devices of
    /// two nodes stand for all.
    ///
    /// # Errors
    /// When they do not reach each other.
    pub fn transfer(&self, tokens: u64) -> Result<f64, PlanError> {
        let job = self.plan.job;
        let bytes = unit_footprint(&job.model, &job.layout).cache_per_token * tokens as f64;
        let machine = &self.plan.site.machine;
        let far = if machine.n_nodes > 1 { job.devices_per_node } else { 1 };
        let latency = self.platform.message([0, far], Bytes::ZERO)?.latency.seconds();
        let share = self.plan.site.profile.value(EstimateKey::PointToPointFraction);
        let rate = if machine.n_nodes > 1 { machine.nic_rate_per_device() } else { machine.device.scale_up_rate() };
        Ok(latency + (bytes / (rate * share)).get())
    }

    /// Bytes per second that kernels reach together.
    pub(super) fn memory_together(&self) -> f64 {
        self.platform.memory_together()
    }

    /// Dispatch and combine by kernels of their own; none where a library's collectives bring tokens, or none leaves its rank.
    pub(super) fn exchange(&self, load: &UnitLoad, rows: &ExpertRows) -> Result<Option<[Priced; 2]>, PlanError> {
        let job = self.plan.job;
        let Some(experts) = job.model.experts.as_ref().filter(|_| job.layout.ep > 1) else { return Ok(None) };
        if job.layout.dispatcher != Dispatcher::DeepEp {
            return Ok(None);
        }
        let decodes = load.fullest.prompts.is_empty();
        let n_ranks = job.layout.n_ranks() as f64;
        let hidden = job.model.hidden as f64;
        let tokens = load.rows as f64
            / job.layout.dp as f64
            / if job.layout.splits_tokens() { job.layout.tp as f64 } else { 1.0 };
        let received = rows.n_rows() as f64 * n_ranks / (load.rows as f64 * f64::from(experts.top_k)).max(1.0);
        let call = UniformExchange {
            delivery: if decodes { Delivery::Direct } else { Delivery::Forwarded },
            tokens,
            fullest: received.max(1.0),
            top_k: f64::from(experts.top_k),
            node_limit: f64::from(if experts.node_limit < experts.groups { experts.node_limit } else { u32::MAX }),
            sizes: [Bytes::new(hidden * job.layout.weights.activation_width()), Bytes::new(hidden * 2.0)],
            sms: if decodes { self.plan.site.machine.device.sms } else { job.overlap.comm_sms },
        };
        let legs = self.platform.uniform_exchange(&self.spread, &call)?;
        Ok(Some(legs.map(|leg| of_leg(&leg))))
    }
}

fn of_leg(leg: &Leg) -> Priced {
    let bound = match leg.limit.subject() {
        Subject::ExchangeUp | Subject::CollectiveUp => BoundBy::ScaleUp,
        Subject::ExchangeOut | Subject::CollectiveOut => BoundBy::ScaleOut,
        _ => BoundBy::CopySms,
    };
    Priced { latency: leg.latency.seconds(), work: leg.shortest, bound, limit: leg.limit }
}
