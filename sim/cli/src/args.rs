//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use tunnel::Prepared;
use tunnel::ask::ScenarioQuery;

use crate::calibrate::args::{AFTER as CALIBRATE, CalibrateArgs};
use crate::collective::{AUTO, By, Collective, by};
use crate::diff::{AFTER as DIFF, DiffArgs};
use crate::exit::Failure;
use crate::layers::{Layers, Output};
use crate::list::{ListArgs, ShowArgs};
use crate::probe::accumulate::{AFTER as ACCUMULATE, AccumulateArgs};
use crate::probe::iteration::{AFTER as ITERATION, IterationArgs};
use crate::probe::kernel::args::{AFTER as KERNEL, KernelArgs};
use crate::replay::args::{AFTER as REPLAY, ReplayArgs};
use crate::search::{AFTER as SEARCH, SearchArgs};
use crate::solve::{AFTER as SOLVE, SolveArgs};
use crate::study::{SensitivityArgs, StudyArgs};

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
`seconds` is the time of one alone on the machine, counts and barriers included, mean over the sampled picks. \
`scale_up_bytes` and `scale_out_bytes` are summed over the ranks of one group; what stays on a device is in neither.

`algorithm_bandwidth` is the figure that the public kernels report, in bytes per second and rank: tokens per rank x nodes that a \
token reaches, its own included, x bytes per token / seconds. In a group within one node, ranks take the place of nodes; \
under `policy.exchange=direct`, the experts it picks: bytes of all copies, as tests of low-latency kernels count. \
`transfer_seconds` and `transfer_bandwidth` leave counts and barriers out, as most published benchmarks do. The outermost `seconds` covers \
both, one after the other.";

const COLLECTIVE: &str = "\
Two forms. With `--nodes`, `--devices`, `--scale-up` and `--nic`, links of bare rates: one direction, no latency, no share of the \
rate lost. With `--hardware` and `--ranks`, ranks of one node as a profile knows them, the slowest rank's time, NVLS off.

`--bytes` is the size as nccl-tests has it: the buffer of one rank for all-reduce; the send buffer of one rank for \
all-to-all (its own share does not travel); the whole gathered output of one rank for all-gather; the whole input of one \
rank for reduce-scatter; the message for send-recv.

In an all-to-all every ordered pair of ranks is one flow; in a ring, every step of every rank.";

const VALIDATE: &str = "\
Every fact of `scenarios/published/` that names a command of this program as its `ask` is compared with the result of that command. \
The error is (simulated - published) / published. A fact is marked as used, and counts in no median, if an input of its own \
prediction names it as a source. With `--family`, every case is printed.

`--set` overrides a value of every scenario that is run. `--out` writes `validation.json`, `validation.html`, `cases.md`, `parity.svg` \
and `steps.json`, the whole steps from which `run` names the nearest.";

const MODEL: &str = "\
Parameters without multi-token-prediction modules; the key-value cache in BF16; training arithmetic as MFU counts it, forward and \
backward, without recomputation and MTP.

With `--hardware` also the least time per token in decoding, if only dispatch and combine took time: `--tokens` per \
device, FP8 out and BF16 back, one expert per device, two micro-batches in turns, over the scale-up fabric where it holds \
`--ranks`, else over the NICs, each at its whole rate.";

