//! Names and references out of a file's tables, each of the kind that it should be.

use crate::diagnostic::Diagnostic;
use crate::origin::Origin;
use crate::tree::{Node, Table, Value, get};

pub(super) fn take_name(file: &mut Table, mistakes: &mut Vec<Diagnostic>) -> Option<String> {
    let node = file.remove("name")?;
    match node.value {
        Value::String(name) => Some(name),
        other => {
            mistakes.push(Diagnostic::error(format!("`name` is {}, not a string", other.kind())).at(&node.origin));
            None
        }
    }
}

pub(super) fn take_table(file: &mut Table, name: &str, mistakes: &mut Vec<Diagnostic>) -> Table {
    match file.remove(name) {
        None => Table::new(),
        Some(Node { value: Value::Table(table), .. }) => table,
        Some(node) => {
            mistakes
                .push(Diagnostic::error(format!("`{name}` is {}, not a table", node.value.kind())).at(&node.origin));
            Table::new()
        }
    }
}

pub(super) fn reference(used: &Table, name: &str, mistakes: &mut Vec<Diagnostic>) -> Option<(String, Origin)> {
    let node = get(used, name)?;
    match &node.value {
        Value::String(text) => Some((text.clone(), node.origin.clone())),
        other => {
            let message = format!("`use.{name}` is {}, not the name of a preset or a path", other.kind());
            mistakes.push(Diagnostic::error(message).at(&node.origin));
            None
        }
    }
}

/// One text or several; messages call them `shown` and say `what` they should be.
pub(super) fn references(
    table: &Table,
    name: &str,
    shown: &str,
    what: &str,
    mistakes: &mut Vec<Diagnostic>,
) -> Vec<(String, Origin)> {
    let Some(node) = get(table, name) else { return Vec::new() };
    let single = std::slice::from_ref(node);
    let items = if let Value::Array(items) = &node.value { items } else { single };
    let mut found = Vec::new();
    for item in items {
        match &item.value {
            Value::String(text) => found.push((text.clone(), item.origin.clone())),
            other => {
                let message = format!("`{shown}` holds {}, not a list of {what}", other.kind());
                mistakes.push(Diagnostic::error(message).at(&item.origin));
            }
        }
    }
    found
}
