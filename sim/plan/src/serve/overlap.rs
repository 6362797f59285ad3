//! Two halves of a batch, of which one computes while tokens of the other are on their way.
//!
//! Each layer of a half is four tasks: attention with the gate, dispatch, experts, combine. In prefilling, computing tasks take turns on the SMs that
//! the kernels of the exchange leave them. In decoding, where few tokens leave most SMs of the experts idle, a few SMs may be theirs
//! (`serve.moe-sms`): attention of one half then runs beside dispatch, experts and combine of the other, and both draw from
//! the memory. Layers are alike, so that four of them tell what the others take.

use engine::{Capacity, Pool, Resources, Task, TaskGraph, TaskId, run};
use platform::{ExchangeKind, held_sms};
use workloads::iteration::{ExpertRows, attention, feed_forward};
use workloads::model::LayerKind;
use workloads::op::Op;

use super::price::IterationPricer;
use super::time::{BoundBy, IterationTime, Priced, UnitLoad};
use crate::PlanError;

/// The two halves of what a unit computes.
pub(super) struct Halves([UnitLoad; 2]);

impl Halves {
    pub(super) fn of(load: &UnitLoad) -> Self {
        let mut halves = [UnitLoad::default(), UnitLoad::default()];
        let decoding = load.fullest.decoding;
        let requests = [decoding.requests.div_ceil(2), decoding.requests / 2];
        let total = load.fullest.rows().max(1);
        for (half, requests) in halves.iter_mut().zip(requests) {
            half.fullest.decoding = decoding;
            half.fullest.decoding.requests = requests;
            half.fullest.decoding.context = (decoding.context * requests).checked_div(decoding.requests).unwrap_or(0);
        }
        // Prompts go whole to the half that has fewer tokens; a lone one is cut.
        if let [part] = load.fullest.prompts.as_slice() {
            let first = part.tokens.div_ceil(2);
            let cut = |tokens, before| workloads::iteration::PromptPart { tokens, cached: part.cached + before };
            halves[0].fullest.prompts = vec![cut(first, 0)];
            halves[1].fullest.prompts.extend((part.tokens > first).then(|| cut(part.tokens - first, first)));
        } else {
            for part in &load.fullest.prompts {
                let fewer = usize::from(halves[1].fullest.rows() < halves[0].fullest.rows());
                halves[fewer].fullest.prompts.push(*part);
            }
        }
        for half in &mut halves {
            half.rows = (load.rows * half.fullest.rows()).div_ceil(total);
        }
        Self(halves)
    }
}

/// A task of one half and layer.
#[derive(Clone, Copy, Default)]
struct Lump {
    seconds: f64,
    memory: f64,
}

/// Attention with the gate, dispatch, experts with what follows the combine left out, combine with what follows it.
type Lumps = [Lump; 4];

/// Layers that are simulated: the first fills the pipe, the last empties it.
const N_SIMULATED: u32 = 4;

/// Seconds of `n` layers of experts; their parts are added to `time`.
pub(super) fn two_batches(
    pricer: &IterationPricer<'_>,
    Halves(halves): &Halves,
    n: f64,
    time: &mut IterationTime,
) -> Result<f64, PlanError> {
    let mut lumps = Vec::new();
    for half in halves.iter().filter(|half| half.fullest.rows() > 0) {
        lumps.push(lumps_of(pricer, half, n, time)?);
    }
    time.check()?;
    let beside = has_own_sms(pricer, &halves[0]);
    let rate = pricer.memory_together();
    let [few, more] = [N_SIMULATED, 2 * N_SIMULATED].map(|layers| makespan(&lumps, layers, beside, rate));
    let (few, more) = (few?, more?);
    let each = (more - few) / f64::from(N_SIMULATED);
    Ok((few + each * (n - f64::from(N_SIMULATED))).max(0.0))
}

fn has_own_sms(pricer: &IterationPricer<'_>, load: &UnitLoad) -> bool {
    pricer.plan.job.overlap.moe_sms > 0 && load.fullest.prompts.is_empty()
}

