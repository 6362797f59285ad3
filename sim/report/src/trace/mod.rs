//! Traces of a timeline, for viewers that people already have.

mod chrome;
mod perfetto;

pub use chrome::chrome;
pub use perfetto::perfetto;

use units::{Seconds, SimSpan};

/// Whole nanoseconds, the clock of both formats. Monotone, so order survives the rounding.
fn nanoseconds(seconds: f64) -> u64 {
    let picos_per_nano = 1_000;
    (SimSpan::from(Seconds::new(seconds)).picos() + picos_per_nano / 2) / picos_per_nano
}
