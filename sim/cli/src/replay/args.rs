//! The arguments of `replay`.

use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, ValueEnum};

use topology::Routing;

use crate::layers::Layers;

/// Paragraphs are one line each: clap breaks them to the width of the terminal.
pub(crate) const AFTER: &str = "\
A Chakra execution trace is one file per rank, `anything.RANK.et` (protobuf) or `anything.RANK.json`; rank r runs on device r. \
A SimAI workload file is one table that all ranks run.

A device runs one node at a time; collectives are rings and run beside them, on the ports, estimates and engine of `run`. Node kinds, \
collectives, groups and columns that have no meaning here are refused by name, all at once.

Messages share the trunks and PCIe links of their paths. A collective is bounded by the rate that the paths of its group and of \
similar groups leave it, and draws from no trunk.

`exposed` is time in which a rank's device runs nothing while it takes part in a collective or message, or waits for a partner there.";

/// Which tool wrote the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// By its content
    Auto,
    /// MLCommons Chakra execution trace
    Chakra,
    /// SimAI workload file
    Simai,
}

#[derive(Debug, Args)]
pub(crate) struct ReplayArgs {
    /// The files: one per rank for Chakra, one for SimAI
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// The machine: a cluster preset's name or a file
    #[arg(long, value_name = "NAME")]
    pub(crate) cluster: String,
    /// A profile's name or a file; may be given again: an earlier one wins. Without it, the profile named like the hardware
    #[arg(long, value_name = "NAME")]
    pub(crate) profile: Vec<String>,
    /// Which tool wrote the files
    #[arg(long, value_enum, default_value_t = Format::Auto)]
    pub(crate) format: Format,
    /// Chakra: a JSON file with the ranks of each `pg_name`, `{"name": [0, 1]}`
    #[arg(long, value_name = "FILE")]
    pub(crate) groups: Option<PathBuf>,
    /// Chakra: ranks that all run the one trace given, in lockstep
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1 << 24))]
    pub(crate) ranks: Option<u32>,
    /// SimAI: of a file of several pipeline ranks, take the layers of one, without messages and bubbles
    #[arg(long)]
    pub(crate) one_pipeline_rank: bool,
    /// Which of several equal paths a message takes
    #[arg(long, value_name = "NAME", default_value = Routing::Adaptive.name(), value_parser = routings())]
    pub(crate) routing: Routing,
    #[command(flatten)]
    pub(crate) layers: Layers,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Takes the names of routings.
fn routings() -> impl TypedValueParser<Value = Routing> {
    let routing =
        |name: String| Routing::ALL.into_iter().find(|routing| routing.name() == name).unwrap_or(Routing::Adaptive);
    PossibleValuesParser::new(Routing::ALL.map(Routing::name)).map(routing)
}
