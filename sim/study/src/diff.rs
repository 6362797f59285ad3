//! Two jobs side by side: which keys differ, and what differs for it.

use std::collections::{BTreeMap, BTreeSet};

use scenario::Loaded;
use serde::Serialize;

use crate::StudyError;
use crate::json;
use crate::point::Results;
use crate::refusal::{Refusal, caught};
use crate::tunnel::Tunnel;

/// What differs between two jobs. Field names are the JSON keys.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct JobDiff {
    /// The names of both.
    pub names: [String; 2],
    /// The numbers that each is judged by.
    pub objectives: [String; 2],
    /// Keys whose values differ, by key.
    pub keys: Vec<KeyDiff>,
    /// Words of the results that differ.
    pub words: Vec<WordDiff>,
    /// Numbers of the results that differ, the largest change first.
    pub numbers: Vec<NumberDiff>,
}

/// A key of two jobs; none where one lacks it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct KeyDiff {
    /// The key.
    pub key: String,
    /// Its values as they are written.
    pub values: [Option<String>; 2],
}

/// A word of two results.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WordDiff {
    /// What it says.
    pub name: String,
    /// It in each.
    pub values: [Option<String>; 2],
}

/// A number of two results.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NumberDiff {
    /// Its key in the JSON of a run.
    pub name: String,
    /// It in each.
    pub values: [Option<f64>; 2],
    /// The second over the first, less one; none where one lacks it or the first is zero.
    pub change: Option<f64>,
}

impl JobDiff {
    /// Runs both on `tunnel`, side by side.
    ///
    /// # Errors
    /// [`StudyError::BaseRun`] where one cannot run.
    pub fn of(tunnel: &dyn Tunnel, jobs: [&Loaded; 2]) -> Result<Self, StudyError> {
        let run = |job: &Loaded| {
            caught(|| tunnel.run(&job.plan)).map_err(|Refusal { reason, is_fault }| {
                if is_fault {
                    StudyError::Fault(reason)
                } else {
                    StudyError::BaseRun(format!("{}: {reason}", job.plan.name))
                }
            })
        };
        let (first, second) = rayon::join(|| run(jobs[0]), || run(jobs[1]));
        let results = [first?, second?];
        Ok(Self {
            names: jobs.map(|job| job.plan.name.clone()),
            objectives: [0, 1].map(|index| results[index].criterion.name.clone()),
            keys: keys(jobs),
            words: words(&results),
            numbers: numbers(&results),
        })
    }

    /// Indented JSON with a newline at its end.
    ///
    /// # Errors
    /// [`StudyError::Fault`]: it can always be written.
    pub fn json(&self) -> Result<String, StudyError> {
        json::pretty(self)
    }
}

/// Names of two maps in order, with what each map has under them, where that differs.
fn unlike<T: PartialEq>(maps: [&BTreeMap<String, T>; 2]) -> impl Iterator<Item = (&String, [Option<&T>; 2])> {
    let names: BTreeSet<&String> = maps.iter().flat_map(|map| map.keys()).collect();
    names.into_iter().map(move |name| (name, maps.map(|map| map.get(name)))).filter(|(_, [a, b])| a != b)
}

fn keys(jobs: [&Loaded; 2]) -> Vec<KeyDiff> {
    let of = |job: &Loaded| -> BTreeMap<String, (String, String)> {
        job.leaves.iter().map(|leaf| (leaf.key.clone(), (leaf.canonical.clone(), leaf.value.clone()))).collect()
    };
    let maps = jobs.map(of);
    let differ = unlike([&maps[0], &maps[1]]).filter(|(_, [a, b])| a.map(|a| &a.0) != b.map(|b| &b.0));
    differ
        .map(|(key, values)| KeyDiff { key: key.clone(), values: values.map(|value| value.map(|of| of.1.clone())) })
        .collect()
}

fn words(results: &[Results; 2]) -> Vec<WordDiff> {
    let row = |(name, values): (&String, [Option<&String>; 2])| WordDiff {
        name: name.clone(),
        values: values.map(|value| value.cloned()),
    };
    unlike([&results[0].words, &results[1].words]).map(row).collect()
}

fn numbers(results: &[Results; 2]) -> Vec<NumberDiff> {
    let row = |(name, values): (&String, [Option<&f64>; 2])| {
        let values = values.map(|value| value.copied());
        let change = match values {
            [Some(first), Some(second)] if first != 0.0 => Some(second / first - 1.0),
            _ => None,
        };
        NumberDiff { name: name.clone(), values, change }
    };
    let mut rows: Vec<NumberDiff> = unlike([&results[0].numbers, &results[1].numbers]).map(row).collect();
    let size = |row: &NumberDiff| row.change.map_or(-1.0, f64::abs);
    rows.sort_by(|a, b| size(b).total_cmp(&size(a)).then_with(|| a.name.cmp(&b.name)));
    rows
}
