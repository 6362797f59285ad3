//! Files to plans: presets, references, patches and every mistake in them, with its line.
//!
//! ```
//! use scenario::{Library, load, plan_toml};
//!
//! let library = Library::built_in();
//! let sets = ["gpu.sms=144".to_owned(), "policy.schedule=1f1b".to_owned()];
//! let loaded = load("tiny-moe", &sets, &library)?;
//! assert_eq!(loaded.plan.site.machine.device.sms, 144);
//! assert_eq!(loaded.origins["gpu.sms"].to_string(), "--set gpu.sms=144");
//! assert!(plan_toml(&loaded).contains("sms = 144 # --set gpu.sms=144"));
//!
//! let mistakes = load("tiny-moe", &["gpu.smz=1".to_owned()], &library).unwrap_err();
//! assert!(mistakes.to_string().contains("did you mean `gpu.sms`?"));
//! # Ok::<(), scenario::Mistakes>(())
//! ```
//!
//! The way of a value, each step a module:
//!
//! 1. [`Library`] finds a file: in the folders given, in `scenarios`, in the copy compiled in. A reference is the name of
//!    a preset or a path relative to the file that names it. [`Sources`] is the only door to the disk.
//! 2. `parse` makes nodes of TOML, each with its [`Origin`].
//! 3. `layers` follows `use.*` and lays defaults, scenario, cluster, hardware, fabric, model and profiles into one tree.
//! 4. `patch` lays `[patch]` and `--set` over it. A patch changes what is there; it never adds.
//!    `elsewhere` then compares the machine with those that estimates were measured on.
//! 5. `machine`, `model`, `job`, `policy`, `layout`, `cost` and `profile` read types from it through one `reader`, which
//!    collects all [`Mistakes`] instead of stopping at the first.
//!    An earlier profile goes before a later one, and all of them before those they are based on; a family that names its
//!    implementation is taken whole.
//! 6. [`Loaded`] holds the plan and every [`Leaf`] that made it; [`plan_toml`] (by [`mod@write`]) and [`canonical_text`] write them; [`digest`] is the identity of a run.
//!
//! `scenarios/README.md` has every key. This crate does not know how a plan is run: no engine, no op, no time.

pub mod catalog;
mod cost;
mod diagnostic;
pub mod disk;
mod elsewhere;
mod families;
mod framework;
mod hugging_face;
mod job;
mod kind;
mod layers;
mod layout;
mod library;
mod load;
mod machine;
mod model;
mod origin;
mod parse;
mod patch;
mod policy;
mod print;
mod profile;
mod published;
mod reader;
mod serve;
mod tree;
pub mod write;

pub use diagnostic::{Diagnostic, Mistakes, Severity};
pub use kind::Kind;
pub use library::{Disk, Library, Sources, Text, stem};
pub use load::{
    Leaf, Loaded, LoadedDevice, LoadedMachine, LoadedSite, Software, load, load_cluster, load_device, load_hardware,
    load_machine, load_model, load_site,
};
pub use origin::Origin;
pub use print::{canonical_text, digest, digest_of, plan_toml};
pub use published::{Ask, Fact, FactFamily, FactFigure, Published, Standing, published};
