//! Everything published that the model can predict, beside its predictions.
//!
//! A fact of `scenarios/published/` names the command that answers it and which figure of the reply. So a prediction is
//! what anybody can ask, and no second model. The way of a fact: [`FactBook`] reads it; a [`ReadQuery`], which whoever has a command line
//! hands in, makes a [`Query`](crate::ask::Query) of its command; [`ask`](crate::ask::ask) answers; `observed` takes the figure out
//! of the reply; `compare` sets it beside the published one.

mod asker;
mod baseline;
mod compare;
mod error;
mod facts;
mod observed;
mod run;

use report::Validation;
use scenario::Library;

use crate::error::TunnelError;

pub use asker::ReadQuery;
pub use baseline::Baseline;
pub use error::FactsError;
pub use facts::FactBook;
pub(crate) use run::is_same_job;
pub use run::{Wanted, published};

/// Every fact of a book asked, repeated or left out; `sets` go over every scenario that is asked.
///
/// # Errors
/// The first question that cannot be answered, with the fact and the command that ask it.
pub fn validate(
    facts: &FactBook,
    sets: &[String],
    library: &Library,
    reading: ReadQuery<'_>,
) -> Result<Validation, TunnelError> {
    let asker = asker::Asker::new(reading, library, sets, &facts.facts);
    compare::validation(facts, &asker)
}
