//! The published facts of a library.

use std::collections::{BTreeMap, BTreeSet};

use scenario::{Ask, Fact, Family, Kind, Library, Published, Standing};

use crate::exit::Failure;

/// What a fact asks the model.
fn asked(fact: &Fact) -> Option<&Ask> {
    match &fact.standing {
        Standing::Asked(ask) => Some(ask),
        Standing::Unpredicted(_) => None,
    }
}

/// Facts of one or more files.
#[derive(Debug)]
pub(super) struct Facts {
    /// File by file, each in the order of its identifiers.
    pub(super) facts: Vec<Fact>,
    /// By name.
    pub(super) families: BTreeMap<String, Family>,
    /// Factor from base units to each unit.
    units: BTreeMap<String, f64>,
}

impl Facts {
    /// Reads these files, or all of the library's where none is named.
    pub(super) fn read(references: &[String], library: &Library) -> Result<Self, Failure> {
        let all = library.names(Kind::Published);
        let names = if references.is_empty() { &all } else { references };
        let mut merged = Self { facts: Vec::new(), families: BTreeMap::new(), units: BTreeMap::new() };
        for name in names {
            merged.add(name, scenario::published(name, library)?)?;
        }
        merged.check()?;
        Ok(merged)
    }

    fn add(&mut self, file: &str, published: Published) -> Result<(), Failure> {
        for (unit, factor) in published.units {
            if let Some(other) = self.units.insert(unit.clone(), factor).filter(|other| *other != factor) {
                let message = format!("`{file}` says that the unit `{unit}` is {factor}, and another file {other}");
                return Err(Failure::usage(format!("{message}\nhint: a unit means one thing: give it two names")));
            }
        }
        for family in published.families {
            if self.families.contains_key(&family.name) {
                let name = family.name;
                let hint = "hint: keep one `[families]` entry";
                return Err(Failure::usage(format!("`{file}` speaks again of the family `{name}`\n{hint}")));
            }
            self.families.insert(family.name.clone(), family);
        }
        self.facts.extend(published.facts);
        Ok(())
    }

    fn check(&self) -> Result<(), Failure> {
        let mut seen = BTreeSet::new();
        for fact in &self.facts {
            let id = &fact.id;
            if !seen.insert(id) {
                return Err(Failure::usage(format!("the fact `{id}` stands in two files\nhint: keep one")));
            }
            let told = |other: &str| self.facts.iter().any(|fact| fact.id == other && asked(fact).is_some());
            if let Some(other) = asked(fact).and_then(|ask| ask.repeats.as_deref())
                && !told(other)
            {
                return Err(Failure::usage(format!(
                    "the fact `{id}` repeats `{other}`, which is none that is asked\nhint: name a fact with an `ask`"
                )));
            }
        }
        Ok(())
    }

    /// Those of some families, all where none is named.
    pub(super) fn of_families(mut self, families: &[String]) -> Result<Self, Failure> {
        let known: BTreeSet<&str> =
            self.facts.iter().map(|fact| fact.family.as_str()).filter(|name| !name.is_empty()).collect();
        if let Some(unknown) = families.iter().find(|family| !known.contains(family.as_str())) {
            let known: Vec<&str> = known.into_iter().collect();
            return Err(Failure::usage(format!(
                "no published fact is of the family `{unknown}`\nhint: there are {}",
                known.join(", ")
            )));
        }
        if !families.is_empty() {
            self.facts.retain(|fact| families.contains(&fact.family));
        }
        Ok(self)
    }

    /// Factor from base units to `unit`.
    pub(super) fn scale(&self, unit: &str) -> Result<f64, Failure> {
        self.units.get(unit).copied().ok_or_else(|| {
            Failure::usage(format!(
                "no file of published facts knows the unit `{unit}`\nhint: add it to `[units]`, its factor from base units"
            ))
        })
    }
}
