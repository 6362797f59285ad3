//! What GEMMs with scales lose: laws.

use numerics::{
    Accumulator, Format, Granularity, Loss, NumericsError, OperandDistribution, ScaleAt, ScaleKind, ScaledDot,
    ScaledQuestion,
};

/// Tiles by blocks, as a forward product has them.
fn question(
    k: usize,
    distribution: OperandDistribution,
    bits: u32,
    promote: Option<usize>,
    inside: bool,
) -> ScaledQuestion {
    let accumulator = Accumulator::new(bits, 32, promote).expect("an accumulator");
    ScaledQuestion {
        format: Format::E4M3,
        granularity: [Granularity::TILE, Granularity::BLOCK],
        kind: if inside { ScaleKind::PowerOfTwo } else { ScaleKind::Float },
        k,
        distribution,
        dot: ScaledDot { accumulator, scale_at: if inside { ScaleAt::Product } else { ScaleAt::Promotion } },
        seed: 1,
    }
}

fn loss(k: usize, distribution: OperandDistribution, bits: u32, promote: Option<usize>, inside: bool) -> Loss {
    question(k, distribution, bits, promote, inside).loss().expect("a product")
}

#[test]
fn each_further_bit_loses_less_wherever_scales_are_applied() {
    for (promote, inside) in [(Some(128), false), (Some(128), true), (None, true)] {
        let errors = [8, 10, 13, 16, 19].map(|bits| loss(1024, OperandDistribution::Normal, bits, promote, inside));
        let errors = errors.map(|loss| loss.relative_error);
        assert!(errors.is_sorted_by(|fewer, more| fewer > more), "promoted {promote:?}: {errors:?}");
    }
}

#[test]
fn promotion_every_128_makes_the_loss_the_same_at_every_length() {
    for distribution in [OperandDistribution::Normal, OperandDistribution::HalfUniform] {
        let [short, long] = [512, 16_384].map(|k| loss(k, distribution, 13, Some(128), false).relative_error);
        assert!((long / short - 1.0).abs() < 0.15, "{}: {short:.3e} and {long:.3e}", distribution.name());
    }
    // Without it a long sum of positive products falls ever shorter.
    let [short, long] = [512, 16_384].map(|k| loss(k, OperandDistribution::HalfUniform, 13, None, true).bias);
    assert!(long < 8.0 * short && short < 0.0, "{short:.3e} and {long:.3e}");
}

/// FP32 keeps 23 fraction bits: a sum of 33 is as good as exact but for the rounding of the output.
#[test]
fn with_33_bits_only_fp32_rounds() {
    for k in [512, 16_384] {
        let inside = loss(k, OperandDistribution::Normal, 33, None, true).relative_error;
        assert!(inside < 2_f64.powi(-24), "K = {k}: {inside:.3e}");
        let exact = loss(k, OperandDistribution::Normal, 52, None, true).relative_error;
        assert!((inside / exact - 1.0).abs() < 0.05, "K = {k}: {inside:.3e} and {exact:.3e}");
    }
}

#[test]
fn equal_questions_have_equal_answers_and_impossible_ones_none() {
    let asked = question(512, OperandDistribution::Normal, 13, Some(128), false);
    assert_eq!(asked.loss(), asked.loss());
    assert_ne!(asked.loss(), ScaledQuestion { seed: 2, ..asked }.loss());
    let long = ScaledQuestion { k: (1 << 20) + 1, ..asked };
    assert!(matches!(long.loss(), Err(NumericsError::Length { .. })));
    let never = question(512, OperandDistribution::Normal, 13, None, false);
    assert!(matches!(never.loss(), Err(NumericsError::ScaleInterval { .. })), "scales change every 128 products");
}
