//! What a run came to, for people: sums and means of what the engine counted, no rule of the model.
//!
//! Means are over pipeline ranks, and over the ranks simulated of each. A step is six phases, the last of which, the
//! bubble, is what is left; chunks are compute plus *exposed communication*, the time in which the compute stream of a
//! running chunk has nothing to run.

mod bounds;
mod categories;
mod expenses;
mod imported;
mod notes;
mod ops;
mod service;
mod shares;
mod timeline;

use calibrate::EstimateKey;
use plan::{Label, Launches, Outcome, PlanError, Program, RankMemory, TrainPlan};
use report::{Common, Counted, JobResult, LinkRow, MemoryRow, Phase, Phases, SpanKind, StepResult, Summary};
use units::SimSpan;

use crate::interval::interval;

pub use imported::imported;
pub use ops::IN_PAIRS;
pub use service::{of_finished, service};
pub use timeline::{Recorded, timeline};

use expenses::Held;
use shares::Shares;

const SECONDS_A_DAY: f64 = 24.0 * SECONDS_AN_HOUR;
const SECONDS_AN_HOUR: f64 = 3600.0;
const TERA: f64 = 1e3 * 1e3 * 1e3 * 1e3;

/// A run and all that it was made of.
#[derive(Clone, Copy, Debug)]
pub struct FinishedRun<'a> {
    /// What was to run.
    pub plan: TrainPlan<'a>,
    /// Its identity.
    pub digest: &'a str,
    /// What ran.
    pub program: &'a Program,
    /// What its ranks held at their fullest.
    pub memory: &'a [RankMemory],
    /// What happened.
    pub outcome: &'a Outcome,
}

impl FinishedRun<'_> {
    fn step(&self) -> f64 {
        self.outcome.step.seconds()
    }

    /// Ranks simulated, all pipeline ranks together.
    fn n_simulated(&self) -> u32 {
        self.outcome.n_simulated * self.program.layout.pp
    }

    /// Between the end of a kernel of a stream and the start of the next, seconds.
    fn gap(&self) -> f64 {
        let profile = &self.plan.site.profile;
        let more = match self.plan.job.host.launches {
            Launches::Each => profile.value(EstimateKey::KernelGap),
            Launches::Graphs => 0.0,
        };
        profile.value(EstimateKey::KernelLatency) + more
    }

    /// Mean over the ranks simulated of something summed over them, seconds.
    fn mean(&self, sum: SimSpan) -> f64 {
        sum.seconds() / f64::from(self.n_simulated())
    }
}

/// The numbers of a run.
///
/// # Errors
/// When the machine cannot be wired, which a run of it has found out before, and when its tensor cores would have
/// computed more than they can.
pub fn summary(run: &FinishedRun<'_>) -> Result<Summary, PlanError> {
    let phases_by_rank = phases_by_rank(run);
    let phases = mean_phases(&phases_by_rank, run.step());
    let shares = Shares::of(run, &phases);
    let rates = Rates::of(run);
    let memory = memory_rows(run.memory);
    let held = Held::Training(rates.seconds_per_trillion);
    let (cost, energy) = expenses::expenses(&run.plan.site.machine, run.plan.cost, held)?;
    let common = Common {
        name: run.plan.name.to_owned(),
        digest: run.digest.to_owned(),
        n_ranks: run.plan.job.parallel.n_ranks(),
        n_ranks_simulated: run.n_simulated(),
        n_tasks: run.outcome.n_tasks,
        phases,
        phases_by_rank,
        memory_bytes_max: memory.iter().map(|row| row.total).reduce(f64::max),
        memory_by_rank: memory,
        basis: shares.weakest_basis().name().to_owned(),
        basis_shares: shares.basis_shares(),
        binding: shares.largest_binding(),
        binding_shares: shares.binding_shares(),
        ops: ops::rows(run),
        links: links(run),
        cost,
        energy,
        notes: notes::notes(run, &shares, rates.mfu)?,
    };
    let result = JobResult::Step(step_result(run, &shares, &rates));
    Ok(Summary { common, result, ..Summary::default() })
}

fn step_result(run: &FinishedRun<'_>, shares: &Shares, rates: &Rates) -> StepResult {
    let transferred = run.outcome.ranks.iter().map(|rank| rank.transferred).sum();
    StepResult {
        framework: run.plan.job.framework.clone(),
        sharding: run.plan.job.parallel.sharding.name().to_owned(),
        dispatcher: (run.plan.job.parallel.ep > 1).then(|| run.plan.job.policy.dispatcher.name().to_owned()),
        step_seconds: run.step(),
        interval: interval(run.step(), shares.deviation(run)),
        nearest: None,
        tokens_per_day: rates.tokens_per_day,
        tflops_per_gpu: rates.tflops_per_gpu,
        mfu: rates.mfu,
        gpu_hours_per_trillion_tokens: rates.gpu_hours,
        categories: categories::rows(run),
        exposed_communication_seconds: shares.exposed,
        all_to_all_waited_seconds: waited(run),
        all_to_all_transferred_seconds: run.mean(transferred),
        load_cv: run.program.pool.as_ref().map_or(0.0, |pool| pool.load_cv().mean),
        sampling_error: shares.sampling_error(run),
        scheduling_anomaly: run.plan.scheduling_anomaly(),
    }
}

