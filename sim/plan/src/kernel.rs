//! One kernel alone on a device, or one collective alone in a node: the lowering of a step, asked one question.

use calibrate::{Basis, Estimate, EstimateKey, Estimator, Profile};
use engine::{Capacity, Pool, Resources, Task, TaskGraph, run};
use topology::Device;
use units::{Bytes, Seconds};
use workloads::op::{Collective, Op};

use crate::PlanError;

/// Draws from the spreads behind an interval.
const N_DRAWS: u64 = 256;
/// Share of the draws below the lower end, and above the upper.
const TAIL: f64 = 0.05;

/// How long one thing takes with the machine to itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// Seconds of one call in a stream that never runs dry; for a collective, of the slowest rank.
    pub time: Seconds,
    /// Fifth percentile over the spreads of the estimates.
    pub low: Seconds,
    /// Ninety-fifth percentile.
    pub high: Seconds,
    /// The softest basis among the estimates that the time rests on.
    pub basis: Basis,
    /// The estimate that sets the time.
    pub limit: EstimateKey,
    /// Whose kernel it is, where the profile says.
    pub implementation: Option<String>,
}

/// Asks for one op on `sms` SMs of a device.
///
/// # Errors
/// Where the op is no kernel, `sms` is none or more than the device has, or the device cannot do the arithmetic.
pub fn kernel(device: &Device, profile: &Profile, op: &Op, sms: u32) -> Result<Answer, PlanError> {
    check_sms(device, sms)?;
    answer(profile, &|profile| alone(device, profile, op, sms))
}

/// Asks for one collective of `n_ranks` devices of a node, on at most `sms` SMs of each where given.
///
/// # Errors
/// Where `sms` is none or more than the device has, or there are fewer than two ranks.
pub fn node_collective(
    device: &Device,
    profile: &Profile,
    what: Collective,
    n_ranks: u32,
    bytes: Bytes,
    sms: Option<u32>,
) -> Result<Answer, PlanError> {
    if let Some(sms) = sms {
        check_sms(device, sms)?;
    }
    if n_ranks < 2 {
        return Err(PlanError::Contradiction(format!(
            "a collective of {n_ranks} ranks moves nothing; ask for two or more"
        )));
    }
    answer(profile, &|profile| Ok(Estimator::new(device, profile).collective(what, n_ranks, bytes, sms)))
}

/// What a question takes under one profile, and the estimate that sets it.
type Asked<'a> = &'a dyn Fn(&Profile) -> Result<(Seconds, EstimateKey), PlanError>;

fn check_sms(device: &Device, sms: u32) -> Result<(), PlanError> {
    if sms == 0 || sms > device.sms {
        return Err(PlanError::Contradiction(format!("{sms} SMs asked of a device that has {}", device.sms)));
    }
    Ok(())
}

fn answer(profile: &Profile, asked: Asked<'_>) -> Result<Answer, PlanError> {
    let (time, limit) = asked(profile)?;
    let mut times = Vec::with_capacity(N_DRAWS as usize);
    for draw in 0..N_DRAWS {
        times.push(asked(&profile.drawn(0, draw))?.0);
    }
    let (low, high) = interval(times);
    let basis = rests_on(profile, limit, time, asked)?;
    let implementation = profile.get(limit).implementation.clone();
    Ok(Answer { time, low: low.min(time), high: high.max(time), basis, limit, implementation })
}

/// Runs the kernel as a step would: SMs held, memory and tensor array drawn from.
fn alone(device: &Device, profile: &Profile, op: &Op, sms: u32) -> Result<(Seconds, EstimateKey), PlanError> {
    let demand = Estimator::new(device, profile).demand(op, sms).ok_or_else(|| {
        PlanError::Contradiction("a collective is no kernel of one device; ask for a collective".to_owned())
    })?;
    if !demand.shortest.get().is_finite() || !demand.power.get().is_finite() {
        return Err(PlanError::Contradiction("the device has no tensor cores for this arithmetic".to_owned()));
    }
    let rate = device.memory_rate() * profile.value(EstimateKey::MemoryFraction);
    let mut resources = Resources::default();
    let memory = resources.add_capacity(Capacity { rate: rate.get() });
    let tensor = resources.add_capacity(Capacity { rate: 1.0 });
    let pool = resources.add_pool(Pool { count: device.sms });
    let task = Task::new(())
        .demand(memory, demand.memory.get())
        .demand(tensor, demand.power.get())
        .weight(f64::from(sms))
        .no_faster_than(demand.shortest.get())
        .latency(demand.latency.into())
        .claim(pool, sms);
    let mut graph = TaskGraph::default();
    let id = graph.add(task, &[]);
    run(&resources, &mut graph).map_err(|fault| PlanError::Fault(format!("the kernel: {fault}")))?;
    Ok((Seconds::new(graph.end(id).seconds()), demand.alone(rate).1))
}

/// Percentiles of the draws.
fn interval(mut times: Vec<Seconds>) -> (Seconds, Seconds) {
    times.sort_by(|a, b| a.get().total_cmp(&b.get()));
    let last = times.len() - 1;
    let at = |share: f64| times[(share * last as f64).round() as usize];
    (at(TAIL), at(1.0 - TAIL))
}

/// The softest basis of the estimates that move the time when they move by a tenth.
fn rests_on(profile: &Profile, limit: EstimateKey, time: Seconds, asked: Asked<'_>) -> Result<Basis, PlanError> {
    let mut basis = profile.get(limit).basis;
    for (key, estimate) in profile.iter().filter(|(_, estimate)| estimate.spread > 0.0) {
        for factor in [0.9, 1.1] {
            let value = estimate.value * factor;
            if asked(&profile.with(key, Estimate { value, ..estimate.clone() }))?.0 != time {
                basis = basis.max(estimate.basis);
            }
        }
    }
    Ok(basis)
}
