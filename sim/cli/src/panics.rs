//! Panics that somebody catches.
//!
//! Elsewhere any panic ends the program at once with the place to report it. A bench asks libraries that panic where they lack a
//! function, and turns that into the error of one question; a study turns the panic of one point into that point's reason. So
//! while these work, panics unwind.

use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind, set_hook, take_hook};

use crate::exit::{Failure, talk};

/// Does some work during which panics unwind in silence. One that nobody catches is our fault all the same, and no result.
pub(crate) fn kept<T>(work: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    under(|_| {}, work)
}

/// The same, and each panic is told on stderr with its place in the program, for whoever reports it.
pub(crate) fn told<T>(work: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    under(|panic| talk(&format!("fault: {panic}")), work)
}

fn under<T>(hook: fn(&PanicHookInfo<'_>), work: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    let outer = take_hook();
    set_hook(Box::new(hook));
    let done = catch_unwind(AssertUnwindSafe(work));
    set_hook(outer);
    done.unwrap_or_else(|panic| Err(Failure::Fault(anyhow::Error::msg(tunnel::panics::text(panic.as_ref())))))
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
