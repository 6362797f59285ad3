//! What a number rests on.

use std::fmt;

/// What a number rests on, from firm to soft.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Basis {
    /// Measured on this hardware.
    Measured,
    /// Between measured points.
    Interpolated,
    /// Derived from published figures.
    Published,
    /// Beyond what was measured, or measured on other hardware.
    Extrapolated,
    /// Assumed.
    Assumed,
}

impl Basis {
    /// Every basis, firm to soft.
    pub const ALL: [Self; 5] = [Self::Measured, Self::Interpolated, Self::Published, Self::Extrapolated, Self::Assumed];

    /// Its spelling in files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Measured => "measured",
            Self::Interpolated => "interpolated",
            Self::Published => "published",
            Self::Extrapolated => "extrapolated",
            Self::Assumed => "assumed",
        }
    }
}

impl fmt::Display for Basis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
