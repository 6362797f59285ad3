//! One kernel alone on a device, or one collective alone in a node: the lowering of a step, asked one question.

use calibrate::{
    Algorithm, Basis, CollectiveCall, Departure, END_DEVIATIONS, Estimate, EstimateKey, Estimator, Profile, Spread,
    interval,
};
use engine::{Resources, TaskGraph, run};
use platform::{CROWDED, Kernel, PortRates};
use topology::Device;
use units::{Seconds, SimTime};
use workloads::op::Op;
use workloads::recipe::Grids;

use crate::companion::CompanionOn;
use crate::{Contradiction, PlanError};

/// Draws from the spreads behind an interval.
const N_DRAWS: u64 = 256;

/// How long one thing takes with the machine to itself.
#[derive(Clone, Debug, PartialEq)]
pub struct TimeAlone {
    /// Seconds of one call in a stream that never runs dry; for a collective, of the slowest rank.
    pub time: Seconds,
    /// Fifth percentile over the spreads of the estimates ([`calibrate::interval`]).
    pub low: Seconds,
    /// Ninety-fifth percentile.
    pub high: Seconds,
    /// The softest basis among the estimates that the time rests on.
    pub basis: Basis,
    /// The estimate that sets the time.
    pub limit: EstimateKey,
    /// Whose kernel it is, where the profile says.
    pub implementation: Option<String>,
    /// In what the machine departs from the one that those estimates were measured on.
    pub departures: Vec<Departure>,
}

/// A kernel that is asked for.
#[derive(Clone, Copy, Debug)]
pub struct KernelCall<'a> {
    /// What it computes.
    pub op: &'a Op,
    /// On how many SMs.
    pub sms: u32,
    /// What its grid is sized for, where others hold SMs.
    pub grids: Grids,
    /// At which clock, and beside what.
    pub when: When,
}

/// Asks for one kernel alone on a device.
///
/// # Errors
/// Where the op is no kernel, `sms` is none or more than the device has, or the device cannot do the arithmetic.
pub fn kernel(device: &Device, profile: &Profile, call: KernelCall<'_>) -> Result<TimeAlone, PlanError> {
    let sms = match call.when.beside {
        Some(beside) => call.sms.min(beside.left(device)?),
        None => call.sms,
    };
    check_sms(device, sms)?;
    answer(profile, &|profile| alone(device, profile, KernelCall { sms, ..call }))
}

/// When a kernel runs that is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct When {
    /// Before or after the device's mean power reaches its limit.
    pub clock: Clock,
    /// What goes on all the while.
    pub beside: Option<CompanionOn>,
}

/// The clock of a kernel that is asked for alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Clock {
    /// That of a device that has rested, before its mean power comes to the limit.
    Burst,
    /// That which the power limit leaves where the kernel runs again and again.
    #[default]
    Sustained,
}

/// A collective alone, and the algorithm that it runs by.
#[derive(Clone, Debug, PartialEq)]
pub struct CollectiveAlone {
    /// How long it takes.
    pub answer: TimeAlone,
    /// By what.
    pub algorithm: Algorithm,
}

/// Asks for one collective of a communicator with the machine to itself, by `algorithm` or else by the quickest that the library has.
///
/// # Errors
/// Where SMs are none or more than the device has, there are fewer than two ranks, or the algorithm is not of this collective or needs
/// what the machine lacks.
pub fn collective_alone(
    device: &Device,
    profile: &Profile,
    call: &CollectiveCall,
    spread: &Spread,
    algorithm: Option<Algorithm>,
) -> Result<CollectiveAlone, PlanError> {
    if let Some(sms) = call.sms {
        check_sms(device, sms)?;
    }
    if spread.n_ranks < 2 {
        return Err(Contradiction::LoneRank { n_ranks: spread.n_ranks }.into());
    }
    let priced = |profile: &Profile| {
        let estimator = Estimator::new(device, profile);
        match algorithm {
            Some(algorithm) => estimator.collective_by(algorithm, call, spread),
            None => Some(estimator.collective(call, spread)),
        }
    };
    let lacks = || Contradiction::Algorithm { algorithm: algorithm.map_or("auto", Algorithm::name) };
    let chosen = priced(profile).ok_or_else(lacks)?.algorithm;
    let asked =
        |profile: &Profile| priced(profile).map(|demand| (demand.alone(), demand.limit)).ok_or_else(|| lacks().into());
    Ok(CollectiveAlone { answer: answer(profile, &asked)?, algorithm: chosen })
}