/// SMs that the kernels of the exchange hold beside attention and experts, the mean over dispatches and combines: each of the two runs
/// beside as many of both.
fn held(pricer: &IterationPricer<'_>) -> u32 {
    let (engine, sms) = (pricer.plan.site.machine.device.comm_engine, pricer.plan.job.overlap.comm_sms);
    let [dispatch, combine] = [ExchangeKind::Dispatch, ExchangeKind::Combine].map(|kind| held_sms(engine, kind, sms));
    (dispatch + combine) / 2
}

/// What one layer of a half is made of.
fn lumps_of(
    pricer: &IterationPricer<'_>,
    load: &UnitLoad,
    n: f64,
    time: &mut IterationTime,
) -> Result<Lumps, PlanError> {
    let job = pricer.plan.job;
    let all = pricer.plan.site.machine.device.sms;
    let [compute, experts_on] = if has_own_sms(pricer, load) {
        [all.saturating_sub(job.overlap.moe_sms).max(1), job.overlap.moe_sms.min(all)]
    } else if load.fullest.prompts.is_empty() {
        // Direct kernels hold no SMs while their messages are on the way.
        [all; 2]
    } else {
        [all.saturating_sub(held(pricer)).max(1); 2]
    };
    let experts = job.model.experts.as_ref();
    let rows = experts.map_or_else(ExpertRows::default, |experts| {
        ExpertRows::fullest(experts, [job.layout.ep, job.layout.redundant], load.rows, job.popularity)
    });
    let before = attention(&job.model, &job.layout, &load.fullest);
    let ffn = feed_forward(&job.model, &job.layout, LayerKind::Moe, &load.fullest, &rows);
    let mut sum = |lists: &[&[Op]], sms: u32| lump(pricer, lists, (sms, n), time);
    let mut lumps = [
        sum(&[&before, &ffn.before, &ffn.after], compute)?,
        sum(&[&ffn.dispatch], all)?,
        sum(&[&ffn.shared, &ffn.routed], experts_on)?,
        sum(&[&ffn.combine], all)?,
    ];
    if let Some([dispatch, combine]) = pricer.exchange(load, &rows)? {
        for (lump, (name, priced)) in [(1, ("dispatch", dispatch)), (3, ("combine", combine))] {
            lumps[lump].seconds += priced.seconds();
            time.add(name, &priced, n);
        }
    }
    Ok(lumps)
}

fn lump(
    pricer: &IterationPricer<'_>,
    lists: &[&[Op]],
    (sms, n): (u32, f64),
    time: &mut IterationTime,
) -> Result<Lump, PlanError> {
    let mut lump = Lump::default();
    for op in lists.iter().copied().flatten() {
        let priced: Priced = pricer.price(op, sms)?;
        time.add(op.name, &priced, n);
        lump.seconds += priced.seconds();
        if priced.bound == BoundBy::Memory {
            lump.memory += priced.work * pricer.memory_together();
        }
    }
    Ok(lump)
}

/// Seconds of so many layers of all halves.
fn makespan(halves: &[Lumps], n_layers: u32, beside: bool, memory_rate: f64) -> Result<f64, PlanError> {
    let mut resources = Resources::default();
    let memory = resources.add_capacity(Capacity { rate: memory_rate });
    let [compute, experts, wire] = [(); 3].map(|()| resources.add_pool(Pool { count: 1 }));
    let experts = if beside { experts } else { compute };
    let pools = [compute, wire, experts, wire];
    let mut graph = TaskGraph::default();
    let mut last: Vec<Option<TaskId>> = vec![None; halves.len()];
    for _ in 0..n_layers {
        for (half, lumps) in halves.iter().enumerate() {
            for (lump, pool) in lumps.iter().zip(pools) {
                let task = Task::new(()).demand(memory, lump.memory).no_faster_than(lump.seconds).claim(pool, 1);
                let after: Vec<TaskId> = last[half].into_iter().collect();
                last[half] = Some(graph.add(task, &after));
            }
        }
    }
    run(&resources, &mut graph).map_err(|fault| PlanError::Fault(format!("an iteration: {fault}")))?;
    Ok(last.into_iter().flatten().map(|id| graph.end(id).seconds()).fold(0.0, f64::max))
}
