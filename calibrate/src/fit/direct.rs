//! Estimates that are read off a few samples, without a search.

use std::collections::BTreeMap;

use topology::Device;

use super::errors::Miss;
use super::fitted::{Fitted, SPREAD_MIN, implementation};
use super::{Rig, held_out, predict};
use crate::{Basis, Estimate, EstimateKey, Profile, Question, Sample};

/// Products between promotions of two kernels whose tile is the same.
const OFTEN: u32 = 64;
const SELDOM: u32 = 512;
/// Below this share of a port's rate the port does not bind.
const CLEAR: f64 = 0.5;

/// What kernels bound by memory reach together: the highest rate at which large reads or writes were seen.
pub(super) fn memory_together(samples: &[Sample], device: &Device) -> Option<Fitted> {
    let rate = |sample: &Sample| match sample.question {
        Question::Read { bytes, .. } | Question::Write { bytes, .. } => Some(bytes as f64 / sample.reading.seconds),
        _ => None,
    };
    let (highest, sample) = samples
        .iter()
        .filter(|sample| !held_out(sample))
        .filter_map(|sample| Some((rate(sample)?, sample)))
        .max_by(|a, b| a.0.total_cmp(&b.0))?;
    let value = (highest / device.memory_rate().get()).min(1.0);
    let estimate = Estimate {
        value,
        spread: SPREAD_MIN,
        basis: Basis::Measured,
        implementation: None,
        source: format!("the highest rate of large reads and writes on {}", sample.machine),
        stands_for: None,
        departures: Vec::new(),
    };
    Some(Fitted {
        name: "memory",
        implementation: implementation(sample),
        estimates: [(EstimateKey::MemoryFraction, estimate)].into(),
        misses: Vec::new(),
    })
}

/// How much of the FP32 work of promotion shows: the same product promoted often and seldom, the difference of their times over
/// that of the work. The median over shapes.
pub(super) fn promotion(samples: &[Sample], device: &Device) -> Option<Fitted> {
    let seconds = |at: [u64; 3], of: u32, every: u32| {
        samples.iter().find_map(|sample| match sample.question {
            Question::PromotedGemm { m, n, k, promote: Some(promote), sms } => {
                ([m, n, k] == at && sms == of && promote == every).then_some(sample.reading.seconds)
            }
            _ => None,
        })
    };
    let work = device.tensor.fp8.flops_per_sm_clock / device.vector_flops_per_sm_clock;
    let exposed: Vec<f64> = samples
        .iter()
        .filter_map(|sample| match sample.question {
            Question::PromotedGemm { m, n, k, promote: Some(SELDOM), sms } if sms == device.sms => {
                let tensor = 2.0 * (m * n * k) as f64 / device.peak_fp8().get();
                let more = seconds([m, n, k], sms, OFTEN)? - sample.reading.seconds;
                Some(more / (tensor * work * (1.0 / f64::from(OFTEN) - 1.0 / f64::from(SELDOM))))
            }
            _ => None,
        })
        .collect();
    let [least, value, most] = units::quantiles(&exposed, [0.0, 0.5, 1.0])?;
    let sample = samples.iter().find(|sample| matches!(sample.question, Question::PromotedGemm { .. }))?;
    let estimate = Estimate {
        value: value.clamp(0.0, 1.0),
        spread: ((most - least) / value / 2.0).max(SPREAD_MIN),
        basis: Basis::Measured,
        implementation: Some(implementation(sample)),
        source: format!(
            "{} shapes promoted every {OFTEN} and every {SELDOM} products on {}",
            exposed.len(),
            sample.machine
        ),
        stands_for: None,
        departures: Vec::new(),
    };
    let source = "of the hardware that was measured".to_owned();
    let ratio = Estimate { value: work, spread: 0.0, source, ..estimate.clone() };
    Some(Fitted {
        name: "gemm.promotion",
        implementation: implementation(sample),
        estimates: [(EstimateKey::GemmPromotionExposed, estimate), (EstimateKey::GemmPromotionRatio, ratio)].into(),
        misses: Vec::new(),
    })
}

