//! Why there is no result.

use calibrate::Question;
use numerics::NumericsError;
use plan::PlanError;
use report::ReportError;
use scenario::Mistakes;
use study::StudyError;
use thiserror::Error;
use workloads::import::ImportError;
use workloads::schedule::{CostsError, ReplayError, ScheduleError};

use crate::networks::NetworksError;
use crate::validate::FactsError;

/// Why the library has no result.
#[derive(Debug, Error)]
pub enum TunnelError {
    /// Mistakes in files, patches or what they refer to.
    #[error(transparent)]
    Mistakes(#[from] Mistakes),
    /// The plan cannot run, or the program failed to run it.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// A value of a question that cannot be served.
    #[error("`{name} = {value}` {reason}")]
    Value {
        /// Its name in the question.
        name: String,
        /// As it was given.
        value: String,
        /// Why, and the way out.
        reason: String,
    },
    /// A kernel that is measured and has no model.
    #[error("the model has no answer to {0:?}; it is measured to be looked at, not predicted")]
    NotModeled(Question),
    /// A scenario without an all-to-all.
    #[error(
        "`{scenario}` has no all-to-all: no token leaves its rank\nhint: it takes a model with experts and `parallel.ep` above 1"
    )]
    NoExchange {
        /// Its name.
        scenario: String,
    },
    /// A least time of a token without an exchange.
    #[error("nothing is exchanged\nhint: take `--ranks` of two or more and `--tokens` of one or more")]
    NothingExchanged,
    /// A schedule that cannot be.
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
    /// Costs of chunks that cannot be.
    #[error(transparent)]
    Costs(#[from] CostsError),
    /// Slots that cannot be run, which is a fault of the program.
    #[error(transparent)]
    Slots(#[from] ReplayError),
    /// Arithmetic that cannot be asked about.
    #[error(transparent)]
    Numerics(#[from] NumericsError),
    /// Networks that cannot be compared.
    #[error(transparent)]
    Networks(#[from] NetworksError),
    /// Published facts that contradict each other or cannot be predicted.
    #[error(transparent)]
    Facts(#[from] FactsError),
    /// A study that has no answer.
    #[error(transparent)]
    Study(#[from] StudyError),
    /// A page or figure that cannot be made, which is a fault of the program.
    #[error(transparent)]
    Report(#[from] ReportError),
    /// A job of another tool that cannot be read.
    #[error(transparent)]
    Import(#[from] ImportError),
    /// A library without a profile to begin a fit at.
    #[error("there is no profile of published facts to begin at: name one with `--prior`")]
    NoPrior,
    /// The words of a question that cannot be read.
    #[error("{0}")]
    Words(String),
    /// A fault of the program.
    #[error("{0}")]
    Fault(String),
    /// One of these, and the place where it was met.
    #[error("{place}:{}{error}", if matches!(**error, TunnelError::Mistakes(_)) { "\n" } else { " " })]
    Within {
        /// The place, in words.
        place: String,
        /// What was met there.
        error: Box<TunnelError>,
    },
}

impl TunnelError {
    /// A value of a question that cannot be served.
    pub(crate) fn value(name: &str, value: impl ToString, reason: impl Into<String>) -> Self {
        Self::Value { name: name.to_owned(), value: value.to_string(), reason: reason.into() }
    }

    /// The same with the place where it was met before it.
    pub(crate) fn within(self, place: &str) -> Self {
        Self::Within { place: place.to_owned(), error: Box::new(self) }
    }
}
