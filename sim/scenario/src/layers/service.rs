//! What a service's files are read over.

use super::Builder;
use crate::kind::Kind;
use crate::tree::{Table, Value};

impl Builder<'_> {
    /// Those of a service, over what a software stack leaves out in any job, and over the terms of money.
    pub(super) fn service_defaults(&mut self) {
        self.defaults();
        self.root.retain(|namespace, _| ["framework", "cost"].contains(&namespace.as_str()));
        let opened = self.library.open(Kind::Defaults, "serve", None);
        let file = self.parse(opened).unwrap_or_default();
        self.lay(file);
    }

    /// Takes out of a software stack's file what it decides of jobs of the other kind.
    pub(super) fn drop_of_others(&self, file: &mut Table) {
        let of_others: &[&str] = if self.is_service { &["policy", "parallel"] } else { &["serve", "scheduler"] };
        of_others.iter().for_each(|namespace| drop(file.remove(*namespace)));
        if !self.is_service
            && let Some(Value::Table(table)) = file.get_mut("framework").map(|node| &mut node.value)
        {
            table.remove("serve");
        }
    }
}
