//! What binds a step, and what the answer rests on.
//!
//! Every second of a rank's step has one owner: a kernel, by what bound it; exposed communication, which is a collective
//! on the compute stream, a transfer of an all-to-all or waiting for its last rank; the host, where it has launched nothing to run; the optimizer; the bubble. What is
//! exposed of all-to-alls is split as the totals of their transfers and waits are.

use std::collections::{BTreeMap, BTreeSet};

use calibrate::{Basis, Departure, EstimateKey, Profile};
use plan::{Policies, Program, TrainPlan};
use platform::ExchangeTemplate;
use report::Phases;
use workloads::op::Pass;

use super::FinishedRun;
use super::bounds::{Bounds, bounds};

/// A basis with a smaller share does not decide how firm a result is.
pub(super) const SHARE_MIN: f64 = 0.01;

/// Seconds of the mean rank's step by owner.
#[derive(Debug)]
pub(super) struct Shares {
    /// Time of a chunk in which its compute stream runs no kernel, seconds.
    pub(super) exposed: f64,
    step: f64,
    binding: BTreeMap<&'static str, f64>,
    /// Seconds of kernels, collectives and exposed communication by what they rest on.
    basis: BTreeMap<Basis, f64>,
    /// The same by the estimate that bound them.
    estimates: BTreeMap<EstimateKey, f64>,
}

impl Shares {
    pub(super) fn of(run: &FinishedRun<'_>, phases: &Phases) -> Self {
        let (bubble, optimizer) = (phases.of(super::BUBBLE), phases.of(super::OPTIMIZER));
        let chunks = run.step() - bubble - optimizer;
        let compute = run.mean(run.outcome.ranks.iter().map(|rank| rank.compute + rank.side).sum());
        let mut shares = Self {
            exposed: (chunks - compute).max(0.0),
            step: run.step(),
            binding: BTreeMap::from([(super::BUBBLE, bubble), (super::OPTIMIZER, optimizer)]),
            basis: BTreeMap::new(),
            estimates: BTreeMap::new(),
        };
        let collectives = shares.add_ops(run);
        let unlaunched = run.mean(run.outcome.ranks.iter().map(|rank| rank.unlaunched).sum()).min(shares.exposed);
        shares.add_host(&run.plan.site.profile, unlaunched);
        shares.add_beside(run, (shares.exposed - collectives - unlaunched).max(0.0));
        shares
    }

    /// Adds every kernel and every collective of the compute stream; what the latter take, seconds.
    fn add_ops(&mut self, run: &FinishedRun<'_>) -> f64 {
        let mut collectives = 0.0;
        for ((name, total), bounds) in run.program.ops.iter().zip(&run.outcome.ops).zip(bounds(run.program)) {
            let Bounds { tensor, memory, links } = bounds;
            let parts = [
                ("tensor_cores", tensor, run.mean(total.tensor)),
                ("memory", memory, run.mean(total.memory)),
                ("kernel_latency", EstimateKey::KernelLatency, run.mean(total.latency)),
                ("collectives", links, run.mean(total.links)),
            ];
            for (binding, key, seconds) in parts.into_iter().filter(|part| part.2 > 0.0) {
                self.rest_on(&run.plan.site.profile, key, seconds);
                if name.pass != Pass::Update {
                    *self.binding.entry(binding).or_default() += seconds;
                }
            }
            if name.pass != Pass::Update {
                collectives += run.mean(total.links);
            }
        }
        collectives
    }

    /// Adds what the compute stream waits for launches; what a collective costs the host is in it too.
    fn add_host(&mut self, profile: &Profile, unlaunched: f64) {
        if unlaunched > 0.0 {
            *self.binding.entry("host").or_default() += unlaunched;
            self.rest_on(profile, EstimateKey::HostLaunch, unlaunched);
        }
    }

    /// Adds what the compute stream waits for communication beside it: all-to-alls, and rings of other streams, each by its time.
    fn add_beside(&mut self, run: &FinishedRun<'_>, exposed: f64) {
        let waited = run.mean(run.outcome.ranks.iter().map(|rank| rank.waited).sum());
        let transferred = run.mean(run.outcome.ranks.iter().map(|rank| rank.transferred).sum());
        let rings: f64 = run.outcome.ops.iter().map(|total| run.mean(total.beside)).sum();
        let all = waited + transferred + rings;
        if rings > 0.0 {
            for (total, bounds) in run.outcome.ops.iter().zip(bounds(run.program)) {
                let seconds = exposed * run.mean(total.beside) / all;
                self.rest_on(&run.plan.site.profile, bounds.links, seconds);
            }
            *self.binding.entry("collectives").or_default() += exposed * rings / all;
        }
        let share = if all > 0.0 { (waited + transferred) / all } else { 1.0 };
        self.add_all_to_alls(run, exposed * share, [waited, transferred]);
    }

