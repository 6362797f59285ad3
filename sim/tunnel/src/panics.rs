//! Panics as reasons.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What some work came to, or what its panic says. The hook of panics stays as the caller has set it.
///
/// # Errors
/// The text of the panic.
pub fn caught<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| text(panic.as_ref()))
}

/// What a panic says.
#[must_use]
pub fn text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
    text.unwrap_or("a panic without a reason").to_owned()
}
