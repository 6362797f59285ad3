//! Which figure of ours answers which published fact, from `scenarios/predictions/`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use scenario::Fact;
use serde::Deserialize;

use crate::exit::Failure;

const FOLDER: &str = "predictions";
/// The presets compiled in, by name.
const BUILT_IN: [(&str, &str); 1] =
    [("deepseek-v3", include_str!("../../../../scenarios/predictions/deepseek-v3.toml"))];

/// A file of predictions.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Predictions {
    /// For people.
    #[serde(rename = "about")]
    _about: String,
    /// What is run.
    pub(super) scenario: String,
    /// What is compared with.
    pub(super) facts: String,
    /// Factor from base units to each unit of the facts.
    units: BTreeMap<String, f64>,
    /// Answers by family of facts, then by fact.
    pub(super) family: BTreeMap<String, BTreeMap<String, Answer>>,
}

/// How a fact is answered: exactly one of the four.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Answer {
    /// A key of the summary.
    pub(super) summary: Option<String>,
    /// The mean duration of an op in pairs.
    pub(super) op: Option<String>,
    /// Sums of ops in pairs.
    pub(super) ops: Option<Vec<Sum>>,
    /// A mean over overlapped pairs.
    pub(super) pair: Option<PairFigure>,
    /// Times this.
    pub(super) times: Option<f64>,
}

/// All runs of some ops over the runs of one.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Sum {
    pub(super) sum: Vec<String>,
    pub(super) per: String,
}

/// A mean over the overlapped pairs of a rank, seconds.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum PairFigure {
    Duration,
    Compute,
    Dispatch,
    Combine,
}

/// Names of the presets compiled in.
pub(super) fn presets() -> impl Iterator<Item = &'static str> {
    BUILT_IN.iter().map(|(name, _)| *name)
}

/// Reads predictions: a file, or a preset of the folders given, of `scenarios` or of those compiled in.
pub(super) fn read(reference: &str, libraries: &[PathBuf]) -> Result<Predictions, Failure> {
    let (name, text) = text(reference, libraries)?;
    toml::from_str(&text).map_err(|error| Failure::usage(format!("`{name}` is no file of predictions\n{error}")))
}

fn text(reference: &str, libraries: &[PathBuf]) -> Result<(String, String), Failure> {
    let is_path = reference.contains('/') || reference.ends_with(".toml");
    let folders = libraries.iter().map(PathBuf::as_path).chain([Path::new("scenarios")]);
    let paths: Vec<PathBuf> = if is_path {
        vec![PathBuf::from(reference)]
    } else {
        folders.map(|folder| folder.join(FOLDER).join(format!("{reference}.toml"))).collect()
    };
    for path in paths {
        match std::fs::read_to_string(&path) {
            Ok(text) => return Ok((path.display().to_string(), text)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(Failure::usage(format!("`{}` cannot be read: {error}", path.display()))),
        }
    }
    let built_in = BUILT_IN.iter().find(|(name, _)| !is_path && *name == reference);
    built_in.map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).ok_or_else(|| {
        let names: Vec<&str> = presets().collect();
        Failure::usage(format!("there are no predictions `{reference}`\nhint: there are {}", names.join(", ")))
    })
}

impl Predictions {
    /// Whether every family asked for is there, and every answer has its question.
    pub(super) fn check(&self, families: &[String], facts: &[Fact]) -> Result<(), Failure> {
        if let Some(unknown) = families.iter().find(|family| !self.family.contains_key(*family)) {
            let known: Vec<&str> = self.family.keys().map(String::as_str).collect();
            return Err(Failure::usage(format!(
                "no prediction is of the family `{unknown}`\nhint: there are {}",
                known.join(", ")
            )));
        }
        let is_fact = |id: &&String| facts.iter().any(|fact| fact.id == **id);
        match self.family.values().flat_map(BTreeMap::keys).find(|id| !is_fact(id)) {
            Some(id) => {
                Err(Failure::usage(format!("there is a prediction of `{id}`, but `{}` has no such fact", self.facts)))
            }
            None => Ok(()),
        }
    }

    /// Factor from base units to `unit`.
    pub(super) fn scale(&self, unit: &str) -> Result<f64, Failure> {
        self.units.get(unit).copied().ok_or_else(|| {
            Failure::usage(format!("predictions do not know the unit `{unit}`\nhint: add it to their `[units]`"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_presets_can_be_read_and_answer_facts_that_are_there() {
        for (name, text) in BUILT_IN {
            let predictions: Predictions = toml::from_str(text).unwrap_or_else(|error| panic!("{name}: {error}"));
            let facts = scenario::published(&predictions.facts, &scenario::Library::built_in()).expect("facts");
            predictions.check(&[], &facts).unwrap_or_else(|failure| panic!("{name}: {failure:?}"));
        }
    }

    #[test]
    fn an_unknown_family_is_a_mistake_that_lists_them() {
        let predictions = read("deepseek-v3", &[]).expect("a preset");
        let failure = predictions.check(&["kaggle".to_owned()], &[]).expect_err("no such family");
        assert!(format!("{failure:?}").contains("train_trace"));
    }
}
