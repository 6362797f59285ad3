//! `solve`: the value of a key at which a job reaches a goal.

use clap::Args;
use report::{Measure, format};
use study::{Goal, Solved, StudyProgress, plain};
use tunnel::{Simulator, search, studies};

use crate::exit::Failure;
use crate::layers::Layers;
use crate::panics;
use crate::progress::{Extent, during};

pub(crate) const AFTER: &str = "\
The key is turned from a sixty-fourth of its value to sixty-four times it, as far as jobs run. Where the goal cannot be reached, the nearest value is \
given, and `reached` is false in JSON; that is an answer, and the exit code is 0.

Examples:
  windtunnel solve node.nic.rate deepseek-v3-2048 --stops-binding
  windtunnel solve gpu.sms deepseek-v3-2048 --for '18 s'
  windtunnel solve node.nic.rate deepseek-v3-decode-320 --objective serving.tpot.p50 --for '40 ms'";

#[derive(Debug, Args)]
pub(crate) struct SolveArgs {
    /// The key to turn, for example `node.nic.rate`
    pub(crate) key: String,
    /// A preset's name or a file
    pub(crate) scenario: String,
    /// The objective to reach: a time, or a bare number in base units
    #[arg(long = "for", value_name = "VALUE", required_unless_present = "stops_binding")]
    pub(crate) target: Option<String>,
    /// Look for the value from which on the key changes the objective by no more than 1 %
    #[arg(long, conflicts_with = "target")]
    pub(crate) stops_binding: bool,
    /// Judge by this number of `run --json` [default: the step, or the GPU time per token]
    #[arg(long, value_name = "NUMBER")]
    pub(crate) objective: Option<String>,
    #[command(flatten)]
    pub(crate) layers: Layers,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Show no progress
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

/// The value of a key at which a job reaches a goal: two lines, or JSON.
pub(crate) fn solve(args: &SolveArgs) -> Result<String, Failure> {
    panics::told(|| solved(args))
}

fn solved(args: &SolveArgs) -> Result<String, Failure> {
    let library = args.layers.library()?;
    let measure = args.objective.as_deref().map(|name| studies::measure("--objective", name)).transpose()?;
    let goal = match &args.target {
        Some(text) => Goal::At(search::amount(&format!("--for {text}"), text, measure.as_ref())?),
        None => Goal::StopsBinding,
    };
    let tunnel = Simulator::new(&library, &args.scenario).under(&args.layers.sets).judging(measure.as_ref());
    let progress = StudyProgress::default();
    let look = || study::solve(&tunnel, &args.key, goal, &progress);
    let found = during("turning the key", Extent::Unknown, args.quiet, look)?;
    Ok(if args.json { found.json()? } else { sentences(&found, goal) })
}

/// A value with four digits: it was found to no more.
fn rounded(value: &str) -> String {
    let (number, unit) = value.split_once(' ').unwrap_or((value, ""));
    match number.parse::<f64>() {
        Ok(exact) if number.len() > N_LETTERS => {
            format!("{} {unit}", format::significant(exact, 4)).trim_end().to_owned()
        }
        _ => value.to_owned(),
    }
}

/// Numbers that are written with no more letters stand as they are.
const N_LETTERS: usize = 6;

fn sentences(found: &Solved, goal: Goal) -> String {
    let measure = Measure::of(&found.base.name).unwrap_or_default();
    let change = format::percent_signed(found.objective / found.base.value - 1.0);
    let at = format!("{} ({change})", measure.write(found.objective));
    let key = &found.key;
    let [value, base_value, low, high] =
        [&found.value, &found.base_value, &found.range[0], &found.range[1]].map(|value| rounded(&plain(value)));
    let what = match (goal, found.reached) {
        (Goal::At(_), true) => format!("`{key}` = {value} gives {at}"),
        (Goal::At(target), false) => format!(
            "no value of `{key}` from {low} to {high} gives {}; the nearest is {value}, with {at}",
            measure.write(target)
        ),
        (Goal::StopsBinding, _) => {
            format!("`{key}` stops binding at {value}: {at}, within 1 % of the least from {low} to {high}")
        }
    };
    format!(
        "{}: {} {}, with `{key}` = {base_value}\n{what}\n",
        found.name,
        measure.write(found.base.value),
        measure.per
    )
}
