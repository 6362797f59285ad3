//! What one iteration of a unit takes, op by op.

use std::collections::BTreeMap;

use calibrate::{CollectiveCall, EstimateKey, Subject};
use platform::{Delivery, ExpertSpread, Group, Kernel, Leg, Placement, Platform, UniformExchange};
use units::Bytes;
use workloads::iteration::{ExpertRows, FeedForwardOps, RankBatch, after_layers, attention, before_layers, feed_forward};
use workloads::model::LayerKind;
use workloads::op::{Axis, LinearPrecision, Op, OpKind, Precision};
use workloads::step::Dispatcher;

use super::overlap::{self, Halves};
use super::{AllReduces, IterationOverlap, ServePlan, host};
use crate::{Launches, PlanError};

/// What the ranks of a unit compute in an iteration: the fullest attention rank, and the tokens of all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnitLoad {
    /// The attention rank that has most to do.
    pub fullest: RankBatch,
    /// Tokens of all attention ranks.
    pub rows: u64,
}

/// What an iteration takes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct IterationTime {
    /// Seconds from the start of the first kernel, or of the host's work that nothing hides, to the last token.
    pub seconds: f64,
    /// What it is made of, in the order of the first of each; where parts overlap they are longer together.
    pub parts: Vec<IterationPart>,
    /// Seconds by what bounds them.
    pub bounds: BTreeMap<BoundBy, f64>,
    /// Seconds by the estimate that they rest on most.
    pub evidence: BTreeMap<EstimateKey, f64>,
}

/// All runs of an op in an iteration.
#[derive(Clone, Debug, PartialEq)]
pub struct IterationPart {
    /// The op.
    pub name: &'static str,
    /// Seconds of all its runs.
    pub seconds: f64,
}

/// What bounds a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum BoundBy {
    /// The tensor cores.
    Tensor,
    /// The device memory.
    Memory,
    /// What precedes the work: launches, gaps, the way of a message.
    Latency,
    /// The scale-up port.
    ScaleUp,
    /// The NIC.
    ScaleOut,
    /// The SMs that copy.
    CopySms,
    /// The host.
    Host,
}

impl BoundBy {
    /// Its name in results.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tensor => "tensor",
            Self::Memory => "memory",
            Self::Latency => "latency",
            Self::ScaleUp => "scale_up",
            Self::ScaleOut => "scale_out",
            Self::CopySms => "copy_sms",
            Self::Host => "host",
        }
    }
}

impl IterationTime {
    /// What bounds most of it.
    #[must_use]
    pub fn binding(&self) -> Option<BoundBy> {
        self.bounds.iter().max_by(|a, b| a.1.total_cmp(b.1)).map(|(bound, _)| *bound)
    }

    pub(super) fn add(&mut self, name: &'static str, priced: &Priced, times: f64) {
        let seconds = (priced.latency + priced.work) * times;
        match self.parts.iter_mut().find(|part| part.name == name) {
            Some(part) => part.seconds += seconds,
            None => self.parts.push(IterationPart { name, seconds }),
        }
        *self.bounds.entry(BoundBy::Latency).or_default() += priced.latency * times;
        *self.bounds.entry(priced.bound).or_default() += priced.work * times;
        *self.evidence.entry(priced.limit).or_default() += seconds;
    }

    fn host(&mut self, name: &'static str, seconds: f64) {
        if seconds > 0.0 {
            let priced = Priced { latency: 0.0, work: seconds, bound: BoundBy::Host, limit: EstimateKey::HostLaunch };
            self.add(name, &priced, 1.0);
            self.seconds += seconds;
        }
    }
}

/// What one op takes with its device to itself.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Priced {
    pub(super) latency: f64,
    pub(super) work: f64,
    pub(super) bound: BoundBy,
    pub(super) limit: EstimateKey,
}