/// What a question takes under one profile, and the estimate that sets it.
type Asked<'a> = &'a dyn Fn(&Profile) -> Result<(Seconds, EstimateKey), PlanError>;

fn check_sms(device: &Device, sms: u32) -> Result<(), PlanError> {
    if sms == 0 || sms > device.sms {
        return Err(Contradiction::Sms { asked: sms, there: device.sms }.into());
    }
    Ok(())
}

fn answer(profile: &Profile, asked: Asked<'_>) -> Result<TimeAlone, PlanError> {
    let (time, limit) = asked(profile)?;
    let mut times = Vec::with_capacity(N_DRAWS as usize);
    for draw in 0..N_DRAWS {
        times.push(asked(&profile.drawn(0, draw))?.0.get());
    }
    let ends = interval(&times, time.get()).unwrap_or([time.get(); 2]);
    let [low, high] = on_another(profile, time.get(), ends).map(Seconds::new);
    let estimates = rests_on(profile, limit, time, asked)?;
    let basis = estimates.iter().map(|estimate| estimate.basis).max().unwrap_or(Basis::Measured);
    let implementation = profile.get(limit).implementation.clone();
    Ok(TimeAlone { time, low, high, basis, limit, implementation, departures: Departure::union(estimates) })
}

/// The ends of an interval on another specimen of the machine, whose deviation is independent of the others:
/// `ln(end / time)^2` is the sum of the squares.
fn on_another(profile: &Profile, time: f64, ends: [f64; 2]) -> [f64; 2] {
    let specimen = END_DEVIATIONS * profile.value(EstimateKey::SpecimenSpread);
    let [low, high] = ends.map(|end| if time > 0.0 { (end / time).ln() } else { 0.0 });
    [-low.hypot(specimen), high.hypot(specimen)].map(|deviation| time * deviation.exp())
}

/// Runs the kernel as a step would: SMs held, memory and tensor array drawn from.
fn alone(device: &Device, profile: &Profile, call: KernelCall<'_>) -> Result<(Seconds, EstimateKey), PlanError> {
    let KernelCall { op, sms, grids, when } = call;
    let demand = Estimator::new(device, profile).with_grids(grids).demand(op, sms)?;
    let rate = device.memory_rate() * profile.value(EstimateKey::MemoryFraction);
    let (demand, left) = match when.beside {
        Some(beside) => beside.lengthen(demand, sms, device, profile),
        None => (demand, rate),
    };
    let demand = match when.clock {
        Clock::Burst => demand.burst(),
        Clock::Sustained => demand,
    };
    let (seconds, limit) = demand.alone(left);
    countable(seconds.get())?;
    let rates = PortRates { memory: left.get(), copy: 0.0, up: 0.0, out: 0.0, sms: device.sms };
    let mut resources = Resources::default();
    let on = rates.add_to(&mut resources);
    let task = Kernel::from_demand(&demand, sms).task((), &on);
    let mut graph = TaskGraph::default();
    let id = graph.add(task, &[]);
    run(&resources, &mut graph).map_err(|fault| PlanError::Fault(format!("the kernel: {fault}")))?;
    Ok((Seconds::new(graph.end(id).seconds()), limit))
}

/// The clock of a run counts picoseconds, and so many of them.
fn countable(seconds: f64) -> Result<(), PlanError> {
    let limit = SimTime::MAX.seconds() / CROWDED;
    if seconds.is_nan() || seconds > limit {
        return Err(Contradiction::LongKernel { seconds, limit }.into());
    }
    Ok(())
}

/// The estimates that move the time when they move by a tenth, and the one that sets it.
fn rests_on<'a>(
    profile: &'a Profile,
    limit: EstimateKey,
    time: Seconds,
    asked: Asked<'_>,
) -> Result<Vec<&'a Estimate>, PlanError> {
    let mut estimates = vec![profile.get(limit)];
    for (key, estimate) in profile.iter().filter(|(_, estimate)| estimate.spread > 0.0) {
        for factor in [0.9, 1.1] {
            let value = estimate.value * factor;
            if asked(&profile.with(key, Estimate { value, ..estimate.clone() }))?.0 != time {
                estimates.push(estimate);
            }
        }
    }
    Ok(estimates)
}
