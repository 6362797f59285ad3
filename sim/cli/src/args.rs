//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use scenario::Library;

use crate::exit::Failure;

const EXAMPLES: &str = "\
Examples:
  windtunnel run scenarios/train/deepseek-v3-2048.toml
  windtunnel run deepseek-v3-2048 --set gpu.sms=144 --out out/sms-144
  windtunnel topology h800-2048-mpft --set fabric.planes=4

Exit codes:
  0   done
  1   a stated target or baseline is missed
  2   usage, or a mistake in a file
  3   the plan cannot run: it does not fit in memory or cannot be placed
  4   needed hardware, library or data is absent
  70  a fault of windtunnel itself; please report it";

/// Paragraphs are one line each: clap breaks them to the width of the terminal.
const ALL_TO_ALL: &str = "\
`seconds` is the time of one alone on the machine, counts and barriers included, mean over the sampled batches. \
`scale_up_bytes` and `scale_out_bytes` are summed over the ranks of one group; what stays on a device is in neither.

`algorithm_bandwidth` is what the public kernels report, in bytes per second and rank: tokens of a rank x nodes a token \
reaches, its own included, x bytes of a token / seconds. In a group within one node, ranks take the place of nodes.";

const COLLECTIVE: &str = "\
Rates are those of one direction, bare: no latency, no share of the rate lost.

`--bytes` is the size as nccl-tests has it: the buffer of one rank for all-reduce; the send buffer of one rank for \
all-to-all (its own share does not travel); the whole gathered output of one rank for all-gather; the whole input of one \
rank for reduce-scatter; the message for send-recv.

In an all-to-all every ordered pair of ranks is one flow; in a ring, every step of every rank.";

/// A wind tunnel for GPU clusters: describe a machine and a job, run the job through a simulation, change one line.
#[derive(Debug, Parser)]
#[command(version, after_help = "`--help` has examples and exit codes.", after_long_help = EXAMPLES, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Say whether a scenario can run, without running it
    Check(ScenarioArgs),
    /// Print everything a scenario decides, each value with where it was written
    Plan(ScenarioArgs),
    /// Simulate a scenario
    #[command(after_long_help = EXAMPLES)]
    Run(ScenarioArgs),
    /// Count a machine's switches and wires, and draw it
    Topology(TopologyArgs),
    /// Ask the model one question
    #[command(subcommand)]
    Probe(Probe),
    /// Set a run beside what was published about it
    Validate(ValidateArgs),
}

#[derive(Debug, Args)]
pub(crate) struct Layers {
    /// Lay a value over the scenario: the value is TOML, quotes around text are optional
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) sets: Vec<String>,
    /// Look for presets in this folder first
    #[arg(long = "library", value_name = "DIR")]
    pub(crate) libraries: Vec<PathBuf>,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Output {
    /// Write files to this folder: new, empty, or of the same run before
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Show no progress
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ScenarioArgs {
    /// A preset's name or a file
    pub(crate) scenario: String,
    #[command(flatten)]
    pub(crate) layers: Layers,
    #[command(flatten)]
    pub(crate) output: Output,
}

#[derive(Debug, Args)]
pub(crate) struct TopologyArgs {
    /// A cluster or a scenario: a preset's name or a file
    pub(crate) machine: String,
    #[command(flatten)]
    pub(crate) layers: Layers,
    #[command(flatten)]
    pub(crate) output: Output,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Probe {
    /// How long a pipeline schedule takes, and how long its ranks idle
    Schedule(ScheduleArgs),
    /// How long one dispatch and one combine take alone
    #[command(after_long_help = ALL_TO_ALL)]
    AllToAll(AllToAllArgs),
    /// How long a collective takes on links of bare rates
    #[command(after_long_help = COLLECTIVE)]
    Collective(CollectiveArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ScheduleArgs {
    /// 1f1b, interleaved, zb1p, dual-pipe or dual-pipe-v
    #[arg(long)]
    pub(crate) schedule: String,
    /// Pipeline ranks; for dual-pipe-v, stages: two a rank
    #[arg(long)]
    pub(crate) stages: u32,
    /// Micro-batches of a step, both directions together
    #[arg(long)]
    pub(crate) micro_batches: u32,
    /// Cost of a forward chunk, in any unit of time
    #[arg(long)]
    pub(crate) f: f64,
    /// Cost of a whole backward chunk: input and weight gradient
    #[arg(long)]
    pub(crate) b: f64,
    /// Cost of the weight-gradient part of it
    #[arg(long, default_value_t = 0.0)]
    pub(crate) w: f64,
    /// Cost of an overlapped pair; without it, that of both halves one after the other
    #[arg(long)]
    pub(crate) fb: Option<f64>,
    /// Stages a rank holds under `interleaved`
    #[arg(long, default_value_t = 2)]
    pub(crate) virtual_stages: u8,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct AllToAllArgs {
    /// A preset's name or a file
    pub(crate) scenario: String,
    #[command(flatten)]
    pub(crate) layers: Layers,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CollectiveArgs {
    /// Which collective
    pub(crate) what: Collective,
    /// Nodes
    #[arg(long)]
    pub(crate) nodes: u32,
    /// Devices of a node, each with a NIC
    #[arg(long)]
    pub(crate) devices: u32,
    /// Rate of a device's scale-up port, one direction, for example "160 GB/s"
    #[arg(long)]
    pub(crate) scale_up: String,
    /// Rate of a NIC, one direction, for example "400 Gbit/s"
    #[arg(long)]
    pub(crate) nic: String,
    /// Size in bytes, as nccl-tests has it
    #[arg(long)]
    pub(crate) bytes: u64,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Collective {
    AllToAll,
    AllReduce,
    AllGather,
    ReduceScatter,
    SendRecv,
}

#[derive(Debug, Args)]
pub(crate) struct ValidateArgs {
    /// Compare with facts of this family only; may be given again
    #[arg(long, value_name = "NAME")]
    pub(crate) family: Vec<String>,
    /// The file that says which figure of ours answers which fact: a preset's name or a file
    #[arg(long, default_value = "deepseek-v3", value_name = "NAME")]
    pub(crate) predictions: String,
    /// An earlier `validate --json`: exit 1 where the median error of a family is worse by more than two points
    #[arg(long, value_name = "FILE")]
    pub(crate) baseline: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) layers: Layers,
    #[command(flatten)]
    pub(crate) output: Output,
}

impl Layers {
    /// The folders named, before those that are always there.
    pub(crate) fn library(&self) -> Result<Library, Failure> {
        if let Some(absent) = self.libraries.iter().find(|folder| !folder.is_dir()) {
            let name = absent.display();
            return Err(Failure::absent(format!(
                "there is no folder `{name}`\nhint: `--library` takes a folder of presets"
            )));
        }
        Ok(Library::new(self.libraries.clone()))
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
