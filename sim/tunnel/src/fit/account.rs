//! What became of each sample: an estimate rests on it, or there is a reason why none does.

use std::collections::{BTreeMap, BTreeSet};

use calibrate::fit::{Family, Rig, families, impossible, lacks};
use calibrate::{Question, Sample};

use super::FittedPart;
use super::choose::Chosen;

/// Samples by what became of them, as far as it is known.
#[derive(Debug, Default)]
pub(super) struct Account {
    unused: BTreeMap<String, usize>,
    /// Whether each sample of the file can be what it says.
    possible: Vec<bool>,
}

impl Account {
    /// Takes out what cannot be what it says on this rig.
    pub(super) fn of(samples: &[Sample], rig: Rig<'_>, devices: u32) -> Self {
        let mut account = Self::default();
        for sample in samples {
            let question = &sample.question;
            let reason = lacks(rig, question, devices).or_else(|| impossible(rig, sample));
            account.possible.push(reason.is_none());
            if let Some(reason) = reason {
                account.leave(question, &reason);
            }
        }
        account
    }

    /// The samples that are left.
    pub(super) fn left(&self, samples: &[Sample]) -> Vec<Sample> {
        let left = samples.iter().zip(&self.possible).filter(|(_, is_possible)| **is_possible);
        left.map(|(sample, _)| sample.clone()).collect()
    }

    /// Takes out what a family has and does not choose.
    pub(super) fn choose(&mut self, samples: &[Sample], chosen: &[(Family, Chosen<'_>)]) {
        for (family, of_family) in chosen {
            for sample in samples.iter().filter(|sample| family.holds(&sample.question)) {
                if let Some(reason) = of_family.refuses(sample) {
                    self.leave(&sample.question, &reason);
                }
            }
        }
    }

    /// The samples that estimates rest on, and all others by their reason.
    pub(super) fn close(
        mut self,
        samples: &[Sample],
        parts: &[FittedPart],
        chosen: &[(Family, Chosen<'_>)],
    ) -> (usize, BTreeMap<String, usize>) {
        let written: BTreeSet<&str> = parts.iter().map(|part| part.fitted.name).collect();
        let quickest = quickest(samples);
        let mut n_used = 0;
        for (index, sample) in samples.iter().enumerate() {
            let is_slower =
                chosen.iter().any(|(family, _)| family.holds(&sample.question)) && !quickest.contains(&index);
            let slower = is_slower.then(|| "slower than the same question on another machine".to_owned());
            match unused(sample, &written, chosen).or(slower) {
                Some(reason) => self.leave(&sample.question, &reason),
                None => n_used += 1,
            }
        }
        (n_used, self.unused)
    }

    fn leave(&mut self, question: &Question, reason: &str) {
        *self.unused.entry(format!("{}: {reason}", kind(question))).or_default() += 1;
    }
}

/// Of each question the first of the quickest: what the fit takes.
fn quickest(samples: &[Sample]) -> BTreeSet<usize> {
    let mut best: BTreeMap<String, usize> = BTreeMap::new();
    for (index, sample) in samples.iter().enumerate() {
        let slot = best.entry(serde_json::to_string(&sample.question).unwrap_or_default()).or_insert(index);
        if sample.reading.seconds < samples[*slot].reading.seconds {
            *slot = index;
        }
    }
    best.into_values().collect()
}

/// Why no estimate rests on a sample that could be fitted.
fn unused(sample: &Sample, written: &BTreeSet<&str>, chosen: &[(Family, Chosen<'_>)]) -> Option<String> {
    let question = &sample.question;
    if let Some((family, _)) = chosen.iter().find(|(family, _)| family.holds(question)) {
        let is_written = written.contains(family.name);
        return (!is_written).then(|| format!("`{}` is not in the profile, see the notes", family.name));
    }
    debug_assert!(!families().iter().any(|family| family.holds(question)), "a family with samples is chosen");
    let read_off = match question {
        Question::Launch | Question::GraphLaunch => "kernel",
        Question::PromotedGemm { .. } => "gemm.promotion",
        Question::PeerCopy { .. } | Question::PeerBulk { .. } => "copies",
        Question::Together { of, beside }
            if matches!((&**of, &**beside), (Question::Gemm { .. }, Question::Copy { .. })) =>
        {
            "contention"
        }
        _ => return Some("no estimate is fitted to it; `windtunnel probe` answers beside it".to_owned()),
    };
    (!written.contains(read_off)).then(|| format!("too few of its kind to read `{read_off}` off"))
}

/// What a sample asks, without its sizes.
fn kind(question: &Question) -> String {
    match question {
        Question::Collective { what, ranks, nodes: 1, .. } => format!("{} of {ranks} ranks", what.name()),
        Question::Collective { what, ranks, nodes, .. } => format!("{} of {ranks} ranks on {nodes} nodes", what.name()),
        _ => {
            let value = serde_json::to_value(question).unwrap_or_default();
            value["kernel"].as_str().unwrap_or_default().to_owned()
        }
    }
}
