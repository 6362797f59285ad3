//! Why a point has no result.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use plan::PlanError;

/// Why a point has no result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// In one line.
    pub reason: String,
    /// Whether it is a fault of the program, and not of what was asked.
    pub is_fault: bool,
}

impl From<String> for Refusal {
    fn from(reason: String) -> Self {
        Self { reason, is_fault: false }
    }
}

impl From<&str> for Refusal {
    fn from(reason: &str) -> Self {
        reason.to_owned().into()
    }
}

impl From<PlanError> for Refusal {
    fn from(error: PlanError) -> Self {
        Self { reason: error.to_string(), is_fault: matches!(error, PlanError::Fault(_)) }
    }
}

impl Refusal {
    /// The same with what it is of before it.
    pub(crate) fn within(self, place: &str) -> Self {
        Self { reason: format!("{place}: {}", self.reason), ..self }
    }
}

/// Some work of one point. A panic in it is that point's reason and leaves the other points alone: what a point computes is a
/// function of its plan, and is thrown away with it.
pub(crate) fn caught<T>(work: impl FnOnce() -> Result<T, Refusal>) -> Result<T, Refusal> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| Err(PlanError::Fault(text(panic.as_ref())).into()))
}

/// What a panic says, in one line.
fn text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
    text.unwrap_or("a panic without a reason").split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_a_fault_and_a_refusal_is_none() {
        let asked = |work: fn() -> Result<u32, Refusal>| caught(work).map_err(|why| (why.reason, why.is_fault));
        assert_eq!(asked(|| Ok(3)), Ok(3));
        assert_eq!(asked(|| Err("no".to_owned().into())), Err(("no".to_owned(), false)));
        let fault = "fault in the simulator: 7 is odd".to_owned();
        assert_eq!(asked(|| panic!("{} is\n odd", 7)), Err((fault, true)));
    }
}
