//! What a study came to: plain data, as [`Summary`](crate::Summary) is for one run.
//!
//! A change is a share of the base's value of the measure that the study judges by ([`Measure`]): below zero there is less of it, which is better. Nothing here is worked out from anything
//! else here; who hands it over did that.

mod page;
mod sensitivity;
mod tables;

use std::collections::BTreeMap;

use serde::Serialize;

use crate::measure::Measure;

pub use page::{BeforeAfter, StudyInput, study_figures, study_page};
pub use sensitivity::{EstimateRow, KnobRow, SensitivitySummary, sensitivity_page};

/// What a study came to.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct StudySummary {
    /// The study's name.
    pub name: String,
    /// The question.
    pub about: String,
    /// What all are judged by.
    pub measure: Measure,
    /// Draws behind intervals; zero where there are none.
    pub draws: u32,
    /// What all others are compared with.
    pub base: StudyBase,
    /// Proposals, what saves most first, those without a result last.
    pub proposals: Vec<ProposalRow>,
    /// Sweeps, by name.
    pub sweeps: Vec<SweepSummary>,
    /// Proposals beside each other, where the study asks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub together: Option<TogetherSummary>,
    /// The measure against cost, where costs are known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub front: Option<Front>,
    /// What moves the base, where the study asks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sensitivity: Option<SensitivitySummary>,
    /// Speed beside arithmetic, for proposals that touch precision.
    pub arithmetic: Vec<ArithmeticRow>,
    /// What a reader must know: what was left out, and why.
    pub notes: Vec<String>,
}

/// The base of a study.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct StudyBase {
    /// The scenario's name.
    pub name: String,
    /// Identity of its plan.
    pub digest: String,
    /// What the study lays over it everywhere, as `key=value`.
    pub patch: Vec<String>,
    /// Value of the measure.
    pub value: f64,
    /// Where it lies over the draws, 5 to 95 %.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<[f64; 2]>,
    /// What it is made of.
    pub made_of: MadeOf,
}

/// What a value is made of and rests on.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct MadeOf {
    /// What binds most of it.
    pub binding: String,
    /// The weakest basis it rests on.
    pub basis: String,
    /// The value by what binds it; adds up to the value.
    pub binding_parts: BTreeMap<String, f64>,
    /// Shares by the basis of the estimate that bound; empty where not known.
    pub basis_shares: BTreeMap<String, f64>,
}

/// A proposal beside the base.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ProposalRow {
    /// Its name.
    pub name: String,
    /// What it would be.
    pub about: String,
    /// Who asked for it.
    pub source: String,
    /// What it takes for granted.
    pub assumes: String,
    /// What it changes, as `key=value`.
    pub patch: Vec<String>,
    /// What a person expected.
    pub hand: Hand,
    /// What came out, or why nothing did.
    pub result: ProposalResult,
}

/// What a person expected of a proposal before it was run.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Hand {
    /// The reasoning.
    pub text: String,
    /// The least change expected.
    pub low: f64,
    /// The largest.
    pub high: f64,
    /// Whether the result lies there; none without a result.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agrees: Option<bool>,
}

/// What a proposal came to.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ProposalResult {
    /// Why there is no result.
    Failed(String),
    /// Its value beside the base's.
    Ran(ProposalRun),
}

impl Default for ProposalResult {
    fn default() -> Self {
        Self::Failed("it was not run".to_owned())
    }
}

/// A value beside the base's.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ProposalRun {
    /// Value of the measure.
    pub value: f64,
    /// Its change with the estimates as they stand.
    pub change: f64,
    /// Where the change lies over the draws, 5 to 95 %.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<[f64; 2]>,
    /// Whether the draws leave its sign no choice; none without draws.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decided: Option<bool>,
    /// Estimates that decide it, with the share of the variance that each explains.
    pub decided_by: Vec<(String, f64)>,
    /// What it is made of.
    pub made_of: MadeOf,
}

/// A sweep.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct SweepSummary {
    /// Its name.
    pub name: String,
    /// Points it has.
    pub n_points: u64,
    /// Points without a result.
    pub n_failed: u64,
    /// The best points, the first first.
    pub best: Vec<SweepPoint>,
    /// A map for each pair of knobs that has a value everywhere.
    pub maps: Vec<HeatMap>,
}

/// A point of a sweep.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct SweepPoint {
    /// Its name.
    pub name: String,
    /// What it changes, as `key=value`.
    pub patch: Vec<String>,
    /// Value of the measure.
    pub value: f64,
    /// Its change.
    pub change: f64,
    /// What binds most of it.
    pub binding: String,
}

/// The best value for every two values of two knobs.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct HeatMap {
    /// The knob to the right, and its values as written.
    pub x: MapAxis,
    /// The knob upward, and its values as written.
    pub y: MapAxis,
    /// By row of `y`, then by column of `x`: the least over all values of the other knobs.
    pub values: Vec<Vec<f64>>,
    /// The same as changes.
    pub changes: Vec<Vec<f64>>,
    /// The other knobs.
    pub others: Vec<String>,
}

/// A knob of a map.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct MapAxis {
    /// Its dotted key.
    pub key: String,
    /// Its values as written.
    pub values: Vec<String>,
}

/// Proposals beside each other. Worths are how much less of the measure there is.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct TogetherSummary {
    /// Whether orders were sampled; else every set was run.
    pub sampled: bool,
    /// One row a proposal.
    pub shares: Vec<WorthRow>,
    /// One row a pair.
    pub pairs: Vec<PairRow>,
    /// Every set that was run, the best first.
    pub sets: Vec<SetRow>,
    /// The value to reach.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<f64>,
    /// The cheapest set that reaches it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cheapest: Option<SetRow>,
}

/// What one proposal is worth.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct WorthRow {
    /// The proposal.
    pub proposal: String,
    /// Alone.
    pub alone: f64,
    /// As the last one, beside all others; none where that set was not run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<f64>,
    /// Its Shapley share.
    pub shapley: f64,
}

/// What two proposals do to each other.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct PairRow {
    /// One.
    pub first: String,
    /// The other.
    pub second: String,
    /// What both are worth beyond the sum of each alone.
    pub interaction: f64,
    /// `complements`, `substitutes` or `independent`.
    pub kind: String,
}

/// A set of proposals that was run.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct SetRow {
    /// Its proposals; none is the base.
    pub proposals: Vec<String>,
    /// Value of the measure.
    pub value: f64,
    /// How much less that is than the base's.
    pub worth: f64,
    /// Sum of costs; none where one is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost: Option<f64>,
}

/// The measure against cost.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Front {
    /// What the cost is, with its unit.
    pub cost_name: String,
    /// Every point with a cost and a value.
    pub points: Vec<FrontPoint>,
}

/// A point of the measure against cost.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct FrontPoint {
    /// Its name.
    pub name: String,
    /// Its cost.
    pub cost: f64,
    /// Value of the measure.
    pub value: f64,
    /// Whether no other point is both cheaper and better.
    pub on_front: bool,
    /// Whether it is the base.
    pub is_base: bool,
}

/// Speed and arithmetic of a proposal that touches precision, over the matrix products of the model.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ArithmeticRow {
    /// The proposal, or the base.
    pub proposal: String,
    /// Change of the measure.
    pub change: f64,
    /// Bits of the fraction that sums keep.
    pub fraction_bits: u32,
    /// How often sums are moved to wider registers, in words.
    pub promotion: String,
    /// Median over the model's matrix products of the relative error.
    pub error_median: f64,
    /// The worst of them.
    pub error_worst: f64,
}
