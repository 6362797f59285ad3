use super::*;
use crate::operands::exact;

/// Values of very different size from region to region, none a round number.
fn values(rows: usize, columns: usize) -> Vec<f32> {
    let value = |row: usize, column: usize| {
        let wave = ((row * 31 + column * 17) % 101) as f32 / 50.0 - 0.993;
        wave * 1.7_f32.powi((row / 4 + column / 128) as i32)
    };
    (0..rows * columns).map(|index| value(index / columns, index % columns)).collect()
}

fn quantized(granularity: Granularity, kind: ScaleKind, shape: [usize; 2]) -> Quantized {
    Quantized::new(Format::E4M3, granularity, kind, shape, &values(shape[0], shape[1])).expect("finite values")
}

#[test]
fn elements_come_back_within_half_a_step_of_their_region() {
    for granularity in [Granularity::Tensor, Granularity::TILE, Granularity::BLOCK] {
        for kind in [ScaleKind::Float, ScaleKind::PowerOfTwo] {
            let shape = [130, 300];
            let quantized = quantized(granularity, kind, shape);
            for (index, (value, back)) in values(130, 300).into_iter().zip(quantized.dequantized()).enumerate() {
                let scale = f64::from(quantized.scale(index / 300, index % 300));
                let value = f64::from(value);
                // Half a step is 2^-4 of the number, or of the smallest normal one.
                let step = value.abs().max(scale * 2_f64.powi(-6)) / 16.0;
                assert!((value - back).abs() <= step * 1.000_001, "{granularity:?} {kind:?}: {value} became {back}");
            }
        }
    }
}

#[test]
fn the_largest_of_each_region_is_the_formats_largest() {
    let tiles = quantized(Granularity::TILE, ScaleKind::Float, [3, 256]);
    assert_eq!(tiles.scales().len(), 6);
    for tile in tiles.codes().chunks(128) {
        let largest = tile.iter().map(|&code| Format::E4M3.decode(code).abs()).fold(0.0, f64::max);
        assert_eq!(largest, 448.0);
    }
    assert_eq!(quantized(Granularity::BLOCK, ScaleKind::Float, [130, 300]).scales().len(), 2 * 3);
    assert_eq!(quantized(Granularity::Tensor, ScaleKind::Float, [130, 300]).scales().len(), 1);
}

#[test]
fn powers_of_two_are_the_next_ones_above() {
    let float = quantized(Granularity::TILE, ScaleKind::Float, [40, 256]);
    let power = quantized(Granularity::TILE, ScaleKind::PowerOfTwo, [40, 256]);
    for (float, power) in float.scales().iter().zip(power.scales()) {
        assert_eq!(power.log2().fract(), 0.0);
        assert!((1.0..2.0 + 1e-6).contains(&(power / float)), "{float} became {power}");
    }
    let exact = Quantized::new(Format::E4M3, Granularity::Tensor, ScaleKind::PowerOfTwo, [1, 1], &[448.0]);
    assert_eq!(exact.expect("a value").scales(), [1.0]);
}

#[test]
fn zeros_and_tiny_values_have_scales_too() {
    let zeros = Quantized::new(Format::E4M3, Granularity::TILE, ScaleKind::Float, [1, 4], &[0.0; 4]).expect("zeros");
    assert_eq!((zeros.scales(), zeros.dequantized()), ([1.0].as_slice(), vec![0.0; 4]));
    for kind in [ScaleKind::Float, ScaleKind::PowerOfTwo] {
        let tiny = Quantized::new(Format::E4M3, Granularity::Tensor, kind, [1, 1], &[f32::from_bits(1)]).expect("tiny");
        assert!(tiny.scales()[0] >= f32::MIN_POSITIVE && tiny.dequantized()[0].is_finite());
    }
}

fn scaled(fraction_bits: u32, promote: Option<usize>, scale_at: ScaleAt) -> ScaledDot {
    ScaledDot { accumulator: Accumulator::new(fraction_bits, 32, promote).expect("an accumulator"), scale_at }
}

/// The product of the dequantized matrices.
fn truth(a: &Quantized, b: &Quantized) -> Vec<f64> {
    let (left, right) = (a.dequantized(), b.dequantized());
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    left.chunks(a.columns).flat_map(|a| right.chunks(b.columns).map(move |b| dot(a, b))).collect()
}

