//! What a service came to.

use std::collections::BTreeMap;

use calibrate::{Basis, EstimateKey};
use plan::{
    IterationOverlap, IterationTime, Plan, PlanError, RequestRecord, Serve, ServePlan, ServedPhase, ServingBooks,
    UnitLoad, UnitMemory,
};
use report::{
    Common, IterationRow, JobResult, MemoryRow, Percentiles, Phase, Phases, ServiceResult, ServingNumbers, SpanKind,
    Summary,
};

use workloads::iteration::PromptPart;

use super::expenses::{self, Held};
use super::shares::SHARE_MIN;
use crate::interval::interval;
use crate::service::{self, FinishedService};

/// Tokens of a million.
const MILLION: f64 = 1e3 * 1e3;

/// The numbers of a service after its requests have run.
///
/// # Errors
/// A plan that is no service or cannot run.
pub fn service(plan: &Plan, digest: &str) -> Result<Summary, PlanError> {
    let finished = service::serve(plan)?;
    of_finished(&finished, digest)
}

/// The numbers of a service that has run.
///
/// # Errors
/// When the machine cannot be wired.
pub fn of_finished(finished: &FinishedService<'_>, digest: &str) -> Result<Summary, PlanError> {
    let FinishedService { plan, books, .. } = finished;
    let job = plan.job;
    let time = books.end();
    let (cost, energy) = expenses::expenses(&plan.site.machine, plan.cost, Held::Run(time))?;
    let evidence = evidence(finished);
    let (basis_shares, basis) = bases(&evidence, *plan);
    let bounds = bounds(finished);
    let binding = bounds.iter().max_by(|a, b| a.1.total_cmp(b.1)).map_or_else(String::new, |(name, _)| name.clone());
    let phases = phases(finished, time);
    let result =
        ServiceResult { framework: job.stack.name.clone(), serving: numbers(finished, &evidence, &cost, &energy) };
    let n_ranks = job.n_devices() as u32;
    let common = Common {
        name: plan.name.to_owned(),
        digest: digest.to_owned(),
        n_ranks,
        n_ranks_simulated: job.layout.dp as u32 * job.units,
        n_tasks: books.n_iterations,
        phases_by_rank: vec![phases.clone()],
        phases,
        memory_bytes_max: finished.memory.iter().map(|memory| row_of(0, memory).total).reduce(f64::max),
        memory_by_rank: (0..).zip(&finished.memory).map(|(kind, memory)| row_of(kind, memory)).collect(),
        basis,
        basis_shares,
        binding,
        binding_shares: bounds,
        cost,
        energy,
        notes: notes(finished),
        ..Common::default()
    };
    Ok(Summary { common, result: JobResult::Service(Box::new(result)), ..Summary::default() })
}

fn numbers(
    finished: &FinishedService<'_>,
    evidence: &BTreeMap<EstimateKey, f64>,
    cost: &report::Cost,
    energy: &report::Energy,
) -> ServingNumbers {
    let FinishedService { plan, books, typical, .. } = finished;
    let (job, time) = (plan.job, books.end());
    let gpus = job.n_devices();
    let [input, output] = tokens(books);
    let (priced_tokens, priced) = if job.phase == ServedPhase::Prefill { ("input", input) } else { ("output", output) };
    let rate = |amount: f64| if time > 0.0 { amount / time } else { 0.0 };
    let per = |amount: f64| if priced > 0.0 { amount / priced } else { 0.0 };
    let deviation = service::deviation(*plan, evidence.iter().map(|(key, seconds)| (*key, *seconds)));
    let run = cost.run.unwrap_or_default();
    let [rented, owned] = [run.rental_usd, run.owned_usd].map(|usd| per(usd) * MILLION);
    let (admitted_max, admitted_by) = admitted(finished);
    ServingNumbers {
        output_tokens_per_second: rate(output),
        output_tokens_per_second_per_gpu: rate(output) / gpus as f64,
        input_tokens_per_second: rate(input),
        input_tokens_per_second_per_gpu: rate(input) / gpus as f64,
        gpu_seconds_per_token: per(time * gpus as f64),
        requests_per_second: rate(books.requests.len() as f64),
        interval: interval(1.0, deviation),
        admitted_max,
        admitted_by: admitted_by.to_owned(),
        kv_tokens_max: finished.last().tokens() * job.layout.dp,
        units: job.units,
        prefill_units: job.prefill.as_ref().map_or(0, |prefill| prefill.units),
        transfer: books.transfer / (books.requests.len() as f64).max(1.0),
        gpus,
        requests: books.requests.len() as u64,
        seconds: time,
        iterations: books.n_iterations,
        priced_tokens: priced_tokens.to_owned(),
        usd_per_million_tokens: rented,
        owned_usd_per_million_tokens: owned,
        joules_per_token: per(energy.mwh.unwrap_or(0.0) * expenses::MEGAWATT_HOUR.get()),
        decode_iteration: typical.decoding.as_ref().map(row),
        prefill_iteration: typical.prompt.as_ref().map(row),
        table_cells: books.n_cells,
        ..latencies(books)
    }
}

