//! Floating-point formats of up to 32 bits.

/// Leading places below which nothing in this crate lies: the exponent that a zero is given.
pub(crate) const EXPONENT_OF_ZERO: i16 = -4096;

/// What the largest exponent of a format holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Specials {
    /// Infinities and NaNs, as in IEEE 754: the whole largest exponent is theirs.
    Ieee,
    /// Numbers, but for one NaN where all bits are ones; no infinity.
    NanOnly,
}

/// A binary format: sign, exponent, fraction, from the top bit down, with subnormals.
///
/// A code with exponent field `E > 0` and fraction field `f` of `m` bits is `(1 + f / 2^m) 2^(E - bias)`, one with
/// `E = 0` is `f / 2^m 2^(1 - bias)`, where `bias = 2^(e-1) - 1` for `e` bits of exponent. Codes sit in the low
/// [`Format::n_bits`] bits of a `u32`.
///
/// Sources: OCP 8-bit floating point specification 1.0 for E4M3 and E5M2; IEEE 754 for FP16 and FP32. E5M6 is a format
/// of storage only; that its largest exponent is kept for specials, as IEEE has it, is assumed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Format {
    name: &'static str,
    exponent_bits: u32,
    mantissa_bits: u32,
    specials: Specials,
}

impl Format {
    /// 8 bits, largest 448, no infinity.
    pub const E4M3: Self = Self::known("e4m3", 4, 3, Specials::NanOnly);
    /// 8 bits, largest 57344.
    pub const E5M2: Self = Self::known("e5m2", 5, 2, Specials::Ieee);
    /// 12 bits, largest 65024.
    pub const E5M6: Self = Self::known("e5m6", 5, 6, Specials::Ieee);
    /// 16 bits, the range of FP32.
    pub const BF16: Self = Self::known("bf16", 8, 7, Specials::Ieee);
    /// 16 bits, largest 65504.
    pub const FP16: Self = Self::known("fp16", 5, 10, Specials::Ieee);
    /// 32 bits, `f32`.
    pub const FP32: Self = Self::known("fp32", 8, 23, Specials::Ieee);
    /// All formats of this crate, narrowest first.
    pub const ALL: [Self; 6] = [Self::E4M3, Self::E5M2, Self::E5M6, Self::BF16, Self::FP16, Self::FP32];

    const fn known(name: &'static str, exponent_bits: u32, mantissa_bits: u32, specials: Specials) -> Self {
        Self { name, exponent_bits, mantissa_bits, specials }
    }

