//! What a reader must know before relying on a number.

use std::collections::BTreeSet;

use calibrate::EstimateKey;
use plan::{DataParallel, Ema, Folding, PlanError, TensorCollectives};
use report::Counted;
use report::format::{bytes, count, percent, seconds};
use workloads::op::{LinearPrecision, Misaligned};
use workloads::recipe::GradientStream;
use workloads::step;
use workloads::traffic::Router;

use super::FinishedRun;
use super::shares::Shares;
use crate::ask;
use crate::fabric;

/// The notes of a run.
///
/// # Errors
/// Where the step is shorter than its arithmetic on tensor cores at their peak: no number of such a run can be relied on.
pub(super) fn notes(run: &FinishedRun<'_>, shares: &Shares, mfu: Counted) -> Result<Vec<String>, PlanError> {
    let (elsewhere, utilization) = (elsewhere(run, shares), utilization(run, mfu)?);
    let notes = [
        utilization,
        elsewhere,
        stand_ins(run, shares),
        misaligned(run, Misaligned::Slower),
        misaligned(run, Misaligned::Unsupported),
        alternation(run),
        padding(run),
        tensor_collectives(run),
        context(run),
        folding(run),
        sampling(run),
        bf16_weights(run),
        logits(run),
        moving_average(run),
        replicas(run),
    ];
    let left_out = "not modeled: failures, checkpoints and data loading";
    let fabric = fabric::notes(&run.plan.site.machine);
    Ok(notes.into_iter().flatten().chain(fabric).chain([left_out.to_owned()]).collect())
}

/// Why an MFU is above one. It is over the BF16 peak, and FP8 products have a peak of their own; the non-causal one counts what
/// the mask of attention leaves out. Nothing else can be a reason: an op takes at least its arithmetic over the peak.
fn utilization(run: &FinishedRun<'_>, mfu: Counted) -> Result<Option<String>, PlanError> {
    let device = &run.plan.site.machine.device;
    let (bf16, fp8) = (device.peak_bf16(), device.peak_fp8());
    let peak = match run.plan.job.precision {
        LinearPrecision::Fp8Block | LinearPrecision::Fp8Tensor if fp8.get() > bf16.get() => fp8,
        LinearPrecision::Fp8Block | LinearPrecision::Fp8Tensor | LinearPrecision::Bf16 | LinearPrecision::Fp16 => bf16,
    };
    let over_peak = mfu.causal * (bf16 / peak);
    if over_peak > 1.0 {
        let message =
            format!("the step does {} of the arithmetic that its tensor cores can do at {peak}", percent(over_peak));
        return Err(PlanError::Fault(message));
    }
    let mut reasons = Vec::new();
    if mfu.non_causal > 1.0 && peak.get() > bf16.get() {
        let over = percent(over_peak);
        reasons.push(format!("FP8 products reach a peak of {peak}, over which the causal one is {over}"));
    }
    if mfu.non_causal * (bf16 / peak) > 1.0 {
        reasons.push("the non-causal one counts the half of attention that the mask leaves out".to_owned());
    }
    Ok((!reasons.is_empty())
        .then(|| format!("MFU above 100 % is over the BF16 peak of {bf16}: {}", reasons.join("; "))))
}

/// Which part of the evidence is of another machine, and why this one is another.
fn elsewhere(run: &FinishedRun<'_>, shares: &Shares) -> Option<String> {
    let (share, departures) = shares.elsewhere(&run.plan.site.profile)?;
    let departures: Vec<String> = departures.iter().map(ToString::to_string).collect();
    Some(format!(
        "extrapolated: {} of the time rests on estimates that were measured at other values: {}",
        percent(share),
        departures.join(", ")
    ))
}

/// Which part of the evidence is of kernels that the software stack does not run, and in place of which.
fn stand_ins(run: &FinishedRun<'_>, shares: &Shares) -> Option<String> {
    let (share, pairs) = shares.stand_ins(&run.plan.site.profile)?;
    let pairs: Vec<String> = pairs.into_iter().collect();
    Some(format!(
        "stand-ins: {} of the time rests on kernels that were measured in place of those of the software stack: {}",
        percent(share),
        pairs.join(", ")
    ))
}

/// Products whose rows begin at no whole vector, with what that costs.
fn misaligned(run: &FinishedRun<'_>, comes: Misaligned) -> Option<String> {
    let ops = run.program.ops.iter().filter(|op| op.misaligned == Some(comes));
    let names: BTreeSet<_> = ops.map(|op| format!("`{}`", op.name)).collect();
    let names: Vec<String> = names.into_iter().collect();
    (!names.is_empty()).then(|| format!("{}: {}", ask::misaligned(comes), names.join(", ")))
}

/// What hides costs the chunks nothing, which flatters a job whose chunks need the same ports.
fn replicas(run: &FinishedRun<'_>) -> Option<String> {
    let job = run.plan.job;
    let is_spread = job.parallel.sharding.spreads_gradients();
    let hidden = job.policy.data_parallel == DataParallel::Hidden;
    match run.program.layout.per_stage > 1 {
        true if is_spread => Some("replicas gather and sum layer by layer beside chunks, on ports and SMs that those then lack; no replica waits for another there".to_owned()),
        true if hidden => Some("replicas reduce and gather beside chunks, on SMs that lone chunks then lack and overlapped pairs keep; the model takes no port bandwidth from the chunks' own messages for that".to_owned()),
        _ => None,
    }
}