#[track_caller]
fn assert_close(actual: &[f32], expectation: &[f64], relative: f64) {
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|value| value * value).sum::<f64>().sqrt();
    let error = norm(&mut actual.iter().zip(expectation).map(|(actual, exact)| f64::from(*actual) - exact));
    let error = error / norm(&mut expectation.iter().copied());
    assert!(error < relative, "relative error {error}, not below {relative}");
}

#[test]
fn with_many_bits_a_scaled_product_is_that_of_the_dequantized_matrices() {
    for kind in [ScaleKind::Float, ScaleKind::PowerOfTwo] {
        let (a, b) = (quantized(Granularity::TILE, kind, [5, 384]), quantized(Granularity::BLOCK, kind, [130, 384]));
        for interval in [32, 64, 128] {
            let product = scaled(52, Some(interval), ScaleAt::Promotion).multiply(&a, &b).expect("equal lengths");
            assert_eq!(product.len(), 5 * 130);
            assert_close(&product, &truth(&a, &b), 1e-6);
        }
        let (a, b) = (quantized(Granularity::Tensor, kind, [5, 384]), quantized(Granularity::Tensor, kind, [9, 384]));
        for promote in [None, Some(128)] {
            let product = scaled(52, promote, ScaleAt::Promotion).multiply(&a, &b).expect("equal lengths");
            assert_close(&product, &truth(&a, &b), 1e-6);
        }
    }
}

#[test]
fn scales_in_the_products_are_those_of_the_dequantized_matrices() {
    let kind = ScaleKind::PowerOfTwo;
    let (a, b) = (quantized(Granularity::TILE, kind, [5, 384]), quantized(Granularity::BLOCK, kind, [130, 384]));
    let wide = scaled(52, None, ScaleAt::Product).multiply(&a, &b).expect("powers of two");
    assert_close(&wide, &truth(&a, &b), 1e-5);
    let float = quantized(Granularity::TILE, ScaleKind::Float, [5, 384]);
    let error = scaled(25, None, ScaleAt::Product).multiply(&float, &b).expect_err("no power of two");
    assert!(error.to_string().contains("ScaleKind::PowerOfTwo"), "{error}");
}

#[test]
fn scales_of_one_change_nothing() {
    let codes: Vec<f32> =
        (0..256).map(|index| if index % 128 == 0 { 448.0 } else { (index % 13) as f32 - 6.0 }).collect();
    let quantized =
        Quantized::new(Format::E4M3, Granularity::TILE, ScaleKind::Float, [1, 256], &codes).expect("values");
    assert_eq!(quantized.scales(), [1.0, 1.0]);
    let plain = quantized.operands().expect("finite numbers");
    let dot = scaled(13, Some(128), ScaleAt::Promotion);
    assert_eq!(dot.multiply(&quantized, &quantized), dot.accumulator.multiply(&plain, &plain));
    assert_eq!(exact(&plain, &plain), Ok(truth(&quantized, &quantized)));
}

#[test]
fn scales_that_nothing_can_apply_are_refused() {
    let tiles = quantized(Granularity::TILE, ScaleKind::Float, [2, 256]);
    for (promote, part) in
        [(None, "promoted never"), (Some(96), "promoted every 96"), (Some(256), "promoted every 256")]
    {
        let error = scaled(13, promote, ScaleAt::Promotion).multiply(&tiles, &tiles).expect_err("scales change");
        assert!(error.to_string().contains("change every 128") && error.to_string().contains(part), "{error}");
    }
    let shape = Quantized::new(Format::E4M3, Granularity::TILE, ScaleKind::Float, [2, 2], &[1.0; 3]);
    assert_eq!(shape, Err(NumericsError::Shape { rows: 2, columns: 2, n_elements: 3 }));
    let empty = Granularity::Region { rows: 0, columns: 128 };
    let empty = Quantized::new(Format::E4M3, empty, ScaleKind::Float, [1, 1], &[1.0]).expect_err("no element");
    assert!(empty.to_string().contains("not 0 x 128"), "{empty}");
    let nan = Quantized::new(Format::E4M3, Granularity::TILE, ScaleKind::Float, [1, 2], &[1.0, f32::NAN]);
    assert!(nan.expect_err("a NaN").to_string().contains("row 0, column 1"));
}
