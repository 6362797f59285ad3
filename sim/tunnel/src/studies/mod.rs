//! Studies: files to questions, answers to pages. The runs between are `study`'s, over a [`Simulator`](crate::Simulator).

mod find;
mod page;

use scenario::Loaded;
use scenario::write::{self, TomlText};

pub use find::{FoundStudy, find, measure};
pub use page::{PageFiles, page, sensitivity_page};

/// The base with every value as it was written: a scenario that needs no other file, and in which `"auto"` still means so.
#[must_use]
pub fn base_toml(base: &Loaded) -> String {
    let mut file = TomlText::default();
    file.comment("The base of a study, every value as it was written.");
    file.line("name", write::text(&base.plan.name));
    base.leaves.iter().for_each(|leaf| file.line(&leaf.key, &leaf.written));
    file.finish()
}
