//! Base and proposals.

use std::collections::BTreeMap;

use report::study::{Hand, MadeOf, ProposalResult, ProposalRow, ProposalRun, StudyBase};
use study::{Answer, Expectation, PointKind, PointRow, plain};

/// What stands before the name of what binds, and of a basis, among results.
const BINDING: &str = "binding_shares.";
const BASIS: &str = "basis_shares.";

pub(super) fn base(answer: &Answer) -> StudyBase {
    let base = &answer.base;
    let interval = base.intervals.get(&base.objective.name).map(|interval| [interval.low, interval.high]);
    StudyBase {
        name: base.name.clone(),
        digest: base.digest.clone(),
        patch: patch(&base.patch),
        value: base.objective.value,
        interval,
        made_of: made_of(&base.results, &base.words, base.objective.value),
    }
}

/// What saves most first, what has no result last; equal ones in the order of the study.
pub(super) fn proposals(answer: &Answer) -> Vec<ProposalRow> {
    let mut rows: Vec<&PointRow> = answer.points.iter().filter(|row| row.kind == PointKind::Proposal).collect();
    rows.sort_by(|a, b| answer.by_gain(a, b));
    rows.into_iter().map(|row| proposal(row, answer.base.objective.value)).collect()
}

/// Points of sweeps and sets that are told to have no result; more are counted.
const N_REASONS: usize = 20;

/// Why points that have no section of their own have no result.
pub(super) fn reasons(answer: &Answer) -> Vec<String> {
    let failed = answer.points.iter().filter(|row| row.kind != PointKind::Proposal && row.error.is_some());
    let reason = |row: &PointRow| format!("`{}` has no result: {}", row.name, row.error.as_deref().unwrap_or_default());
    let mut reasons: Vec<String> = failed.clone().take(N_REASONS).map(reason).collect();
    let more = failed.count().saturating_sub(N_REASONS);
    if more > 0 {
        reasons.push(format!("{more} more points have no result; `study.json` has their reasons"));
    }
    reasons
}

fn proposal(row: &PointRow, base: f64) -> ProposalRow {
    let about = row.proposal.as_ref();
    ProposalRow {
        name: row.name.clone(),
        about: about.map(|about| about.about.clone()).unwrap_or_default(),
        source: about.map(|about| about.source.clone()).unwrap_or_default(),
        assumes: about.map(|about| about.assumes.clone()).unwrap_or_default(),
        patch: patch(&row.patch),
        hand: row.hand_calculation.as_ref().map(hand).unwrap_or_default(),
        result: result(row, base),
    }
}

fn hand(hand: &Expectation) -> Hand {
    Hand { text: hand.text.clone(), low: hand.low, high: hand.high, agrees: hand.agrees }
}

fn result(row: &PointRow, base: f64) -> ProposalResult {
    let (Some(value), Some(difference)) = (row.objective.value, &row.difference) else {
        return ProposalResult::Failed(row.error.clone().unwrap_or_else(|| "the run gave no such number".to_owned()));
    };
    let interval = difference.low.zip(difference.high);
    let by = difference.decided_by.iter().map(|by| (by.estimate.clone(), by.share));
    ProposalResult::Ran(ProposalRun {
        value,
        change: difference.share,
        interval: interval.map(|(low, high)| [low / base, high / base]),
        decided: difference.decided,
        decided_by: by.collect(),
        made_of: made_of(&row.results, &row.words, value),
    })
}

fn made_of(results: &BTreeMap<String, f64>, words: &BTreeMap<String, String>, value: f64) -> MadeOf {
    let word = |name: &str| words.get(name).cloned().unwrap_or_default();
    let shares = |prefix: &str| -> BTreeMap<String, f64> {
        let named = |(name, share): (&String, &f64)| Some((report::format::words(name.strip_prefix(prefix)?), *share));
        results.iter().filter_map(named).collect()
    };
    MadeOf {
        binding: report::format::words(&word("binding")),
        basis: word("basis"),
        binding_parts: shares(BINDING).into_iter().map(|(name, share)| (name, share * value)).collect(),
        basis_shares: shares(BASIS),
    }
}

/// Changes as `key=value`, text without its quotes.
pub(super) fn patch(patch: &BTreeMap<String, toml::Value>) -> Vec<String> {
    patch.iter().map(|(key, value)| format!("{key}={}", plain(value))).collect()
}
