//! Collectives and their algorithms as words of the command line.

use calibrate::Algorithm;
use clap::ValueEnum;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use workloads::op;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Collective {
    AllToAll,
    AllReduce,
    AllGather,
    ReduceScatter,
    SendRecv,
}

impl From<Collective> for op::Collective {
    fn from(what: Collective) -> Self {
        match what {
            Collective::AllToAll => Self::AllToAll,
            Collective::AllReduce => Self::AllReduce,
            Collective::AllGather => Self::AllGather,
            Collective::ReduceScatter => Self::ReduceScatter,
            Collective::SendRecv => Self::SendRecv,
        }
    }
}

/// By what a collective moves its bytes; none: by the quickest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct By(pub(crate) Option<Algorithm>);

/// Takes the names of the library's algorithms, and [`AUTO`].
pub(crate) fn by() -> impl TypedValueParser<Value = By> {
    let names = [AUTO].into_iter().chain(Algorithm::ALL.map(Algorithm::name));
    let by = |name: String| By(Algorithm::ALL.into_iter().find(|algorithm| algorithm.name() == name));
    PossibleValuesParser::new(names).map(by)
}

/// The quickest algorithm that the library has.
pub(crate) const AUTO: &str = "auto";