/// Tokens of prompts, and those that requests got.
fn tokens(books: &ServingBooks) -> [f64; 2] {
    let sum = |of: fn(&RequestRecord) -> u64| books.requests.iter().map(of).sum::<u64>() as f64;
    [sum(|request| request.input), sum(|request| request.output)]
}

/// What requests waited for, and how full the units were.
fn latencies(books: &ServingBooks) -> ServingNumbers {
    let over = |area: f64, time: f64| if time > 0.0 { area / time } else { 0.0 };
    let of =
        |of: fn(&RequestRecord) -> f64| Percentiles::of(books.requests.iter().map(of).collect()).unwrap_or_default();
    let between = books.between_tokens.percentiles([0.5, 0.9, 0.99]);
    ServingNumbers {
        ttft: of(RequestRecord::ttft),
        tpot: Percentiles::of(books.requests.iter().filter_map(RequestRecord::tpot).collect()),
        itl: between.map(|([p50, p90, p99], mean)| Percentiles { p50, p90, p99, mean }),
        e2e: of(|request| request.end - request.arrival),
        decoded_mean: over(books.decoded_area, books.busy_decoding),
        decoded_max: books.decoded_max,
        kv_share_mean: over(books.cache_area, books.busy),
        kv_share_max: books.cache_share_max,
        waiting_max: books.waiting_max,
        driven_out: books.n_driven_out,
        ..ServingNumbers::default()
    }
}

/// Requests of mean length that a unit holds, and what limits them.
fn admitted(finished: &FinishedService<'_>) -> (u64, &'static str) {
    let (FinishedService { plan, books, .. }, memory) = (finished, finished.last());
    let n = books.requests.len().max(1) as f64;
    let tokens = books.requests.iter().map(|request| request.input + request.output).sum::<u64>() as f64 / n;
    let each = (tokens.ceil() as u64).div_ceil(memory.block).max(1);
    let (fit, slots) = (memory.blocks / each, plan.job.scheduler.slots);
    let by = if fit < slots { "memory" } else { "slots" };
    (fit.min(slots) * plan.job.layout.dp, by)
}

fn row((load, time): &(UnitLoad, IterationTime)) -> IterationRow {
    let batch = &load.fullest;
    let of_prompts: f64 = batch.prompts.iter().map(PromptPart::keys_seen).sum();
    let seen = of_prompts + (batch.decoding.context * batch.decoding.queries) as f64;
    let mut parts: Vec<(String, f64)> = time.parts.iter().map(|part| (part.name.to_owned(), part.seconds)).collect();
    parts.sort_by(|a, b| b.1.total_cmp(&a.1));
    IterationRow {
        tokens: batch.rows(),
        context: seen / batch.rows().max(1) as f64,
        seconds: time.seconds,
        binding: time.binding().map_or("", plan::BoundBy::name).to_owned(),
        parts,
    }
}

/// Typical iterations by the share of the time that iterations of their kind take.
fn weighted<'a>(finished: &'a FinishedService<'_>) -> impl Iterator<Item = (f64, &'a IterationTime)> {
    let books = &finished.books;
    let share = if books.busy > 0.0 { books.busy_with_prompts / books.busy } else { 0.0 };
    let typical = [(1.0 - share, &finished.typical.decoding), (share, &finished.typical.prompt)];
    typical.into_iter().filter_map(|(share, typical)| typical.as_ref().map(|(_, time)| (share / time.seconds, time)))
}

/// Share of the busy time by the estimate that it rests on most.
fn evidence(finished: &FinishedService<'_>) -> BTreeMap<EstimateKey, f64> {
    let mut evidence = BTreeMap::new();
    for (weight, time) in weighted(finished) {
        for (key, seconds) in &time.evidence {
            *evidence.entry(*key).or_default() += seconds * weight;
        }
    }
    evidence
}

fn bounds(finished: &FinishedService<'_>) -> BTreeMap<String, f64> {
    let mut bounds: BTreeMap<String, f64> = BTreeMap::new();
    let all: f64 = weighted(finished).map(|(weight, time)| weight * time.bounds.values().sum::<f64>()).sum();
    for (weight, time) in weighted(finished) {
        for (bound, seconds) in &time.bounds {
            *bounds.entry(bound.name().to_owned()).or_default() += seconds * weight / all;
        }
    }
    bounds
}

