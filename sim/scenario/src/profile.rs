//! The estimates: `profile.*`.

use std::collections::BTreeMap;

use calibrate::{Basis, Dimension, Estimate, EstimateKey, Profile};
use units::{BytesPerSec, Seconds};

use crate::diagnostic::Diagnostic;
use crate::elsewhere::{Departures, MEASURED_WITH};
use crate::families::IMPLEMENTATION;
use crate::framework::KernelsOf;
use crate::origin::Origin;
use crate::reader::Reader;
use crate::tree::list;

/// Beyond three standard deviations of a log-normal nothing is known.
const SPREAD_MAX: f64 = 3.0;
/// Missing estimates that a message names.
const N_SHOWN: usize = 4;

/// Every estimate, as the machine's `departures` leave it; `None` while a mistake stands.
///
/// A kernel that nobody measured has the estimates of the one that is like it, and a family that is not of the kernels that the framework runs
/// stands in for them: both are assumed, and spread wider.
pub(crate) fn profile(
    reader: &mut Reader<'_>,
    named: &Origin,
    departures: &Departures,
    kernels_of: &KernelsOf,
) -> Option<Profile> {
    let mut estimates = BTreeMap::new();
    let mut missing = Vec::new();
    for key in EstimateKey::ALL.iter().copied() {
        let name = format!("profile.{}", key.name());
        if reader.has(&name) {
            let departures = departures.get(&key).map_or(&[][..], Vec::as_slice);
            let estimate = estimate(reader, key, &name).elsewhere(key, departures);
            let basis = format!("{name}.basis");
            if reader.sound(&[&basis]) && !departures.is_empty() {
                reader.decide(&basis, format!("\"{}\"", estimate.basis));
            }
            estimates.insert(key, estimate);
        } else if let Some(value) = key.neutral() {
            reader.expect(&name);
            estimates.insert(key, neutral(value));
        } else if is_nowhere(reader, key) {
            reader.expect(&name);
        } else {
            reader.expect(&name);
            missing.push(name);
        }
    }
    refuse_missing(reader, &missing, named);
    stand_in(reader, &mut estimates, kernels_of);
    Profile::new(estimates).ok()
}

/// A value that changes nothing, where a profile says nothing.
fn neutral(value: f64) -> Estimate {
    let source = "none of its own: the profile leaves it out".to_owned();
    let basis = Basis::Assumed;
    Estimate { value, spread: 0.0, basis, implementation: None, source, stands_for: None, departures: Vec::new() }
}

/// Whether no profile has anything of a kernel that another one may stand in for.
fn is_nowhere(reader: &Reader<'_>, key: EstimateKey) -> bool {
    let EstimateKey::Stream(kernel, _) = key else { return false };
    kernel.like().is_some() && !reader.has(&format!("profile.stream.{}", kernel.name()))
}

/// Estimates of kernels that the framework runs and nobody measured.
fn stand_in(reader: &mut Reader<'_>, estimates: &mut BTreeMap<EstimateKey, Estimate>, kernels_of: &KernelsOf) {
    let Some(spread) = estimates.get(&EstimateKey::StandInSpread).map(|estimate| estimate.value) else { return };
    for (key, estimate) in estimates.iter_mut() {
        let Some(own) = estimate.implementation.clone() else { continue };
        if let Some(asked) = kernels_of.asked(key.name()).filter(|_| !kernels_of.holds(key.name(), &own)) {
            *estimate = estimate.clone().standing_in(asked.join(" or "), spread);
            reader.decide(&format!("profile.{}.basis", key.name()), format!("\"{}\"", estimate.basis));
        }
    }
    for key in EstimateKey::ALL.iter().copied() {
        let EstimateKey::Stream(kernel, term) = key else { continue };
        if key.neutral().is_some() {
            continue;
        }
        let mut like = kernel.like();
        while let Some(near) = like.filter(|_| !estimates.contains_key(&key)) {
            if let Some(estimate) = estimates.get(&EstimateKey::Stream(near, term)) {
                let estimate = estimate.clone().standing_in(kernel.name().to_owned(), spread);
                estimates.insert(key, estimate);
            }
            like = near.like();
        }
    }
}

