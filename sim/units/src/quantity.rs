//! The floating-point quantities and the arithmetic between them.

use std::fmt;
use std::ops::{Add, AddAssign, Div, Mul, Sub};
use std::str::FromStr;

use crate::parse::{ParseError, Spelling, parse, print};

macro_rules! quantity {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $spellings:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd)]
        pub struct $name(f64);

        impl $name {
            /// Nothing of it.
            pub const ZERO: Self = Self(0.0);

            /// From a count of the base unit.
            #[must_use]
            pub const fn new(value: f64) -> Self {
                Self(value)
            }

            /// The count of the base unit.
            #[must_use]
            pub const fn get(self) -> f64 {
                self.0
            }

            /// The larger of two.
            #[must_use]
            pub const fn max(self, other: Self) -> Self {
                Self(self.0.max(other.0))
            }

            /// The smaller of two.
            #[must_use]
            pub const fn min(self, other: Self) -> Self {
                Self(self.0.min(other.0))
            }
        }

        impl Add for $name {
            type Output = Self;
            fn add(self, other: Self) -> Self {
                Self(self.0 + other.0)
            }
        }

        impl AddAssign for $name {
            fn add_assign(&mut self, other: Self) {
                self.0 += other.0;
            }
        }

        impl Sub for $name {
            type Output = Self;
            fn sub(self, other: Self) -> Self {
                Self(self.0 - other.0)
            }
        }

        impl Mul<f64> for $name {
            type Output = Self;
            fn mul(self, factor: f64) -> Self {
                Self(self.0 * factor)
            }
        }

        impl Mul<$name> for f64 {
            type Output = $name;
            fn mul(self, quantity: $name) -> $name {
                $name(self * quantity.0)
            }
        }

        impl Div<f64> for $name {
            type Output = Self;
            fn div(self, divisor: f64) -> Self {
                Self(self.0 / divisor)
            }
        }

        impl Div for $name {
            type Output = f64;
            fn div(self, other: Self) -> f64 {
                self.0 / other.0
            }
        }

        impl std::iter::Sum for $name {
            fn sum<I: Iterator<Item = Self>>(items: I) -> Self {
                items.fold(Self::ZERO, Add::add)
            }
        }

        impl FromStr for $name {
            type Err = ParseError;
            fn from_str(text: &str) -> Result<Self, ParseError> {
                parse(text, $kind, $spellings).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                print(f, self.0, $spellings)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
    };
}

const fn shown(unit: &'static str, scale: f64) -> Spelling {
    Spelling { unit, scale, shown: true }
}

const fn read_only(unit: &'static str, scale: f64) -> Spelling {
    Spelling { unit, scale, shown: false }
}

quantity!(
    /// A size in bytes. Fractions arise where sampled counts are scaled.
    Bytes, "a size", &[
        shown("TB", 1e12), shown("GB", 1e9), shown("MB", 1e6), shown("kB", 1e3), shown("B", 1.0),
        read_only("KiB", 1024.0), read_only("MiB", 1_048_576.0), read_only("GiB", 1_073_741_824.0),
        read_only("TiB", 1_099_511_627_776.0),
    ]
);
quantity!(
    /// Floating-point operations; a multiply-add is two.
    Flops, "a number of operations", &[
        shown("PFLOP", 1e15), shown("TFLOP", 1e12), shown("GFLOP", 1e9), shown("MFLOP", 1e6), shown("FLOP", 1.0),
    ]
);
quantity!(
    /// A rate in bytes per second, always of one direction.
    BytesPerSec, "a rate", &[
        shown("TB/s", 1e12), shown("GB/s", 1e9), shown("MB/s", 1e6), shown("B/s", 1.0),
        read_only("Gbit/s", 1e9 / 8.0), read_only("Tbit/s", 1e12 / 8.0), read_only("Mbit/s", 1e6 / 8.0),
    ]
);
quantity!(
    /// A rate of arithmetic.
    FlopsPerSec, "a rate of arithmetic", &[
        shown("PFLOP/s", 1e15), shown("TFLOP/s", 1e12), shown("GFLOP/s", 1e9), shown("FLOP/s", 1.0),
    ]
);
quantity!(
    /// A duration as a real number, for arithmetic; the simulator's clock is [`crate::SimTime`].
    Seconds, "a duration", &[
        read_only("d", 86_400.0), read_only("h", 3_600.0), read_only("min", 60.0),
        shown("s", 1.0), shown("ms", 1e-3), shown("us", 1e-6), shown("ns", 1e-9), shown("ps", 1e-12),
    ]
);
quantity!(
    /// A clock rate.
    Hertz, "a clock rate", &[shown("GHz", 1e9), shown("MHz", 1e6), shown("Hz", 1.0)]
);
quantity!(
    /// A price or a cost.
    Dollars, "a price", &[shown("USD", 1.0)]
);
quantity!(
    /// A power.
    Watts, "a power", &[shown("MW", 1e6), shown("kW", 1e3), shown("W", 1.0)]
);
quantity!(
    /// An energy.
    Joules, "an energy", &[shown("MWh", 3.6e9), shown("kWh", 3.6e6), shown("J", 1.0)]
);
quantity!(
    /// What energy costs.
    DollarsPerJoule, "a price of energy", &[shown("USD/kWh", 1.0 / 3.6e6), shown("USD/MWh", 1.0 / 3.6e9)]
);
quantity!(
    /// What time costs.
    DollarsPerSec, "a price of time", &[shown("USD/h", 1.0 / 3_600.0), shown("USD/d", 1.0 / 86_400.0)]
);
quantity!(
    /// A pure number: a fraction of a peak, a relative error.
    Ratio, "a fraction", &[shown("", 1.0)]
);

