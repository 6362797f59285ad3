//! Points: one patch of the base each, and what finishing one leaves.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::criterion::Criterion;
use crate::knob::Change;
use crate::refusal::Refusal;

/// The share of the objective by which a better machine may make it worse; none where a tunnel has no such number.
pub const ANOMALY: &str = "scheduling_anomaly";

/// One patch of the base.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Point {
    /// Its name, unique in the study.
    pub name: String,
    /// Why it is run.
    pub kind: PointKind,
    /// Draws of the estimates to run beside the profile as it stands.
    pub n_draws: u32,
    /// Names of the proposals it unites; empty for other kinds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unites: Vec<String>,
    /// What it changes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub patch: Vec<Change>,
}

/// Why a point is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PointKind {
    /// What all others are compared with.
    Base,
    /// A proposal alone.
    Proposal,
    /// A point of a sweep.
    Sweep,
    /// Several proposals at once.
    Together,
}

impl PointKind {
    /// Its spelling in files and tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Base => "base",
            Self::Proposal => "proposal",
            Self::Sweep => "sweep",
            Self::Together => "together",
        }
    }
}

impl Point {
    pub(crate) fn new(name: &str, kind: PointKind, patch: Vec<Change>, n_draws: u32) -> Self {
        Self { name: name.to_owned(), kind, n_draws, unites: Vec::new(), patch }
    }
}

/// What one run came to: numbers and words by name, for example `step_seconds` and `binding`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Results {
    /// By which of the numbers the job is judged.
    #[serde(default)]
    pub criterion: Criterion,
    /// Numbers by name, in base units; that of the criterion is among them.
    pub numbers: BTreeMap<String, f64>,
    /// Words by name.
    pub words: BTreeMap<String, String>,
}

impl Results {
    /// The number that the job is judged by; `None` where there is none.
    #[must_use]
    pub fn objective(&self) -> Option<f64> {
        self.numbers.get(&self.criterion.name).copied()
    }
}

/// What a finished point leaves, in memory or in a file. Numbers are kept exactly.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FinishedPoint {
    /// Why there are no results.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Whether that is a fault of the program.
    #[serde(default, skip_serializing_if = "is_false")]
    pub fault: bool,
    /// With the profile as it stands.
    #[serde(default)]
    pub results: Results,
    /// The numbers of every draw, by name.
    #[serde(default)]
    pub draws: BTreeMap<String, Vec<f64>>,
}

impl FinishedPoint {
    /// A point without a result.
    pub(crate) fn failed(why: impl Into<Refusal>) -> Self {
        let Refusal { reason, is_fault } = why.into();
        Self { error: Some(reason), fault: is_fault, ..Self::default() }
    }

    /// The objective as it stands; `None` where there is none.
    pub(crate) fn objective(&self) -> Option<f64> {
        self.results.objective().filter(|_| self.error.is_none())
    }

    /// Share of the objective below which two are not told apart.
    pub(crate) fn anomaly(&self) -> f64 {
        self.results.numbers.get(ANOMALY).copied().unwrap_or(0.0)
    }

    /// As a file: TOML, whose numbers come back to the last bit.
    ///
    /// # Errors
    /// The text of what cannot be written.
    pub fn to_toml(&self) -> Result<String, String> {
        toml::to_string(self).map_err(|error| error.to_string())
    }

    /// From a file of [`FinishedPoint::to_toml`].
    ///
    /// # Errors
    /// The text of what is wrong.
    pub fn from_toml(text: &str) -> Result<Self, String> {
        toml::from_str(text).map_err(|error| error.message().to_owned())
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "what `skip_serializing_if` calls")]
pub(crate) fn is_false(flag: &bool) -> bool {
    !flag
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP: &str = "step_seconds";

    #[test]
    fn numbers_come_back_to_the_last_bit() {
        let odd = [0.1 + 0.2, 1.0 / 3.0, 18.139_999_999_999_997, 4e-320, 1e22, 123_456.0, -0.0, 2.0_f64.powi(60)];
        let finished = FinishedPoint {
            error: None,
            fault: false,
            results: Results {
                criterion: Criterion::less(STEP),
                numbers: odd.iter().enumerate().map(|(i, value)| (format!("n{i}"), *value)).collect(),
                words: BTreeMap::from([("binding".to_owned(), "tensor \"cores\"\n".to_owned())]),
            },
            draws: BTreeMap::from([(STEP.to_owned(), odd.to_vec())]),
        };
        let back = FinishedPoint::from_toml(&finished.to_toml().expect("TOML")).expect("TOML");
        let bits =
            |finished: &FinishedPoint| finished.draws[STEP].iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        assert_eq!((bits(&back), &back), (bits(&finished), &finished));
    }
}
