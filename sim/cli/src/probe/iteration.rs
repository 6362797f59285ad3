//! One iteration of a unit that serves a model.

use clap::{Args, ValueEnum};
use report::format::{percent, seconds};
use tunnel::ask::{self, IterationAsked, IterationQuery, IterationReply, ScenarioQuery};

use crate::exit::Failure;
use crate::json::pretty;
use crate::layers::Layers;

/// Paragraphs are one line each: clap breaks them to the width of the terminal.
pub(crate) const AFTER: &str = "\
Every attention rank of the unit (`serve.dp`) computes the same: in decoding `--batch` requests with `--context` tokens in the cache each, of which \
`--queries` further ones are computed; in prefilling `--batch` prompts of `--tokens`, after `--context` tokens that are cached. `seconds` counts from \
the first kernel, or from the host's work that nothing hides, to the last token; `low` and `high` are its 5th and 95th percentile. Parts that \
overlap are longer together than `seconds`. The scenario needs no requests.

Examples:
  windtunnel probe iteration deepseek-r1-8xh200 --phase decode --batch 16 --context 2048
  windtunnel probe iteration llama-3.1-8b-1xh200 --phase prefill --tokens 2048";

#[derive(Debug, Args)]
pub(crate) struct IterationArgs {
    /// A service: a preset's name or a file
    pub(crate) scenario: String,
    /// What is computed
    #[arg(long)]
    pub(crate) phase: PhaseWord,
    /// Requests, or prompts, of each attention rank
    #[arg(long, default_value_t = 1)]
    pub(crate) batch: u64,
    /// Tokens of each that are in the cache
    #[arg(long, default_value_t = 0)]
    pub(crate) context: u64,
    /// Tokens of a prompt that are computed; of prefill
    #[arg(long, required_if_eq("phase", "prefill"))]
    pub(crate) tokens: Option<u64>,
    /// Tokens of a request that are computed; of decode
    #[arg(long, default_value_t = 1)]
    pub(crate) queries: u64,
    /// The software stack, in place of the scenario's
    #[arg(long, value_name = "NAME")]
    pub(crate) framework: Option<String>,
    #[command(flatten)]
    pub(crate) layers: Layers,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum PhaseWord {
    /// Prompts
    Prefill,
    /// The last tokens of requests
    Decode,
}

/// How long it takes, and what it is made of.
pub(crate) fn iteration(args: &IterationArgs) -> Result<String, Failure> {
    let reply = ask::iteration(&args.query()?, &args.layers.library()?)?.reply;
    Ok(if args.json { pretty(&reply.json()) } else { text(&reply) })
}

impl IterationArgs {
    /// What the arguments ask.
    pub(crate) fn query(&self) -> Result<IterationQuery, Failure> {
        let &Self { batch, context, queries, .. } = self;
        let asked = match (self.phase, self.tokens) {
            (PhaseWord::Prefill, Some(_)) if queries != 1 => {
                return Err(Failure::usage("`--queries` is of `--phase decode`; a prompt has `--tokens`"));
            }
            (PhaseWord::Prefill, tokens) => IterationAsked::Prefill { batch, tokens: tokens.unwrap_or(1), context },
            (PhaseWord::Decode, Some(_)) => {
                return Err(Failure::usage("`--tokens` is of `--phase prefill`; a request has `--queries`"));
            }
            (PhaseWord::Decode, None) => IterationAsked::Decode { batch, context, queries },
        };
        let mut sets = self.layers.sets.clone();
        sets.extend(self.framework.iter().map(|name| format!("use.framework={name}")));
        Ok(IterationQuery { scenario: ScenarioQuery { scenario: self.scenario.clone(), sets }, asked })
    }
}

fn text(reply: &IterationReply) -> String {
    let [time, low, high] = [reply.seconds, reply.interval[0], reply.interval[1]].map(seconds);
    let mut parts = reply.parts.clone();
    parts.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
    let rows = parts.iter().map(|part| {
        format!("  {:<24}{:>12}{:>9}\n", part.name, seconds(part.seconds), percent(part.seconds / reply.seconds))
    });
    format!("{time}   {low} to {high}   bound by {}\n\n{}", reply.binding, rows.collect::<String>())
}
