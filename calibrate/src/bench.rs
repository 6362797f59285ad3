//! Who answers questions: a GPU, or a mock that runs the same code in tests.

use crate::question::Question;
use crate::sample::{Fingerprint, Reading};

/// A machine that can be measured.
pub trait Bench {
    /// What it is.
    fn fingerprint(&self) -> &Fingerprint;

    /// Measures one question.
    ///
    /// # Errors
    /// See [`BenchError`]; only [`BenchError::Lost`] ends a calibration.
    fn measure(&mut self, question: &Question) -> Result<Reading, BenchError>;
}

/// Why a question has no answer.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum BenchError {
    /// This machine cannot be asked: a library, a second device or an ability is missing.
    #[error("cannot be measured here: {0}")]
    Unsupported(String),
    /// It ran and went wrong: a wrong result, a call that failed.
    #[error("went wrong: {0}")]
    Failed(String),
    /// The device no longer answers.
    #[error("the device is lost: {0}")]
    Lost(String),
}
