//! The published facts of a library.

use std::collections::{BTreeMap, BTreeSet};

use scenario::{Ask, Fact, FactFamily, Kind, Library, Published, Standing};

use super::FactsError;
use crate::error::TunnelError;

/// What a fact asks the model.
fn asked(fact: &Fact) -> Option<&Ask> {
    match &fact.standing {
        Standing::Asked(ask) => Some(ask),
        Standing::Unpredicted(_) => None,
    }
}

/// Facts of one or more files.
#[derive(Debug)]
pub struct FactBook {
    /// File by file, each in the order of its identifiers.
    pub(super) facts: Vec<Fact>,
    /// By name.
    pub(super) families: BTreeMap<String, FactFamily>,
    /// Factor from base units to each unit.
    units: BTreeMap<String, f64>,
}

impl FactBook {
    /// Reads these files, or all of the library's where none is named.
    ///
    /// # Errors
    /// Mistakes in a file, or files that contradict each other.
    pub fn read(references: &[String], library: &Library) -> Result<Self, TunnelError> {
        let all = library.names(Kind::Published);
        let names = if references.is_empty() { &all } else { references };
        let mut merged = Self { facts: Vec::new(), families: BTreeMap::new(), units: BTreeMap::new() };
        for name in names {
            merged.add(name, scenario::published(name, library)?)?;
        }
        if merged.facts.is_empty() {
            return Err(FactsError::NoFact(names.join(", ")).into());
        }
        merged.check()?;
        Ok(merged)
    }

    fn add(&mut self, file: &str, published: Published) -> Result<(), FactsError> {
        let file = || file.to_owned();
        for (unit, factor) in published.units {
            if let Some(other) = self.units.insert(unit.clone(), factor).filter(|other| *other != factor) {
                return Err(FactsError::UnitTwice { file: file(), unit, factor, other });
            }
        }
        for family in published.families {
            if self.families.contains_key(&family.name) {
                return Err(FactsError::FamilyTwice { file: file(), family: family.name });
            }
            self.families.insert(family.name.clone(), family);
        }
        self.facts.extend(published.facts);
        Ok(())
    }

    fn check(&self) -> Result<(), FactsError> {
        let mut seen = BTreeSet::new();
        for fact in &self.facts {
            let id = &fact.id;
            if !seen.insert(id) {
                return Err(FactsError::FactTwice(id.clone()));
            }
            let told = |other: &str| self.facts.iter().any(|fact| fact.id == other && asked(fact).is_some());
            if let Some(other) = asked(fact).and_then(|ask| ask.repeats.as_deref())
                && !told(other)
            {
                return Err(FactsError::RepeatsNone { fact: id.clone(), other: other.to_owned() });
            }
        }
        Ok(())
    }

    /// Those of some families, all where none is named.
    ///
    /// # Errors
    /// A family of which there is no fact.
    pub fn of_families(mut self, families: &[String]) -> Result<Self, FactsError> {
        let known: BTreeSet<&str> =
            self.facts.iter().map(|fact| fact.family.as_str()).filter(|name| !name.is_empty()).collect();
        if let Some(unknown) = families.iter().find(|family| !known.contains(family.as_str())) {
            let known = known.into_iter().collect::<Vec<_>>().join(", ");
            return Err(FactsError::NoFamily { family: unknown.clone(), known });
        }
        if !families.is_empty() {
            self.facts.retain(|fact| families.contains(&fact.family));
        }
        Ok(self)
    }

    /// Facts whose family is of a group.
    pub(crate) fn of_group(&self, group: &str) -> impl Iterator<Item = &Fact> {
        let is_of = move |fact: &&Fact| self.families.get(&fact.family).is_some_and(|family| family.group == group);
        self.facts.iter().filter(is_of)
    }

    /// Factor from base units to `unit`.
    pub(super) fn scale(&self, unit: &str) -> Result<f64, FactsError> {
        self.units.get(unit).copied().ok_or_else(|| FactsError::Unit(unit.to_owned()))
    }
}