/// What every kernel waits: in a busy stream for the one before to end, alone for the host and the way to the device and back.
pub(super) fn launch(samples: &[Sample]) -> Option<Fitted> {
    let host = samples.iter().find(|sample| sample.question == Question::Launch)?;
    let graph = samples.iter().find(|sample| sample.question == Question::GraphLaunch)?;
    let estimate = |value: f64, what: &str| Estimate {
        value,
        spread: 0.1,
        basis: Basis::Measured,
        implementation: None,
        source: format!("an empty kernel, {what}, on {}", host.machine),
        stands_for: None,
        departures: Vec::new(),
    };
    let round_trip = *host.reading.extras.get("round-trip-seconds")?;
    let estimates = [
        (EstimateKey::KernelLatency, estimate(graph.reading.seconds, "one of many in a graph")),
        (EstimateKey::KernelLaunch, estimate(round_trip, "launched and waited for")),
    ];
    Some(Fitted {
        name: "kernel",
        implementation: implementation(host),
        estimates: estimates.into(),
        misses: Vec::new(),
    })
}

/// What an SM copies to a peer, by loads and stores and by bulk copies. A few samples, none held out.
pub(super) fn copies(samples: &[Sample]) -> Option<Fitted> {
    let stored = |question: &Question| match question {
        Question::PeerCopy { bytes, sms } => Some((*bytes, *sms)),
        _ => None,
    };
    let bulk = |question: &Question| match question {
        Question::PeerBulk { bytes, sms } => Some((*bytes, *sms)),
        _ => None,
    };
    let first = samples.iter().find(|sample| stored(&sample.question).or(bulk(&sample.question)).is_some())?;
    let estimate = |rates: Vec<f64>, how: &str| {
        let (value, spread) = middle(&rates)?;
        let source = format!("{} copies to a peer by {how}, on few SMs, on {}", rates.len(), first.machine);
        let (basis, departures) = (Basis::Measured, Vec::new());
        Some(Estimate { value, spread, basis, implementation: None, source, stands_for: None, departures })
    };
    let loads = rates_per_sm(samples, stored).and_then(|rates| estimate(rates, "loads and stores"));
    let bulk = rates_per_sm(samples, bulk).and_then(|rates| estimate(rates, "bulk copies"));
    let keys = [EstimateKey::AllToAllRatePerSm, EstimateKey::AllToAllBulkRatePerSm];
    let estimates: BTreeMap<_, _> =
        keys.into_iter().zip([loads, bulk]).filter_map(|(key, estimate)| Some((key, estimate?))).collect();
    let implementation = implementation(first);
    (!estimates.is_empty()).then_some(Fitted { name: "copies", implementation, estimates, misses: Vec::new() })
}

/// Bytes a second and SM of the largest copies that reach less than [`CLEAR`] of the highest rate, which is the port's.
fn rates_per_sm(samples: &[Sample], of: impl Fn(&Question) -> Option<(u64, u32)>) -> Option<Vec<f64>> {
    let asked = || samples.iter().filter_map(|sample| Some((of(&sample.question)?, sample.reading.seconds)));
    let largest = asked().filter(|((_, sms), _)| *sms == 1).map(|((bytes, _), _)| bytes).max()?;
    let large = || asked().filter(|((bytes, _), _)| *bytes == largest);
    let port = large().map(|((bytes, _), seconds)| bytes as f64 / seconds).fold(0.0, f64::max);
    let rate = |((bytes, sms), seconds): ((u64, u32), f64)| (bytes as f64 / seconds, f64::from(sms));
    let few = large().map(rate).filter(|(rate, _)| *rate < port * CLEAR);
    Some(few.map(|(rate, sms)| rate / sms).collect())
}

