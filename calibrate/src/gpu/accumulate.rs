//! What sums in the tensor core lose, against exact ones: [`Question::Accumulate`].
//!
//! Operands are drawn on the host, `A[m,k]` and `B[n,k]`, each scaled so that its largest magnitude is E4M3's largest and
//! rounded to E4M3; exact is the product of the rounded operands in f64, which holds sums of E4M3 products without loss
//! up to k = 2^17. With `e = out - exact` over all outputs,
//!
//! ```text
//! relative-error = norm(e) / norm(exact)        bias = mean(e) / mean|exact|
//! ```
//!
//! `out` are FP32 sums, never rounded to BF16. 64 x 256 outputs share rows and columns, so their errors are not
//! independent; the spread between seeds is larger than the count of outputs suggests.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rand_distr::{Distribution as _, StandardNormal};

use super::GpuBench;
use super::device::Gpu;
use super::element::{e4m3, to_e4m3};
use super::wgmma;
use crate::bench::BenchError;
use crate::question::{Distribution, Question};
use crate::sample::Reading;

/// Outputs: rows and columns.
const M: usize = 64;
const N: usize = 256;
const SEED: u64 = 0;
/// Beyond it f64 would round exact sums too.
const K_MAX: u64 = 1 << 17;

/// Answers [`Question::Accumulate`]: `relative-error` and `bias` among the extras, no time.
///
/// # Errors
/// `Unsupported` for another question, `k` out of range or an interval that the kernel does not have; `Failed` where the
/// sums are wrong beyond what any accumulator loses.
pub(crate) fn measure(gpu: &Gpu, question: &Question) -> Result<Reading, BenchError> {
    let &Question::Accumulate { k, promote, distribution } = question else {
        return Err(BenchError::Unsupported(format!("this is no question of sums: {question:?}")));
    };
    if k == 0 || k > K_MAX || k % 16 != 0 {
        return Err(BenchError::Unsupported(format!("`k` of {k}: give a multiple of 16 up to {K_MAX}")));
    }
    let k = k as usize;
    let (a, b) = (operands(M * k, distribution, 0), operands(N * k, distribution, 1));
    let out = wgmma::sums(gpu, [&a, &b], [M, N, k], promote)?;
    let loss = Loss::new(&out, &exact(&a, &b, k));
    // A sum at the wrong place is off by its own size; truncation never is.
    if !loss.relative_error.is_finite() || loss.relative_error > 0.5 {
        let text = format!("sums of {k} products are off by {} of their size", loss.relative_error);
        return Err(BenchError::Failed(text));
    }
    let extras = [("relative-error", loss.relative_error), ("bias", loss.bias), ("n-outputs", out.len() as f64)];
    Ok(Reading {
        implementation: "windtunnel".to_owned(),
        seconds: 0.0,
        low: 0.0,
        high: 0.0,
        runs: 1,
        clock: None,
        power: None,
        extras: extras.map(|(name, value)| (name.to_owned(), value)).into(),
    })
}

impl GpuBench {
    /// `A B^T` of E4M3 bytes on the tensor cores: `a` is `[m,k]`, `b` is `[n,k]`, each row contiguous along k; the sums are
    /// `[m,n]` in FP32 and not rounded further, to be compared bit by bit with a model of the accumulator.
    ///
    /// Each instruction adds 32 products along k to what the tensor core holds. Every `promote` products (32, 64 or a
    /// multiple of 128; none: never) that is added to an FP32 register, which starts from zero, and the tensor core starts
    /// from zero again. k is filled up with zeros to a multiple of 128.
    ///
    /// # Errors
    /// `Unsupported` where `n` is no multiple of 8 or `k` none of 16, where lengths do not fit, where an operand is NaN, for
    /// other intervals, or without wgmma; `Failed` or `Lost` as any kernel.
    pub fn products(
        &mut self,
        a: &[u8],
        b: &[u8],
        [m, n, k]: [usize; 3],
        promote: Option<u32>,
    ) -> Result<Vec<f32>, BenchError> {
        wgmma::sums(&self.gpus[0], [a, b], [m, n, k], promote)
    }
}