    /// The format of this name, such as `e4m3`.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.name == name)
    }

    /// The name in files and on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.name
    }

    /// Bits of the exponent.
    #[must_use]
    pub const fn exponent_bits(self) -> u32 {
        self.exponent_bits
    }

    /// Bits of the fraction, the leading one excluded.
    #[must_use]
    pub const fn mantissa_bits(self) -> u32 {
        self.mantissa_bits
    }

    /// What the largest exponent holds.
    #[must_use]
    pub const fn specials(self) -> Specials {
        self.specials
    }

    /// Bits of a code, the sign included.
    #[must_use]
    pub const fn n_bits(self) -> u32 {
        1 + self.exponent_bits + self.mantissa_bits
    }

    /// Exponent of the smallest normal number; subnormals share it.
    #[must_use]
    pub const fn exponent_min(self) -> i32 {
        2 - (1 << (self.exponent_bits - 1))
    }

    /// Exponent of the largest number.
    #[must_use]
    pub const fn exponent_max(self) -> i32 {
        match self.specials {
            Specials::Ieee => (1 << (self.exponent_bits - 1)) - 1,
            Specials::NanOnly => 1 << (self.exponent_bits - 1),
        }
    }

    /// The largest number.
    #[must_use]
    pub fn max(self) -> f64 {
        self.decode(self.code_max())
    }

    /// The nearest number's code, ties to the even one. What lies beyond the largest number becomes it, infinities
    /// too: encoding saturates, as casts to FP8 in training do. NaN becomes the positive NaN.
    #[must_use]
    pub fn encode(self, value: f64) -> u32 {
        if value.is_nan() {
            return self.code_nan();
        }
        let sign = u32::from(value.is_sign_negative()) << (self.n_bits() - 1);
        let magnitude = value.abs();
        if magnitude >= self.max() {
            return sign | self.code_max();
        }
        let exponent = leading_exponent(magnitude).max(self.exponent_min());
        // A power of two, so nothing is lost before the rounding. It carries into the next exponent by itself.
        let steps = (magnitude * exp2(self.mantissa_bits.cast_signed() - exponent)).round_ties_even() as u32;
        let binade = (exponent - self.exponent_min()).cast_unsigned() << self.mantissa_bits;
        sign | (binade + steps).min(self.code_max())
    }

    /// The number of a code, exactly; an infinity or NaN for those. NaN too for what has more bits than a code.
    #[must_use]
    pub fn decode(self, code: u32) -> f64 {
        let Some((significand, exponent)) = self.parts(code) else {
            let fraction = code & ((1 << self.mantissa_bits) - 1);
            let infinite = self.specials == Specials::Ieee && self.holds(code) && fraction == 0;
            return match (infinite, self.is_negative(code)) {
                (false, _) => f64::NAN,
                (true, false) => f64::INFINITY,
                (true, true) => f64::NEG_INFINITY,
            };
        };
        if significand == 0 {
            return if self.is_negative(code) { -0.0 } else { 0.0 };
        }
        f64::from(significand) * exp2(i32::from(exponent) - self.mantissa_bits.cast_signed())
    }

    /// The nearest number, ties to the even one, saturating: [`Format::decode`] of [`Format::encode`].
    #[must_use]
    pub fn round(self, value: f64) -> f64 {
        self.decode(self.encode(value))
    }

    /// Signed significand in units of the last place of the fraction, and the exponent of its place before the point;
    /// subnormals are not normalized. A zero has an exponent below all others. None if the code is no finite number.
    pub(crate) fn parts(self, code: u32) -> Option<(i32, i16)> {
        let magnitude = code & self.mask_magnitude();
        if !self.holds(code) || magnitude > self.code_max() {
            return None;
        }
        let field = magnitude >> self.mantissa_bits;
        let hidden = u32::from(field > 0) << self.mantissa_bits;
        let fraction = magnitude & ((1 << self.mantissa_bits) - 1);
        let significand = (hidden | fraction).cast_signed();
        let exponent = field.max(1).cast_signed() - 1 + self.exponent_min();
        let exponent = if significand == 0 { EXPONENT_OF_ZERO } else { i16::try_from(exponent).ok()? };
        Some((if self.is_negative(code) { -significand } else { significand }, exponent))
    }

    fn holds(self, code: u32) -> bool {
        u64::from(code) >> self.n_bits() == 0
    }

    fn is_negative(self, code: u32) -> bool {
        code >> (self.n_bits() - 1) & 1 == 1
    }

    const fn mask_magnitude(self) -> u32 {
        (1 << (self.n_bits() - 1)) - 1
    }

    const fn code_max(self) -> u32 {
        match self.specials {
            Specials::Ieee => (((1 << self.exponent_bits) - 1) << self.mantissa_bits) - 1,
            Specials::NanOnly => self.mask_magnitude() - 1,
        }
    }

    /// All bits but the sign, except where that is not the usual quiet NaN of IEEE: its top fraction bit alone.
    const fn code_nan(self) -> u32 {
        match self.specials {
            Specials::Ieee => self.code_max() + 1 + (1 << (self.mantissa_bits - 1)),
            Specials::NanOnly => self.mask_magnitude(),
        }
    }
}

/// `2^power`, exactly, for powers in the range of normal `f64`.
pub(crate) fn exp2(power: i32) -> f64 {
    debug_assert!((-1022..=1023).contains(&power), "2^{power}");
    f64::from_bits(u64::from((power + 1023).cast_unsigned()) << 52)
}

