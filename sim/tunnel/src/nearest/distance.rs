//! How far one job is from another, as `book/accuracy.md` has it: a heuristic whose weights are judgements and were fitted to nothing.
//!
//! The sum of what differs: a weight for each word that is another, and a weight for each factor of two between two sizes. It is the same
//! both ways, and nothing between a job and itself. It says how much a reader should make of an error of the other job, and nothing about
//! how large the error here is.

use workloads::op::LinearPrecision;

use super::traits::{DeviceTraits, JobTraits, Traits};

/// A device that differs in any value.
const DEVICE: f64 = 0.25;
/// Tensor cores of another generation.
const GENERATION: f64 = 2.0;
/// Dense against experts.
const KIND: f64 = 3.0;
/// BF16 against FP8.
const FORMAT: f64 = 2.0;
/// One way to scale FP8 against another.
const SCALING: f64 = 0.5;
const FRAMEWORK: f64 = 1.0;
const DISPATCHER: f64 = 1.0;
const SHARDING: f64 = 0.5;
const SCHEDULE: f64 = 0.5;
/// A factor of two in a rate of the device or of its NIC, in devices, or in parameters.
const DOUBLED: f64 = 0.5;
/// A factor of two in tokens: in those of a device, or in those of a sequence.
const DOUBLED_TOKENS: f64 = 0.25;
/// Sizes that are so many times another are named.
const FAR: f64 = 10.0;

/// The distance between two jobs.
pub(super) fn distance(a: &Traits, b: &Traits) -> f64 {
    of_devices(&a.device, &b.device) + of_jobs(&a.job, &b.job)
}

fn of_devices(a: &DeviceTraits, b: &DeviceTraits) -> f64 {
    if a.values == b.values {
        return 0.0;
    }
    let rates = [(a.peak, b.peak), (a.memory_rate, b.memory_rate), (a.scale_up_rate, b.scale_up_rate)];
    let rates: f64 = rates.into_iter().map(doublings).sum();
    DEVICE + other(GENERATION, &a.products, &b.products) + DOUBLED * rates
}

fn of_jobs(a: &JobTraits, b: &JobTraits) -> f64 {
    let words = other(KIND, &a.is_moe, &b.is_moe)
        + of_precisions(&a.precision, &b.precision)
        + other(FRAMEWORK, &a.framework, &b.framework)
        + other(DISPATCHER, &a.dispatcher, &b.dispatcher)
        + other(SHARDING, &a.sharding, &b.sharding)
        + other(SCHEDULE, &a.schedule, &b.schedule);
    let sizes = [
        (f64::from(a.n_devices), f64::from(b.n_devices)),
        (a.active_params as f64, b.active_params as f64),
        a.nic_rate.zip(b.nic_rate).unwrap_or((1.0, 1.0)),
    ];
    let tokens = [(a.tokens_per_device, b.tokens_per_device), (a.sequence as f64, b.sequence as f64)];
    let sum = |pairs: &[(f64, f64)]| pairs.iter().copied().map(doublings).sum::<f64>();
    words + DOUBLED * sum(&sizes) + DOUBLED_TOKENS * sum(&tokens)
}

fn of_precisions(a: &str, b: &str) -> f64 {
    let weight = if is_bf16(a) == is_bf16(b) { SCALING } else { FORMAT };
    other(weight, a, b)
}

fn is_bf16(precision: &str) -> bool {
    precision == LinearPrecision::Bf16.name()
}

fn other<T: PartialEq + ?Sized>(weight: f64, a: &T, b: &T) -> f64 {
    if a == b { 0.0 } else { weight }
}

/// How many times one size is to be doubled to be another. What a device or job lacks has no size, and is not compared.
fn doublings((a, b): (f64, f64)) -> f64 {
    if a == b || a <= 0.0 || b <= 0.0 { 0.0 } else { (a / b).log2().abs() }
}

/// In what a reader must know that a job `there` differs from the one here, in words: every word that is another, and sizes that are ten times
/// another.
pub(super) fn differences(there: &Traits, here: &Traits) -> Vec<String> {
    let mut all: Vec<String> = device(&there.device, &here.device).into_iter().collect();
    let (there, here) = (&there.job, &here.job);
    let kind = |is_moe: bool| if is_moe { "with experts" } else { "dense" };
    let none = |name: &Option<String>| name.clone().unwrap_or_else(|| "none".to_owned());
    let named = [
        ("model", kind(there.is_moe).to_owned(), kind(here.is_moe).to_owned()),
        ("precision", there.precision.clone(), here.precision.clone()),
        ("software stack", there.framework.clone(), here.framework.clone()),
        ("dispatcher", none(&there.dispatcher), none(&here.dispatcher)),
        ("sharding", there.sharding.clone(), here.sharding.clone()),
        ("schedule", none(&there.schedule), none(&here.schedule)),
    ];
    let differs = named.into_iter().filter(|(_, there, here)| there != here);
    all.extend(differs.map(|(name, there, here)| format!("{name} ({there}, here {here})")));
    let sizes = [
        ("devices", f64::from(there.n_devices), f64::from(here.n_devices)),
        ("active parameters", there.active_params as f64, here.active_params as f64),
        ("tokens per device", there.tokens_per_device, here.tokens_per_device),
        ("tokens of a sequence", there.sequence as f64, here.sequence as f64),
    ];
    all.extend(sizes.into_iter().filter_map(|(name, there, here)| times(name, here / there)));
    if let Some((there, here)) = there.nic_rate.zip(here.nic_rate).filter(|(there, here)| there != here) {
        all.push(format!("NIC rate ({} a second and device, here {})", bytes(there), bytes(here)));
    }
    all
}

fn bytes(rate: f64) -> String {
    report::format::bytes(rate)
}

fn times(name: &str, ratio: f64) -> Option<String> {
    let spelled = |times: f64| report::format::count(times.round() as u64);
    if ratio >= FAR {
        Some(format!("{name} ({} times as many here)", spelled(ratio)))
    } else if ratio <= 1.0 / FAR {
        Some(format!("{name} (one in {} here)", spelled(1.0 / ratio)))
    } else {
        None
    }
}

fn device(there: &DeviceTraits, here: &DeviceTraits) -> Option<String> {
    if there.values == here.values {
        return None;
    }
    if there.name != here.name {
        return Some(format!("device ({}, here {})", there.name, here.name));
    }
    let changed = here.values.iter().filter(|(key, value)| there.values.get(*key) != Some(value));
    let changed: Vec<String> = changed.map(|(key, _)| format!("`{key}`")).take(2).collect();
    Some(format!("device ({} with another {})", here.name, changed.join(", ")))
}
