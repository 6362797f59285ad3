//! Replies, and what the inputs behind them name as their sources.

use std::collections::BTreeSet;

use scenario::Leaf;

/// Namespaces of machines, software stacks and estimates.
const INPUTS: [&str; 6] = ["cluster", "gpu", "node", "fabric", "framework", "profile"];

/// A reply, and what the machine and the estimates behind it name as their sources.
#[derive(Clone, Debug)]
pub struct Sourced<T> {
    /// The reply.
    pub reply: T,
    /// Identifiers of facts are among these names.
    pub sources: BTreeSet<String>,
}

impl<T> Sourced<T> {
    /// A reply that rests on no file of a machine.
    pub(crate) fn without(reply: T) -> Self {
        Self { reply, sources: BTreeSet::new() }
    }

    /// The same with another form of the reply.
    pub(crate) fn map<U>(self, form: impl FnOnce(T) -> U) -> Sourced<U> {
        Sourced { reply: form(self.reply), sources: self.sources }
    }
}

/// Every name that some value of the machine or some estimate gives as its source. What a job says of its layout is the condition
/// of what it is compared with, and uses nothing of it.
pub(crate) fn sources(leaves: &[Leaf]) -> BTreeSet<String> {
    let is_input = |leaf: &&Leaf| INPUTS.contains(&leaf.key.split('.').next().unwrap_or_default());
    let inputs = leaves.iter().filter(is_input);
    inputs.flat_map(|leaf| leaf.origin.sources()).map(str::to_owned).collect()
}
