//! Studies: files to questions, answers to pages. The runs between are `study`'s, over a [`Simulator`](crate::Simulator).

mod find;
mod page;

use scenario::Loaded;

pub use find::{FoundStudy, find};
pub use page::{PageFiles, page, sensitivity_page};

/// The base with every value as it was written: a scenario that needs no other file, and in which `"auto"` still means so.
#[must_use]
pub fn base_toml(base: &Loaded) -> String {
    let leaves = base.leaves.iter().map(|leaf| format!("{} = {}\n", leaf.key, leaf.written));
    let name = toml::Value::String(base.plan.name.clone());
    format!("# The base of a study, every value as it was written.\nname = {name}\n{}", leaves.collect::<String>())
}
