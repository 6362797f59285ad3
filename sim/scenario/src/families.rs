//! Families of estimates: the tables of a profile whose estimates were fitted together, for one implementation.

use crate::diagnostic::Diagnostic;
use crate::origin::Origin;
use crate::tree::{Node, Table, Value, get, list, nearest};

/// The key of a family that says whose kernels its estimates are of.
pub(crate) const IMPLEMENTATION: &str = "implementation";

/// Adds the estimates of a later profile that no earlier one holds. An estimate is taken whole, and so is a family that
/// names its implementation: its estimates were fitted together.
pub(crate) fn lay_under(root: &mut Table, file: Table) {
    for (name, node) in file {
        match root.get_mut(&name) {
            None => {
                root.insert(name, node);
            }
            Some(Node { value: Value::Table(above), .. }) if !is_whole(above) => {
                if let Value::Table(below) = node.value
                    && !is_whole(&below)
                {
                    lay_under(above, below);
                }
            }
            Some(_) => {}
        }
    }
}

fn is_whole(table: &Table) -> bool {
    table.contains_key("value") || table.contains_key(IMPLEMENTATION)
}

/// The families of a profile that are of one implementation.
pub(crate) fn only(file: &Table, implementation: &str) -> Table {
    let mut kept = Table::new();
    for (name, node) in file {
        let Value::Table(table) = &node.value else { continue };
        let inner = match named(table) {
            Some(own) if is_of(own, implementation) => table.clone(),
            Some(_) => continue,
            None => only(table, implementation),
        };
        if !inner.is_empty() {
            kept.insert(name.clone(), Node { value: Value::Table(inner), ..node.clone() });
        }
    }
    kept
}

/// Whose kernels the framework runs: families of estimates, each with an implementation; of one family an earlier goes first.
pub(crate) fn preferred(root: &Table) -> Vec<(String, String)> {
    let Some(Node { value: Value::Table(table), .. }) = get(root, "framework.implementations") else {
        return Vec::new();
    };
    let names = |node: &Node| match &node.value {
        Value::String(name) => vec![name.clone()],
        Value::Array(items) => items.iter().map(|item| item.value.clone()).filter_map(text).collect(),
        _ => Vec::new(),
    };
    table.iter().flat_map(|(family, node)| names(node).into_iter().map(move |name| (family.clone(), name))).collect()
}

fn text(value: Value) -> Option<String> {
    if let Value::String(text) = value { Some(text) } else { None }
}

/// A profile's estimates of one family alone.
pub(crate) fn below(file: &Table, family: &str) -> Table {
    let Some(Node { value: Value::Table(profile), .. }) = file.get("profile") else { return Table::new() };
    let kept: Table = profile.get(family).map(|node| (family.to_owned(), node.clone())).into_iter().collect();
    file.get("profile")
        .map(|node| ("profile".to_owned(), Node { value: Value::Table(kept), ..node.clone() }))
        .into_iter()
        .collect()
}

/// Whether an implementation is the one asked for: by its whole name, or by one of its words, as a library without its version.
pub(crate) fn is_of(own: &str, asked: &str) -> bool {
    own == asked || own.split_whitespace().any(|word| word.eq_ignore_ascii_case(asked))
}

/// The implementation that a table is of.
fn named(table: &Table) -> Option<&str> {
    match table.get(IMPLEMENTATION) {
        Some(Node { value: Value::String(name), .. }) => Some(name),
        _ => None,
    }
}

/// The mistake of a preference that no profile can meet.
pub(crate) fn no_implementation(name: &str, origin: &Origin, chain: &[Table]) -> Diagnostic {
    let mut known = Vec::new();
    chain.iter().for_each(|file| implementations(file, &mut known));
    known.sort_unstable();
    known.dedup();
    let hint = match nearest(name, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None if known.is_empty() => "the profiles name none".to_owned(),
        None => format!("they hold {}", list(known)),
    };
    Diagnostic::error(format!("no profile holds estimates of the implementation `{name}`")).at(origin).hint(hint)
}

fn implementations<'a>(file: &'a Table, known: &mut Vec<&'a str>) {
    for node in file.values() {
        if let Value::Table(table) = &node.value {
            match named(table) {
                Some(name) => known.push(name),
                None => implementations(table, known),
            }
        }
    }
}
