//! Proposals: machines and policies that do not exist, as patches of what is there.

use serde::{Deserialize, Serialize};
use toml::Table;

use crate::StudyError;
use crate::knob::{Change, changes};
use crate::parse::parse;

/// A proposal: a file of `proposals/`, or a `[proposal.NAME]` table of a study.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Proposal {
    /// What it would be, in a sentence.
    pub about: String,
    /// Who asked for it: a fact's identifier, or a publication and its section.
    pub source: String,
    /// What is taken for granted, for example that software keeps up.
    pub assumes: String,
    /// Price of it, in any unit that all proposals of a study share; decides which set of proposals is the cheapest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<f64>,
    /// What is changed, as the scenario's `[patch]`.
    pub patch: Table,
    /// What a person expects.
    pub hand_calculation: HandCalculation,
}

/// What a person expects of a proposal before it is run, to catch a wrong model or a wrong hope.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct HandCalculation {
    /// The reasoning, with its numbers.
    pub text: String,
    /// The least change of the objective, a share of the base's; below zero is faster.
    pub low: f64,
    /// The largest change.
    pub high: f64,
}

impl HandCalculation {
    /// Whether a change of the objective, a share of the base's, lies where it was expected.
    #[must_use]
    pub fn agrees(&self, change: f64) -> bool {
        (self.low..=self.high).contains(&change)
    }
}

impl Proposal {
    /// Reads a proposal file; `place` is what messages call it.
    ///
    /// # Errors
    /// [`StudyError::File`] with line and column for what is no proposal, and for a hand calculation whose ends are
    /// the wrong way round.
    pub fn read(place: &str, text: &str) -> Result<Self, StudyError> {
        let proposal: Self = parse(place, text)?;
        proposal.check(place)?;
        Ok(proposal)
    }

    pub(crate) fn check(&self, place: &str) -> Result<(), StudyError> {
        let HandCalculation { low, high, .. } = &self.hand_calculation;
        if low > high || low.is_nan() || high.is_nan() {
            let message = format!("`hand-calculation` goes from low = {low} to high = {high}");
            return Err(StudyError::file(place, message, "`low` is the smaller change: -0.04 is 4 % less time"));
        }
        if self.cost.is_some_and(|cost| !cost.is_finite() || cost < 0.0) {
            return Err(StudyError::file(
                place,
                "`cost` is below zero or no number",
                "give zero or more, or leave it out",
            ));
        }
        if self.changes().is_empty() {
            let hint = "write what it changes, for example `patch.gpu.scale-up.links = 18`";
            return Err(StudyError::file(place, "`patch` is empty", hint));
        }
        Ok(())
    }

    /// What it changes, sorted by key.
    #[must_use]
    pub fn changes(&self) -> Vec<Change> {
        changes(&self.patch)
    }
}
