//! Knobs: dotted keys with a value as files write it, and values between two others.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use toml::{Table, Value};

/// One changed value: a dotted key, and what it is changed to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// For example `gpu.scale-up.links`.
    pub key: String,
    /// As a file would write it.
    pub value: Value,
}

impl Change {
    /// The change as the argument of `--set`.
    #[must_use]
    pub fn set(&self) -> String {
        format!("{}={}", self.key, self.value)
    }
}

/// A value as people write it: text without its quotes.
#[must_use]
pub fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The values of a table by dotted key, sorted. A table that `is_leaf` accepts is a value.
pub(crate) fn flatten(table: &Table, is_leaf: fn(&Table) -> bool) -> BTreeMap<String, Value> {
    let mut leaves = BTreeMap::new();
    collect("", table, is_leaf, &mut leaves);
    leaves
}

fn collect(prefix: &str, table: &Table, is_leaf: fn(&Table) -> bool, leaves: &mut BTreeMap<String, Value>) {
    for (name, value) in table {
        let key = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        match value {
            Value::Table(inner) if !is_leaf(inner) => collect(&key, inner, is_leaf, leaves),
            _ => {
                leaves.insert(key, value.clone());
            }
        }
    }
}

/// The changes of a patch table, sorted by key.
pub(crate) fn changes(patch: &Table) -> Vec<Change> {
    flatten(patch, |_| false).into_iter().map(|(key, value)| Change { key, value }).collect()
}

/// A number as a file writes it: bare, whole, or in quotes with its unit.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Amount {
    pub(crate) number: f64,
    kind: AmountKind,
}

#[derive(Clone, Debug, PartialEq)]
enum AmountKind {
    Whole,
    Bare,
    Unit(String),
}

impl Amount {
    /// The number of a value; `None` for words, flags and lists.
    pub(crate) fn of(value: &Value) -> Option<Self> {
        match value {
            Value::Integer(number) => Some(Self { number: *number as f64, kind: AmountKind::Whole }),
            Value::Float(number) => Some(Self { number: *number, kind: AmountKind::Bare }),
            Value::String(text) => {
                let (number, unit) = text.trim().split_once(char::is_whitespace)?;
                Some(Self { number: number.parse().ok()?, kind: AmountKind::Unit(unit.trim().to_owned()) })
            }
            _ => None,
        }
    }

    /// Another number of the same kind: whole ones are rounded, units kept.
    pub(crate) fn with(&self, number: f64) -> Value {
        match &self.kind {
            AmountKind::Whole => Value::Integer(number.round() as i64),
            AmountKind::Bare => Value::Float(number),
            AmountKind::Unit(unit) => Value::String(format!("{number} {unit}")),
        }
    }

    /// Whether both can stand for one knob: the same unit, or none.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        match (&self.kind, &other.kind) {
            (AmountKind::Unit(a), AmountKind::Unit(b)) => a == b,
            (AmountKind::Unit(_), _) | (_, AmountKind::Unit(_)) => false,
            (AmountKind::Whole | AmountKind::Bare, AmountKind::Whole | AmountKind::Bare) => true,
        }
    }

    pub(crate) fn is_whole(&self) -> bool {
        self.kind == AmountKind::Whole
    }

    /// The same number, where one of two is not whole.
    pub(crate) fn bare(self) -> Self {
        match self.kind {
            AmountKind::Whole => Self { kind: AmountKind::Bare, ..self },
            AmountKind::Bare | AmountKind::Unit(_) => self,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_keeps_its_unit() {
        let rate = Amount::of(&Value::String("400 Gbit/s".into())).expect("a number");
        assert_eq!(rate.with(141.5), Value::String("141.5 Gbit/s".into()));
        assert_eq!(Amount::of(&Value::Integer(8)).expect("a number").with(8.8), Value::Integer(9));
        assert_eq!(Amount::of(&Value::String("native".into())), None);
    }

    #[test]
    fn tables_become_dotted_keys() {
        let table: Table = "gpu.sms = 144\n[node.nic]\nrate = \"800 Gbit/s\"".parse().expect("TOML");
        let sets: Vec<String> = changes(&table).iter().map(Change::set).collect();
        assert_eq!(sets, ["gpu.sms=144", "node.nic.rate=\"800 Gbit/s\""]);
    }
}
