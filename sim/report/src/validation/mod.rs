//! Many published figures beside ours, and how far apart they are, family by family.

mod page;
mod text;

use serde::Serialize;

use crate::error::{ReportError, finite};
use crate::summary::Comparison;

pub use page::validation_page;
pub use text::{validation_markdown, validation_text};

/// What was compared, and what could not be.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Validation {
    /// Families that were compared, in the order in which they are shown.
    pub families: Vec<FamilyOf>,
    /// One a fact, family by family.
    pub cases: Vec<Case>,
    /// Facts that repeat a case's measurement in another unit or form: shown, counted nowhere.
    pub repeats: Vec<Case>,
    /// Facts without an answer, by family and reason.
    pub uncovered: Vec<Uncovered>,
}

/// A family of facts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FamilyOf {
    /// Its name.
    pub name: String,
    /// What it is of.
    pub about: String,
    /// What larger kind of thing it is of, for example `kernels`.
    pub group: String,
}

/// A published figure beside ours, with the commands that make ours again.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Case {
    /// The two figures.
    #[serde(flatten)]
    pub row: Comparison,
    /// Simulated less published, over published; none where zero was published.
    pub error: Option<f64>,
    /// Where ours lies from 5 to 95 %, in the unit of both; none of an answer without an interval.
    pub interval: Option<[f64; 2]>,
    /// Where and how the published figure holds.
    pub conditions: String,
    /// Command lines of the program; what several of them answer adds up.
    pub commands: Vec<String>,
}

/// Facts of one family without an answer, for one reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Uncovered {
    /// Their family.
    pub family: String,
    /// How many.
    pub n: usize,
    /// Why.
    pub reason: String,
}

/// Errors of some cases; those that an input rests on are counted apart and judge nothing.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Score {
    /// Cases that judge.
    pub n: usize,
    /// Cases that an input of their prediction rests on.
    pub n_used: usize,
    /// Median of the absolute errors; none of nothing, as the three below.
    pub median_absolute_error: Option<f64>,
    /// Their 90th percentile, between neighbors by proportion.
    pub p90_absolute_error: Option<f64>,
    /// Mean of the signed errors.
    pub bias: Option<f64>,
    /// The case that is farthest off.
    pub worst: Option<Worst>,
    /// Whether the published figures lie in the intervals of ours.
    #[serde(flatten)]
    pub coverage: Coverage,
}

/// Whether published figures lie in the intervals, 5 to 95 %, of ours, over the cases that judge.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Coverage {
    /// Cases whose answer has an interval.
    pub n_with_interval: usize,
    /// Share of those whose published figure lies inside; none of nothing, as the next. Honest spreads have 0.9.
    #[serde(rename = "coverage")]
    pub share: Option<f64>,
    /// Median of half the relative widths of their intervals, `(high / low - 1) / 2`.
    pub median_half_width: Option<f64>,
}

/// The case that is farthest off.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Worst {
    /// Its fact.
    pub id: String,
    /// Its error.
    pub error: f64,
}

impl Case {
    /// A comparison as a case.
    #[must_use]
    pub fn new(row: Comparison, conditions: String, commands: Vec<String>) -> Self {
        Self { error: row.error(), row, interval: None, conditions, commands }
    }

    fn judges(&self) -> bool {
        !self.row.used && self.error.is_some()
    }

    /// Whether the published figure lies inside the interval, and half its relative width; none without an interval.
    fn held(&self) -> Option<(bool, f64)> {
        let [low, high] = self.interval?;
        let is_inside = low <= self.row.published && self.row.published <= high;
        (low > 0.0).then(|| (is_inside, (high / low - 1.0) / 2.0))
    }
}

impl Score {
    /// Of these cases.
    #[must_use]
    pub fn of<'a>(cases: impl IntoIterator<Item = &'a Case>) -> Self {
        let mut score = Self::default();
        let mut errors: Vec<(f64, &str)> = Vec::new();
        let mut held: Vec<(bool, f64)> = Vec::new();
        for case in cases {
            score.n_used += usize::from(case.row.used);
            if let Some(error) = case.error.filter(|_| case.judges()) {
                errors.push((error, &case.row.id));
                held.extend(case.held());
            }
        }
        score.n = errors.len();
        if !errors.is_empty() {
            score.bias = Some(errors.iter().map(|(error, _)| error).sum::<f64>() / errors.len() as f64);
        }
        // Stable, so of equal errors the first case is the worst.
        errors.sort_by(|(a, _), (b, _)| b.abs().total_cmp(&a.abs()));
        score.worst = errors.first().map(|&(error, id)| Worst { id: id.to_owned(), error });
        let absolute: Vec<f64> = errors.iter().map(|(error, _)| error.abs()).collect();
        let quantiles = units::quantiles(&absolute, [0.5, 0.9]);
        [score.median_absolute_error, score.p90_absolute_error] = quantiles.map_or([None; 2], |both| both.map(Some));
        score.coverage = Coverage::of(&held);
        score
    }
}

