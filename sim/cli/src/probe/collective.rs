//! A collective on links of bare rates.

use crate::args::CollectiveArgs;
use crate::exit::Failure;

/// How long a collective takes, and in how many flows.
pub(crate) fn collective(args: &CollectiveArgs) -> Result<String, Failure> {
    Err(Failure::usage(format!("{:?}", args.what)))
}