/// `count` codes of E4M3; `stream` 0 are those of A, 1 of B.
fn operands(count: usize, distribution: Distribution, stream: u64) -> Vec<u8> {
    let mut rng = ChaCha8Rng::seed_from_u64(SEED);
    rng.set_stream(stream);
    let mut values: Vec<f64> = (0..count).map(|_| StandardNormal.sample(&mut rng)).collect();
    if distribution == Distribution::HalfNormal {
        values.iter_mut().for_each(|value| *value = value.abs());
    }
    let largest = values.iter().fold(0.0_f64, |largest, value| largest.max(value.abs()));
    let scale = e4m3(0x7E) / largest.max(f64::MIN_POSITIVE);
    values.into_iter().map(|value| to_e4m3(value * scale)).collect()
}

/// Exact products `[m,n]` of rows of k codes.
fn exact(a: &[u8], b: &[u8], k: usize) -> Vec<f64> {
    let rows = |codes: &[u8]| codes.iter().map(|&code| e4m3(code)).collect::<Vec<_>>();
    let (a, b) = (rows(a), rows(b));
    a.chunks_exact(k).flat_map(|a| b.chunks_exact(k).map(move |b| dot(a, b))).collect()
}

/// Exact in any order, so in the order that keeps a processor busy: sixteen sums at once.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    const LANES: usize = 16;
    let mut sums = [0.0; LANES];
    for (a, b) in a.chunks(LANES).zip(b.chunks(LANES)) {
        for (sum, (a, b)) in sums.iter_mut().zip(a.iter().zip(b)) {
            *sum += a * b;
        }
    }
    sums.iter().sum()
}

struct Loss {
    relative_error: f64,
    bias: f64,
}

impl Loss {
    fn new(out: &[f32], exact: &[f64]) -> Self {
        let errors = || out.iter().zip(exact).map(|(&out, &exact)| f64::from(out) - exact);
        let square = |sum: f64, value: f64| sum + value * value;
        let norm_of_error = errors().fold(0.0, square).sqrt();
        let norm = exact.iter().copied().fold(0.0, square).sqrt();
        let size: f64 = exact.iter().map(|exact| exact.abs()).sum();
        Self { relative_error: norm_of_error / norm, bias: errors().sum::<f64>() / size }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operands_reach_the_largest_number_and_are_the_same_each_time() {
        for distribution in [Distribution::Normal, Distribution::HalfNormal] {
            let codes = operands(4096, distribution, 0);
            assert_eq!(codes.iter().map(|code| code & 0x7F).max(), Some(0x7E));
            assert_eq!(codes, operands(4096, distribution, 0));
            assert_ne!(codes, operands(4096, distribution, 1), "A and B differ");
        }
        assert!(operands(4096, Distribution::HalfNormal, 0).iter().all(|code| code & 0x80 == 0));
    }

    #[test]
    fn exact_sums_do_not_depend_on_the_order() {
        let (a, b) = (operands(3 * 1000, Distribution::Normal, 0), operands(2 * 1000, Distribution::Normal, 1));
        let sums = exact(&a, &b, 1000);
        let plain =
            |i: usize, j: usize| (0..1000).rev().map(|k| e4m3(a[i * 1000 + k]) * e4m3(b[j * 1000 + k])).sum::<f64>();
        assert_eq!(sums.len(), 6);
        assert_eq!((sums[0], sums[3], sums[5]), (plain(0, 0), plain(1, 1), plain(2, 1)));
    }

    #[test]
    fn loss_is_of_norms_and_means() {
        let loss = Loss::new(&[2.0, -3.0], &[3.0, -4.0]);
        assert!((loss.relative_error - 2.0_f64.sqrt() / 5.0).abs() < 1e-12);
        assert!(loss.bias.abs() < 1e-12, "one too small, one too large");
        assert!((Loss::new(&[0.9], &[1.0]).bias + 0.1).abs() < 1e-6);
    }
}
