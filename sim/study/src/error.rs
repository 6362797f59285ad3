//! Why a study has no answer.

use scenario::Mistakes;

/// Why a study has no answer. Each message names the file or key, the value and the way out.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum StudyError {
    /// A mistake in a study or proposal file.
    #[error("{place}: {message}\nhint: {hint}")]
    File {
        /// File, or file and line and column.
        place: String,
        /// What is wrong.
        message: String,
        /// What would be right.
        hint: String,
    },
    /// The base scenario, which every point is compared with, cannot be loaded.
    #[error("{0}")]
    Base(Mistakes),
    /// The base scenario cannot run.
    #[error("the base of the study cannot run: {0}")]
    BaseRun(String),
    /// Which part of a study to run cannot be told.
    #[error("{message}\nhint: {hint}")]
    Shard {
        /// What is wrong.
        message: String,
        /// What would be right.
        hint: String,
    },
    /// Points that no shard has finished.
    #[error("{n_missing} of {n_points} points are not finished, the first is `{first}`\nhint: {hint}")]
    Unfinished {
        /// Points that are missing.
        n_missing: usize,
        /// Points there should be.
        n_points: usize,
        /// The name of the first that is missing.
        first: String,
        /// What to run.
        hint: String,
    },
    /// Finished points cannot be kept or read.
    #[error("{0}")]
    Store(String),
    /// A fault of this program.
    #[error("fault in the study: {0}")]
    Fault(String),
}

impl StudyError {
    /// A mistake in a file.
    #[must_use]
    pub fn file(place: impl Into<String>, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::File { place: place.into(), message: message.into(), hint: hint.into() }
    }
}
