//! The answer of a study: every point beside the base.
//!
//! A difference is point less base, so below zero there is less of the objective ([`Criterion`](crate::Criterion)): a step is shorter. Draw by draw both sides have the same estimates, so what they
//! share cancels, and the interval of a difference is far narrower than the difference of two intervals.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use serde::{Serialize, Serializer};

use crate::arithmetic::{self, Arithmetic, Asked};
use crate::criterion::{Criterion, Named};
use crate::decide::{Decider, deciders};
use crate::interval::{Interval, Verdict};
use crate::json;
use crate::manifest::{Entry, Manifest};
use crate::point::{FinishedPoint, PointKind, is_false};
use crate::run::Store;
use crate::together::{self, TogetherAnswer};
use crate::{Change, StudyError};

/// The word that says what binds a job.
const BINDING: &str = "binding";

/// What a study came to. Field names are the JSON keys; holds no path, time or count of jobs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Answer {
    /// By what all are compared; the key of each value has its name.
    #[serde(rename = "objective", serialize_with = "named")]
    pub criterion: Criterion,
    /// The question.
    pub about: String,
    /// Draws behind the intervals of base, proposals and sweeps.
    pub draws: u32,
    /// Their seed.
    pub seed: u64,
    /// What all others are compared with.
    pub base: Base,
    /// All others, in the order of the study.
    pub points: Vec<PointRow>,
    /// The base and every proposal that adds the products of its GEMMs otherwise, with what their sums lose; empty where
    /// none does. What that is of, and what not, says [`crate::ARITHMETIC`].
    pub arithmetic: Vec<Arithmetic>,
    /// Proposals together, where the study asks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub together: Option<TogetherAnswer>,
    /// Why there is no such answer though the study asks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub together_error: Option<String>,
}

/// The base.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Base {
    /// The scenario's name.
    pub name: String,
    /// What the study lays over it everywhere.
    pub patch: BTreeMap<String, toml::Value>,
    /// Digest of its plan.
    pub digest: String,
    /// Its objective.
    #[serde(flatten)]
    pub objective: Named<f64>,
    /// What binds it.
    pub binding: String,
    /// All its numbers.
    pub results: BTreeMap<String, f64>,
    /// All its words.
    pub words: BTreeMap<String, String>,
    /// Where its numbers lie over the draws.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub intervals: BTreeMap<String, Interval>,
    /// Every knob of the study, in base units.
    pub knobs: BTreeMap<String, String>,
}

/// A point beside the base.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PointRow {
    /// Its name.
    pub name: String,
    /// Why it was run.
    pub kind: PointKind,
    /// What it changes.
    pub patch: BTreeMap<String, toml::Value>,
    /// Digest of its plan; empty where it has none.
    pub digest: String,
    /// Why it has no results.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Whether that is a fault of the program.
    #[serde(skip_serializing_if = "is_false")]
    pub fault: bool,
    /// Its objective.
    #[serde(flatten)]
    pub objective: Named<Option<f64>>,
    /// Its objective less the base's.
    pub difference: Option<Difference>,
    /// What binds it.
    pub binding: Option<String>,
    /// What a person expects of a proposal; of other kinds nothing.
    pub hand_calculation: Option<Expectation>,
    /// What a proposal would be, who asked for it and what it takes for granted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proposal: Option<About>,
    /// All its numbers.
    pub results: BTreeMap<String, f64>,
    /// All its words.
    pub words: BTreeMap<String, String>,
    /// Where its numbers lie over the draws.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub intervals: BTreeMap<String, Interval>,
    /// Where its numbers less the base's lie over the draws.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub differences: BTreeMap<String, Interval>,
    /// Every knob of the study, in base units.
    pub knobs: BTreeMap<String, String>,
}

/// An objective less the base's.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// With the profile as it stands.
    pub nominal: f64,
    /// The same over the base's objective.
    pub share: f64,
    /// Mean of the draws; without draws, the nominal one.
    pub mean: f64,
    /// A twentieth of the draws lie below; `None` without draws.
    pub low: Option<f64>,
    /// A twentieth of the draws lie above.
    pub high: Option<f64>,
    /// Share of the base's objective below which two are not told apart ([`crate::ANOMALY`]); a smaller difference is undecided.
    pub anomaly: f64,
    /// Whether the interval leaves the sign no choice; `None` without draws, but for a difference that no draw can decide.
    pub decided: Option<bool>,
    /// Which sign that is.
    pub verdict: Option<Verdict>,
    /// The few estimates that decide it.
    pub decided_by: Vec<Decider>,
}

/// What a proposal says of itself.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct About {
    /// What it would be.
    pub about: String,
    /// Who asked for it.
    pub source: String,
    /// What it takes for granted.
    pub assumes: String,
    /// Its price, in the unit of the study.
    pub cost: Option<f64>,
}

