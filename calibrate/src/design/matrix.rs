//! What tensor cores are asked: products, their sums, and products beside copies.

use rand::{RngExt, SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;

use super::{Facts, counts, powers, thin};
use workloads::op::Precision;

use crate::question::{Distribution, Question};

/// Seed of what is drawn.
const SEED: u64 = 3;
/// Shapes of no model.
const N_DRAWN: usize = 36;

/// Columns and inner dimension of every weight of DeepSeek-V3 but router and head: down-projections of queries and
/// latent, query up, key-value up, output, gate and up of dense layers, their down, gate and up of an expert, its down.
const LAYERS: [(u64, u64); 8] = [
    (2112, 7168),
    (24576, 1536),
    (32768, 512),
    (7168, 16384),
    (36864, 7168),
    (7168, 18432),
    (4096, 7168),
    (7168, 2048),
];
const TOKENS: [u64; 5] = [64, 256, 1024, 4096, 8192];
/// Devices are parted in groups of eight.
const FEWER_SMS: [u32; 8] = [128, 120, 112, 96, 64, 32, 16, 8];
/// SMs of a copy, or of a kernel that sends, beside a product.
const COPY_SMS: [u32; 6] = [8, 16, 20, 24, 32, 48];

/// Arithmetic that libraries have products of.
pub(super) const MEASURED: [Precision; 4] =
    [Precision::Bf16, Precision::Fp8TensorFast, Precision::Fp8Tensor, Precision::Fp8Block];

type Shape = (u64, u64, u64);

/// Every shape in every arithmetic on all SMs, some on fewer.
pub(super) fn gemm(facts: &Facts, quick: bool) -> Vec<Question> {
    let ask = |(m, n, k): Shape, dtype, sms| Question::Gemm { m, n, k, dtype, sms };
    let mut questions = Vec::new();
    for shape in thin(shapes(), quick, 5) {
        questions.extend(MEASURED.map(|dtype| ask(shape, dtype, facts.sms)));
    }
    let swept = [
        ((4096, 7168, 2048), Precision::Bf16),
        ((8192, 8192, 8192), Precision::Bf16),
        ((4096, 4096, 7168), Precision::Fp8TensorFast),
        ((8192, 8192, 8192), Precision::Fp8Tensor),
        ((4096, 4096, 7168), Precision::Fp8Block),
    ];
    for (shape, dtype) in thin(swept.to_vec(), quick, 3) {
        questions.extend(thin(counts(facts, &FEWER_SMS), quick, 2).into_iter().map(|sms| ask(shape, dtype, sms)));
    }
    questions
}

/// Rows, columns and inner dimension: forward, input gradient and weight gradient of public layers, then drawn ones.
fn shapes() -> Vec<Shape> {
    let mut shapes = Vec::new();
    for (n, k) in LAYERS {
        shapes.extend(TOKENS.map(|m| (m, n, k)));
        shapes.push((4096, k, n.next_multiple_of(128)));
        shapes.push((n, k, 4096));
    }
    shapes.push((4096, 4096, 4096));
    shapes.push((8192, 8192, 8192));
    for shape in drawn() {
        if !shapes.contains(&shape) {
            shapes.push(shape);
        }
    }
    shapes
}

/// A Latin hypercube over the logarithms of 64 to 16384: each side is met once in each of [`N_DRAWN`] strata, and the
/// sides are shuffled against each other. Half of the shapes fill whole tiles of 128, half do not.
fn drawn() -> Vec<Shape> {
    let mut rng = ChaCha8Rng::seed_from_u64(SEED);
    let mut side = |low: f64| {
        let width = (16384.0 / low).ln() / N_DRAWN as f64;
        let mut sides: Vec<f64> =
            (0..N_DRAWN).map(|stratum| low * ((stratum as f64 + rng.random::<f64>()) * width).exp()).collect();
        sides.shuffle(&mut rng);
        sides
    };
    let (rows, columns, inner) = (side(64.0), side(64.0), side(128.0));
    let round = |value: f64, to: u64| ((value / to as f64).round() as u64).max(1) * to;
    let shape = |index: usize| {
        let to = if index.is_multiple_of(2) { 128 } else { 16 };
        (round(rows[index], to), round(columns[index], to), round(inner[index], 128))
    };
    (0..N_DRAWN).map(shape).collect()
}

/// Experts of a rank with equal and with drawn loads, and few tokens each as in decoding.
pub(super) fn grouped(facts: &Facts, quick: bool) -> Vec<Question> {
    let mut loads: Vec<Vec<u64>> = Vec::new();
    for (n_groups, tokens) in [(4, 8192), (8, 4096), (8, 1024), (16, 512), (32, 256), (32, 64)] {
        loads.push(vec![tokens; n_groups]);
    }
    let mut rng = ChaCha8Rng::seed_from_u64(SEED);
    for mean in [256.0, 1024.0] {
        // From half to twice the mean.
        let draw = |_| (mean * (2.0 * rng.random::<f64>() - 1.0).exp2() / 16.0).round() as u64 * 16;
        loads.push((0..8).map(draw).collect());
    }
    let mut questions = Vec::new();
    for tokens in thin(loads, quick, 3) {
        for (n, k) in [(4096, 7168), (7168, 2048)] {
            for dtype in [Precision::Bf16, Precision::Fp8Tensor, Precision::Fp8Block] {
                questions.push(Question::GroupedGemm { tokens: tokens.clone(), n, k, dtype, sms: facts.sms });
            }
        }
    }
    let tokens = vec![4096; 8];
    for sms in thin(counts(facts, &[128, 112, 96, 64]), quick, 2) {
        let dtype = Precision::Fp8Block;
        questions.push(Question::GroupedGemm { tokens: tokens.clone(), n: 4096, k: 7168, dtype, sms });
    }
    questions
}

/// Promotion from every instruction of 32 products to never.
pub(super) fn promoted(facts: &Facts, quick: bool) -> Vec<Question> {
    let intervals = [Some(32), Some(64), Some(128), Some(256), Some(512), None];
    let shapes = [(4096, 4096, 7168), (4096, 7168, 2048), (8192, 8192, 8192), (1024, 7168, 16384)];
    let mut questions = Vec::new();
    for (m, n, k) in thin(shapes.to_vec(), quick, 2) {
        let ask = |promote| Question::PromotedGemm { m, n, k, promote, sms: facts.sms };
        questions.extend(intervals.map(ask));
    }
    for promote in [Some(128), None] {
        for sms in thin(counts(facts, &[112, 96, 64, 32, 8]), quick, 2) {
            questions.push(Question::PromotedGemm { m: 8192, n: 8192, k: 8192, promote, sms });
        }
    }
    questions
}

/// The clock falls with power, so the peak of all SMs is not that of one times their number.
pub(super) fn tensor(facts: &Facts, quick: bool) -> Vec<Question> {
    let all = thin(counts(facts, &FEWER_SMS), quick, 3);
    let of = |dtype| all.iter().map(move |sms| Question::TensorLoop { dtype, sms: *sms });
    [Precision::Bf16, Precision::Fp8TensorFast].into_iter().flat_map(of).collect()
}

/// A product on the SMs that a copy leaves, the copy beside it, and the copy alone.
pub(super) fn contention(facts: &Facts, quick: bool) -> Vec<Question> {
    let products = [
        ((4096, 7168, 2048), Precision::Bf16),
        ((8192, 8192, 8192), Precision::Bf16),
        ((4096, 4096, 7168), Precision::Fp8Tensor),
    ];
    let bytes = (1 << 28).min(facts.memory / 16);
    let mut questions = Vec::new();
    for ((m, n, k), dtype) in thin(products.to_vec(), quick, 2) {
        for copy_sms in thin(COPY_SMS.to_vec(), quick, 2).into_iter().filter(|sms| *sms < facts.sms) {
            let product = Question::Gemm { m, n, k, dtype, sms: facts.sms - copy_sms };
            let copy = Question::Copy { bytes, sms: copy_sms };
            questions.push(copy.clone());
            questions.extend(both_ways(&product, &copy));
        }
    }
    questions
}

/// Each of two timed while the other runs.
pub(super) fn both_ways(one: &Question, other: &Question) -> [Question; 2] {
    let together = |of: &Question, beside: &Question| Question::Together {
        of: Box::new(of.clone()),
        beside: Box::new(beside.clone()),
    };
    [together(one, other), together(other, one)]
}

/// 512 products a sum to 32768, promoted every 128 and never.
pub(super) fn accumulate(quick: bool) -> Vec<Question> {
    let mut questions = Vec::new();
    for k in thin(powers(9, 15, 1), quick, 2) {
        for promote in [Some(128), None] {
            for distribution in [Distribution::Normal, Distribution::HalfNormal] {
                questions.push(Question::Accumulate { k, promote, distribution });
            }
        }
    }
    questions
}
