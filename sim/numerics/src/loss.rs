//! The error question: what a long sum of random products loses in an accumulator.

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution as _, StandardNormal};

use crate::accumulator::Accumulator;
use crate::error::NumericsError;
use crate::format::{Format, exp2};
use crate::operands::{Operands, exact};

/// Rows of A and of B in one trial.
const EDGE: usize = 16;
/// Trials of a question; what they differ by tells the standard error.
const N_TRIALS_MIN: usize = 16;
const N_TRIALS_MAX: usize = 64;
/// Products of an output over all trials, where that leaves enough trials and not too many.
const K_SUM: usize = 1 << 17;
/// The longest sum: a thousandfold of any GEMM's K, and still answered in seconds.
pub(crate) const K_MAX: usize = 1 << 20;

/// What the elements of both matrices are drawn from, before they are scaled to the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum OperandDistribution {
    /// Standard normal: products cancel, and truncation errors with them.
    Normal,
    /// Magnitude of a standard normal: sums grow with K, and every truncation takes away.
    HalfNormal,
    /// Even between -1 and 1.
    Uniform,
    /// Even between 0 and 1.
    HalfUniform,
}

impl OperandDistribution {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Normal, Self::HalfNormal, Self::Uniform, Self::HalfUniform];

    /// The name in files and on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::HalfNormal => "half-normal",
            Self::Uniform => "uniform",
            Self::HalfUniform => "half-uniform",
        }
    }

    /// The distribution of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|distribution| distribution.name() == name)
    }

    pub(crate) fn draw(self, rng: &mut impl Rng) -> f64 {
        match self {
            Self::Normal => StandardNormal.sample(rng),
            Self::HalfNormal => f64::abs(StandardNormal.sample(rng)),
            Self::Uniform => 2.0 * rng.random::<f64>() - 1.0,
            Self::HalfUniform => rng.random(),
        }
    }
}

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SumQuestion {
    /// Format of both operands.
    pub format: Format,
    /// Products in a sum, at most 2^20.
    pub k: usize,
    /// What the operands are drawn from.
    pub distribution: OperandDistribution,
    /// How products are added.
    pub accumulator: Accumulator,
    /// Of the draws: equal seeds, equal answers.
    pub seed: u64,
}

/// What is lost against exact arithmetic on the same rounded operands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Loss {
    /// `norm(out - exact) / norm(exact)` over all outputs.
    pub relative_error: f64,
    /// One standard error of it, from leaving out each trial in turn.
    pub relative_error_standard_error: f64,
    /// `mean(out - exact) / mean(|exact|)` over all outputs.
    pub bias: f64,
    /// One standard error of it.
    pub bias_standard_error: f64,
    /// Outputs sampled.
    pub n_outputs: usize,
}

impl SumQuestion {
    /// Draws operands, adds their products as the accumulator does and in `f64`, and compares.
    ///
    /// 16 to 64 trials of 16 x 16 outputs are sampled, each of matrices of its own. The elements of a matrix are
    /// scaled so that their largest magnitude is the format's largest, then rounded to the format; rounding them is no
    /// part of the loss. Where products of the largest numbers would leave FP32 (formats of 8 exponent bits), the
    /// largest magnitude is the largest number below 2 instead, which changes only exponents.
    ///
    /// The time is at most that of 2^25 products or of 4096 K, whichever is more: seconds at K = 32768.
    ///
    /// # Errors
    ///
    /// If `k` is 0 or above 2^20.
    pub fn loss(&self) -> Result<Loss, NumericsError> {
        if !(1..=K_MAX).contains(&self.k) {
            return Err(NumericsError::Length { k: self.k, max: K_MAX });
        }
        let n_trials = (K_SUM / self.k).clamp(N_TRIALS_MIN, N_TRIALS_MAX);
        let sums: Vec<Sums> = (0..n_trials as u64).map(|trial| self.trial(trial)).collect::<Result<_, _>>()?;
        Ok(Loss::of(&sums))
    }

