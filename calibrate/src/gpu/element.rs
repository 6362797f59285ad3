//! Elements of matrices on the device, read and written by the host.

use std::sync::LazyLock;

use super::device::Fill;

/// What a matrix of operands holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Element {
    /// Sixteen bits: the upper half of an FP32.
    Bf16,
    /// Eight bits: sign, four of exponent (bias 7), three of fraction; no infinities, largest 448.
    E4m3,
}

/// The code of E4M3's largest number; one above it is NaN.
const E4M3_MAX: u8 = 0x7E;
/// The numbers of the codes from zero to the largest: ascending.
static E4M3_NUMBERS: LazyLock<Vec<f64>> = LazyLock::new(|| (0..=E4M3_MAX).map(e4m3_exact).collect());

impl Element {
    /// Bytes of one.
    pub(crate) const fn bytes(self) -> usize {
        match self {
            Self::Bf16 => 2,
            Self::E4m3 => 1,
        }
    }

    /// How to draw normal ones on the device.
    pub(crate) const fn fill(self) -> Fill {
        match self {
            Self::Bf16 => Fill::Bf16Normal,
            Self::E4m3 => Fill::E4m3Normal,
        }
    }

    /// The numbers that `bytes` are, exactly.
    pub(crate) fn decode(self, bytes: &[u8]) -> Vec<f64> {
        match self {
            Self::Bf16 => bytes.chunks_exact(2).map(|pair| bf16(u16::from_le_bytes([pair[0], pair[1]]))).collect(),
            Self::E4m3 => bytes.iter().map(|&code| e4m3(code)).collect(),
        }
    }
}

/// The number of a BF16.
pub(crate) fn bf16(code: u16) -> f64 {
    f64::from(f32::from_bits(u32::from(code) << 16))
}

/// The number of an E4M3 code; NaN for the two codes of it.
pub(crate) fn e4m3(code: u8) -> f64 {
    let magnitude = E4M3_NUMBERS.get(usize::from(code & 0x7F)).copied().unwrap_or(f64::NAN);
    if code & 0x80 == 0 { magnitude } else { -magnitude }
}

/// The number of a code without sign.
fn e4m3_exact(code: u8) -> f64 {
    let (exponent, fraction) = (i32::from(code >> 3), f64::from(code & 7) / 8.0);
    if exponent == 0 { fraction * 2_f64.powi(-6) } else { (1.0 + fraction) * 2_f64.powi(exponent - 7) }
}

/// The code of the nearest E4M3, ties to the even code; what is larger than 448 becomes 448.
///
/// Codes of one sign are in the order of their numbers, so the nearest is one of two neighbors.
pub(crate) fn to_e4m3(value: f64) -> u8 {
    let magnitude = value.abs();
    let numbers = &*E4M3_NUMBERS;
    // Zero is a code, so at least one is not above; a NaN becomes zero.
    let below = numbers.partition_point(|&number| number <= magnitude).max(1) - 1;
    let up = numbers.get(below + 1).is_some_and(|above| {
        let (down, up) = (magnitude - numbers[below], above - magnitude);
        up < down || (down.total_cmp(&up).is_eq() && below % 2 == 1)
    });
    let code = (below + usize::from(up)) as u8;
    if value.is_sign_negative() { code | 0x80 } else { code }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn e4m3_is_what_the_format_says() {
        assert_eq!([0x00, 0x01, 0x08, 0x38, 0x7E, 0xB8].map(e4m3), [0.0, 1.0 / 512.0, 1.0 / 64.0, 1.0, 448.0, -1.0]);
        assert!(e4m3(0x7F).is_nan() && e4m3(0xFF).is_nan());
    }

    #[test]
    fn every_code_is_nearest_to_its_own_number() {
        for code in (0..=0x7E).chain(0x80..=0xFE) {
            assert_eq!(to_e4m3(e4m3(code)), code);
        }
    }

    #[test]
    fn halves_go_to_the_even_code_and_the_rest_to_the_nearer() {
        for code in 0..0x7E_u8 {
            let (low, high) = (e4m3(code), e4m3(code + 1));
            let middle = f64::midpoint(low, high);
            assert_eq!(to_e4m3(middle), code + code % 2, "{middle}");
            assert_eq!(to_e4m3(middle - (high - low) / 64.0), code);
            assert_eq!(to_e4m3(-middle - (high - low) / 64.0), (code + 1) | 0x80);
        }
        assert_eq!(to_e4m3(1e9), 0x7E, "saturates");
    }

    #[test]
    fn bf16_is_half_an_fp32() {
        assert_eq!([0x3F80, 0xC000, 0x0000].map(bf16), [1.0, -2.0, 0.0]);
        assert_eq!(Element::Bf16.decode(&[0x80, 0x3F, 0x00, 0xC0]), [1.0, -2.0]);
    }
}