/// Exponent of the leading one of a positive normal `f64`; something far below all formats for zero and subnormals.
pub(crate) fn leading_exponent(magnitude: f64) -> i32 {
    (magnitude.to_bits() >> 52) as i32 - 1023
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The definition of a code, in words of arithmetic.
    fn by_definition(format: Format, code: u32) -> Option<f64> {
        let (e, m) = (format.exponent_bits, format.mantissa_bits);
        let (field, fraction) = (code >> m & ((1 << e) - 1), code & ((1 << m) - 1));
        let special = match format.specials {
            Specials::Ieee => field == (1 << e) - 1,
            Specials::NanOnly => field == (1 << e) - 1 && fraction == (1 << m) - 1,
        };
        let bias = (1 << (e - 1)) - 1;
        let share = f64::from(fraction) / 2_f64.powi(m as i32);
        let magnitude = match field {
            0 => share * 2_f64.powi(1 - bias),
            _ => (1.0 + share) * 2_f64.powi(field as i32 - bias),
        };
        let sign = if code >> (e + m) == 1 { -1.0 } else { 1.0 };
        (!special).then_some(sign * magnitude)
    }

    fn codes(format: Format) -> std::ops::Range<u32> {
        0..1 << format.n_bits()
    }

    #[test]
    fn every_code_of_8_12_and_16_bits_is_what_its_fields_say_and_comes_back() {
        for format in Format::ALL.into_iter().filter(|format| format.n_bits() <= 16) {
            for code in codes(format) {
                let actual = format.decode(code);
                match by_definition(format, code) {
                    Some(expectation) => {
                        assert_eq!(actual.to_bits(), expectation.to_bits(), "{} {code:#x}", format.name);
                        assert_eq!(format.encode(actual), code, "{} {code:#x}", format.name);
                    }
                    None => assert!(!actual.is_finite(), "{} {code:#x}: {actual}", format.name),
                }
            }
        }
    }

    #[test]
    fn fp32_is_the_machines_own() {
        let mut code = 0_u32;
        loop {
            let (expectation, actual) = (f64::from(f32::from_bits(code)), Format::FP32.decode(code));
            assert!(actual == expectation || actual.is_nan() && expectation.is_nan(), "{code:#x}");
            if expectation.is_finite() {
                assert_eq!(Format::FP32.encode(expectation), code);
                // What lies between two numbers is rounded as the machine rounds it.
                let between = expectation * 1.000_000_1;
                if (between as f32).is_finite() {
                    assert_eq!(Format::FP32.encode(between), (between as f32).to_bits(), "{between}");
                }
            }
            let Some(next) = code.checked_add(65_521) else { break };
            code = next;
        }
    }

    #[test]
    fn largest_smallest_and_special_codes_are_the_published_ones() {
        let facts = [
            (Format::E4M3, 448.0, 2_f64.powi(-9), 0x7f),
            (Format::E5M2, 57_344.0, 2_f64.powi(-16), 0x7e),
            (Format::E5M6, 65_024.0, 2_f64.powi(-20), 0x7e0),
            (Format::BF16, f64::from(f32::from_bits(0x7f7f_0000)), 2_f64.powi(-133), 0x7fc0),
            (Format::FP16, 65_504.0, 2_f64.powi(-24), 0x7e00),
            (Format::FP32, f64::from(f32::MAX), 2_f64.powi(-149), 0x7fc0_0000),
        ];
        for (format, max, smallest, nan) in facts {
            assert_eq!(format.max(), max, "{}", format.name);
            assert_eq!(format.decode(1), smallest, "{}", format.name);
            assert_eq!(format.encode(f64::NAN), nan, "{}", format.name);
            assert_eq!(format.round(f64::INFINITY), max, "{} saturates", format.name);
            assert_eq!(format.round(-1e300), -max, "{} saturates", format.name);
            assert_eq!(format.round(1e-300), 0.0, "{}", format.name);
            assert_eq!(Format::from_name(format.name), Some(format));
        }
        assert_eq!(Format::E5M2.decode(0x7c), f64::INFINITY);
        assert_eq!(Format::E5M2.decode(0xfc), f64::NEG_INFINITY);
        assert!(Format::E4M3.decode(0xff).is_nan());
        assert!(Format::E4M3.decode(0x100).is_nan(), "nine bits are no code of eight");
    }

    #[test]
    fn halfway_goes_to_the_even_code_and_all_else_to_the_nearer_one() {
        for format in [Format::E4M3, Format::E5M2, Format::E5M6] {
            for code in 0..format.code_max() {
                let (low, high) = (format.decode(code), format.decode(code + 1));
                let middle = (low + high) / 2.0;
                assert_eq!(format.encode(middle), code + code % 2, "{} {middle}", format.name);
                assert_eq!(format.encode(middle - (high - low) / 64.0), code, "{}", format.name);
                assert_eq!(format.encode(middle + (high - low) / 64.0), code + 1, "{}", format.name);
            }
        }
    }
}