/// A hand calculation beside the result.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Expectation {
    /// The reasoning.
    pub text: String,
    /// The least change of the objective expected, a share of the base's.
    pub low: f64,
    /// The largest.
    pub high: f64,
    /// Whether the result lies there; `None` without a result.
    pub agrees: Option<bool>,
}

impl Answer {
    /// From the finished points of a study.
    ///
    /// # Errors
    /// [`StudyError::Unfinished`] while one is missing, [`StudyError::BaseRun`] where the base has no result, and what the store says.
    pub fn new(manifest: &Manifest, store: &dyn Store) -> Result<Self, StudyError> {
        let Some((entry, others)) = manifest.points.split_first() else {
            return Err(StudyError::Fault("a study without a base".to_owned()));
        };
        complete(manifest, store)?;
        let base = get(entry, store)?;
        let criterion = base.results.criterion.clone();
        let Some(objective) = base.objective() else {
            return Err(StudyError::BaseRun(base.error.unwrap_or_else(|| format!("it has no `{}`", criterion.name))));
        };
        let beside = Beside { manifest, base: &base, criterion: &criterion, objective };
        let points: Vec<PointRow> =
            others.iter().map(|entry| Ok(beside.row(entry, get(entry, store)?))).collect::<Result<_, StudyError>>()?;
        let values = points.iter().map(|row| (row.name.as_str(), row.objective.value));
        let values = values.chain([(entry.point.name.as_str(), Some(objective))]).collect();
        let asked = manifest.together.as_ref();
        let asked = asked.map(|asked| together::answer(manifest, asked, &criterion, &values));
        let (together, together_error) = match asked {
            None => (None, None),
            Some(Ok(answer)) => (Some(answer), None),
            Some(Err(error)) => (None, Some(error)),
        };
        let arithmetic = arithmetic::arithmetic(&asked_of_arithmetic(manifest, objective, &points), &criterion);
        Ok(Self {
            criterion: criterion.clone(),
            about: manifest.about.clone(),
            draws: manifest.draws,
            seed: manifest.seed,
            base: Base {
                name: manifest.base.clone(),
                patch: patch(&manifest.patch),
                digest: entry.digest.clone(),
                objective: criterion.named(objective),
                binding: base.results.words.get(BINDING).cloned().unwrap_or_default(),
                intervals: intervals(&base.draws, &base.results.numbers),
                results: base.results.numbers,
                words: base.results.words,
                knobs: entry.knobs.clone(),
            },
            points,
            arithmetic,
            together,
            together_error,
        })
    }

    /// What gains most over the base first, what has no result last.
    #[must_use]
    pub fn by_gain(&self, a: &PointRow, b: &PointRow) -> Ordering {
        let share = |row: &PointRow| row.difference.as_ref().map(|difference| difference.share);
        match (share(a), share(b)) {
            (Some(a), Some(b)) => self.criterion.order(a, b),
            (a, b) => a.is_none().cmp(&b.is_none()),
        }
    }

    /// Points without a result by a fault of the program.
    #[must_use]
    pub fn n_faults(&self) -> usize {
        self.points.iter().filter(|row| row.fault).count()
    }

    /// Indented JSON, keys in the order of the fields, a newline at the end; equal answers give equal bytes.
    ///
    /// # Errors
    /// [`StudyError::Fault`]: an answer can always be written.
    pub fn json(&self) -> Result<String, StudyError> {
        json::pretty(self)
    }
}

fn asked_of_arithmetic<'a>(manifest: &'a Manifest, base: f64, rows: &[PointRow]) -> Vec<Asked<'a>> {
    let values = std::iter::once(Some(base)).chain(rows.iter().map(|row| row.objective.value));
    let asked = manifest.points.iter().zip(values).filter_map(|(entry, objective)| {
        let sums = entry.sums.as_ref()?;
        Some(Asked { name: &entry.point.name, objective, sums })
    });
    asked.collect()
}

/// A criterion as its name.
fn named<S: Serializer>(criterion: &Criterion, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&criterion.name)
}

/// Whether every point is finished.
fn complete(manifest: &Manifest, store: &dyn Store) -> Result<(), StudyError> {
    let mut missing = Vec::new();
    for index in manifest.unique() {
        let entry = &manifest.points[index];
        if !store.has(&entry.key)? {
            missing.push(entry.point.name.clone());
        }
    }
    match missing.first() {
        None => Ok(()),
        Some(first) => Err(StudyError::Unfinished {
            n_missing: missing.len(),
            n_points: manifest.unique().len(),
            first: first.clone(),
            hint: "run the shards that are missing, or the study with `--resume`".to_owned(),
        }),
    }
}

fn get(entry: &Entry, store: &dyn Store) -> Result<FinishedPoint, StudyError> {
    let gone = || StudyError::Store(format!("the finished point `{}` is gone", entry.point.name));
    store.get(&entry.key)?.ok_or_else(gone)
}