    fn add_all_to_alls(&mut self, run: &FinishedRun<'_>, exposed: f64, [waited, transferred]: [f64; 2]) {
        if exposed <= 0.0 {
            return;
        }
        let both = waited + transferred;
        let moving = if both > 0.0 { exposed * transferred / both } else { 0.0 };
        *self.binding.entry("all_to_all").or_default() += moving;
        // Rounding may leave less than nothing of it.
        *self.binding.entry("waiting_for_other_ranks").or_default() += (exposed - moving).max(0.0);
        for (key, share) in all_to_all_keys(run.program, run.plan) {
            self.rest_on(&run.plan.site.profile, key, exposed * share);
        }
    }

    /// Shares of the step; they add up to one.
    pub(super) fn binding_shares(&self) -> BTreeMap<String, f64> {
        self.binding.iter().map(|(name, seconds)| ((*name).to_owned(), seconds / self.step)).collect()
    }

    /// The owner of the largest share, of equal ones the first by name.
    pub(super) fn largest_binding(&self) -> String {
        let mut largest = ("", f64::NEG_INFINITY);
        for (name, seconds) in &self.binding {
            if *seconds > largest.1 {
                largest = (name, *seconds);
            }
        }
        largest.0.to_owned()
    }

    fn rest_on(&mut self, profile: &Profile, key: EstimateKey, seconds: f64) {
        *self.basis.entry(profile.get(key).basis).or_default() += seconds;
        *self.estimates.entry(key).or_default() += seconds;
    }

    /// Shares of the time that is kernels, collectives or exposed communication, by basis; they add up to one.
    pub(super) fn basis_shares(&self) -> BTreeMap<String, f64> {
        self.shares_of_bases().map(|(basis, share)| (basis.name().to_owned(), share)).collect()
    }

    /// The softest basis of at least a hundredth of that time.
    pub(super) fn weakest_basis(&self) -> Basis {
        let counted = self.shares_of_bases().filter(|(_, share)| *share > SHARE_MIN);
        counted.map(|(basis, _)| basis).max().unwrap_or(Basis::Measured)
    }

    /// The share of that time that rests on estimates of another machine, and in what the machine here departs from it; `None` where nothing does.
    pub(super) fn elsewhere(&self, profile: &Profile) -> Option<(f64, Vec<Departure>)> {
        let all: f64 = self.basis.values().sum();
        let is_elsewhere = |key: EstimateKey| {
            let estimate = profile.get(key);
            estimate.basis == Basis::Extrapolated && !estimate.departures.is_empty()
        };
        let there = || self.estimates.iter().filter(|(key, _)| is_elsewhere(**key));
        let seconds: f64 = there().map(|(_, seconds)| seconds).sum();
        let departures = Departure::union(there().map(|(key, _)| profile.get(*key)));
        (seconds > 0.0).then(|| (seconds / all, departures))
    }

    /// The share of that time that rests on kernels which stand in for others, and which for which; `None` where nothing does.
    pub(super) fn stand_ins(&self, profile: &Profile) -> Option<(f64, BTreeSet<String>)> {
        let all: f64 = self.basis.values().sum();
        let mut seconds = 0.0;
        let mut pairs = BTreeSet::new();
        for (key, own) in &self.estimates {
            let estimate = profile.get(*key);
            let Some(other) = &estimate.stands_for else { continue };
            seconds += own;
            let known = estimate.implementation.as_deref().unwrap_or("a profile");
            pairs.insert(format!("`{known}` for `{other}`"));
        }
        (seconds > 0.0).then(|| (seconds / all, pairs))
    }