    fn trial(&self, trial: u64) -> Result<Sums, NumericsError> {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(trial);
        let (a, b) = (self.operands(&mut rng)?, self.operands(&mut rng)?);
        let outputs = self.accumulator.multiply(&a, &b)?;
        Ok(Sums::of(outputs, exact(&a, &b)?))
    }

    fn operands(&self, rng: &mut impl Rng) -> Result<Operands, NumericsError> {
        let values: Vec<f64> = (0..EDGE * self.k).map(|_| self.distribution.draw(rng)).collect();
        let largest = values.iter().fold(0.0_f64, |largest, value| largest.max(value.abs()));
        let scale = if largest > 0.0 { magnitude_max(self.format) / largest } else { 1.0 };
        let codes: Vec<u32> = values.iter().map(|value| self.format.encode(value * scale)).collect();
        Operands::from_codes(self.format, EDGE, self.k, &codes)
    }
}

/// The format's largest number, or the one with its significand below 2 where FP32 would not hold its square.
fn magnitude_max(format: Format) -> f64 {
    if 2 * (format.exponent_max() + 1) > Format::FP32.exponent_max() {
        format.max() * exp2(-format.exponent_max())
    } else {
        format.max()
    }
}

impl Loss {
    /// From the sums of every trial.
    pub(crate) fn of(trials: &[Sums]) -> Self {
        let all = trials.iter().fold(Sums::default(), |all, trial| all.plus(trial, 1.0));
        let without: Vec<Sums> = trials.iter().map(|trial| all.plus(trial, -1.0)).collect();
        Self {
            relative_error: all.relative_error(),
            relative_error_standard_error: jackknife(&without, Sums::relative_error),
            bias: all.bias(),
            bias_standard_error: jackknife(&without, Sums::bias),
            n_outputs: trials.iter().map(|trial| trial.n_outputs).sum(),
        }
    }
}

/// Sums over outputs, of which both answers are made.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sums {
    n_outputs: usize,
    error_squares: f64,
    exact_squares: f64,
    errors: f64,
    exact_magnitudes: f64,
}

impl Sums {
    /// Over the outputs of one product, beside what they should be.
    pub(crate) fn of(outputs: Vec<f32>, exact: Vec<f64>) -> Self {
        let pairs = outputs.into_iter().map(f64::from).zip(exact);
        pairs.fold(Self::default(), |sums, (output, exact)| sums.with(output - exact, exact))
    }

    fn with(self, error: f64, exact: f64) -> Self {
        Self {
            n_outputs: self.n_outputs + 1,
            error_squares: self.error_squares + error * error,
            exact_squares: self.exact_squares + exact * exact,
            errors: self.errors + error,
            exact_magnitudes: self.exact_magnitudes + exact.abs(),
        }
    }

    fn plus(self, other: &Self, times: f64) -> Self {
        Self {
            n_outputs: self.n_outputs,
            error_squares: self.error_squares + times * other.error_squares,
            exact_squares: self.exact_squares + times * other.exact_squares,
            errors: self.errors + times * other.errors,
            exact_magnitudes: self.exact_magnitudes + times * other.exact_magnitudes,
        }
    }

    fn relative_error(&self) -> f64 {
        // Taking a trial away can leave a rounding error below zero.
        (self.error_squares.max(0.0) / self.exact_squares).sqrt()
    }

    fn bias(&self) -> f64 {
        self.errors / self.exact_magnitudes
    }
}

/// Standard error of an estimate from the estimates that leave out one trial each.
fn jackknife(without: &[Sums], of: impl Fn(&Sums) -> f64) -> f64 {
    let n = without.len() as f64;
    let estimates: Vec<f64> = without.iter().map(of).collect();
    let mean = estimates.iter().sum::<f64>() / n;
    let squares = estimates.iter().map(|estimate| (estimate - mean).powi(2)).sum::<f64>();
    ((n - 1.0) / n * squares).sqrt()
}
