//! The binary `windtunnel`: arguments in, text and files out.
//!
//! Each verb is a function from its arguments to the text for stdout; nothing else prints there. The way of `run`:
//! `tunnel` (load, lower, run, summary), then `report` and `out`.
//!
//! This crate does not know any rule of the model: it reads arguments, asks `tunnel` and writes.

mod args;
mod calibrate;
mod collective;
mod diff;
mod exit;
mod json;
mod layers;
mod list;
mod out;
mod panics;
mod probe;
mod progress;
mod replay;
mod run;
mod search;
mod service;
mod solve;
mod study;
mod topology;
mod validate;
mod words;

use std::process::ExitCode;

use clap::Parser;

use crate::args::{Cli, Probe, Verb};
use crate::exit::Failure;

fn main() -> ExitCode {
    exit::catch_panics();
    match verb(&Cli::parse()) {
        Ok(text) => exit::print(&text),
        Err(failure) => failure.report(),
    }
}

fn verb(cli: &Cli) -> Result<String, Failure> {
    match &cli.verb {
        Verb::Check(scenario) => run::check(scenario),
        Verb::Plan(scenario) => run::plan(scenario),
        Verb::Run(scenario) => run::run(scenario),
        Verb::Topology(machine) => topology::topology(machine),
        Verb::Probe(Probe::Schedule(question)) => probe::schedule(question),
        Verb::Probe(Probe::AllToAll(question)) => probe::all_to_all(question),
        Verb::Probe(Probe::Kernel(question)) => probe::kernel::kernel(question),
        Verb::Probe(Probe::Iteration(question)) => probe::iteration(question),
        Verb::Probe(Probe::Collective(question)) => probe::collective(question),
        Verb::Probe(Probe::Model(question)) => probe::model(question),
        Verb::Probe(Probe::Accumulate(question)) => probe::accumulate::accumulate(question),
        Verb::Replay(asked) => replay::replay(asked),
        Verb::Validate(validate) => validate::validate(validate),
        Verb::Study(asked) => study::study(asked),
        Verb::Sensitivity(asked) => study::sensitivity(asked),
        Verb::Solve(asked) => solve::solve(asked),
        Verb::Diff(asked) => diff::diff(asked),
        Verb::List(asked) => list::list(asked),
        Verb::Show(asked) => list::show(asked),
        Verb::Search(asked) => search::search(asked),
        Verb::Calibrate(calibrate) => calibrate::calibrate(calibrate),
    }
}
