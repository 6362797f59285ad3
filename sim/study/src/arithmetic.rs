//! Speed and arithmetic side by side: what the FP8 sums of a proposal lose, at the lengths its own model has.
//!
//! A proposal is shown where its plan adds otherwise than the base's: other fraction bits, another promotion, scales applied
//! elsewhere, another precision. For every inner dimension of its FP8 products operands are drawn and quantized as the job
//! quantizes them, multiplied as its tensor cores would, and compared with the exact product of the same quantized operands
//! ([`numerics::ScaledQuestion`]).
//!
//! Assumed: products are added in groups of 32; as many bits are stored as are kept in aligning; scales are FP32 where CUDA
//! cores apply them and powers of two where the tensor core does; operands are random and independent of each other. Without scales
//! inside the tensor core, sums of tiles and blocks leave it wherever a scale changes, every 128 products, promoted or not.

use std::collections::{BTreeMap, BTreeSet};

use numerics::{
    Accumulator, Format, Granularity, Loss, NumericsError, OperandDistribution, ScaleAt, ScaleKind, ScaledDot,
    ScaledQuestion,
};
use plan::Scales;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::criterion::{Criterion, Named};

/// What the error of a GEMM here is of, and what it is not; stands beside every table of it.
pub const ARITHMETIC: &str = "relative error: of one product's sums against exact arithmetic on the same quantized operands, RMS over \
RMS of the outputs, for normal operands; bias: for positive operands, what sums fall short by. Neither holds what quantizing loses, \
and neither is a loss of training";

/// Products that an FP8 tensor core adds together. Source: fp8.isca_frac_bits.
const GROUP: usize = 32;
/// Elements along K that share a scale in tiles and blocks.
const TILE: usize = 128;
/// Seed of the operands: equal for all, so that what differs is the arithmetic.
const SEED: u64 = 1;

/// How the FP8 products of a point are added, as the manifest keeps it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ProductSums {
    /// How, which tells whether a proposal is one of precision.
    pub how: How,
    /// Every length.
    pub lengths: Vec<SumLength>,
}

/// How products are added.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct How {
    /// `job.precision`.
    pub precision: String,
    /// Fraction bits of the FP8 accumulator.
    pub fraction_bits: u32,
    /// Products between promotions to FP32 as the policy has it; none: never.
    #[serde(default)]
    pub promote: Option<u32>,
    /// Whether the tensor core applies scales itself.
    pub scales_inside: bool,
}

/// FP8 products of one inner dimension and one kind of scales.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct SumLength {
    /// `block`, `tile` or `tensor`.
    pub scales: ScalesName,
    /// Products of a sum.
    pub k: u64,
    /// Which GEMMs have it.
    pub gemms: Vec<String>,
}

/// Which elements share a scale; [`plan::Scales`] as files have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScalesName {
    /// Tiles of one operand, blocks of the other.
    Block,
    /// Tiles of both.
    Tile,
    /// All of a tensor.
    Tensor,
    /// All of a tensor, and the sum leaves the tensor core at its end.
    TensorLeft,
}

/// A point of the study with what its FP8 sums lose. Field names are the JSON keys.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Arithmetic {
    /// `base`, or the proposal.
    pub name: String,
    /// Its objective; `None` where it has none.
    #[serde(flatten)]
    pub objective: Named<Option<f64>>,
    /// Its objective less the base's, over the base's.
    pub change: Option<f64>,
    /// `fp8-block`, `fp8-tensor` or `bf16`.
    pub precision: String,
    /// Fraction bits of the FP8 accumulator.
    pub fraction_bits: u32,
    /// Products between promotions as the policy has it; `null`: never.
    pub promote: Option<u32>,
    /// Whether the tensor core applies tile and block scales.
    pub scales_inside: bool,
    /// Median over GEMMs of the relative error; `None` without FP8 products.
    pub relative_error_median: Option<f64>,
    /// The largest relative error.
    pub relative_error_worst: Option<f64>,
    /// The GEMM that has it.
    pub worst: Option<String>,
    /// The largest bias, which is below zero where sums fall short.
    pub bias_worst: Option<f64>,
    /// Why it has no errors: no arithmetic that can be built.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Every length of a sum.
    pub gemms: Vec<Gemm>,
}

/// GEMMs of one length, and what their sums lose.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Gemm {
    /// Products of a sum.
    pub k: u64,
    /// `block`, `tile` or `tensor`.
    pub scales: ScalesName,
    /// Which have it, with their pass.
    pub gemms: Vec<String>,
    /// Products after which sums leave the tensor core, for promotion or for another scale; `None`: at the end.
    pub leaves_every: Option<usize>,
    /// RMS of the error over RMS of the output, normal operands.
    pub relative_error: f64,
    /// One standard error of it.
    pub standard_error: f64,
    /// Mean error over mean magnitude, operands even between 0 and 1.
    pub bias: f64,
    /// One standard error of it.
    pub bias_standard_error: f64,
}

impl ProductSums {
    /// Of a training job.
    pub(crate) fn of(plan: plan::TrainPlan<'_>) -> Self {
        let plan::Sums { precision, fraction_bits, scales_inside, promote, lengths } = plan::sums(plan);
        let precision = precision.name();
        let lengths = lengths.into_iter().map(|length| SumLength {
            scales: match length.scales {
                Scales::Block => ScalesName::Block,
                Scales::Tile => ScalesName::Tile,
                Scales::Tensor => ScalesName::Tensor,
                Scales::TensorLeft => ScalesName::TensorLeft,
            },
            k: length.k,
            gemms: length.products.into_iter().map(|(name, pass)| format!("{name} {}", pass.name())).collect(),
        });
        let how = How { precision: precision.to_owned(), fraction_bits, promote, scales_inside };
        Self { how, lengths: lengths.collect() }
    }
}

