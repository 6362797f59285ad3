//! Answers side by side: what a proposal is worth on each of several jobs.
//!
//! Studies of different jobs judge by different numbers, so that their changes are compared as shares of each study's own base.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::StudyError;
use crate::interval::Verdict;
use crate::json;

/// Studies side by side. Field names are the JSON keys.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SideBySide {
    /// The studies, in the order in which they were given.
    pub studies: Vec<ComparedStudy>,
    /// Proposals that any of them has, what saves the largest share of any base first.
    pub proposals: Vec<ComparedProposal>,
}

/// A study of several.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ComparedStudy {
    /// What it is called beside the others.
    pub name: String,
    /// The question.
    pub about: String,
    /// Its base.
    pub base: String,
    /// The number that it judges by.
    pub objective: String,
    /// That of its base.
    pub value: f64,
    /// Draws behind its intervals.
    pub draws: u32,
}

/// A proposal over all studies.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ComparedProposal {
    /// Its name.
    pub proposal: String,
    /// What it came to in each study, in their order.
    pub outcomes: Vec<ComparedOutcome>,
}

/// What a proposal came to in a study.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ComparedOutcome {
    /// The study does not have it.
    Absent,
    /// Why it has no result.
    Failed(String),
    /// Its change.
    Ran(ComparedChange),
}

/// A change of an objective, in shares of the base's.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ComparedChange {
    /// With the estimates as they stand.
    pub share: f64,
    /// Where it lies over the draws, 5 to 95 %; none without draws.
    pub interval: Option<[f64; 2]>,
    /// Which sign the draws leave it.
    pub verdict: Option<Verdict>,
    /// What binds the job with it.
    pub binding: String,
}

/// `study.json`, as far as it is compared.
#[derive(Deserialize)]
struct Told {
    about: String,
    objective: String,
    draws: u32,
    base: ToldBase,
    points: Vec<ToldPoint>,
}

#[derive(Deserialize)]
struct ToldBase {
    name: String,
    #[serde(flatten)]
    rest: serde_json::Map<String, Value>,
}

#[derive(Deserialize)]
struct ToldPoint {
    name: String,
    kind: String,
    error: Option<String>,
    difference: Option<ToldDifference>,
    binding: Option<String>,
}

#[derive(Deserialize)]
struct ToldDifference {
    share: f64,
    low: Option<f64>,
    high: Option<f64>,
    verdict: Option<Verdict>,
}

impl SideBySide {
    /// Of the texts of `study.json`, each with a name of its own.
    ///
    /// # Errors
    /// [`StudyError::Store`] for a text that is no answer of a study.
    pub fn of(studies: &[(String, String)]) -> Result<Self, StudyError> {
        let told: Vec<(Told, f64)> = studies.iter().map(|(name, text)| told(name, text)).collect::<Result<_, _>>()?;
        let mut names: Vec<&str> = Vec::new();
        for point in told.iter().flat_map(|(told, _)| told.proposals()) {
            if !names.contains(&point.name.as_str()) {
                names.push(&point.name);
            }
        }
        let row = |name: &str| ComparedProposal {
            proposal: name.to_owned(),
            outcomes: told.iter().map(|(told, value)| told.outcome(name, *value)).collect(),
        };
        let mut proposals: Vec<ComparedProposal> = names.into_iter().map(row).collect();
        proposals.sort_by(|a, b| a.best().total_cmp(&b.best()));
        let study = |((name, _), (told, value)): (&(String, String), &(Told, f64))| ComparedStudy {
            name: name.clone(),
            about: told.about.clone(),
            base: told.base.name.clone(),
            objective: told.objective.clone(),
            value: *value,
            draws: told.draws,
        };
        Ok(Self { studies: studies.iter().zip(&told).map(study).collect(), proposals })
    }

    /// Indented JSON with a newline at its end.
    ///
    /// # Errors
    /// [`StudyError::Fault`]: it can always be written.
    pub fn json(&self) -> Result<String, StudyError> {
        json::pretty(self)
    }
}

fn told(name: &str, text: &str) -> Result<(Told, f64), StudyError> {
    let fault = |why: String| {
        StudyError::Store(format!(
            "`{name}` is no answer of a study: {why}\nhint: name folders that `windtunnel study NAME --out FOLDER` wrote"
        ))
    };
    let told: Told = serde_json::from_str(text).map_err(|error| fault(error.to_string()))?;
    let value = told.base.rest.get(&told.objective).and_then(Value::as_f64).filter(|value| *value > 0.0);
    let value = value.ok_or_else(|| fault(format!("its base has no `{}` above zero", told.objective)))?;
    Ok((told, value))
}

impl Told {
    fn proposals(&self) -> impl Iterator<Item = &ToldPoint> {
        self.points.iter().filter(|point| point.kind == "proposal")
    }

    fn outcome(&self, name: &str, base: f64) -> ComparedOutcome {
        let Some(point) = self.proposals().find(|point| point.name == name) else { return ComparedOutcome::Absent };
        match (&point.difference, &point.error) {
            (Some(difference), None) => ComparedOutcome::Ran(ComparedChange {
                share: difference.share,
                interval: difference.low.zip(difference.high).map(|(low, high)| [low / base, high / base]),
                verdict: difference.verdict,
                binding: point.binding.clone().unwrap_or_default(),
            }),
            (_, error) => ComparedOutcome::Failed(error.clone().unwrap_or_else(|| "it has no result".to_owned())),
        }
    }
}

impl ComparedProposal {
    /// Its smallest change: what it saves where it saves most.
    fn best(&self) -> f64 {
        let shares = self.outcomes.iter().filter_map(|outcome| match outcome {
            ComparedOutcome::Ran(change) => Some(change.share),
            ComparedOutcome::Absent | ComparedOutcome::Failed(_) => None,
        });
        shares.fold(f64::INFINITY, f64::min)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(objective: &str, value: f64, points: &str) -> String {
        format!(
            r#"{{"about": "?", "objective": "{objective}", "draws": 8, "base": {{"name": "b", "{objective}": {value}}}, "points": [{points}]}}"#
        )
    }

    fn point(name: &str, share: f64, low: f64) -> String {
        format!(
            r#"{{"name": "{name}", "kind": "proposal", "binding": "memory", "difference": {{"share": {share}, "low": {low}, "high": 0.0, "verdict": "less"}}}}"#
        )
    }

    #[test]
    fn changes_are_shares_of_their_own_base_and_the_largest_saving_comes_first() {
        let one = text("step_seconds", 10.0, &[point("a", -0.1, -2.0), point("b", -0.2, -3.0)].join(","));
        let other = text("rate", 2.0, &point("a", -0.3, -1.0));
        let compared = SideBySide::of(&[("x".into(), one), ("y".into(), other)]).expect("two studies");
        let names: Vec<&str> = compared.proposals.iter().map(|row| row.proposal.as_str()).collect();
        assert_eq!(names, ["a", "b"]);
        let ComparedOutcome::Ran(change) = &compared.proposals[0].outcomes[1] else { panic!("it ran") };
        assert_eq!(change.interval, Some([-0.5, 0.0]));
        assert_eq!(compared.proposals[1].outcomes[1], ComparedOutcome::Absent);
    }

    #[test]
    fn what_is_no_answer_is_named() {
        for text in ["", "{}", "[]", &text("step_seconds", 0.0, "")] {
            let error = SideBySide::of(&[("mine".into(), text.to_owned())]).expect_err("no answer").to_string();
            assert!(error.contains("`mine`") && error.contains("hint"), "{error}");
        }
    }
}