impl Coverage {
    /// Of cases, each by whether it lies inside and half its width.
    fn of(held: &[(bool, f64)]) -> Self {
        let n = held.len();
        let n_inside = held.iter().filter(|(is_inside, _)| *is_inside).count();
        let widths: Vec<f64> = held.iter().map(|(_, width)| *width).collect();
        Self {
            n_with_interval: n,
            share: (n > 0).then(|| n_inside as f64 / n as f64),
            median_half_width: units::median(&widths),
        }
    }
}

impl Validation {
    /// Errors over all cases.
    #[must_use]
    pub fn score(&self) -> Score {
        Score::of(&self.cases)
    }

    /// Errors of every family, in order.
    pub fn scores(&self) -> impl Iterator<Item = (&FamilyOf, Score)> {
        self.families.iter().map(|family| (family, Score::of(self.cases_of(&family.name))))
    }

    /// Errors of every group of families, in order of first appearance.
    #[must_use]
    pub fn groups(&self) -> Vec<(&str, Score)> {
        let mut names: Vec<&str> = Vec::new();
        for family in &self.families {
            if !names.contains(&family.group.as_str()) {
                names.push(&family.group);
            }
        }
        let of = |group: &str| Score::of(self.cases.iter().filter(|case| self.group(case) == group));
        names.into_iter().map(|group| (group, of(group))).collect()
    }

    /// The cases of a family.
    pub fn cases_of<'a>(&'a self, family: &'a str) -> impl Iterator<Item = &'a Case> {
        self.cases.iter().filter(move |case| case.row.family == family)
    }

    pub(crate) fn group(&self, case: &Case) -> &str {
        let family = self.families.iter().find(|family| family.name == case.row.family);
        family.map_or("", |family| family.group.as_str())
    }
}

/// A score with its name, as JSON has it.
#[derive(Serialize)]
struct Named<'a> {
    #[serde(rename = "family", skip_serializing_if = "Option::is_none")]
    family: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    about: Option<&'a str>,
    #[serde(flatten)]
    score: Score,
}

#[derive(Serialize)]
struct AsJson<'a> {
    n_cases: usize,
    n_used: usize,
    median_absolute_error: Option<f64>,
    p90_absolute_error: Option<f64>,
    bias: Option<f64>,
    #[serde(flatten)]
    coverage: Coverage,
    groups: Vec<Named<'a>>,
    families: Vec<Named<'a>>,
    cases: &'a [Case],
    repeats: &'a [Case],
    uncovered: &'a [Uncovered],
}

/// A validation as JSON; errors are fractions, and counts and medians are of the cases that judge.
///
/// # Errors
/// [`ReportError::NotFinite`] with the path of a number that JSON cannot hold.
pub fn validation_json(validation: &Validation) -> Result<String, ReportError> {
    check(validation)?;
    let Score { n, n_used, median_absolute_error, p90_absolute_error, bias, coverage, .. } = validation.score();
    let groups = validation.groups().into_iter();
    let families = validation.scores();
    let json = AsJson {
        n_cases: n,
        n_used,
        median_absolute_error,
        p90_absolute_error,
        bias,
        coverage,
        groups: groups.map(|(group, score)| Named { family: None, group: Some(group), about: None, score }).collect(),
        families: families
            .map(|(family, score)| Named {
                family: Some(&family.name),
                group: Some(&family.group),
                about: Some(&family.about),
                score,
            })
            .collect(),
        cases: &validation.cases,
        repeats: &validation.repeats,
        uncovered: &validation.uncovered,
    };
    let mut text = serde_json::to_string_pretty(&json).map_err(ReportError::library)?;
    text.push('\n');
    Ok(text)
}

/// An error of nothing is a `null` that is meant; both figures must be numbers.
pub(crate) fn check(validation: &Validation) -> Result<(), ReportError> {
    for case in validation.cases.iter().chain(&validation.repeats) {
        finite(&case.row.id, &[case.row.published, case.row.simulated])?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
