//! `list` and `show`: what the library holds, and the files themselves.

use std::fmt::Write;

use clap::{Args, ValueEnum};
use report::{Column, Row, Table};
use scenario::catalog::{Listed, catalog};
use scenario::{Kind, Library};
use serde_json::{Value, json};

use crate::exit::Failure;
use crate::json::pretty;

/// What may be listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Listable {
    Scenarios,
    Services,
    Clusters,
    Hardware,
    Fabrics,
    Models,
    Profiles,
    Frameworks,
    Studies,
    Proposals,
    Topologies,
}

impl Listable {
    const fn kinds(self) -> &'static [Kind] {
        match self {
            Self::Scenarios => &[Kind::Scenario, Kind::Service],
            Self::Services => &[Kind::Service],
            Self::Clusters => &[Kind::Cluster],
            Self::Hardware => &[Kind::Hardware],
            Self::Fabrics => &[Kind::Fabric],
            Self::Models => &[Kind::Model],
            Self::Profiles => &[Kind::Profile],
            Self::Frameworks => &[Kind::Framework],
            Self::Studies => &[Kind::Study],
            Self::Proposals => &[Kind::Proposal],
            Self::Topologies => &[Kind::Topologies],
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// What to list [default: the names of all kinds]
    pub(crate) kind: Option<Listable>,
    /// Look for presets in this folder first
    #[arg(long = "library", value_name = "DIR")]
    pub(crate) libraries: Vec<std::path::PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// A preset's name
    pub(crate) name: String,
    /// Of which kind, where several have one of this name
    #[arg(long)]
    pub(crate) kind: Option<Listable>,
    /// Look for presets in this folder first
    #[arg(long = "library", value_name = "DIR")]
    pub(crate) libraries: Vec<std::path::PathBuf>,
}

/// Presets with what each is about: tables, or JSON.
pub(crate) fn list(args: &ListArgs) -> Result<String, Failure> {
    let library = Library::new(args.libraries.clone());
    let kinds = args.kind.map_or(Listable::value_variants().to_vec(), |kind| vec![kind]);
    // Services stand among the scenarios.
    let kinds = kinds.iter().filter(|kind| args.kind.is_some() || **kind != Listable::Services);
    let listed: Vec<Listed> = kinds.flat_map(|kind| kind.kinds()).flat_map(|kind| catalog(&library, *kind)).collect();
    if args.json {
        return Ok(pretty(&Value::Array(listed.iter().map(row).collect())));
    }
    Ok(match args.kind {
        Some(_) => table(&listed),
        None => names(&listed),
    })
}

/// The file of a preset as it is.
pub(crate) fn show(args: &ShowArgs) -> Result<String, Failure> {
    let library = Library::new(args.libraries.clone());
    let asked = args.kind.map(Listable::kinds);
    let kinds = library.kinds_of(&args.name);
    let kinds: Vec<Kind> = kinds.into_iter().filter(|kind| asked.is_none_or(|asked| asked.contains(kind))).collect();
    match kinds.as_slice() {
        [kind] => Ok(library.text(*kind, &args.name, None)?.as_str().to_owned()),
        [] => Err(Failure::usage(format!("there is no preset `{}`\nhint: `windtunnel list` has all names", args.name))),
        several => {
            let names: Vec<String> = several.iter().map(|kind| format!("`--kind {}`", kind.folder())).collect();
            Err(Failure::usage(format!(
                "{} presets are called `{}`\nhint: add one of {}",
                several.len(),
                args.name,
                names.join(", ")
            )))
        }
    }
}

fn row(listed: &Listed) -> Value {
    json!({
        "name": listed.name,
        "kind": listed.kind.name(),
        "about": listed.about,
        "figures": listed.figures,
    })
}

fn table(listed: &[Listed]) -> String {
    let columns = ["name", "about"].map(|name| Column { name: name.to_owned(), numeric: false });
    let figures = |listed: &Listed| {
        let figures: Vec<String> =
            listed.figures.iter().map(|(key, value)| format!("{key}={}", value.replace('\n', " "))).collect();
        figures.join(" ")
    };
    let mut columns = columns.to_vec();
    let has_figures = listed.iter().any(|listed| !listed.figures.is_empty());
    columns.extend(has_figures.then(|| Column { name: "figures".to_owned(), numeric: false }));
    let row = |listed: &Listed| Row {
        cells: [listed.name.clone(), listed.about.clone(), figures(listed)][..columns.len()].to_vec(),
        strong: false,
    };
    let rows = listed.iter().map(row).collect();
    format!("{}\n", Table { columns: columns.clone(), rows })
}

/// Names by kind, a paragraph each.
fn names(listed: &[Listed]) -> String {
    let mut text = String::new();
    for of_kind in listed.chunk_by(|a, b| a.kind == b.kind) {
        let Some(first) = of_kind.first() else { continue };
        let names: Vec<&str> = of_kind.iter().map(|listed| listed.name.as_str()).collect();
        let _ = writeln!(text, "{} ({}): {}\n", first.kind.folder(), names.len(), names.join(", "));
    }
    text + "`windtunnel list KIND` adds what each is about, `windtunnel show NAME` prints its file.\n"
}