/// Time the mean rank waits in all-to-alls for the last of its group, seconds; of a folded rank what the fullest of the group comes later.
fn waited(run: &FinishedRun<'_>) -> f64 {
    run.mean(run.outcome.ranks.iter().map(|rank| rank.waited).sum())
}

/// Where the step of each pipeline rank goes, mean over the ranks simulated of it; the six add up to the step.
fn phases_by_rank(run: &FinishedRun<'_>) -> Vec<Phases> {
    let n = f64::from(run.outcome.n_simulated);
    let of = |rank: &plan::RankTotals| {
        let labels = [Label::FORWARD, Label::OVERLAPPED, Label::BACKWARD, Label::WEIGHT_GRADIENT, Label::OPTIMIZER];
        with_bubble(labels.map(|label| rank.phases[label].seconds() / n), run.step())
    };
    run.outcome.ranks.iter().map(of).collect()
}

/// Phases of work in the order in which they are shown.
const WORK: [(&str, SpanKind); 5] = [
    ("forward", SpanKind::Forward),
    ("overlapped", SpanKind::Overlapped),
    ("backward", SpanKind::Backward),
    ("weight_gradient", SpanKind::WeightGradient),
    (OPTIMIZER, SpanKind::Optimizer),
];
const OPTIMIZER: &str = "optimizer";
const BUBBLE: &str = "bubble";

/// Seconds of [`WORK`], and what they leave of a step.
fn with_bubble(seconds: [f64; 5], step: f64) -> Phases {
    let work = WORK.into_iter().zip(seconds);
    let mut phases = Phases(work.map(|((name, kind), seconds)| Phase { name, kind: Some(kind), seconds }).collect());
    phases.0.push(Phase { name: BUBBLE, kind: None, seconds: rest(step, phases.sum()) });
    phases
}

/// What the phases leave of a step: nothing where only the rounding of their sum is left.
fn rest(step: f64, phases: f64) -> f64 {
    let rest = step - phases;
    if rest.abs() < step * 1e-12 { 0.0 } else { rest }
}

fn mean_phases(ranks: &[Phases], step: f64) -> Phases {
    let mean = |name| ranks.iter().map(|phases| phases.of(name)).sum::<f64>() / ranks.len() as f64;
    with_bubble(WORK.map(|(name, _)| mean(name)), step)
}

/// Figures of merit.
struct Rates {
    tokens_per_day: f64,
    tflops_per_gpu: Counted,
    mfu: Counted,
    gpu_hours: f64,
    seconds_per_trillion: f64,
}

impl Rates {
    /// Tokens of a step over its duration; model arithmetic as `Train::flops_per_token` counts it, without recomputation
    /// and MTP; MFU over the BF16 peak of the datasheet clock. GPU-hours count every device of the machine, those without a
    /// rank too.
    fn of(run: &FinishedRun<'_>) -> Self {
        let plan = run.plan;
        let n_ranks = f64::from(plan.job.parallel.n_ranks());
        let tokens_per_second = plan.job.sequence as f64 * plan.job.global_batch as f64 / run.step();
        let flops = |causal| plan.job.flops_per_token(causal) * tokens_per_second / n_ranks;
        let peak = plan.site.machine.device.peak_bf16().get();
        let seconds_per_trillion = TERA / tokens_per_second;
        let counted = |over: f64| Counted { causal: flops(true) / over, non_causal: flops(false) / over };
        Self {
            tokens_per_day: tokens_per_second * SECONDS_A_DAY,
            tflops_per_gpu: counted(TERA),
            mfu: counted(peak),
            gpu_hours: plan.site.machine.n_devices() as f64 / SECONDS_AN_HOUR * seconds_per_trillion,
            seconds_per_trillion,
        }
    }
}

/// Memory of every pipeline rank, items largest first.
#[must_use]
pub fn memory_rows(memory: &[RankMemory]) -> Vec<MemoryRow> {
    let row = |rank: &RankMemory| {
        let mut items: Vec<(String, f64)> =
            rank.items.iter().map(|(name, bytes)| ((*name).to_owned(), bytes.get())).collect();
        items.sort_by(|a, b| b.1.total_cmp(&a.1));
        MemoryRow { rank: rank.rank, items, total: rank.total.get(), capacity: rank.capacity.get() }
    };
    memory.iter().map(row).collect()
}

/// Ports are busy for the bytes they carry over the share of their rate that a protocol reaches, pipeline messages and
/// collectives included.
fn links(run: &FinishedRun<'_>) -> Vec<LinkRow> {
    let ports = &run.outcome.ports;
    let n = f64::from(run.n_simulated());
    let row = |kind: &str, bytes, seconds: f64, busiest: f64| LinkRow {
        kind: kind.to_owned(),
        count: run.n_simulated().into(),
        bytes,
        utilization_mean: seconds / n / run.step(),
        utilization_max: busiest / run.step(),
    };
    vec![
        row("scale_up_send", ports.up_bytes, ports.up_seconds, ports.up_seconds_max),
        row("scale_out_send", ports.out_bytes, ports.out_seconds, ports.out_seconds_max),
        row("device_memory", ports.memory_bytes, ports.memory_seconds, ports.memory_seconds_max),
    ]
}