/// What traffic beside a product takes of the power: a copy that moves `x` bytes a second lengthens a product that power
/// bounds from `t` to `t / (1 - x / y)`; `y`, over the memory peak, is the estimate. The median over the pairs fitted.
pub(super) fn contention(samples: &[Sample], rig: Rig<'_>, profile: &Profile) -> Option<Fitted> {
    let peak = rig.device.memory_rate().get();
    let mut rates: Vec<f64> = Vec::new();
    let mut pairs = Vec::new();
    for sample in samples {
        let Question::Together { of, beside } = &sample.question else { continue };
        let (Question::Gemm { .. }, Question::Copy { bytes, .. }) = (&**of, &**beside) else { continue };
        let Some((alone, _)) = predict(rig, profile, of) else { continue };
        let Some(seconds) = sample.reading.extras.get("beside-seconds") else { continue };
        let moved = 2.0 * *bytes as f64 / seconds / peak;
        let share = 1.0 - alone.get() / sample.reading.seconds;
        if !held_out(sample) && share > 0.0 {
            rates.push(moved / share);
        }
        pairs.push((sample, alone.get(), moved));
    }
    let (value, spread) = middle(&rates)?;
    let misses = pairs
        .iter()
        .map(|(sample, alone, moved)| Miss {
            question: sample.question.clone(),
            measured: sample.reading.seconds,
            predicted: alone / (1.0 - (moved / value).min(0.9)),
            fitted: !held_out(sample),
        })
        .collect();
    let (first, _, _) = pairs.first()?;
    let estimate = Estimate {
        value,
        spread,
        basis: Basis::Measured,
        implementation: None,
        source: format!("{} products beside copies on {}", rates.len(), first.machine),
        stands_for: None,
        departures: Vec::new(),
    };
    Some(Fitted {
        name: "contention",
        implementation: implementation(first),
        estimates: [(EstimateKey::MemoryPower, estimate)].into(),
        misses,
    })
}

/// The median, and as a spread half of what lies between the quartiles over the median: near one standard deviation, and deaf to
/// stragglers. `None` of no numbers.
fn middle(numbers: &[f64]) -> Option<(f64, f64)> {
    let [low, median, high] = units::quantiles(numbers, [0.25, 0.5, 0.75])?;
    Some((median, ((high - low) / 2.0 / median).max(SPREAD_MIN)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::Reading;

    fn sample(question: Question, seconds: f64) -> Sample {
        let (implementation, extras) = ("mine".to_owned(), BTreeMap::new());
        let reading =
            Reading { implementation, seconds, low: seconds, high: seconds, runs: 9, clock: None, power: None, extras };
        Sample { question, reading, machine: "a test".into() }
    }

    /// A port of 100 GB/s; SMs that copy 10 and 20, the way of a small copy a microsecond.
    #[test]
    fn what_an_sm_copies_is_read_off_where_the_port_does_not_bind() {
        let mut samples = Vec::new();
        for sms in [1_u32, 2, 4, 8, 16, 32] {
            let seconds = |rate: f64| 1e-6 + (1_u64 << 30) as f64 / (f64::from(sms) * rate).min(100e9);
            samples.push(sample(Question::PeerCopy { bytes: 1 << 30, sms }, seconds(10e9)));
            samples.push(sample(Question::PeerBulk { bytes: 1 << 30, sms }, seconds(20e9)));
        }
        samples.push(sample(Question::PeerCopy { bytes: 4096, sms: 1 }, 1e-6));
        let fitted = copies(&samples).expect("copies");
        for (key, rate) in [(EstimateKey::AllToAllRatePerSm, 10e9), (EstimateKey::AllToAllBulkRatePerSm, 20e9)] {
            let value = fitted.estimates[&key].value;
            assert!((value / rate - 1.0).abs() < 1e-3, "{}: {value} for {rate}", key.name());
        }
        assert!(copies(&samples[..0]).is_none());
        let engine = [sample(Question::PeerEngine { bytes: 1 << 30 }, 0.01)];
        assert!(copies(&engine).is_none(), "an engine is no SM");
    }
}
