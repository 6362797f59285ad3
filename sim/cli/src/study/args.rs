//! The arguments of `study` and `sensitivity`.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::layers::{Layers, Output};

const STUDY_EXAMPLES: &str = "\
Examples:
  windtunnel study scenarios/studies/wish-list.toml
  windtunnel study scenarios/studies/sweep-1000.toml --out out/sweep --resume
  windtunnel study scenarios/studies/sweep-1000.toml --out out/sweep --shard auto/20
  windtunnel study merge out/sweep
  windtunnel study compare out/wish-list out/wish-list-prefill";

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true, after_long_help = STUDY_EXAMPLES)]
pub(crate) struct StudyArgs {
    #[command(subcommand)]
    pub(crate) verb: Option<StudyVerb>,
    /// A study's name or file
    #[arg(required = true)]
    pub(crate) file: Option<String>,
    #[command(flatten)]
    pub(crate) layers: Layers,
    #[command(flatten)]
    pub(crate) judged: Judged,
    #[command(flatten)]
    pub(crate) threads: Threads,
    /// Keep the finished points in the folder of `--out`, and run the others
    #[arg(long, requires = "out")]
    pub(crate) resume: bool,
    /// Run every N-th point, beginning with the I-th; `auto` takes I from the environment variables of Slurm, HyperQueue or Kubernetes
    #[arg(long, value_name = "I/N", requires = "out", allow_hyphen_values = true)]
    pub(crate) shard: Option<String>,
    #[command(flatten)]
    pub(crate) output: Output,
}

#[derive(Debug, Subcommand)]
pub(crate) enum StudyVerb {
    /// Merge the tables that the shards of a study left in a folder
    Merge(MergeArgs),
    /// Set the answers of several studies side by side: what each proposal is worth on each of their jobs
    Compare(CompareArgs),
}

#[derive(Debug, Args)]
pub(crate) struct MergeArgs {
    /// The folder that was given as `--out`
    pub(crate) folder: PathBuf,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CompareArgs {
    /// Folders that were given as `--out`, or their `study.json`
    #[arg(required = true, num_args = 1..)]
    pub(crate) folders: Vec<PathBuf>,
    /// Print JSON
    #[arg(long, conflicts_with = "markdown")]
    pub(crate) json: bool,
    /// Print a table for a page of Markdown
    #[arg(long)]
    pub(crate) markdown: bool,
}

#[derive(Debug, Args)]
pub(crate) struct SensitivityArgs {
    /// A preset's name or a file
    pub(crate) scenario: String,
    #[command(flatten)]
    pub(crate) layers: Layers,
    #[command(flatten)]
    pub(crate) judged: Judged,
    #[command(flatten)]
    pub(crate) threads: Threads,
    #[command(flatten)]
    pub(crate) output: Output,
}

#[derive(Debug, Args)]
pub(crate) struct Judged {
    /// Judge by this number of `run --json`, for example `serving.tpot.p50` or `serving.usd_per_million_tokens` [default: the step, or the GPU time per token]
    #[arg(long, value_name = "NUMBER")]
    pub(crate) objective: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Threads {
    /// Number of runs at the same time; the result does not depend on it [default: one per processor]
    #[arg(long, value_name = "N", allow_hyphen_values = true, value_parser = jobs)]
    pub(crate) jobs: Option<NonZeroUsize>,
}

fn jobs(text: &str) -> Result<NonZeroUsize, &'static str> {
    text.parse().map_err(|_| "take a whole number from 1 on")
}
