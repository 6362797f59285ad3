use super::*;
use crate::operands::exact;

const E4M3: Format = Format::E4M3;

fn accumulator(fraction_bits: u32, group: usize, promote: Option<usize>) -> Accumulator {
    Accumulator::new(fraction_bits, group, promote).expect("an accumulator")
}

/// One row of the nearest E4M3 numbers.
fn row(values: impl IntoIterator<Item = f64>) -> Operands {
    let codes: Vec<u32> = values.into_iter().map(|value| E4M3.encode(value)).collect();
    Operands::from_codes(E4M3, 1, codes.len(), &codes).expect("finite numbers")
}

/// Codes that follow no pattern, over all of a format's finite numbers.
fn scattered(format: Format, n: u32, salt: u32) -> Vec<u32> {
    let codes = (0..).map(|index: u32| (index ^ salt).wrapping_mul(40_503) >> 4 & ((1 << format.n_bits()) - 1));
    codes.filter(|&code| format.decode(code).is_finite()).take(n as usize).collect()
}

fn scattered_row(n: u32, salt: u32) -> Operands {
    Operands::from_codes(E4M3, 1, n as usize, &scattered(E4M3, n, salt)).expect("finite numbers")
}

fn sum(accumulator: Accumulator, a: &Operands, b: &Operands) -> f64 {
    f64::from(accumulator.multiply(a, b).expect("equal lengths")[0])
}

fn exact_sum(a: &Operands, b: &Operands) -> f64 {
    exact(a, b).expect("equal lengths")[0]
}

/// The rule once more, in arithmetic on `f64` that is exact at these sizes.
fn by_the_rule(bits: i32, stored: i32, accumulated: f64, factors: &[(f64, f64)]) -> f64 {
    let exponent = |value: f64| if value == 0.0 { -1000 } else { value.abs().log2().floor().max(-6.0) as i32 };
    let both = |(a, b): &(f64, f64)| exponent(*a) + exponent(*b);
    let own = if accumulated == 0.0 { -2000 } else { accumulated.abs().log2().floor() as i32 };
    let top = factors.iter().map(both).max().unwrap_or(own).max(own);
    if top < -900 {
        return 0.0;
    }
    let unit = 2_f64.powi(top - bits);
    let terms = factors.iter().map(|(a, b)| a * b).chain([accumulated]);
    let sum = terms.map(|term| (term / unit).trunc()).sum::<f64>() * unit;
    if sum == 0.0 {
        return 0.0;
    }
    let last = 2_f64.powi(sum.abs().log2().floor() as i32 - stored);
    (sum / last).trunc() * last
}

#[test]
fn every_step_follows_the_rule() {
    for (bits, group) in [(1, 3), (7, 32), (13, 32), (13, 1), (13, 5), (25, 16)] {
        for salt in 0..40 {
            let (a, b) = (scattered(E4M3, 96, salt), scattered(E4M3, 96, salt + 1000));
            let factors: Vec<(f64, f64)> = a.iter().zip(&b).map(|(&a, &b)| (E4M3.decode(a), E4M3.decode(b))).collect();
            let stored = bits.min(20);
            let expectation = factors.chunks(group).fold(0.0, |sum, group| by_the_rule(bits, stored, sum, group));
            let a = Operands::from_codes(E4M3, 1, 96, &a).expect("finite numbers");
            let b = Operands::from_codes(E4M3, 1, 96, &b).expect("finite numbers");
            let accumulator = accumulator(bits as u32, group, None).with_stored_bits(stored as u32).expect("bits");
            let actual = sum(accumulator, &a, &b);
            assert_eq!(actual, expectation, "{bits} bits, groups of {group}, salt {salt}");
        }
    }
}

#[test]
fn one_group_of_many_bits_loses_only_what_fp32_cannot_hold() {
    for n in [1, 2, 31, 300, 1000] {
        for salt in 0..20 {
            let (a, b) = (scattered_row(n, salt), scattered_row(n, salt + 77));
            let actual = sum(accumulator(52, n as usize, None), &a, &b);
            assert_eq!(actual, f64::from(exact_sum(&a, &b) as f32), "{n} products, salt {salt}");
        }
    }
}