impl Div<BytesPerSec> for Bytes {
    type Output = Seconds;
    fn div(self, rate: BytesPerSec) -> Seconds {
        Seconds::new(self.0 / rate.0)
    }
}

impl Div<FlopsPerSec> for Flops {
    type Output = Seconds;
    fn div(self, rate: FlopsPerSec) -> Seconds {
        Seconds::new(self.0 / rate.0)
    }
}

impl Div<Seconds> for Bytes {
    type Output = BytesPerSec;
    fn div(self, time: Seconds) -> BytesPerSec {
        BytesPerSec::new(self.0 / time.0)
    }
}

impl Div<Seconds> for Flops {
    type Output = FlopsPerSec;
    fn div(self, time: Seconds) -> FlopsPerSec {
        FlopsPerSec::new(self.0 / time.0)
    }
}

impl Mul<Seconds> for Watts {
    type Output = Joules;
    fn mul(self, time: Seconds) -> Joules {
        Joules::new(self.0 * time.0)
    }
}

impl Mul<DollarsPerJoule> for Joules {
    type Output = Dollars;
    fn mul(self, price: DollarsPerJoule) -> Dollars {
        Dollars::new(self.0 * price.0)
    }
}

impl Mul<DollarsPerSec> for Seconds {
    type Output = Dollars;
    fn mul(self, price: DollarsPerSec) -> Dollars {
        Dollars::new(self.0 * price.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<Q: FromStr<Err = ParseError> + fmt::Display>(input: &str, printed: &str) {
        let quantity: Q = input.parse().unwrap_or_else(|error| panic!("{input}: {error}"));
        assert_eq!(quantity.to_string(), printed, "{input}");
    }

    #[test]
    fn quantities_read_one_spelling_and_print_it() {
        check::<Bytes>("80 GiB", "85.899 GB");
        check::<BytesPerSec>("400 Gbit/s", "50 GB/s");
        check::<BytesPerSec>("450 GB/s", "450 GB/s");
        check::<Seconds>("1.2 us", "1.2 us");
        check::<FlopsPerSec>("989.4 TFLOP/s", "989.4 TFLOP/s");
        check::<Hertz>("1830 MHz", "1.83 GHz");
        check::<Seconds>("0 s", "0 s");
        check::<Dollars>("36000 USD", "36000 USD");
        check::<Watts>("10.2 kW", "10.2 kW");
        check::<DollarsPerJoule>("0.08 USD/kWh", "80 USD/MWh");
        check::<DollarsPerSec>("2 USD/h", "2 USD/h");
        check::<DollarsPerSec>("0 USD/h", "0 USD/d");
    }

    #[test]
    fn a_size_over_a_rate_is_a_time() {
        let time = Bytes::new(1e9) / BytesPerSec::new(50e9);
        assert_eq!(time, Seconds::new(0.02));
    }

    #[test]
    fn a_kilowatt_for_an_hour_is_a_kilowatt_hour() {
        let (power, hour): (Watts, Seconds) = (Watts::new(1e3), Seconds::new(3600.0));
        assert_eq!((power * hour).to_string(), "1 kWh");
        let paid: Dollars = power * hour * "0.08 USD/kWh".parse::<DollarsPerJoule>().expect("a price");
        assert!((paid.get() - 0.08).abs() < 1e-12, "{paid}");
        assert!("30000".parse::<Dollars>().is_err_and(|error| error.to_string().ends_with("it has no unit")));
        assert!("30000 W".parse::<Dollars>().is_err_and(|error| error.hint().contains("`USD`")));
    }
}
