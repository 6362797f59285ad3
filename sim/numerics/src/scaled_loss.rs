//! The error question of a GEMM with scales: operands quantized as a job quantizes them.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::error::NumericsError;
use crate::format::Format;
use crate::loss::{K_MAX, Loss, OperandDistribution, Sums};
use crate::scale::{Granularity, Quantized, ScaleKind, ScaledDot};

/// Rows of A and of B in one trial.
const EDGE: usize = 8;
/// Trials of a question. With them 512 outputs are sampled: the relative error is known to about 4 %.
const N_TRIALS: u64 = 8;

/// What is asked of a product whose operands have scales.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ScaledQuestion {
    /// Format of both operands.
    pub format: Format,
    /// Over which elements one scale holds, of A and of B.
    pub granularity: [Granularity; 2],
    /// What a scale may be.
    pub kind: ScaleKind,
    /// Products in a sum, at most 2^20.
    pub k: usize,
    /// What the operands are drawn from, before they are quantized.
    pub distribution: OperandDistribution,
    /// How products are added, and where scales are applied.
    pub dot: ScaledDot,
    /// Of the draws: equal seeds, equal answers, and equal operands for every `dot`.
    pub seed: u64,
}

impl ScaledQuestion {
    /// Draws operands, quantizes them under scales of their own, multiplies as `dot` does, and compares with the product
    /// of the same quantized operands in `f64`: quantizing is no part of the loss.
    ///
    /// The time is that of 512 K products.
    ///
    /// # Errors
    ///
    /// If `k` is 0 or above 2^20, and as [`ScaledDot::multiply`].
    pub fn loss(&self) -> Result<Loss, NumericsError> {
        if !(1..=K_MAX).contains(&self.k) {
            return Err(NumericsError::Length { k: self.k, max: K_MAX });
        }
        let sums: Vec<Sums> = (0..N_TRIALS).map(|trial| self.trial(trial)).collect::<Result<_, _>>()?;
        Ok(Loss::of(&sums))
    }

    fn trial(&self, trial: u64) -> Result<Sums, NumericsError> {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(trial);
        let [of_a, of_b] = self.granularity;
        let (a, b) = (self.operand(of_a, &mut rng)?, self.operand(of_b, &mut rng)?);
        Ok(Sums::of(self.dot.multiply(&a, &b)?, exact(&a, &b)))
    }

    fn operand(&self, granularity: Granularity, rng: &mut impl Rng) -> Result<Quantized, NumericsError> {
        let values: Vec<f32> = (0..EDGE * self.k).map(|_| self.distribution.draw(rng) as f32).collect();
        Quantized::new(self.format, granularity, self.kind, [EDGE, self.k], &values)
    }
}

/// `A B^T` of the numbers that codes and scales stand for, in `f64`.
fn exact(a: &Quantized, b: &Quantized) -> Vec<f64> {
    let k = a.shape()[1];
    let (a, b) = (a.dequantized(), b.dequantized());
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).fold(0.0, |sum, (a, b)| sum + a * b);
    a.chunks(k).flat_map(|row| b.chunks(k).map(move |column| dot(row, column))).collect()
}