/// Shares of the bases, and the weakest.
fn bases(evidence: &BTreeMap<EstimateKey, f64>, plan: ServePlan<'_>) -> (BTreeMap<String, f64>, String) {
    let all: f64 = evidence.values().sum();
    let mut shares: BTreeMap<String, f64> = BTreeMap::new();
    let mut weakest = Basis::Measured;
    for (key, seconds) in evidence {
        let basis = plan.site.profile.get(*key).basis;
        if seconds / all > SHARE_MIN {
            weakest = weakest.max(basis);
        }
        *shares.entry(basis.name().to_owned()).or_default() += seconds / all;
    }
    (shares, weakest.name().to_owned())
}

/// How a unit spends the time, the mean over units.
fn phases(finished: &FinishedService<'_>, time: f64) -> Phases {
    let books = &finished.books;
    let job = finished.plan.job;
    let units = f64::from(job.units + job.prefill.as_ref().map_or(0, |prefill| prefill.units));
    let [prompts, busy] = [books.busy_with_prompts, books.busy].map(|seconds| seconds / units);
    Phases(vec![
        Phase { name: "prompts", kind: Some(SpanKind::Forward), seconds: prompts },
        Phase { name: "decoding", kind: Some(SpanKind::Memory), seconds: busy - prompts },
        Phase { name: "idle", kind: None, seconds: super::rest(time, busy) },
    ])
}

/// What a device of a kind of units holds; the kind stands in place of a pipeline rank.
fn row_of(kind: u32, memory: &UnitMemory) -> MemoryRow {
    let items: Vec<(String, f64)> =
        memory.items.iter().map(|(name, bytes)| ((*name).to_owned(), bytes.get())).collect();
    let total = items.iter().map(|(_, bytes)| bytes).sum();
    MemoryRow { rank: kind, items, total, capacity: memory.capacity.get() }
}

/// What a reader must know.
fn notes(finished: &FinishedService<'_>) -> Vec<String> {
    let (job, books) = (finished.plan.job, &finished.books);
    let mut notes = Vec::new();
    if job.layout.ep > 1 {
        notes.push("experts: the rank with most rows is expected from how tokens pick, not sampled; the network between ports slows no exchange".to_owned());
    }
    if job.layout.dp > 1 {
        notes.push("attention ranks: the longest queue and the fullest cache are taken to be on one rank".to_owned());
    }
    notes.extend(overlaps(job));
    notes.extend(awaited(finished));
    if job.phase == ServedPhase::Decode {
        notes.push(
            "decoding alone: a request arrives with its prompt in the cache; what brings it there takes no time"
                .to_owned(),
        );
    }
    if job.prefill.is_some() {
        notes.push("prefill and decode apart: a cache goes from one unit to another whole, after the first token, with its ports to itself".to_owned());
    }
    if books.n_driven_out > 0 && (job.prefill.is_some() || job.phase == ServedPhase::Decode) {
        notes.push(format!(
            "{} requests were driven out of units that compute no prompts: what brings their cache back takes no time",
            books.n_driven_out
        ));
    }
    if !job.stack.is_timed {
        notes.push(format!(
            "`{}` was not timed here: what its host adds to its kernels is not measured",
            job.stack.name
        ));
    }
    notes
}

/// Idle share of units from which on requests are what they wait for.
const IDLE_MIN: f64 = 0.1;

/// What a reader must know of units that wait for requests from outside.
fn awaited(finished: &FinishedService<'_>) -> Option<String> {
    let (job, books) = (finished.plan.job, &finished.books);
    let is_open = job.requests.as_ref().is_some_and(|list| list.concurrency.is_none());
    let idle = phases(finished, books.end()).0.last().map_or(0.0, |phase| phase.seconds / books.end());
    (is_open && idle > IDLE_MIN).then(|| {
        format!(
            "requests come from outside, and units are idle {} of the time: tokens per second are what arrives, latencies tell one machine from another",
            report::format::percent(idle)
        )
    })
}

/// What a reader must know of overlap.
fn overlaps(job: &Serve) -> Option<String> {
    let of_prompts = job.prefill.as_ref().map_or(job.overlap.kind, |prefill| prefill.overlap);
    if [job.overlap.kind, of_prompts].contains(&IterationOverlap::TwoBatches) {
        return Some(
            "two batches: parts of an iteration overlap, so that their shares add up to more than 100 %".to_owned(),
        );
    }
    let moe_sms = job.overlap.moe_sms;
    (moe_sms > 0)
        .then(|| format!("`serve.moe-sms` is {moe_sms}, and without `serve.overlap = \"two-batches\"` it does nothing"))
}
