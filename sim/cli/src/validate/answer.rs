//! Commands of this program, asked by itself.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use clap::Parser;
use plan::{Keep, Recording};
use scenario::{Ask, Fact, Figure, Leaf, Standing};
use serde_json::Value;

use super::observed::Observed;
use super::words::words;
use crate::args::{Cli, Layers, Output, Probe, ScenarioArgs, Verb};
use crate::exit::Failure;
use crate::probe::kernel::device;
use crate::run::simulate;

/// Namespaces of machines and estimates.
const INPUTS: [&str; 5] = ["cluster", "gpu", "node", "fabric", "profile"];

/// What a command came to.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) observed: Observed,
    /// Names that the inputs it drew on give as their sources; facts are among them.
    pub(super) drawn: BTreeSet<String>,
}

/// Asks each command once.
pub(super) struct Asker<'a> {
    layers: &'a Layers,
    /// Commands of which means over pairs are asked.
    of_pairs: BTreeSet<&'a str>,
    answers: RefCell<BTreeMap<String, Rc<Answered>>>,
}

impl<'a> Asker<'a> {
    pub(super) fn new(layers: &'a Layers, facts: &'a [Fact]) -> Self {
        let of_pairs = |fact: &'a Fact| match &fact.standing {
            Standing::Asked(Ask { commands, figure: Figure::Pair(_), .. }) => commands.as_slice(),
            _ => &[],
        };
        let of_pairs = facts.iter().flat_map(of_pairs).map(String::as_str).collect();
        Self { layers, of_pairs, answers: RefCell::new(BTreeMap::new()) }
    }

    /// What a command came to, its mistakes with the command before them.
    pub(super) fn answer(&self, command: &str) -> Result<Rc<Answered>, Failure> {
        if let Some(answered) = self.answers.borrow().get(command) {
            return Ok(Rc::clone(answered));
        }
        let answered = Rc::new(self.ask(command).map_err(|failure| failure.within(&format!("`{command}`")))?);
        self.answers.borrow_mut().insert(command.to_owned(), Rc::clone(&answered));
        Ok(answered)
    }

    fn ask(&self, command: &str) -> Result<Answered, Failure> {
        let mut cli = parse(command)?;
        match &mut cli.verb {
            Verb::Run(scenario) => {
                self.lay_over(&mut scenario.layers);
                run(scenario, self.of_pairs.contains(command))
            }
            Verb::Check(scenario) => {
                self.lay_over(&mut scenario.layers);
                let drawn = of_scenario(&scenario.scenario, &scenario.layers)?;
                as_json(&cli, drawn)
            }
            Verb::Topology(machine) => {
                machine.layers.libraries.clone_from(&self.layers.libraries);
                let library = machine.layers.library()?;
                let loaded = scenario::load_machine(&machine.machine, &machine.layers.sets, &library)?;
                as_json(&cli, drawn(&loaded.leaves))
            }
            Verb::Probe(probe) => {
                let drawn = self.of_probe(probe)?;
                as_json(&cli, drawn)
            }
            Verb::Plan(_)
            | Verb::Replay(_)
            | Verb::Validate(_)
            | Verb::Study(_)
            | Verb::Sensitivity(_)
            | Verb::Calibrate(_) => {
                Err(Failure::usage("it predicts nothing\nhint: ask `run`, `check`, `topology` or `probe`"))
            }
        }
    }

    fn of_probe(&self, probe: &mut Probe) -> Result<BTreeSet<String>, Failure> {
        match probe {
            Probe::AllToAll(args) => {
                self.lay_over(&mut args.layers);
                of_scenario(&args.scenario, &args.layers)
            }
            Probe::Kernel(args) => {
                let known = device::load(args.kind.device().names())?;
                Ok(drawn(&known.leaves))
            }
            Probe::Collective(args) => match &args.node.hardware {
                Some(hardware) => {
                    let node = &args.node;
                    let implementation = node.implementation.as_deref();
                    let names =
                        device::Names { hardware, profiles: &node.profile, implementation, layers: &node.layers };
                    Ok(drawn(&device::load(names)?.leaves))
                }
                None => Ok(BTreeSet::new()),
            },
            Probe::Model(args) => {
                args.layers.libraries.clone_from(&self.layers.libraries);
                Ok(BTreeSet::new())
            }
            Probe::Schedule(_) | Probe::Accumulate(_) => Ok(BTreeSet::new()),
        }
    }

    /// Patches of `validate` go over every scenario that is asked, after its own.
    fn lay_over(&self, layers: &mut Layers) {
        layers.sets.extend_from_slice(&self.layers.sets);
        layers.libraries.clone_from(&self.layers.libraries);
    }
}

fn parse(command: &str) -> Result<Cli, Failure> {
    let words = words(command).map_err(Failure::usage)?;
    let asked = ["windtunnel".to_owned()].into_iter().chain(words).chain(["--json".to_owned()]);
    Cli::try_parse_from(asked).map_err(|error| Failure::usage(error.to_string()))
}

/// Any verb that answers in JSON.
fn as_json(cli: &Cli, drawn: BTreeSet<String>) -> Result<Answered, Failure> {
    let json: Value = serde_json::from_str(&crate::verb(cli)?).map_err(|error| Failure::Fault(error.into()))?;
    Ok(Answered { observed: Observed::of_json(json), drawn })
}

/// A run, looked at while its program is there: pairs are not in its JSON.
fn run(args: &ScenarioArgs, with_pairs: bool) -> Result<Answered, Failure> {
    let prepared = args.prepared()?;
    let ranks = if with_pairs { Recording::OnePerStage } else { Recording::None };
    let quiet = Output { out: None, json: true, quiet: true };
    let simulated = simulate(prepared.plan(), Keep { ranks, streams: with_pairs }, &quiet)?;
    let finished = simulated.finished(&prepared);
    let observed = Observed::of_run(&finished, &tunnel::summary(&finished)?)?;
    Ok(Answered { observed, drawn: drawn(&prepared.loaded.leaves) })
}

fn of_scenario(reference: &str, layers: &Layers) -> Result<BTreeSet<String>, Failure> {
    let loaded = scenario::load(reference, &layers.sets, &layers.library()?)?;
    Ok(drawn(&loaded.leaves))
}

/// Every name that some value of the machine or some estimate gives as its source. What a job says of its layout is the condition
/// of what it is compared with, and uses nothing of it.
pub(super) fn drawn(leaves: &[Leaf]) -> BTreeSet<String> {
    let is_input = |leaf: &&Leaf| INPUTS.contains(&leaf.key.split('.').next().unwrap_or_default());
    let inputs = leaves.iter().filter(is_input);
    inputs.flat_map(|leaf| leaf.origin.sources()).map(str::to_owned).collect()
}
