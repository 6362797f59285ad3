//! What long sums lose: laws, and the figures that an emulation of the published rule gave.

use numerics::{Accumulator, Format, Loss, NumericsError, OperandDistribution, SumQuestion};

fn loss(k: usize, distribution: OperandDistribution, fraction_bits: u32, promote: Option<usize>) -> Loss {
    let accumulator = Accumulator::new(fraction_bits, 32, promote).expect("an accumulator");
    SumQuestion { format: Format::E4M3, k, distribution, accumulator, seed: 1 }.loss().expect("a sum")
}

#[track_caller]
fn assert_near(what: &str, expectation: f64, actual: f64, tolerance: f64) {
    let off = (actual / expectation - 1.0).abs();
    assert!(off <= tolerance, "{what}: expectation {expectation:.3e}, actual {actual:.3e}");
}

/// Emulation of the rule of MMA-Sim for FP8 on Hopper, given to one or two digits.
#[test]
fn unpromoted_normal_sums_lose_what_an_emulation_of_the_rule_gave() {
    for (k, expectation) in [(512, 3e-4), (4096, 1.3e-3), (16_384, 3e-3)] {
        let actual = loss(k, OperandDistribution::Normal, 13, None).relative_error;
        assert_near(&format!("K = {k}"), expectation, actual, 0.25);
    }
}

#[test]
fn unpromoted_positive_sums_are_short_by_what_an_emulation_of_the_rule_gave() {
    for (k, expectation) in [(512, -0.005), (4096, -0.066), (16_384, -0.25)] {
        let actual = loss(k, OperandDistribution::HalfUniform, 13, None).bias;
        assert_near(&format!("K = {k}"), expectation, actual, 0.25);
    }
}

#[test]
fn promotion_makes_the_loss_the_same_at_every_length() {
    for (distribution, expectation) in [(OperandDistribution::Normal, 1.3e-4), (OperandDistribution::HalfUniform, 5e-4)]
    {
        for k in [512, 16_384] {
            let actual = loss(k, distribution, 13, Some(128)).relative_error;
            assert_near(&format!("{}, K = {k}", distribution.name()), expectation, actual, 0.25);
        }
    }
}

#[test]
fn each_further_bit_loses_less() {
    for distribution in OperandDistribution::ALL {
        for promote in [None, Some(128)] {
            let errors = [6, 8, 10, 13, 16, 20, 23].map(|bits| loss(256, distribution, bits, promote).relative_error);
            assert!(errors.is_sorted_by(|fewer, more| fewer > more), "{}: {errors:?}", distribution.name());
        }
    }
}

#[test]
fn with_25_bits_next_to_nothing_is_lost() {
    for (k, promote) in [(4096, None), (16_384, None), (4096, Some(128))] {
        assert!(loss(k, OperandDistribution::Normal, 25, promote).relative_error < 1e-6);
    }
    // Beyond what FP32 holds there is the rounding of the output, half a last place at most.
    assert!(loss(4096, OperandDistribution::HalfNormal, 40, None).relative_error < 2_f64.powi(-24));
}

#[test]
fn truncation_takes_from_positive_sums_and_favors_no_sign_of_others() {
    for k in [128, 2048] {
        for distribution in [OperandDistribution::HalfNormal, OperandDistribution::HalfUniform] {
            let loss = loss(k, distribution, 13, None);
            assert!(loss.bias < -10.0 * loss.bias_standard_error, "{loss:?}");
            // All outputs are short by about the same share, so the bias is the error.
            assert_near("bias", -loss.relative_error, loss.bias, 0.1);
        }
        let loss = loss(k, OperandDistribution::Normal, 13, None);
        assert!(loss.bias.abs() < 5.0 * loss.bias_standard_error, "{loss:?}");
    }
}

#[test]
fn another_seed_answers_within_the_standard_error() {
    let accumulator = Accumulator::new(13, 32, None).expect("an accumulator");
    let ask = |seed| {
        let distribution = OperandDistribution::Normal;
        SumQuestion { format: Format::E4M3, k: 512, distribution, accumulator, seed }.loss().expect("a sum")
    };
    let (first, again) = (ask(7), ask(7));
    assert_eq!(first, again, "equal seeds, equal answers");
    let errors: Vec<f64> = (0..10).map(|seed| ask(seed).relative_error).collect();
    let mean = errors.iter().sum::<f64>() / 10.0;
    let spread = (errors.iter().map(|error| (error - mean).powi(2)).sum::<f64>() / 9.0).sqrt();
    let claimed = first.relative_error_standard_error;
    assert!((0.4..2.5).contains(&(spread / claimed)), "seeds differ by {spread:.2e}, claimed {claimed:.2e}");
}

#[test]
fn every_format_can_be_asked_about() {
    for format in Format::ALL {
        let accumulator = Accumulator::new(25, 16, None).expect("an accumulator");
        let question =
            SumQuestion { format, k: 256, distribution: OperandDistribution::HalfNormal, accumulator, seed: 0 };
        let loss = question.loss().expect("a sum");
        assert!(loss.relative_error > 0.0 && loss.relative_error < 1e-5, "{}: {loss:?}", format.name());
    }
}

#[test]
fn sums_that_cannot_be_sampled_are_refused() {
    let accumulator = Accumulator::new(13, 32, None).expect("an accumulator");
    for k in [0, (1 << 20) + 1] {
        let question =
            SumQuestion { format: Format::E4M3, k, distribution: OperandDistribution::Normal, accumulator, seed: 0 };
        assert_eq!(question.loss(), Err(NumericsError::Length { k, max: 1 << 20 }));
    }
}
