//! The tensor core's accumulator, bit by bit, against sums that real tensor cores made.

use std::fs;
use std::path::Path;

use calibrate::session::Records;
use calibrate::{Distribution, Question};
use numerics::{Accumulator, Format, Operands, exact};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rand_distr::{Distribution as _, StandardNormal};

/// FP8 products that one instruction adds, and the fraction bits that Hopper keeps of them.
const GROUP: usize = 32;
const FRACTION_BITS: u32 = 13;
/// Rows of the operands that were measured, and those of them that are summed here.
const ROWS: [usize; 2] = [64, 256];
const ROWS_HERE: [usize; 2] = [16, 64];

#[test]
fn errors_of_sums_are_those_of_the_hardware() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scenarios/profiles/h200-sxm5.jsonl");
    let bytes = fs::read(path).expect("raw samples stand beside their profile");
    let records = Records::read(&bytes).expect("lines of samples");
    let mut faults = Vec::new();
    let mut n_compared = 0;
    for sample in &records.samples {
        let Question::Accumulate { k, promote, distribution } = sample.question else { continue };
        let accumulator =
            Accumulator::new(FRACTION_BITS, GROUP, promote.map(|every| every as usize)).expect("in range");
        let ours = relative_error(&accumulator, k as usize, distribution);
        let theirs = sample.reading.extras["relative-error"];
        if (ours / theirs - 1.0).abs() > 0.10 {
            faults.push(format!(
                "k {k}, every {promote:?}, {distribution:?}: ours {ours:.3e}, the hardware's {theirs:.3e}"
            ));
        }
        n_compared += 1;
    }
    assert!(n_compared >= 20, "only {n_compared} sums were measured");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// The error on the operands that were measured, of some of their rows.
fn relative_error(accumulator: &Accumulator, k: usize, distribution: Distribution) -> f64 {
    let [a, b] = [0, 1].map(|side| operands(ROWS[side], ROWS_HERE[side], k, distribution, side as u64));
    let sums = accumulator.multiply(&a, &b).expect("of one inner dimension");
    let exact = exact(&a, &b).expect("of one inner dimension");
    let square = |sum: f64, value: f64| sum + value * value;
    let error = sums.iter().zip(&exact).map(|(sum, exact)| f64::from(*sum) - exact).fold(0.0, square);
    (error / exact.iter().copied().fold(0.0, square)).sqrt()
}

/// As the calibration draws them: one stream an operand, the largest magnitude of all rows the format's largest.
fn operands(rows: usize, rows_here: usize, k: usize, distribution: Distribution, stream: u64) -> Operands {
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    rng.set_stream(stream);
    let mut values: Vec<f64> = (0..rows * k).map(|_| StandardNormal.sample(&mut rng)).collect();
    if distribution == Distribution::HalfNormal {
        values.iter_mut().for_each(|value| *value = value.abs());
    }
    let largest = values.iter().fold(0.0_f64, |largest, value| largest.max(value.abs()));
    let scale = Format::E4M3.max() / largest;
    let codes: Vec<u32> = values[..rows_here * k].iter().map(|value| Format::E4M3.encode(value * scale)).collect();
    Operands::from_codes(Format::E4M3, rows_here, k, &codes).expect("finite codes")
}