impl How {
    /// Products after which sums leave the tensor core; none: at the end.
    fn leaves_every(&self, scales: ScalesName) -> Option<usize> {
        let promote = self.promote.map(|every| every as usize);
        match scales {
            ScalesName::Block | ScalesName::Tile if !self.scales_inside => {
                Some(promote.map_or(TILE, |every| every.min(TILE)))
            }
            ScalesName::Block | ScalesName::Tile | ScalesName::Tensor => promote,
            ScalesName::TensorLeft => None,
        }
    }

    fn question(&self, length: &SumLength, distribution: OperandDistribution) -> Result<ScaledQuestion, NumericsError> {
        let tiled = matches!(length.scales, ScalesName::Block | ScalesName::Tile);
        let inside = self.scales_inside && tiled;
        Ok(ScaledQuestion {
            format: Format::E4M3,
            granularity: match length.scales {
                ScalesName::Block => [Granularity::TILE, Granularity::BLOCK],
                ScalesName::Tile => [Granularity::TILE, Granularity::TILE],
                ScalesName::Tensor | ScalesName::TensorLeft => [Granularity::Tensor, Granularity::Tensor],
            },
            kind: if inside { ScaleKind::PowerOfTwo } else { ScaleKind::Float },
            k: usize::try_from(length.k).unwrap_or(usize::MAX),
            distribution,
            dot: ScaledDot {
                accumulator: Accumulator::new(self.fraction_bits, GROUP, self.leaves_every(length.scales))?,
                scale_at: if inside { ScaleAt::Product } else { ScaleAt::Promotion },
            },
            seed: SEED,
        })
    }
}

/// What is asked of a point: its name, its objective, its sums.
pub(crate) struct Asked<'a> {
    pub(crate) name: &'a str,
    pub(crate) objective: Option<f64>,
    pub(crate) sums: &'a ProductSums,
}

/// Points beside the base, which is the first. Equal questions are answered once, on the threads of the current pool.
pub(crate) fn arithmetic(asked: &[Asked<'_>], criterion: &Criterion) -> Vec<Arithmetic> {
    let all = asked.iter().flat_map(|asked| asked.sums.lengths.iter().map(|length| (&asked.sums.how, length)));
    let questions: BTreeSet<ScaledQuestion> =
        all.flat_map(|(how, length)| KINDS.map(|kind| how.question(length, kind))).flatten().collect();
    let questions: Vec<ScaledQuestion> = questions.into_iter().collect();
    let answers: Vec<Answered> = questions.par_iter().map(ScaledQuestion::loss).collect();
    let answers: BTreeMap<ScaledQuestion, Answered> = questions.into_iter().zip(answers).collect();
    let base = asked.first().and_then(|base| base.objective);
    let change = |asked: &Asked<'_>| asked.objective.zip(base).map(|(value, base)| (value - base) / base);
    asked.iter().map(|asked| row(asked, criterion.named(asked.objective), change(asked), &answers)).collect()
}

type Answered = Result<Loss, NumericsError>;

/// For the relative error, and for the bias.
const KINDS: [OperandDistribution; 2] = [OperandDistribution::Normal, OperandDistribution::HalfUniform];

fn row(
    asked: &Asked<'_>,
    objective: Named<Option<f64>>,
    change: Option<f64>,
    answers: &BTreeMap<ScaledQuestion, Answered>,
) -> Arithmetic {
    let ProductSums { how, lengths } = asked.sums;
    let gemms: Result<Vec<Gemm>, NumericsError> = lengths.iter().map(|length| gemm(how, length, answers)).collect();
    let (gemms, error) = match gemms {
        Ok(gemms) => (gemms, None),
        Err(error) => (Vec::new(), Some(error.to_string())),
    };
    let worst = gemms.iter().max_by(|a, b| a.relative_error.total_cmp(&b.relative_error));
    let bias = gemms.iter().map(|gemm| gemm.bias).max_by(|a, b| a.abs().total_cmp(&b.abs()));
    Arithmetic {
        name: asked.name.to_owned(),
        objective,
        change,
        precision: how.precision.clone(),
        fraction_bits: how.fraction_bits,
        promote: how.promote,
        scales_inside: how.scales_inside,
        relative_error_median: units::median(&gemms.iter().map(|gemm| gemm.relative_error).collect::<Vec<f64>>()),
        relative_error_worst: worst.map(|gemm| gemm.relative_error),
        worst: worst.map(|gemm| format!("{}, K = {}", gemm.gemms.first().map_or("", String::as_str), gemm.k)),
        bias_worst: bias,
        error,
        gemms,
    }
}

fn gemm(how: &How, length: &SumLength, answers: &BTreeMap<ScaledQuestion, Answered>) -> Result<Gemm, NumericsError> {
    let [normal, positive] = KINDS.map(|kind| {
        let question = how.question(length, kind)?;
        answers.get(&question).cloned().unwrap_or_else(|| question.loss())
    });
    let (normal, positive) = (normal?, positive?);
    Ok(Gemm {
        k: length.k,
        scales: length.scales,
        gemms: length.gemms.clone(),
        leaves_every: how.leaves_every(length.scales),
        relative_error: normal.relative_error,
        standard_error: normal.relative_error_standard_error,
        bias: positive.bias,
        bias_standard_error: positive.bias_standard_error,
    })
}