    /// Standard deviation of the logarithm of the step that the spreads of its estimates make, the sampling error beside them:
    ///
    /// `sd^2 = sum_k (t_k / t)^2 spread_k^2 + sampling^2 + stack^2 + specimen^2`
    ///
    /// `t_k` are the seconds that rest on estimate `k`, and `t` all that rest on one. What rests on none, such as the bubble and messages between
    /// stages, waits for the work of other ranks and moves as that does, so it is in no sum: a pipeline of twice the bubble is as unsure.
    ///
    /// `stack` is what a step of known kernels was off by where whole blocks were timed (`elsewhere.stack`), and more where none were (`elsewhere.untimed-stack`).
    /// Another specimen of the machine than the one that gave the estimates makes all kernels fast or slow together (`elsewhere.specimen`).
    ///
    /// First order, in seconds that move in proportion to their estimate, or inversely: estimates depart each by themselves, as in
    /// [`Profile::drawn`]. It leaves out an estimate that binds nothing now and would after a draw, so a step whose bounds lie near each other is
    /// less sure than this, and one of many alike, of which the longest counts, is longer on average. It breaks where a kernel's time is no power of
    /// the estimate that bound it: there the power is taken for one.
    pub(super) fn deviation(&self, run: &FinishedRun<'_>) -> f64 {
        let all: f64 = self.estimates.values().sum();
        let profile = &run.plan.site.profile;
        let parts = self.estimates.iter().map(|(key, seconds)| seconds / all * profile.spread(*key));
        let untimed = if run.plan.job.is_stack_timed { 0.0 } else { profile.value(EstimateKey::UntimedSpread) };
        let [stack, specimen] = [EstimateKey::StackSpread, EstimateKey::SpecimenSpread].map(|key| profile.value(key));
        let stack = stack.hypot(untimed).hypot(specimen);
        parts.fold(self.sampling_error(run).hypot(stack), f64::hypot)
    }

    fn shares_of_bases(&self) -> impl Iterator<Item = (Basis, f64)> {
        let all: f64 = self.basis.values().sum();
        self.basis.iter().map(move |(basis, seconds)| (*basis, seconds / all))
    }

    /// Relative standard error of the step that the finite pool of sampled batches leaves: that of the pool's mean
    /// largest load, times the share of the step that grows with the load (kernels on tokens of experts, and what is
    /// exposed of the all-to-alls around them). A pool of one batch knows no error and gives zero.
    pub(super) fn sampling_error(&self, run: &FinishedRun<'_>) -> f64 {
        let Some(pool) = &run.program.pool else { return 0.0 };
        let mut follows = vec![false; run.program.ops.len()];
        for table in &run.program.tables {
            if let Some(kernel) = run.program.kernels.get(table.first as usize) {
                follows[usize::from(kernel.op)] = true;
            }
        }
        let loaded = run.outcome.ops.iter().zip(&follows).filter(|(_, follows)| **follows);
        let seconds: f64 = loaded.map(|(total, _)| run.mean(total.span)).sum();
        pool.max_over_mean().relative_error * ((seconds + self.exposed) / self.step).min(1.0)
    }
}

/// The estimates that the time of a dispatch and a combine rests on, with their shares.
fn all_to_all_keys(program: &Program, plan: TrainPlan<'_>) -> Vec<(EstimateKey, f64)> {
    let mut seconds: Vec<(EstimateKey, f64)> = Vec::new();
    for batch in &program.exchanges {
        for (kind, template) in batch.iter().enumerate() {
            seconds.push((slowest(program, &plan.job.policy, template, kind), template.alone.get()));
            seconds.push((plan.job.policy.exchange.latency(), template.latency.seconds()));
        }
    }
    let all: f64 = seconds.iter().map(|(_, seconds)| seconds).sum();
    seconds.into_iter().map(|(key, seconds)| (key, seconds / all)).collect()
}

/// The estimate behind the slowest of the three that a rank's messages pass: NIC, scale-up port, SMs.
pub(super) fn slowest(program: &Program, policy: &Policies, template: &ExchangeTemplate, kind: usize) -> EstimateKey {
    let on = &program.ranks[0];
    let [up_key, out_key] = policy.exchange.fractions().map(|keys| keys[kind]);
    let (mut up, mut out, mut copied) = (0.0, 0.0, 0.0);
    for flow in &template.flows {
        let copies = f64::from(flow.copies);
        // Over all ranks ports send what ports receive, but where switches copy or sum.
        *(if flow.up { &mut up } else { &mut out }) += copies * flow.occupied[0].max(flow.occupied[1]);
        copied += copies * (flow.copied[0] + flow.copied[1]);
    }
    let rate = |id| program.resources.rate(id);
    let (up, out) = (up / rate(on.up_send), out / rate(on.out_send));
    let copied = if program.comm_sms > 0 { copied / rate(on.copy) } else { 0.0 };
    if copied > up.max(out) {
        policy.copy_rate_per_sm()
    } else if out >= up {
        out_key
    } else {
        up_key
    }
}
