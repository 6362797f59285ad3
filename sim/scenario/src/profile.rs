//! The estimates: `profile.*`.

use std::collections::BTreeMap;

use calibrate::{Basis, Dimension, Estimate, EstimateKey, Profile};
use units::{BytesPerSec, Seconds};

use crate::diagnostic::Diagnostic;
use crate::origin::Origin;
use crate::reader::Reader;
use crate::tree::{Node, Table, Value, list};

/// Beyond three standard deviations of a log-normal nothing is known.
const SPREAD_MAX: f64 = 3.0;
/// Missing estimates that a message names.
const N_SHOWN: usize = 4;

/// Every estimate; `None` while a mistake stands.
pub(crate) fn profile(reader: &mut Reader<'_>, named: &Origin) -> Option<Profile> {
    let mut estimates = BTreeMap::new();
    let mut missing = Vec::new();
    for key in EstimateKey::ALL.iter().copied() {
        let name = format!("profile.{}", key.name());
        if reader.has(&name) {
            estimates.insert(key, estimate(reader, key, &name));
        } else {
            missing.push(name);
        }
    }
    if !missing.is_empty() {
        let shown = list(missing.iter().take(N_SHOWN));
        let more = missing.len().saturating_sub(N_SHOWN);
        let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
        let mistake = Diagnostic::error(format!("no profile holds {shown}{rest}")).at(named);
        reader.push(mistake.hint("name one more profile that does in `use.profiles`"));
    }
    Profile::new(estimates).ok()
}

fn estimate(reader: &mut Reader<'_>, key: EstimateKey, name: &str) -> Estimate {
    let bases = Basis::ALL.map(|basis| (basis.name(), basis));
    Estimate {
        value: value(reader, key, &format!("{name}.value")),
        spread: reader.number(&format!("{name}.spread"), 0.0..=SPREAD_MAX),
        basis: reader.choice(&format!("{name}.basis"), &bases),
        source: reader.text(&format!("{name}.source")),
    }
}

fn value(reader: &mut Reader<'_>, key: EstimateKey, name: &str) -> f64 {
    match key.dimension() {
        Dimension::Seconds => reader.quantity_or_zero::<Seconds>(name).get(),
        Dimension::BytesPerSec => reader.quantity::<BytesPerSec>(name).get(),
        Dimension::Fraction => above_zero(reader, name, 1.0),
        Dimension::Count if matches!(key, EstimateKey::GemmTileRows | EstimateKey::GemmTileColumns) => {
            above_zero(reader, name, f64::MAX)
        }
        Dimension::Count => reader.number(name, 0.0..=f64::MAX),
    }
}

/// A share of nothing would make a kernel last for ever.
fn above_zero(reader: &mut Reader<'_>, name: &str, max: f64) -> f64 {
    let number = reader.number(name, 0.0..=max);
    if reader.sound(&[name]) && number == 0.0 {
        reader.refuse(name, format!("`{name}` is zero: it must be above"), None);
    }
    number
}

/// Estimates keep their basis on the hardware they are of; elsewhere they are extrapolated at best. `hardware` of a
/// profile file lists the presets it holds for.
pub(crate) fn lower_basis(file: &mut Table, hardware: Option<&str>, mistakes: &mut Vec<Diagnostic>) {
    let Some(node) = file.remove("hardware") else { return };
    let Value::Array(items) = &node.value else {
        let message = format!("`hardware` is {}, not a list of hardware presets", node.value.kind());
        mistakes.push(Diagnostic::error(message).at(&node.origin));
        return;
    };
    let named = |item: &Node| matches!(&item.value, Value::String(name) if Some(name.as_str()) == hardware);
    if hardware.is_some() && !items.iter().any(named) {
        lower(file);
    }
}

fn lower(table: &mut Table) {
    for (name, node) in table.iter_mut() {
        match &mut node.value {
            Value::Table(inner) => lower(inner),
            Value::String(basis) if name == "basis" => {
                let firmer = Basis::ALL.iter().any(|known| known.name() == basis && *known < Basis::Extrapolated);
                if firmer {
                    *basis = Basis::Extrapolated.name().to_owned();
                }
            }
            _ => {}
        }
    }
}

/// Adds the estimates of a later profile that no earlier one holds. An estimate is taken whole.
pub(crate) fn lay_under(root: &mut Table, file: Table) {
    for (name, node) in file {
        match root.get_mut(&name) {
            None => {
                root.insert(name, node);
            }
            Some(Node { value: Value::Table(above), .. }) if !above.contains_key("value") => {
                if let Value::Table(below) = node.value {
                    lay_under(above, below);
                }
            }
            Some(_) => {}
        }
    }
}
