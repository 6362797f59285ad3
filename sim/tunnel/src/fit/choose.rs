//! Which samples speak for a family: those of one library, of each question the quickest.

use std::collections::{BTreeMap, BTreeSet};

use calibrate::fit::{Family, Fitted};
use calibrate::{Basis, Profile, Sample};

/// The samples of a family.
#[derive(Debug)]
pub(super) struct Chosen<'a> {
    pub(super) samples: Vec<&'a Sample>,
    /// What the names of all their implementations begin with.
    implementation: String,
    /// Samples of other libraries, in words.
    pub(super) left_out: Option<String>,
}

/// The samples of the library that answers most questions of a family; `None` where nothing speaks of it.
pub(super) fn samples<'a>(family: &Family, all: &'a [Sample]) -> Option<Chosen<'a>> {
    let mut libraries: BTreeMap<&str, Vec<&Sample>> = BTreeMap::new();
    for sample in all.iter().filter(|sample| family.holds(&sample.question)) {
        libraries.entry(library(&sample.reading.implementation)).or_default().push(sample);
    }
    let mut libraries: Vec<(&str, Vec<&Sample>)> =
        libraries.into_iter().map(|(name, samples)| (name, quickest(&samples))).collect();
    let most = libraries.iter().map(|(_, samples)| samples.len()).max()?;
    let (name, samples) = libraries.remove(libraries.iter().position(|(_, samples)| samples.len() == most)?);
    let others: Vec<String> =
        libraries.iter().map(|(name, samples)| format!("{} samples of `{name}`", samples.len())).collect();
    let left_out = (!others.is_empty()).then(|| {
        format!(
            "{}: {}; a family is of one library, here `{name}`: fit the others alone",
            family.name,
            others.join(", ")
        )
    });
    let implementation = shared(samples.iter().map(|sample| sample.reading.implementation.as_str()));
    Some(Chosen { samples, implementation, left_out })
}

/// Samples of no family, and those that were chosen, in their order.
pub(super) fn all<'a>(samples: &'a [Sample], chosen: &[(Family, Chosen<'a>)]) -> impl Iterator<Item = &'a Sample> {
    let is_kept = |sample: &Sample| {
        let mut of_families = chosen.iter().filter(|(family, _)| family.holds(&sample.question)).peekable();
        let is_free = of_families.peek().is_none();
        is_free || of_families.any(|(_, chosen)| chosen.samples.iter().any(|kept| std::ptr::eq(*kept, sample)))
    };
    samples.iter().filter(|sample| is_kept(sample)).collect::<Vec<_>>().into_iter()
}

/// The estimates of a fit that stand where its search began: nothing that was measured depends on them. Those that began at
/// the prior are taken out, for they are the prior's; the others keep their value as an assumption. The names of all.
pub(super) fn unmoved(family: &Family, fitted: &mut Fitted, prior: &Profile) -> Vec<&'static str> {
    let mut names = Vec::new();
    for (key, start) in &family.keys {
        let began = start.unwrap_or_else(|| prior.value(*key));
        let Some(estimate) = fitted.estimates.get_mut(key).filter(|estimate| estimate.value == began) else { continue };
        names.push(key.name());
        if start.is_none() {
            fitted.estimates.remove(key);
        } else {
            estimate.basis = Basis::Assumed;
            estimate.source = "no sample depends on it: where the search began".to_owned();
        }
    }
    names
}

impl Chosen<'_> {
    /// Why a sample of the family is not among those chosen.
    pub(super) fn refuses(&self, sample: &Sample) -> Option<String> {
        if self.samples.iter().any(|chosen| std::ptr::eq(*chosen, sample)) {
            return None;
        }
        let of = |sample: &Sample| library(&sample.reading.implementation).to_owned();
        let ours = self.samples.first().map(|chosen| of(chosen)).unwrap_or_default();
        let its = of(sample);
        Some(if its == ours {
            "slower than another of the same question".to_owned()
        } else {
            format!("of `{its}`, and the family is fitted to `{ours}`, which has more")
        })
    }

    /// Says of every estimate whose kernels and machines it rests on.
    pub(super) fn sign(&self, fitted: &mut Fitted) {
        let machines: BTreeSet<&str> = self.samples.iter().map(|sample| sample.machine.as_str()).collect();
        let machines = machines.into_iter().collect::<Vec<_>>().join(", ");
        let n_seen = fitted.errors(true).n;
        let named = if self.implementation.is_empty() { "several libraries" } else { self.implementation.as_str() };
        fitted.implementation.clone_from(&self.implementation);
        for estimate in fitted.estimates.values_mut() {
            estimate.source = format!("{n_seen} samples of {named} on {machines}");
            estimate.implementation = (!self.implementation.is_empty()).then(|| self.implementation.clone());
        }
    }
}

