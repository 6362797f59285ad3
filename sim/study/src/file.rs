//! Study files: a base, and what to lay over it.

use std::collections::{BTreeMap, BTreeSet};

use scenario::stem;
use serde::Deserialize;
use toml::Table;
use units::Seconds;

use crate::StudyError;
use crate::draws::Draws;
use crate::knob::{Change, changes};
use crate::parse::parse;
use crate::point::{Point, PointKind};
use crate::proposal::{HandCalculation, Proposal};
use crate::subsets::{self, Together};
use crate::sweep::{N_POINTS_MAX, Sweep};

/// Draws of a study that does not say how many.
const N_DRAWS: u32 = 64;
/// Draws are for intervals of 5 to 95 %: more tell no more about them.
const N_DRAWS_MAX: u32 = 10_000;
/// Proposals that can be taken together: subsets are counted in 32 bits.
const N_TOGETHER_MAX: usize = 20;

/// A question over many runs: a base scenario, proposals, sweeps.
#[derive(Clone, Debug, PartialEq)]
pub struct Study {
    /// Its file's name without folders and ending.
    pub name: String,
    /// The question, for people.
    pub about: String,
    /// The base scenario: a preset's name, or a path relative to the study file.
    pub base: String,
    /// The number that all are judged by, where it is not the one that jobs of this kind are judged by.
    pub objective: Option<String>,
    /// What is laid over the base on both sides of every comparison, sorted by key.
    pub patch: Vec<Change>,
    /// Draws of the profile's spreads.
    pub draws: Draws,
    /// Proposals by name, in the order of the file.
    pub proposals: Vec<(String, Proposal)>,
    /// What to ask of several proposals at once.
    pub together: Option<Together>,
    /// Whether its page also says what moves the base.
    pub sensitivity: bool,
    /// The proposal whose timelines its page sets beside the base's; `None`: the one that surely saves most.
    pub timeline: Option<String>,
    sweeps: BTreeMap<String, Sweep>,
    place: String,
}

/// A study as a file holds it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct StudyTable {
    #[serde(default)]
    about: String,
    base: String,
    objective: Option<String>,
    #[serde(default)]
    patch: Table,
    draws: Option<u32>,
    #[serde(default = "one")]
    seed: u64,
    #[serde(default)]
    sensitivity: bool,
    timeline: Option<String>,
    #[serde(default)]
    proposals: Vec<String>,
    #[serde(default)]
    proposal: BTreeMap<String, Proposal>,
    /// What a person expects of proposals on this job, where their files expect something of another.
    #[serde(default)]
    hand_calculation: BTreeMap<String, HandCalculation>,
    #[serde(default)]
    sweep: BTreeMap<String, Sweep>,
    together: Option<TogetherTable>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct TogetherTable {
    proposals: Vec<String>,
    #[serde(default = "subsets_max")]
    subsets_max: usize,
    #[serde(default = "one")]
    seed: u64,
    target: Option<String>,
}

const fn one() -> u64 {
    1
}

/// All subsets of eight proposals.
const fn subsets_max() -> usize {
    256
}

impl Study {
    /// Reads a study file. `place` is what messages call it; `find` reads the proposal of a name or path that is not in
    /// the file itself.
    ///
    /// # Errors
    /// [`StudyError::File`] with line and column for what is no study; what `find` says; names that are twice or
    /// nowhere; proposals that cannot be together because they change one key to different values.
    pub fn read(
        place: &str,
        text: &str,
        find: &dyn Fn(&str) -> Result<Proposal, StudyError>,
    ) -> Result<Self, StudyError> {
        let table: StudyTable = parse(place, text)?;
        let draws = table.draws.unwrap_or(N_DRAWS);
        if draws > N_DRAWS_MAX {
            let hint = format!("give at most {N_DRAWS_MAX}; 64 are enough for an interval");
            return Err(StudyError::file(place, format!("`draws = {draws}`"), hint));
        }
        let proposals = proposals(place, &table, find)?;
        let together = table.together.map(|asked| asked.checked(place, &proposals)).transpose()?;
        if let Some(name) = table.timeline.as_ref().filter(|name| !proposals.iter().any(|(known, _)| known == *name)) {
            let message = format!("`timeline`: `{name}` is no proposal of this study");
            return Err(StudyError::file(place, message, "add it to `proposals`, or leave `timeline` out"));
        }
        let study = Self {
            name: stem(place),
            about: table.about,
            base: table.base,
            objective: table.objective,
            patch: changes(&table.patch),
            draws: Draws { seed: table.seed, n: draws },
            proposals,
            together,
            sensitivity: table.sensitivity,
            timeline: table.timeline,
            sweeps: table.sweep,
            place: place.to_owned(),
        };
        study.points().map(|_| study)
    }