/// One mistake for each family that is taken whole and is not, one for all other estimates that are nowhere.
fn refuse_missing(reader: &mut Reader<'_>, missing: &[String], named: &Origin) {
    let mut nowhere = Vec::new();
    let mut families: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for name in missing {
        match family(reader, name) {
            Some(family) => families.entry(family.clone()).or_default().push(&name[family.len() + 1..]),
            None => nowhere.push(name.as_str()),
        }
    }
    for (family, lacks) in families {
        let message = format!("`{family}` is of one implementation and lacks {}", shown(&lacks));
        let place = reader.place(&format!("{family}.{IMPLEMENTATION}")).unwrap_or_else(|| named.clone());
        let hint =
            "a family that names its `implementation` is taken whole from its file: write all its estimates there";
        reader.push(Diagnostic::error(message).at(&place).hint(hint));
    }
    if let Some(first) = nowhere.first() {
        let parent = first.rsplit_once('.').map_or("", |(parent, _)| parent);
        let hint = match reader.place(parent).filter(|_| reader.has(parent)) {
            Some(place) => format!(
                "`{parent}` at {place} holds others of the family without an `implementation`, and those of a named one do \
                 not mix with them; write the rest there, or patch single estimates"
            ),
            None => "name one more profile that does in `use.profiles`".to_owned(),
        };
        reader.push(Diagnostic::error(format!("no profile holds {}", shown(&nowhere))).at(named).hint(hint));
    }
}

fn shown(names: &[&str]) -> String {
    let more = names.len().saturating_sub(N_SHOWN);
    let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{rest}", list(names.iter().take(N_SHOWN)))
}

/// The innermost table around an estimate that names an implementation.
fn family(reader: &Reader<'_>, name: &str) -> Option<String> {
    let tables = std::iter::successors(name.rsplit_once('.'), |(table, _)| table.rsplit_once('.'));
    let mut tables = tables.map(|(table, _)| table);
    tables.find(|table| reader.has(&format!("{table}.{IMPLEMENTATION}"))).map(str::to_owned)
}

fn estimate(reader: &mut Reader<'_>, key: EstimateKey, name: &str) -> Estimate {
    let bases = Basis::ALL.map(|basis| (basis.name(), basis));
    let implementation = family(reader, name).map(|family| reader.text(&format!("{family}.{IMPLEMENTATION}")));
    let measured_with = format!("{name}.{MEASURED_WITH}");
    if reader.has(&measured_with) {
        reader.texts(&measured_with);
    }
    Estimate {
        implementation,
        value: value(reader, key, &format!("{name}.value")),
        spread: reader.number(&format!("{name}.spread"), 0.0..=SPREAD_MAX),
        basis: reader.choice(&format!("{name}.basis"), &bases),
        source: reader.text(&format!("{name}.source")),
        stands_for: None,
        departures: Vec::new(),
    }
}

fn value(reader: &mut Reader<'_>, key: EstimateKey, name: &str) -> f64 {
    match key.dimension() {
        Dimension::Seconds => reader.quantity_or_zero::<Seconds>(name).get(),
        Dimension::BytesPerSec => reader.quantity::<BytesPerSec>(name).get(),
        Dimension::Fraction | Dimension::CountAboveZero => above_zero(reader, name, key.dimension().most()),
        Dimension::Share | Dimension::Count | Dimension::CountFromOne | Dimension::Tile => {
            reader.number(name, key.dimension().least()..=key.dimension().most())
        }
    }
}

/// A share of nothing would make a kernel last for ever.
fn above_zero(reader: &mut Reader<'_>, name: &str, max: f64) -> f64 {
    let number = reader.number(name, 0.0..=max);
    if reader.sound(&[name]) && number == 0.0 {
        reader.refuse(name, format!("`{name}` is zero: it must be above"), Some(format!("it goes up to {max}")));
    }
    number
}
