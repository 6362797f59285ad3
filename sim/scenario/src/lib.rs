//! Files to plans.
mod diagnostic;
mod hugging_face;
mod layers;
mod library;
mod load;
mod machine;
mod model;
mod origin;
mod parse;
mod patch;
mod print;
mod profile;
mod reader;
mod training;
mod tree;

pub use diagnostic::{Diagnostic, Mistakes, Severity};
pub use library::{Disk, Kind, Library, Sources};
pub use load::{Leaf, Loaded, LoadedMachine, load, load_machine};
pub use origin::Origin;
pub use print::{canonical_text, plan_toml};
