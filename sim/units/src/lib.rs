//! Quantities that cannot be mixed up.
//!
//! Every number about the world that crosses a crate boundary has one of these types: a rate is never added to
//! a size, and a bit is never a byte. In files a quantity is a string with one spelling of its unit.
//!
//! ```
//! use units::{Bytes, BytesPerSec, SimSpan};
//!
//! let message: Bytes = "64 MiB".parse()?;
//! let link: BytesPerSec = "400 Gbit/s".parse()?;
//! let took = SimSpan::from(message / link);
//! assert_eq!(took.to_string(), "1.342 ms");
//! assert!("400 Gbps".parse::<BytesPerSec>().is_err());
//! # Ok::<(), units::ParseError>(())
//! ```
//!
//! Main types: the floating quantities ([`Bytes`], [`Flops`], [`BytesPerSec`], [`FlopsPerSec`], [`Seconds`],
//! [`Hertz`], [`Ratio`]; [`Dollars`], [`Watts`], [`Joules`] and their prices) and the integer clock ([`SimTime`], [`SimSpan`], picoseconds).
//! [`quantiles`] are defined once, here.
//!
//! This crate does not know what the quantities belong to.

mod parse;
mod quantile;
mod quantity;
mod time;

pub use parse::ParseError;
pub use quantile::{median, quantiles};
pub use quantity::{
    Bytes, BytesPerSec, Dollars, DollarsPerJoule, DollarsPerSec, Flops, FlopsPerSec, Hertz, Joules, Ratio, Seconds,
    Watts,
};
pub use time::{SimSpan, SimTime};