impl Priced {
    pub(super) fn seconds(&self) -> f64 {
        self.latency + self.work
    }
}

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

    /// What an iteration takes.
    ///
    /// # Errors
    /// Where the device cannot run an op.
    pub fn iteration(&self, load: &UnitLoad) -> Result<IterationTime, PlanError> {
        let (job, batch) = (self.plan.job, &load.fullest);
        let mut time = IterationTime::default();
        if batch.rows() == 0 {
            return Ok(time);
        }
        let launches = if batch.prompts.is_empty() { job.stack.decode } else { job.stack.prefill };
        let mut host = 0.0;
        let model = &job.model;
        for ops in [before_layers(model, &job.layout, batch), after_layers(model, &job.layout, batch)] {
            self.in_turn(&ops, 1.0, &mut time)?;
            host += host::seconds(&self.plan.site.profile, &ops);
        }
        let rows = self.expert_rows(load);
        for kind in [LayerKind::Dense, LayerKind::Moe] {
            let n = (0..model.layers).filter(|index| model.layer_kind(*index) == kind).count() as f64;
            if n > 0.0 {
                host += self.layers((kind, n), load, &rows, &mut time)? * n;
            }
        }
        self.drafts(load, &rows, &mut time)?;
        if launches == Launches::Each {
            self.each(host, &mut time);
        }
        let requests = batch.decoding.requests + batch.prompts.len() as u64;
        time.host("host", job.stack.step.get() + job.stack.request.get() * requests as f64);
        Ok(time)
    }

    /// Kernels that are launched one by one have gaps, and wait for a host that is slower than they are.
    fn each(&self, host: f64, time: &mut IterationTime) {
        let profile = &self.plan.site.profile;
        // A launch is a kernel: as many gaps.
        let n_kernels = host / profile.value(EstimateKey::HostLaunch).max(f64::MIN_POSITIVE);
        let gaps = (n_kernels * profile.value(EstimateKey::KernelGap)).min(host);
        time.host("launches", (host - time.seconds).max(gaps.min(time.seconds)));
    }

    fn expert_rows(&self, load: &UnitLoad) -> ExpertRows {
        let job = self.plan.job;
        let Some(experts) = &job.model.experts else { return ExpertRows::default() };
        ExpertRows::fullest(experts, [job.layout.ep, job.layout.redundant], load.rows, job.popularity)
    }

    /// So many layers of a kind; the host's seconds for one.
    fn layers(
        &self,
        (kind, n): (LayerKind, f64),
        load: &UnitLoad,
        rows: &ExpertRows,
        time: &mut IterationTime,
    ) -> Result<f64, PlanError> {
        let job = self.plan.job;
        if kind == LayerKind::Moe && job.overlap.kind == IterationOverlap::TwoBatches && load.fullest.rows() > 1 {
            let halves = Halves::of(load);
            time.seconds += overlap::two_batches(self, &halves, n, time)?;
            return Ok(0.0);
        }
        let ops = attention(&job.model, &job.layout, &load.fullest);
        let ffn = feed_forward(&job.model, &job.layout, kind, &load.fullest, rows);
        self.in_turn(&ops, n, time)?;
        self.feed_forward(&ffn, n, (load, rows), time)?;
        let FeedForwardOps { before, dispatch, shared, routed, combine, after } = &ffn;
        let lists = [&ops, before, dispatch, shared, routed, combine, after];
        Ok(lists.iter().map(|ops| host::seconds(&self.plan.site.profile, ops)).sum())
    }

    /// The second half of so many layers, one thing after the other but for what the policy runs beside the dispatch.
    fn feed_forward(
        &self,
        ffn: &FeedForwardOps,
        n: f64,
        (load, rows): (&UnitLoad, &ExpertRows),
        time: &mut IterationTime,
    ) -> Result<(), PlanError> {
        self.in_turn(&ffn.before, n, time)?;
        let before = time.seconds;
        self.in_turn(&ffn.dispatch, n, time)?;
        let exchange = if ffn.routed.is_empty() { None } else { self.exchange(load, rows)? };
        if let Some([dispatch, _]) = &exchange {
            time.add("dispatch", dispatch, n);
            time.seconds += dispatch.seconds() * n;
        }
        let on_way = time.seconds - before;
        self.in_turn(&ffn.shared, n, time)?;
        if self.plan.job.overlap.kind == IterationOverlap::SharedExpert {
            time.seconds -= on_way.min(time.seconds - before - on_way);
        }
        self.in_turn(&ffn.routed, n, time)?;
        self.in_turn(&ffn.combine, n, time)?;
        if let Some([_, combine]) = &exchange {
            time.add("combine", combine, n);
            time.seconds += combine.seconds() * n;
        }
        self.in_turn(&ffn.after, n, time)
    }

    /// Guesses of the modules after the last layer, one after the other: a projection of two norms, a layer, the head.
    fn drafts(&self, load: &UnitLoad, rows: &ExpertRows, time: &mut IterationTime) -> Result<(), PlanError> {
        let job = self.plan.job;
        let n = job.drafts.acceptance.len() as f64;
        if n == 0.0 || load.fullest.decoding.requests == 0 {
            return Ok(());
        }
        let mut guess = load.clone();
        let decoding = &mut guess.fullest.decoding;
        guess.rows = (load.rows / decoding.queries).max(1);
        decoding.queries = 1;
        let kind = job.model.layer_kind(job.model.layers);
        let few = ExpertRows { rows: rows.rows.iter().map(|rows| rows.div_ceil(load.fullest.decoding.queries)).collect() };
        let mut drafts = IterationTime::default();
        let hidden = job.model.hidden;
        let precision = if job.layout.weights.is_fp8() { Precision::Fp8Block } else { Precision::Bf16 };
        let output = workloads::op::Output::Bf16;
        let projection = OpKind::Gemm { m: guess.fullest.rows(), n: hidden, k: 2 * hidden, precision, output };
        self.in_turn(&[Op::new("draft-projection", workloads::op::Pass::Forward, projection)], 1.0, &mut drafts)?;
        let ops = attention(&job.model, &job.layout, &guess.fullest);
        let ffn = feed_forward(&job.model, &job.layout, kind, &guess.fullest, &few);
        self.in_turn(&ops, 1.0, &mut drafts)?;
        self.feed_forward(&ffn, 1.0, (&guess, &few), &mut drafts)?;
        self.in_turn(&after_layers(&job.model, &job.layout, &guess.fullest), 1.0, &mut drafts)?;
        time.merge("drafts", &drafts, n);
        Ok(())
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
            let leg = if own { self.platform.collective_of_stack(group, &call) } else { self.platform.collective(group, &call) };
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
        let tokens = load.rows as f64 / job.layout.dp as f64 / if job.layout.splits_tokens() { job.layout.tp as f64 } else { 1.0 };
        let received = rows.n_rows() as f64 * n_ranks / (load.rows as f64 * f64::from(experts.top_k)).max(1.0);
        let call = UniformExchange {
            delivery: if decodes { Delivery::Direct } else { Delivery::Forwarded },
            tokens,
            fullest: received.max(1.0),
            top_k: f64::from(experts.top_k),
            node_limit: f64::from(if experts.node_limit < experts.groups { experts.node_limit } else { u32::MAX }),
            sizes: [Bytes::new(hidden * sent_width(job.layout.weights)), Bytes::new(hidden * 2.0)],
            sms: if decodes { self.plan.site.machine.device.sms } else { job.overlap.comm_sms },
        };
        let legs = self.platform.uniform_exchange(&self.spread, &call)?;
        Ok(Some(legs.map(|leg| of_leg(&leg))))
    }
}

/// Bytes of an element that is dispatched.
fn sent_width(weights: LinearPrecision) -> f64 {
    if weights.is_fp8() { 1.0 + 4.0 / 128.0 } else { 2.0 }
}

fn of_leg(leg: &Leg) -> Priced {
    let bound = match leg.limit.subject() {
        Subject::ExchangeUp | Subject::CollectiveUp => BoundBy::ScaleUp,
        Subject::ExchangeOut | Subject::CollectiveOut => BoundBy::ScaleOut,
        _ => BoundBy::CopySms,
    };
    Priced { latency: leg.latency.seconds(), work: leg.shortest, bound, limit: leg.limit }
}

impl IterationTime {
    /// Adds another's time as one part, so many times.
    fn merge(&mut self, name: &'static str, other: &Self, times: f64) {
        self.parts.push(IterationPart { name, seconds: other.seconds * times });
        self.seconds += other.seconds * times;
        for (bound, seconds) in &other.bounds {
            *self.bounds.entry(*bound).or_default() += seconds * times;
        }
        for (key, seconds) in &other.evidence {
            *self.evidence.entry(*key).or_default() += seconds * times;
        }
    }
}
