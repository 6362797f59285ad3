//! The one namespace: values with their origins, by dotted key.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use crate::diagnostic::Diagnostic;
use crate::origin::Origin;

/// Named nodes, in the order of their names.
pub(crate) type Table = BTreeMap<String, Node>;

/// A value and where it was written.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Node {
    pub(crate) value: Value,
    /// Of the value; of the key for a table.
    pub(crate) origin: Origin,
    /// Bytes of the key in the origin's text.
    pub(crate) key: Range<usize>,
}

/// A value as files hold it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    String(String),
    Integer(i64),
    Float(f64),
    Boolean(bool),
    /// A date or time: nothing here is one, but a file may hold one.
    Datetime(String),
    Array(Vec<Node>),
    Table(Table),
}

impl Value {
    /// What it is, for messages.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::String(_) => "a string",
            Self::Integer(_) => "a whole number",
            Self::Float(_) => "a number",
            Self::Boolean(_) => "a boolean",
            Self::Datetime(_) => "a date",
            Self::Array(_) => "a list",
            Self::Table(_) => "a table",
        }
    }
}

impl fmt::Display for Value {
    /// As TOML writes it on one line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::String(text) => write!(f, "{}", toml::Value::String(text.clone())),
            Self::Integer(number) => write!(f, "{number}"),
            Self::Float(number) => write!(f, "{}", toml::Value::Float(*number)),
            Self::Boolean(flag) => write!(f, "{flag}"),
            Self::Datetime(text) => f.write_str(text),
            Self::Array(nodes) => {
                let shown: Vec<String> = nodes.iter().map(|node| node.value.to_string()).collect();
                write!(f, "[{}]", shown.join(", "))
            }
            Self::Table(table) => {
                let shown: Vec<String> = table.iter().map(|(key, node)| format!("{key} = {}", node.value)).collect();
                write!(f, "{{ {} }}", shown.join(", "))
            }
        }
    }
}

impl Node {
    /// Where the key was written.
    pub(crate) fn key_origin(&self) -> Origin {
        Origin::new(self.origin.source(), self.key.clone())
    }

    pub(crate) fn as_table(&self) -> Option<&Table> {
        if let Value::Table(table) = &self.value { Some(table) } else { None }
    }
}

/// What a dotted key leads to.
pub(crate) enum Lookup<'a> {
    Found(&'a Node),
    /// The first part of the key that is not there, as a dotted key.
    Missing(String),
    /// A part of the key that holds a value where a table should be.
    Blocked(String, &'a Node),
}

/// Follows a dotted key.
pub(crate) fn look_up<'a>(root: &'a Table, key: &str) -> Lookup<'a> {
    let mut table = root;
    let mut walked = String::new();
    let mut parts = key.split('.').peekable();
    while let Some(part) = parts.next() {
        walked = join(&walked, part);
        match table.get(part) {
            None => return Lookup::Missing(walked),
            Some(node) if parts.peek().is_none() => return Lookup::Found(node),
            Some(node) => match &node.value {
                Value::Table(inner) => table = inner,
                _ => return Lookup::Blocked(walked, node),
            },
        }
    }
    Lookup::Missing(walked)
}

/// The node of a dotted key.
pub(crate) fn get<'a>(root: &'a Table, key: &str) -> Option<&'a Node> {
    match look_up(root, key) {
        Lookup::Found(node) => Some(node),
        Lookup::Missing(_) | Lookup::Blocked(..) => None,
    }
}

/// The node of a dotted key, to change it.
pub(crate) fn get_mut<'a>(root: &'a mut Table, key: &str) -> Option<&'a mut Node> {
    match key.split_once('.') {
        None => root.get_mut(key),
        Some((first, rest)) => match &mut root.get_mut(first)?.value {
            Value::Table(inner) => get_mut(inner, rest),
            _ => None,
        },
    }
}

/// Lays `over` on `base`: tables are joined, values replaced. A value over a table, or the other way round, is a
/// mistake and changes nothing.
pub(crate) fn lay_over(base: &mut Table, over: Table, prefix: &str, mistakes: &mut Vec<Diagnostic>) {
    for (name, node) in over {
        let path = join(prefix, &name);
        match base.get_mut(&name) {
            None => {
                base.insert(name, node);
            }
            Some(below) => match (&mut below.value, node.value) {
                (Value::Table(inner), Value::Table(more)) => {
                    below.origin = node.origin;
                    below.key = node.key;
                    lay_over(inner, more, &path, mistakes);
                }
                (Value::Table(inner), value) => mistakes.push(
                    Diagnostic::error(format!("`{path}` is a table, not {}", value.kind()))
                        .at(&node.origin)
                        .hint(format!("its keys are {}", list(inner.keys()))),
                ),
                (_, Value::Table(_)) => {
                    mistakes.push(Diagnostic::error(format!("`{path}` is one value, not a table")).at(&node.origin))
                }
                (_, value) => *below = Node { value, ..node },
            },
        }
    }
}

/// Every value below a table that is not a table, with its dotted key, in order.
pub(crate) fn leaves<'a>(table: &'a Table, prefix: &str, visit: &mut impl FnMut(String, &'a Node)) {
    for (name, node) in table {
        let path = join(prefix, name);
        match &node.value {
            Value::Table(inner) => leaves(inner, &path, visit),
            _ => visit(path, node),
        }
    }
}

/// A dotted key and one more part.
pub(crate) fn join(prefix: &str, name: &str) -> String {
    if prefix.is_empty() { name.to_owned() } else { format!("{prefix}.{name}") }
}

/// Names in backticks with commas.
pub(crate) fn list<S: AsRef<str>>(names: impl IntoIterator<Item = S>) -> String {
    let quoted: Vec<String> = names.into_iter().map(|name| format!("`{}`", name.as_ref())).collect();
    quoted.join(", ")
}

/// Parts of a dotted key: far more than any key has.
pub(crate) const N_PARTS_MAX: usize = 32;

/// The name that a misspelt one most likely meant.
pub(crate) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let budget = |candidate: &str| 1 + name.len().min(candidate.len()) / 4;
    // A distance is at least the difference of lengths, which is quicker to tell.
    let n_letters = name.chars().count();
    known
        .into_iter()
        .filter(|candidate| candidate.chars().count().abs_diff(n_letters) <= budget(candidate))
        .map(|candidate| (strsim::damerau_levenshtein(name, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= budget(candidate))
        .min()
        .map(|(_, candidate)| candidate)
}
