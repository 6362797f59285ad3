//! The arguments of `search`.

use std::path::PathBuf;

use clap::Args;

use crate::layers::Layers;
use crate::study::{Judged, Threads};

pub(crate) const AFTER: &str = "\
Without `--over`, a training job is searched over tensor, pipeline and context parallelism with the replicas that are left, the schedule, \
expert parallelism, the micro-batch and recomputation; a service over its tensor- and data-parallel ranks and units, where its experts lie, the \
overlap of batches, the requests at a time of a closed loop, and the depth of drafts. All candidates use the devices that the scenario uses.

Candidates are ranked by less of the objective. Those that are no plan, do not fit in memory, cannot be better than the ones that are \
ranked, or miss a limit are rejected with the reason; `--json` has all of them.

Examples:
  windtunnel search deepseek-v3-2048
  windtunnel search llama-3.1-70b-64 --over parallel.tp=1,2,4,8 --over parallel.pp=1,2,4 --only
  windtunnel search deepseek-r1-8xh200 --meet 'serving.tpot.p99<=50 ms' --write best.toml";

#[derive(Debug, Args)]
pub(crate) struct SearchArgs {
    /// A preset's name or a file
    pub(crate) scenario: String,
    #[command(flatten)]
    pub(crate) layers: Layers,
    /// Try these values of a key, in place of those that it has of itself
    #[arg(long, value_name = "KEY=VALUE,VALUE")]
    pub(crate) over: Vec<String>,
    /// Change nothing but the keys of `--over`
    #[arg(long, requires = "over")]
    pub(crate) only: bool,
    /// A limit that results must meet: a number of `run --json`, `<=`, and a value, with a unit of time where it has one
    #[arg(long, value_name = "NUMBER<=VALUE")]
    pub(crate) meet: Vec<String>,
    /// How many of the best to rank
    #[arg(long, value_name = "K", default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) top: u16,
    /// Write the best as a scenario to this file, which must be new
    #[arg(long, value_name = "FILE")]
    pub(crate) write: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) judged: Judged,
    #[command(flatten)]
    pub(crate) threads: Threads,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Show no progress
    #[arg(long, short)]
    pub(crate) quiet: bool,
}
