//! Why there is no result.

use plan::PlanError;
use scenario::Mistakes;
use thiserror::Error;

/// Why the library has no result.
#[derive(Debug, Error)]
pub enum TunnelError {
    /// Mistakes in files, patches or what they refer to.
    #[error(transparent)]
    Mistakes(#[from] Mistakes),
    /// The plan cannot run, or the program failed to run it.
    #[error(transparent)]
    Plan(#[from] PlanError),
}