/// The library of an implementation: its first word. What ran beside something else is of no library.
fn library(implementation: &str) -> &str {
    if implementation.contains(" beside ") { "several" } else { implementation.split(' ').next().unwrap_or_default() }
}

/// Of the samples of one question on one machine, the quickest.
fn quickest<'a>(samples: &[&'a Sample]) -> Vec<&'a Sample> {
    let mut best: BTreeMap<(&str, String), &Sample> = BTreeMap::new();
    for sample in samples {
        let question = serde_json::to_string(&sample.question).unwrap_or_default();
        let slot = best.entry((&sample.machine, question)).or_insert(sample);
        if sample.reading.seconds < slot.reading.seconds {
            *slot = sample;
        }
    }
    best.into_values().collect()
}

/// The words that all begin with.
fn shared<'a>(mut names: impl Iterator<Item = &'a str>) -> String {
    let mut words: Vec<&str> = names.next().unwrap_or_default().split(' ').collect();
    for name in names {
        let n_same = words.iter().zip(name.split(' ')).take_while(|(a, b)| **a == *b).count();
        words.truncate(n_same);
    }
    words.join(" ").trim_end_matches(',').to_owned()
}

#[cfg(test)]
mod tests {
    use calibrate::fit::families;
    use calibrate::{Question, Reading};
    use workloads::op::Precision;

    use super::*;

    fn sample(m: u64, implementation: &str, seconds: f64) -> Sample {
        let reading = Reading {
            implementation: implementation.to_owned(),
            seconds,
            low: seconds,
            high: seconds,
            runs: 1,
            clock: None,
            power: None,
            extras: BTreeMap::new(),
        };
        let question = Question::Gemm { m, n: 128, k: 128, dtype: Precision::Bf16, sms: 8 };
        Sample { question, reading, machine: "some-x1".to_owned() }
    }

    fn family() -> Family {
        families().into_iter().find(|family| family.name == "gemm.bf16").expect("a family of BF16 products")
    }

    #[test]
    fn a_family_is_of_one_library_and_of_its_quickest() {
        let all = [
            sample(1, "fast 1.0 tiled", 3.0),
            sample(1, "fast 1.0 split", 2.0),
            sample(2, "fast 1.0 tiled", 1.0),
            sample(1, "other 2", 0.5),
        ];
        let chosen = samples(&family(), &all).expect("samples");
        let seconds: Vec<f64> = chosen.samples.iter().map(|sample| sample.reading.seconds).collect();
        assert_eq!((seconds, chosen.implementation.as_str()), (vec![2.0, 1.0], "fast 1.0"));
        let left_out = chosen.left_out.clone().expect("others");
        assert!(left_out.contains("1 samples of `other`"), "{left_out}");
        let kept: Vec<f64> = self::all(&all, &[(family(), chosen)]).map(|sample| sample.reading.seconds).collect();
        assert_eq!(kept, [2.0, 1.0], "in their order, without what is slower or of others");
    }

    #[test]
    fn nothing_speaks_of_a_family_without_samples() {
        assert!(samples(&family(), &[]).is_none());
        assert_eq!(shared(["a b, c", "a b, d"].into_iter()), "a b");
        assert_eq!(shared(["a", "b"].into_iter()), "");
    }
}
