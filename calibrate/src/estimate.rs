//! One number about how kernels and protocols behave, with its spread, basis and source.

use crate::basis::Basis;
use crate::departure::Departure;

/// A number with how sure we are of it.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Estimate {
    /// The value in base units: a fraction, seconds, bytes per second, a count.
    pub value: f64,
    /// One relative standard deviation of a log-normal around the value.
    pub spread: f64,
    /// What it rests on.
    pub basis: Basis,
    /// Whose kernels it is of, where that matters: a library's name.
    pub implementation: Option<String>,
    /// Where it is from, for people.
    pub source: String,
    /// What nobody measured and it stands in for: a kernel, or whose kernels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stands_for: Option<String>,
    /// Values of the machine that are not those it was measured with; none where all that it depends on are.
    #[serde(skip)]
    pub departures: Vec<Departure>,
}

impl Estimate {
    /// The estimate where it stands in for what nobody measured: assumed, with `spread` beside its own.
    ///
    /// A choice, which has no spread, stays as it is.
    #[must_use]
    pub fn standing_in(self, stands_for: String, spread: f64) -> Self {
        let spread =
            if self.spread > 0.0 && self.stands_for.is_none() { self.spread.hypot(spread) } else { self.spread };
        Self { spread, basis: Basis::Assumed, stands_for: Some(stands_for), ..self }
    }
}

/// How the value of a key is written in files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dimension {
    /// A bare number above 0, up to 1.
    Fraction,
    /// A bare number from 0 to 1.
    Share,
    /// A bare number, zero or more.
    Count,
    /// A bare number above zero.
    CountAboveZero,
    /// A bare number, one or more.
    CountFromOne,
    /// A side of a tile, or parts of a sum: a bare number from 1 to [`Dimension::TILE_MAX`].
    Tile,
    /// A string such as `"3 us"`.
    Seconds,
    /// A string such as `"20 GB/s"`.
    BytesPerSec,
}

impl Dimension {
    /// The largest tile: far beyond what the registers of an SM hold, and few enough to try all up to it.
    pub const TILE_MAX: f64 = 4096.0;

    /// The largest count of anything else: beyond any count of a kernel, and the product of a few of them still a number.
    pub const COUNT_MAX: f64 = (1_u64 << 40) as f64;

    /// No value is below.
    #[must_use]
    pub const fn least(self) -> f64 {
        match self {
            Self::Fraction | Self::Share | Self::Count | Self::CountAboveZero | Self::Seconds | Self::BytesPerSec => {
                0.0
            }
            Self::CountFromOne | Self::Tile => 1.0,
        }
    }

    /// No value is above.
    #[must_use]
    pub const fn most(self) -> f64 {
        match self {
            Self::Fraction | Self::Share => 1.0,
            Self::Tile => Self::TILE_MAX,
            Self::Count | Self::CountAboveZero | Self::CountFromOne => Self::COUNT_MAX,
            Self::Seconds | Self::BytesPerSec => f64::INFINITY,
        }
    }
}
