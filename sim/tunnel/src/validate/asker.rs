//! Commands of facts, each read into a question and answered once.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use scenario::{Ask, Fact, FactFigure, Library, Standing};

use super::observed::Observed;
use crate::ask::{self, Query};
use crate::error::TunnelError;
use crate::sourced::Sourced;

/// Reads the words of a command into a question. What has a command line knows its words; the library does not.
pub type ReadQuery<'a> = &'a dyn Fn(&str) -> Result<Query, TunnelError>;

/// What a command came to.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) observed: Observed,
    /// Names that the inputs it drew on give as their sources; facts are among them.
    pub(super) sources: BTreeSet<String>,
}

/// Asks each command once.
pub(super) struct Asker<'a> {
    reading: ReadQuery<'a>,
    library: &'a Library,
    /// Patches that go over every scenario that is asked, after its own.
    sets: &'a [String],
    /// Commands of which means over pairs are asked.
    of_pairs: BTreeSet<&'a str>,
    answers: RefCell<BTreeMap<String, Rc<Answered>>>,
}

impl<'a> Asker<'a> {
    pub(super) fn new(reading: ReadQuery<'a>, library: &'a Library, sets: &'a [String], facts: &'a [Fact]) -> Self {
        let of_pairs = |fact: &'a Fact| match &fact.standing {
            Standing::Asked(Ask { commands, figure: FactFigure::Pair(_), .. }) => commands.as_slice(),
            Standing::Asked(_) | Standing::Unpredicted(_) => &[],
        };
        let of_pairs = facts.iter().flat_map(of_pairs).map(String::as_str).collect();
        Self { reading, library, sets, of_pairs, answers: RefCell::default() }
    }

    /// What a command came to, its mistakes with the command before them.
    pub(super) fn answer(&self, command: &str) -> Result<Rc<Answered>, TunnelError> {
        if let Some(answered) = self.answers.borrow().get(command) {
            return Ok(Rc::clone(answered));
        }
        let answered = self.ask(command).map_err(|error| error.within(&format!("`{command}`")))?;
        let answered = Rc::new(answered);
        self.answers.borrow_mut().insert(command.to_owned(), Rc::clone(&answered));
        Ok(answered)
    }

    fn ask(&self, command: &str) -> Result<Answered, TunnelError> {
        let mut query = (self.reading)(command)?;
        query.lay_over(self.sets);
        if let Query::Run(run) = &mut query {
            run.has_pairs = self.of_pairs.contains(command);
        }
        let Sourced { reply, sources } = ask::ask(&query, self.library)?;
        Ok(Answered { observed: Observed::of(&reply)?, sources })
    }
}