/// The base that rows are set beside.
struct Beside<'a> {
    manifest: &'a Manifest,
    base: &'a FinishedPoint,
    criterion: &'a Criterion,
    objective: f64,
}

impl Beside<'_> {
    fn row(&self, entry: &Entry, finished: FinishedPoint) -> PointRow {
        let objective = finished.objective();
        let difference = objective.map(|objective| self.difference(objective, entry, &finished));
        let share = difference.as_ref().map(|difference| difference.share);
        let proposal =
            self.manifest.proposals.get(&entry.point.name).filter(|_| entry.point.kind == PointKind::Proposal);
        PointRow {
            name: entry.point.name.clone(),
            kind: entry.point.kind,
            patch: patch(&entry.point.patch),
            digest: entry.digest.clone(),
            objective: self.criterion.named(objective),
            difference,
            binding: finished.results.words.get(BINDING).cloned(),
            hand_calculation: proposal.map(|proposal| {
                let hand = &proposal.hand_calculation;
                let agrees = share.map(|share| hand.agrees(share));
                Expectation { text: hand.text.clone(), low: hand.low, high: hand.high, agrees }
            }),
            proposal: proposal.map(|proposal| About {
                about: proposal.about.clone(),
                source: proposal.source.clone(),
                assumes: proposal.assumes.clone(),
                cost: proposal.cost,
            }),
            intervals: intervals(&finished.draws, &finished.results.numbers),
            differences: self.differences(&finished),
            error: finished.error,
            fault: finished.fault,
            results: finished.results.numbers,
            words: finished.results.words,
            knobs: entry.knobs.clone(),
        }
    }

    /// How far each estimate is off in each draw, and how it carries to the machine of a point.
    fn deviations(&self, entry: &Entry) -> BTreeMap<String, Vec<f64>> {
        let common = &self.manifest.deviations;
        let own = self.manifest.drawing().carried(common, &entry.departing);
        common.iter().map(|(name, column)| (name.clone(), column.clone())).chain(own).collect()
    }

    /// Every number less the base's.
    fn differences(&self, finished: &FinishedPoint) -> BTreeMap<String, Interval> {
        let base = &self.base.results.numbers;
        let nominal = |(name, number): (&String, &f64)| Some((name.clone(), number - base.get(name)?));
        let nominal = finished.results.numbers.iter().filter_map(nominal).collect();
        intervals(&less(&finished.draws, &self.base.draws), &nominal)
    }

    fn difference(&self, objective: f64, entry: &Entry, finished: &FinishedPoint) -> Difference {
        let nominal = beyond_rounding(objective, self.objective);
        let draws = less(&finished.draws, &self.base.draws).remove(&self.criterion.name).unwrap_or_default();
        let interval = Interval::of(&draws, nominal);
        let anomaly = self.base.anomaly().max(finished.anomaly());
        let is_too_small = nominal != 0.0 && nominal.abs() <= anomaly * self.objective;
        let verdict = match (is_too_small, &interval) {
            (true, _) => Some(Verdict::Undecided),
            (false, interval) => interval.as_ref().map(|interval| Verdict::of(&draws, interval)),
        };
        Difference {
            nominal,
            share: nominal / self.objective,
            mean: interval.map_or(nominal, |interval| interval.mean),
            low: interval.map(|interval| interval.low),
            high: interval.map(|interval| interval.high),
            anomaly,
            decided: verdict.map(Verdict::is_decided),
            verdict,
            decided_by: deciders(&draws, &self.deviations(entry)),
        }
    }
}

/// A number less another; nothing where they differ by no more than sums that were taken in another order.
fn beyond_rounding(number: f64, other: f64) -> f64 {
    const ROUNDING: f64 = 1e-12;
    let less = number - other;
    if less.abs() <= ROUNDING * other.abs() { 0.0 } else { less }
}

/// Draw by draw, point less base; numbers that one of the two lacks are left out.
fn less(point: &BTreeMap<String, Vec<f64>>, base: &BTreeMap<String, Vec<f64>>) -> BTreeMap<String, Vec<f64>> {
    let less = |(name, point): (&String, &Vec<f64>)| {
        let base = base.get(name).filter(|base| base.len() == point.len())?;
        let less = point.iter().zip(base).map(|(point, base)| beyond_rounding(*point, *base));
        Some((name.clone(), less.collect()))
    };
    point.iter().filter_map(less).collect()
}

fn intervals(draws: &BTreeMap<String, Vec<f64>>, nominal: &BTreeMap<String, f64>) -> BTreeMap<String, Interval> {
    let interval =
        |(name, draws): (&String, &Vec<f64>)| Some((name.clone(), Interval::of(draws, *nominal.get(name)?)?));
    draws.iter().filter_map(interval).collect()
}

fn patch(changes: &[Change]) -> BTreeMap<String, toml::Value> {
    changes.iter().map(|change| (change.key.clone(), change.value.clone())).collect()
}