    /// Every point: the base, proposals in the order of the file, sweeps by name, then subsets of proposals.
    ///
    /// # Errors
    /// [`StudyError::File`] for a sweep that is none, for more points than anybody means, for a name that is twice.
    pub fn points(&self) -> Result<Vec<Point>, StudyError> {
        let mut points = vec![Point::new("base", PointKind::Base, Vec::new(), self.draws.n)];
        for (name, proposal) in &self.proposals {
            points.push(Point::new(name, PointKind::Proposal, proposal.changes(), self.draws.n));
        }
        for (name, sweep) in &self.sweeps {
            let at = |(message, hint)| StudyError::file(format!("{}: sweep.{name}", self.place), message, hint);
            let patches = sweep.patches().map_err(at)?;
            if points.len() + patches.len() > N_POINTS_MAX {
                return Err(at((format!("the study has more than {N_POINTS_MAX} points"), "take fewer values".into())));
            }
            let width = patches.len().to_string().len();
            let named = patches.into_iter().zip(1..).map(|(patch, number)| {
                Point::new(&format!("{name}-{number:0width$}"), PointKind::Sweep, patch, self.draws.n)
            });
            points.extend(named);
        }
        if let Some(asked) = &self.together {
            points.extend(subsets::points(asked, &self.proposals));
        }
        let mut names = BTreeSet::new();
        match points.iter().find(|point| !names.insert(point.name.as_str())) {
            None => Ok(points),
            Some(twice) => {
                let message = format!("two points are called `{}`", twice.name);
                Err(StudyError::file(
                    &self.place,
                    message,
                    "name proposals and sweeps so that all differ; `base` is taken",
                ))
            }
        }
    }
}

/// Proposals in the order of `proposals`, from the file or from elsewhere.
fn proposals(
    place: &str,
    table: &StudyTable,
    find: &dyn Fn(&str) -> Result<Proposal, StudyError>,
) -> Result<Vec<(String, Proposal)>, StudyError> {
    if let Some(idle) = table.proposal.keys().find(|name| !table.proposals.contains(name)) {
        let message = format!("`[proposal.{idle}]` is in no list");
        return Err(StudyError::file(
            place,
            message,
            format!("add `\"{idle}\"` to `proposals`, which gives their order"),
        ));
    }
    let mut proposals = Vec::new();
    for reference in &table.proposals {
        let proposal = match table.proposal.get(reference) {
            Some(proposal) => proposal.clone(),
            None => find(reference)?,
        };
        let name = stem(reference);
        let hand_calculation = table.hand_calculation.get(&name).cloned().unwrap_or(proposal.hand_calculation);
        let proposal = Proposal { hand_calculation, ..proposal };
        proposal.check(&format!("{place}: proposal.{reference}"))?;
        proposals.push((name, proposal));
    }
    if let Some(idle) = table.hand_calculation.keys().find(|name| !proposals.iter().any(|(known, _)| known == *name)) {
        let message = format!("`[hand-calculation.{idle}]` is of no proposal of this study");
        return Err(StudyError::file(place, message, "add it to `proposals`, or take the table out"));
    }
    Ok(proposals)
}

impl TogetherTable {
    fn checked(self, place: &str, proposals: &[(String, Proposal)]) -> Result<Together, StudyError> {
        let place = format!("{place}: together");
        let fault = |message: String, hint: &str| Err(StudyError::file(&place, message, hint));
        let known = |name: &String| proposals.iter().any(|(known, _)| known == name);
        let unique: BTreeSet<&String> = self.proposals.iter().collect();
        if let Some(name) = self.proposals.iter().find(|name| !known(name)) {
            return fault(
                format!("`{name}` is no proposal of this study"),
                "add it to `proposals` at the top of the file",
            );
        }
        if unique.len() < self.proposals.len() || !(2..=N_TOGETHER_MAX).contains(&unique.len()) {
            let message =
                format!("`proposals` names {} different proposals in {} entries", unique.len(), self.proposals.len());
            return fault(message, &format!("name 2 to {N_TOGETHER_MAX}, each once"));
        }
        if let Some((key, a, b)) = conflict(&self.proposals, proposals) {
            let hint = "two values of one key have no sum: leave one of the two out, or write their union as a proposal of its own";
            return fault(format!("`{a}` and `{b}` change `{key}` to different values"), hint);
        }
        let least = subsets::subsets_min(unique.len());
        if !(least..=N_POINTS_MAX).contains(&self.subsets_max) {
            let message = format!("`subsets-max = {}` for {} proposals", self.subsets_max, unique.len());
            return fault(message, &format!("give {least} to {N_POINTS_MAX}"));
        }
        let target = match self.target.as_deref().map(str::parse::<Seconds>) {
            None => None,
            Some(Ok(target)) => Some(target),
            Some(Err(error)) => return fault(format!("`target`: {error}"), error.hint()),
        };
        Ok(Together { proposals: self.proposals, subsets_max: self.subsets_max, seed: self.seed, target })
    }
}

/// Two proposals that want different values of one key.
fn conflict<'a>(names: &'a [String], all: &[(String, Proposal)]) -> Option<(String, &'a str, &'a str)> {
    let mut wanted: BTreeMap<String, (toml::Value, &str)> = BTreeMap::new();
    for name in names {
        for change in all.iter().filter(|(known, _)| known == name).flat_map(|(_, proposal)| proposal.changes()) {
            match wanted.get(&change.key) {
                Some((value, other)) if *value != change.value => return Some((change.key, other, name)),
                _ => {
                    wanted.insert(change.key, (change.value, name));
                }
            }
        }
    }
    None
}