#[test]
fn small_integers_are_summed_exactly_while_they_fit() {
    let a = row((0..4096).map(|index| f64::from(index % 5) - 2.0));
    let b = row((0..4096).map(|index| f64::from(index % 7) - 3.0));
    assert_eq!(sum(accumulator(13, 32, None), &a, &b), exact_sum(&a, &b));
}

#[test]
fn a_sum_of_ones_stops_where_the_last_place_is_two() {
    for bits in 1..=10 {
        for (group, k) in [(1, 4096), (4, 4096), (32, 4096), (32, 256)] {
            let ones = row(std::iter::repeat_n(1.0, k));
            // Nothing is held before the first group, so that counts whole even where it is beyond the limit.
            let expectation = (k as f64).min(2_f64.powi(bits + 1).max(group as f64));
            let actual = sum(accumulator(bits as u32, group, None), &ones, &ones);
            assert_eq!(actual, expectation, "{bits} bits, groups of {group}, K = {k}");
        }
    }
}

#[test]
fn products_a_little_above_one_lose_their_fraction_binade_by_binade() {
    // While the sum is in [2^e, 2^(e+1)) a product counts as the multiple of 2^(e-6) below it, and so does the new sum.
    let (bits, product, k) = (6, 1.125, 512);
    let down = |value: f64, beside: f64| {
        let unit = 2_f64.powi(beside.max(1.0).log2().floor() as i32 - bits);
        (value / unit).floor() * unit
    };
    let add = |sum: f64| sum + down(product, sum);
    let expectation = (0..k).fold(0.0, |sum, _| down(add(sum), add(sum)));
    let (a, b) = (row(std::iter::repeat_n(product, k)), row(std::iter::repeat_n(1.0, k)));
    assert_eq!(sum(accumulator(6, 1, None), &a, &b), expectation);
}

#[test]
fn truncation_is_toward_zero_so_signs_mirror() {
    for salt in 0..20 {
        let codes = scattered(E4M3, 256, salt);
        let a = Operands::from_codes(E4M3, 1, 256, &codes).expect("finite numbers");
        let mirrored: Vec<u32> = codes.iter().map(|code| code ^ 0x80).collect();
        let mirrored = Operands::from_codes(E4M3, 1, 256, &mirrored).expect("finite numbers");
        let b = scattered_row(256, salt + 9);
        let accumulator = accumulator(13, 32, Some(64));
        assert_eq!(sum(accumulator, &a, &b), -sum(accumulator, &mirrored, &b));
    }
}

#[test]
fn the_error_stays_below_what_truncation_can_take() {
    for bits in [4, 8, 13, 20] {
        for group in [1, 8, 32] {
            for salt in 0..10 {
                let (a, b) = (scattered_row(640, salt), scattered_row(640, salt + 500));
                let products = |n| row_products(&a, &b, n);
                let largest = products(640).iter().fold(0.0_f64, |largest, product| largest.max(product.abs()));
                let sums = (0..=640).map(|n| products(n).iter().sum::<f64>().abs());
                // Exponents are written, not normalized, so the largest is at most that of a magnitude below.
                let reach = sums.fold(largest, f64::max) * 2.0;
                let steps = 640_f64 / group as f64;
                let bound = steps * (group as f64 + 2.0) * reach * 2_f64.powi(-bits);
                let error = (sum(accumulator(bits as u32, group, None), &a, &b) - exact_sum(&a, &b)).abs();
                assert!(error <= bound, "{bits} bits, groups of {group}: {error} > {bound}");
            }
        }
    }
}

fn row_products(a: &Operands, b: &Operands, n: usize) -> Vec<f64> {
    let products = a.products(0, b, 0);
    let value = |(significand, exponent): (i64, i32)| match significand {
        0 => 0.0,
        _ => significand as f64 * exp2(exponent - products.fraction.cast_signed()),
    };
    products.iter().take(n).map(value).collect()
}