/// A wind tunnel for GPU clusters: describe a machine and a job, run the job through a simulation, change one line.
#[derive(Debug, Parser)]
#[command(version, after_help = "`--help` has examples and exit codes.", after_long_help = EXAMPLES, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Check whether a scenario can run, without running it
    Check(ScenarioArgs),
    /// Print every value of a scenario, with the line that it was written on
    Plan(ScenarioArgs),
    /// Simulate a scenario
    #[command(after_long_help = EXAMPLES)]
    Run(ScenarioArgs),
    /// Count the switches and wires of a machine, and draw it
    Topology(TopologyArgs),
    /// Simulate one kernel, collective, schedule or sum alone
    #[command(subcommand)]
    Probe(Probe),
    /// Run a job that another tool wrote: a Chakra execution trace or a SimAI workload file
    #[command(after_long_help = REPLAY)]
    Replay(ReplayArgs),
    /// Compare the model with published figures
    #[command(after_long_help = VALIDATE)]
    Validate(ValidateArgs),
    /// Compare proposals and sweeps with a base scenario, with intervals over draws
    Study(StudyArgs),
    /// Rank parameters by how much each changes the step time
    Sensitivity(SensitivityArgs),
    /// Find the value of a key at which a job takes so long, or from which on the key no longer binds
    #[command(after_long_help = SOLVE)]
    Solve(SolveArgs),
    /// Compare two jobs: keys, results, what binds
    #[command(after_long_help = DIFF)]
    Diff(DiffArgs),
    /// List the presets: machines, models, scenarios, studies
    #[command(visible_alias = "ls")]
    List(ListArgs),
    /// Print the file of a preset
    Show(ShowArgs),
    /// Find the best layouts of a job on its devices, and say why the others are out
    #[command(after_long_help = SEARCH)]
    Search(SearchArgs),
    /// Measure GPUs and write what was measured as a profile
    #[command(after_long_help = CALIBRATE)]
    Calibrate(CalibrateArgs),
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
    /// Instead, compare the networks of a file at the prices of this machine: a preset's name, such as `64-ports`, or a file
    #[arg(long, value_name = "NAME")]
    pub(crate) compare: Option<String>,
    #[command(flatten)]
    pub(crate) layers: Layers,
    #[command(flatten)]
    pub(crate) output: Output,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Probe {
    /// Time of a pipeline schedule, and idle time of its ranks
    Schedule(ScheduleArgs),
    /// Time of one dispatch and one combine alone
    #[command(after_long_help = ALL_TO_ALL)]
    AllToAll(AllToAllArgs),
    /// Time of one kernel alone on a device
    #[command(after_long_help = KERNEL)]
    Kernel(KernelArgs),
    /// Time of one iteration of a unit that serves a model
    #[command(after_long_help = ITERATION)]
    Iteration(IterationArgs),
    /// Time of a collective: on links of bare rates, or on known hardware
    #[command(after_long_help = COLLECTIVE)]
    Collective(CollectiveArgs),
    /// Parameters, cache and arithmetic per token of a model, and the least time per token
    #[command(after_long_help = MODEL)]
    Model(ModelArgs),
    /// Accuracy that a long sum loses in a tensor core's accumulator
    #[command(after_long_help = ACCUMULATE)]
    Accumulate(AccumulateArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ScheduleArgs {
    /// 1f1b, gpipe, interleaved, zb1p, zb2p, dual-pipe or dual-pipe-v
    #[arg(long)]
    pub(crate) schedule: String,
    /// Pipeline ranks; for dual-pipe-v, stages: two per rank
    #[arg(long)]
    pub(crate) stages: u32,
    /// Micro-batches per step, both directions together
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
    /// Stages per rank under `interleaved`
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
pub(crate) struct ModelArgs {
    /// A preset's name or a file
    pub(crate) model: String,
    /// Tokens per sequence in training
    #[arg(long, default_value_t = 4096)]
    pub(crate) sequence: u64,
    /// A hardware preset's name or a file
    #[arg(long, requires = "ranks")]
    pub(crate) hardware: Option<String>,
    /// Ranks that the experts are spread over
    #[arg(long, requires = "hardware")]
    pub(crate) ranks: Option<u32>,
    /// Tokens per device in one micro-batch
    #[arg(long, default_value_t = 32)]
    pub(crate) tokens: u64,
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
    /// Size in bytes, as nccl-tests has it
    #[arg(long)]
    pub(crate) bytes: u64,
    /// How it moves its bytes; without it, or with `auto`, by the quickest that the library has
    #[arg(long, value_parser = by(), default_value = AUTO)]
    pub(crate) algorithm: By,
    #[command(flatten)]
    pub(crate) bare: BareArgs,
    #[command(flatten)]
    pub(crate) node: NodeArgs,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Links of bare rates.
#[derive(Debug, Args)]
#[command(next_help_heading = "Links of bare rates")]
pub(crate) struct BareArgs {
    /// Nodes
    #[arg(long)]
    pub(crate) nodes: Option<u32>,
    /// Devices per node, each with a NIC
    #[arg(long)]
    pub(crate) devices: Option<u32>,
    /// Rate of a device's scale-up port, one direction, for example "160 GB/s"
    #[arg(long)]
    pub(crate) scale_up: Option<String>,
    /// Rate of a NIC, one direction, for example "400 Gbit/s"
    #[arg(long)]
    pub(crate) nic: Option<String>,
}

/// Ranks of known hardware.
#[derive(Debug, Args)]
#[command(next_help_heading = "Ranks of a node or a cluster")]
pub(crate) struct NodeArgs {
    /// A hardware preset's name or a file: ranks of one node
    #[arg(long)]
    pub(crate) hardware: Option<String>,
    /// A cluster preset's name or a file: ranks of its first nodes
    #[arg(long)]
    pub(crate) cluster: Option<String>,
    /// A profile's name or a file; may be given again: an earlier one wins. Without it, the profile named like the hardware
    #[arg(long)]
    pub(crate) profile: Vec<String>,
    /// Ranks: devices of one node, or the first of a cluster
    #[arg(long)]
    pub(crate) ranks: Option<u32>,
    /// SMs the library may use; without it, its own choice
    #[arg(long)]
    pub(crate) sms: Option<u32>,
    /// Whose collectives; without it, those the profile measured
    #[arg(long, value_name = "NAME")]
    pub(crate) implementation: Option<String>,
    #[command(flatten)]
    pub(crate) layers: Layers,
}

#[derive(Debug, Args)]
pub(crate) struct ValidateArgs {
    /// Compare with facts of this family only; may be given again
    #[arg(long, value_name = "NAME")]
    pub(crate) family: Vec<String>,
    /// Compare with this file of facts instead of all: a preset's name or a file; may be given again
    #[arg(long, value_name = "NAME")]
    pub(crate) published: Vec<String>,
    /// An earlier `validate --json`: exit 1 where the median error of a family is worse by more than two points
    #[arg(long, value_name = "FILE")]
    pub(crate) baseline: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) layers: Layers,
    #[command(flatten)]
    pub(crate) output: Output,
}

impl ValidateArgs {
    /// The command line that makes the same again.
    pub(crate) fn command(&self) -> String {
        let of = |flag: &str, values: &[String]| values.iter().map(|value| format!(" {flag} {value}")).collect();
        let parts: [String; 3] =
            [of("--family", &self.family), of("--published", &self.published), of("--set", &self.layers.sets)];
        format!("windtunnel validate{} --out DIR", parts.concat())
    }
}

impl ScenarioArgs {
    /// The scenario, and who it is.
    pub(crate) fn prepared(&self) -> Result<Prepared, Failure> {
        Ok(Prepared::load(&self.scenario, &self.layers.sets, &self.layers.library()?)?)
    }

    /// The scenario as a question.
    pub(crate) fn query(&self) -> ScenarioQuery {
        ScenarioQuery { scenario: self.scenario.clone(), sets: self.layers.sets.clone() }
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