/// What a stack does with experts does nothing for a model without.
fn alternation(run: &FinishedRun<'_>) -> Option<String> {
    let job = run.plan.job;
    let idle = job.recipe.weight_gradients == GradientStream::Alternating && job.model.experts.is_none();
    idle.then(|| {
        "`framework.streams.weight-gradients = \"alternating\"` is of experts, which this model has none of: all weight gradients run on the compute stream".to_owned()
    })
}

/// What hides beside products holds nothing that those need.
fn tensor_collectives(run: &FinishedRun<'_>) -> Option<String> {
    let job = run.plan.job;
    let overlapped = job.policy.tensor_collectives == TensorCollectives::Overlapped && job.parallel.tp > 1;
    overlapped.then(|| "collectives of tensor parallelism run beside products without holding SMs, as copy engines move them; products run in pieces".to_owned())
}

fn context(run: &FinishedRun<'_>) -> Option<String> {
    let cp = run.plan.job.parallel.cp;
    (cp > 1).then(|| format!("the causal triangle is even over the {cp} context-parallel ranks; a stack that does not balance it has ranks that compute up to twice as much attention"))
}

/// Experts that do not divide by their ranks.
fn padding(run: &FinishedRun<'_>) -> Option<String> {
    let routed = run.plan.job.model.experts.as_ref()?.routed;
    let ep = run.program.layout.ep;
    let room = routed.div_ceil(ep);
    (!routed.is_multiple_of(ep)).then(|| {
        let full = routed / room;
        format!("{routed} experts do not divide by {ep} ranks: {full} have {room} each, the others fewer or none; memory is of the former")
    })
}

fn folding(run: &FinishedRun<'_>) -> Option<String> {
    if run.plan.simulation.folding == Folding::None {
        return None;
    }
    let ranks = format!(
        "folded: {} of {} ranks are simulated",
        count(run.n_simulated().into()),
        count(run.plan.job.parallel.n_ranks().into())
    );
    Some(match &run.program.pool {
        Some(pool) if run.plan.job.traffic.router != Router::Balanced => format!(
            "{ranks}; each carries the load of its group's mean rank, and each combine ends as much later as the busiest rank \
             ({:.3} of the mean) computes longer",
            pool.max_over_mean().mean
        ),
        _ => format!("{ranks}; the other ranks do the same work at the same time"),
    })
}

fn sampling(run: &FinishedRun<'_>) -> Option<String> {
    let is_one = run.plan.job.traffic.router != Router::Balanced && run.plan.job.traffic.samples == 1;
    (is_one && run.program.pool.is_some()).then(|| {
        "expert picks were sampled once (`traffic.samples` = 1), so the sampling error is not known".to_owned()
    })
}

fn bf16_weights(run: &FinishedRun<'_>) -> Option<String> {
    let policy = &run.plan.job.policy;
    (!policy.keep_bf16_weights && run.plan.job.precision.is_fp8()).then(|| {
        "to fit in memory, weights of FP8 layers are kept in FP8 only (`policy.keep-bf16-weights`): assumed, not published"
            .to_owned()
    })
}

fn logits(run: &FinishedRun<'_>) -> Option<String> {
    let pieces = run.plan.job.policy.logit_pieces;
    (pieces > 1).then(|| format!("logits are computed in {pieces} pieces (`policy.logit-pieces`)"))
}

/// The copy of the moving average hides under the next step if it is shorter. A rank copies the FP32 master weights of
/// its own shard.
fn moving_average(run: &FinishedRun<'_>) -> Option<String> {
    const FP32: f64 = 4.0;
    let plan = run.plan;
    if plan.job.policy.ema == Ema::None {
        return None;
    }
    let schedule = plan.job.policy.schedule;
    let stages = workloads::parallel::stage_layers(&plan.job.model, &plan.job.parallel.stages);
    let shape = plan::shape(plan);
    let shard = |rank| {
        let held: Vec<_> =
            schedule.held(plan.job.parallel.pp, rank).iter().map(|&stage| stages[stage as usize].clone()).collect();
        let (job, copies) = (plan.job, schedule.n_weight_copies());
        let update = step::update(&job.model, &job.parallel, &shape, job.policy.optimizer, &held, copies);
        update.classes.iter().map(|class| class.updated(job.parallel.sharding)).sum::<u64>()
    };
    let size = (0..plan.job.parallel.pp).map(shard).max().unwrap_or(0) as f64 * FP32;
    let rate = plan.site.machine.node.host.pcie_rate.get() * plan.site.profile.value(EstimateKey::HostFraction);
    let time = size / rate;
    let fits = if time <= run.step() { "hides under the next step" } else { "does NOT hide under the next step" };
    Some(format!("moving average: {} per rank to the host in {}, which {fits}", bytes(size), seconds(time)))
}