#[test]
fn the_order_within_a_group_does_not_matter() {
    let (a, b) = (scattered(E4M3, 128, 3), scattered(E4M3, 128, 4));
    let turned = |codes: &[u32]| -> Operands {
        let codes: Vec<u32> = codes.chunks(32).flat_map(|group| group.iter().rev().copied()).collect();
        Operands::from_codes(E4M3, 1, 128, &codes).expect("finite numbers")
    };
    let straight = |codes: &[u32]| Operands::from_codes(E4M3, 1, 128, codes).expect("finite numbers");
    for promote in [None, Some(64)] {
        let accumulator = accumulator(13, 32, promote);
        assert_eq!(accumulator.multiply(&straight(&a), &straight(&b)), accumulator.multiply(&turned(&a), &turned(&b)));
    }
}

#[test]
fn promotion_adds_partial_sums_in_fp32() {
    let (a, b) = (scattered_row(320, 5), scattered_row(320, 6));
    let codes = |salt| scattered(E4M3, 320, salt);
    let never = accumulator(13, 32, None);
    let mut expectation = 0.0_f32;
    for (a, b) in codes(5).chunks(128).zip(codes(6).chunks(128)) {
        let part = |codes: &[u32]| Operands::from_codes(E4M3, 1, codes.len(), codes).expect("finite numbers");
        expectation += never.multiply(&part(a), &part(b)).expect("equal lengths")[0];
    }
    assert_eq!(accumulator(13, 32, Some(128)).multiply(&a, &b), Ok(vec![expectation]));
    assert_eq!(accumulator(13, 32, Some(1 << 20)).multiply(&a, &b), never.multiply(&a, &b), "longer than K is never");
}

#[test]
fn stored_bits_are_cut_after_each_group() {
    // 8 + 1/8 takes 6 fraction bits; the second group would bring nothing that fits.
    let (a, b) = (row([8.0, 0.125, 0.0, 0.0]), row([1.0; 4]));
    let wide = accumulator(20, 2, None);
    assert_eq!(sum(wide, &a, &b), 8.125);
    assert_eq!(sum(wide.with_stored_bits(6).expect("bits"), &a, &b), 8.125);
    assert_eq!(sum(wide.with_stored_bits(5).expect("bits"), &a, &b), 8.0);
    assert_eq!(accumulator(13, 32, None).stored_bits(), 13);
}

#[test]
fn factors_of_any_format_and_fp32_subnormals_are_added() {
    for format in Format::ALL {
        let tiny = format.decode(1);
        let codes = [1, format.encode(1.0)];
        let a = Operands::from_codes(format, 1, 2, &codes).expect("finite numbers");
        let b = Operands::from_codes(format, 1, 2, &[format.encode(1.0), 0]).expect("finite numbers");
        let exact = f64::from(tiny as f32);
        assert_eq!(sum(accumulator(52, 2, None), &a, &b), exact, "{}", format.name());
    }
    let largest = Operands::from_codes(Format::FP32, 1, 1, &[f32::MAX.to_bits()]).expect("a finite number");
    assert_eq!(sum(accumulator(25, 1, None), &largest, &largest), f64::INFINITY, "beyond FP32");
}

#[test]
fn zeros_weigh_nothing() {
    let (tiny, zeros) = (row([2_f64.powi(-9), 0.0, 0.0]), row([2_f64.powi(-9), 448.0, 0.0]));
    assert_eq!(sum(accumulator(1, 3, None), &tiny, &zeros), 0.0, "a subnormal's leading place is that of 2^-6");
    assert_eq!(sum(accumulator(6, 3, None), &tiny, &zeros), 2_f64.powi(-18));
    assert_eq!(accumulator(13, 32, None).multiply(&row([]), &row([])), Ok(vec![0.0]));
}

#[test]
fn what_cannot_be_is_refused_with_the_way_out() {
    let interval = Accumulator::new(13, 32, Some(100)).expect_err("between groups");
    assert!(interval.to_string().ends_with("take 96 or 128"), "{interval}");
    let short = Accumulator::new(13, 32, Some(0)).expect_err("no products");
    assert!(short.to_string().ends_with("take 32"), "{short}");
    for bits in [0, 53] {
        let error = Accumulator::new(bits, 32, None).expect_err("no such bits");
        assert!(error.to_string().contains("from 1 to 52"), "{error}");
    }
    assert_eq!(Accumulator::new(13, 0, None), Err(NumericsError::EmptyGroup));
    let stored = accumulator(13, 32, None).with_stored_bits(53).expect_err("no such bits");
    assert!(stored.to_string().contains("from 1 to 52"), "{stored}");
}
