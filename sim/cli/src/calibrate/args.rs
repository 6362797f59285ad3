//! Arguments of `calibrate`.

use std::path::PathBuf;

use calibrate::design::Section;
use clap::{Args, Subcommand};

use crate::collective::Collective;

/// Paragraphs are one line each: clap breaks them to the width of the terminal.
pub(crate) const AFTER: &str = "\
Sections: memory, stream, launch, gemm, grouped, promoted, tensor, contention, accumulate on one device; peer, exchange, \
collective, overlap on two or more. Attention is measured by a library and imported: see `calibrate/import/sdpa.py`.

A profile holds shares of the peaks of `--hardware`: without it, samples are taken and nothing is fitted. Estimates without \
samples keep the values of `--prior`, which the profile names as its base. A fifth of the samples never enters the fit; their errors are printed \
and stored.

The output ends with how many samples estimates rest on and, by reason, how many do not. Collectives over several nodes need what \
a hardware's file does not have, the path between nodes: `--cluster` names a network, and without it the latency of a step from node to node is left out.

Samples are stored beside the profile as they are taken, one JSON line each. A calibration that was stopped continues \
if the same command is given again. Nothing on the device is changed: no clock, no power limit.

Examples:
  windtunnel calibrate --out my-gpu.toml --hardware h100-sxm5
  windtunnel calibrate --out my-gpu.toml --hardware h100-sxm5 --quick --only memory,gemm
  windtunnel calibrate import sdpa.csv --source \"torch on my GPU\" --out attention.jsonl
  windtunnel calibrate import 2-hosts.txt 4-hosts.txt --hosts-per-node 1 --source \"our cluster\" --out rings.jsonl
  windtunnel calibrate import trace.json.gz --ranks-per-node 8 --source \"our job\" --out job.jsonl
  windtunnel calibrate --out my-gpu.toml --hardware h100-sxm5 --fit-only my-gpu.jsonl attention.jsonl
  windtunnel calibrate --out rings.toml --hardware h100-sxm5 --cluster h100-8192 --fit-only rings.jsonl";

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct CalibrateArgs {
    #[command(subcommand)]
    pub(crate) verb: Option<CalibrateVerb>,
    /// The profile to write
    #[arg(long, value_name = "PROFILE.toml", required = true)]
    pub(crate) out: Option<PathBuf>,
    /// The hardware the profile is for: a preset's name or a file
    #[arg(long, value_name = "NAME")]
    pub(crate) hardware: Option<String>,
    /// Where the fit begins, and the base of the profile: a name or a file; without it, published facts of the hardware
    #[arg(long, value_name = "NAME", requires = "hardware")]
    pub(crate) prior: Option<String>,
    /// The cluster of that hardware whose network carried collectives over several nodes: a preset's name or a file
    #[arg(long, value_name = "NAME", requires = "hardware")]
    pub(crate) cluster: Option<String>,
    /// Look for presets in this folder first
    #[arg(long = "library", value_name = "DIR")]
    pub(crate) presets: Vec<PathBuf>,
    /// The file of samples to go on with, or to begin; without it, the profile's name with `.jsonl`
    #[arg(long, value_name = "FILE.jsonl")]
    pub(crate) samples: Option<PathBuf>,
    /// Take a minute and a half in place of nine: fewer sizes, shorter runs
    #[arg(long)]
    pub(crate) quick: bool,
    /// Measure only these sections, separated by commas
    #[arg(long, value_name = "SECTIONS", value_delimiter = ',')]
    pub(crate) only: Vec<Section>,
    /// Index of the device; sections of several devices use it and those after it
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) device: usize,
    /// Look for CUDA's libraries in this folder first; may be given again
    #[arg(long = "cuda", value_name = "DIR")]
    pub(crate) libraries: Vec<PathBuf>,
    /// Measure nothing: fit the samples of these files
    #[arg(long, value_name = "FILES", num_args = 1.., conflicts_with_all = ["samples", "quick", "only", "device", "mock"])]
    pub(crate) fit_only: Vec<PathBuf>,
    /// Show no progress
    #[arg(long, short)]
    pub(crate) quiet: bool,
    /// Measure an invented machine, as our own tests do
    #[arg(long, hide = true)]
    pub(crate) mock: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum CalibrateVerb {
    /// Turn measurements made elsewhere into samples: nccl-tests, PyTorch traces, CSV
    Import(ImportArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// Output of nccl-tests (text or JSON), a PyTorch trace, or CSV with a column `kernel`; packed by gzip or not
    #[arg(required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// The file of samples to write; it must not be there yet
    #[arg(long, value_name = "FILE.jsonl")]
    pub(crate) out: PathBuf,
    /// Where the measurements are from: machine, software and who measured
    #[arg(long, value_name = "TEXT")]
    pub(crate) source: String,
    /// The collective, where a file of nccl-tests does not name it
    #[arg(long)]
    pub(crate) collective: Option<Collective>,
    /// Ranks of the collective, all of one node, where a file of nccl-tests does not list them
    #[arg(long)]
    pub(crate) ranks: Option<u32>,
    /// Hosts that one domain of the scale-up fabric (NVLink) joins: 1 where each host has its own, 18 of an NVL72; needed of
    /// files of several hosts whose library does not say it (`NCCL_DEBUG=INFO`)
    #[arg(long, value_name = "N")]
    pub(crate) hosts_per_node: Option<u32>,
    /// Ranks of a node, for collectives of traces: ranks of a job are numbered node by node
    #[arg(long, value_name = "N")]
    pub(crate) ranks_per_node: Option<u32>,
}
