//! The words of a command line into a question to the model: what `ask` of a published fact is read by.

use clap::Parser;
use tunnel::TunnelError;
use tunnel::ask::{Query, RunQuery};

use crate::args::{Cli, Probe, Verb};
use crate::exit::Failure;

/// The query of a command line that is written without the name of this program.
pub(crate) fn query(command: &str) -> Result<Query, TunnelError> {
    let words = shlex::split(command).ok_or_else(|| TunnelError::Words("a quote is not closed".to_owned()))?;
    let asked = ["windtunnel".to_owned()].into_iter().chain(words);
    let cli = Cli::try_parse_from(asked).map_err(|error| TunnelError::Words(error.to_string()))?;
    of_verb(&cli.verb).map_err(|failure| TunnelError::Words(failure.message()))
}

fn of_verb(verb: &Verb) -> Result<Query, Failure> {
    Ok(match verb {
        Verb::Run(args) => Query::Run(RunQuery { scenario: args.query(), has_pairs: false }),
        Verb::Check(args) => Query::Check(args.query()),
        Verb::Topology(args) => args.query(),
        Verb::Probe(Probe::Schedule(args)) => Query::Schedule(args.query()?),
        Verb::Probe(Probe::AllToAll(args)) => Query::AllToAll(args.query()),
        Verb::Probe(Probe::Kernel(args)) => Query::Kernel(args.query()?),
        Verb::Probe(Probe::Iteration(args)) => Query::Iteration(args.query()?),
        Verb::Probe(Probe::Collective(args)) => args.query()?,
        Verb::Probe(Probe::Model(args)) => Query::Model(args.query()),
        Verb::Probe(Probe::Accumulate(args)) => Query::Accumulate(args.question()?),
        Verb::Plan(_)
        | Verb::Replay(_)
        | Verb::Validate(_)
        | Verb::Study(_)
        | Verb::Sensitivity(_)
        | Verb::Solve(_)
        | Verb::Diff(_)
        | Verb::List(_)
        | Verb::Show(_)
        | Verb::Search(_)
        | Verb::Calibrate(_) => {
            return Err(Failure::usage("it predicts nothing\nhint: ask `run`, `check`, `topology` or `probe`"));
        }
    })
}

#[cfg(test)]
mod tests {
    use tunnel::ask::ScenarioQuery;

    use super::*;

    #[test]
    fn quotes_keep_blanks() {
        let line = "check tiny-moe --set 'node.nic.rate=800 Gbit/s' --set use.profiles='[\"a\", \"b\"]'";
        let sets = ["node.nic.rate=800 Gbit/s", "use.profiles=[\"a\", \"b\"]"].map(str::to_owned).to_vec();
        let expected = Query::Check(ScenarioQuery { scenario: "tiny-moe".to_owned(), sets });
        assert_eq!(query(line).expect("a question"), expected);
        assert!(query("run 'tiny").unwrap_err().to_string().contains("not closed"));
    }

    #[test]
    fn what_predicts_nothing_is_refused() {
        for line in ["plan tiny-moe", "sensitivity tiny-moe"] {
            assert!(query(line).unwrap_err().to_string().contains("it predicts nothing"), "{line}");
        }
        assert!(query("run").unwrap_err().to_string().contains("SCENARIO"));
    }

    /// A question of a fact means what the verb itself would be asked.
    #[test]
    fn every_published_command_is_a_question() {
        let library = scenario::Library::built_in();
        let mut n = 0;
        for name in library.names(scenario::Kind::Published) {
            for fact in scenario::published(&name, &library).expect("facts").facts {
                let scenario::Standing::Asked(ask) = fact.standing else { continue };
                for command in &ask.commands {
                    n += 1;
                    query(command).unwrap_or_else(|error| panic!("`{}`: `{command}`: {error}", fact.id));
                }
            }
        }
        assert!(n > 0);
    }
}
