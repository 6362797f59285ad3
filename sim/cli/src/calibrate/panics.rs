//! Panics of libraries that a bench catches.
//!
//! Elsewhere any panic ends the program at once with the place to report it. A bench, though, asks libraries that panic where
//! they lack a function, and turns that into the error of one question; so while it works, panics unwind.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};

use crate::exit::Failure;

/// Does some work during which panics unwind. One that nobody catches is our fault all the same, and no result.
pub(super) fn kept<T>(work: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    let hook = take_hook();
    set_hook(Box::new(|_| {}));
    let done = catch_unwind(AssertUnwindSafe(work));
    set_hook(hook);
    done.unwrap_or_else(|panic| Err(Failure::Fault(anyhow::Error::msg(text(panic.as_ref())))))
}

fn text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
    text.unwrap_or("a panic without a reason").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_a_fault() {
        let failure = kept::<()>(|| panic!("symbol {} missing", "cuFoo")).unwrap_err();
        assert!(
            matches!(&failure, Failure::Fault(error) if error.to_string() == "symbol cuFoo missing"),
            "{failure:?}"
        );
        assert_eq!(kept(|| Ok(3)).expect("work"), 3);
    }
}
