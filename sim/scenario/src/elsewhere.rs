//! Which machine an estimate was measured on, and in what the machine here departs from it.
//!
//! `hardware` of a profile file names the presets it was measured on; they are looked up where the file is from, so that a preset of the same name
//! elsewhere cannot pass for one of them. Without the list, and for a name that is no preset but that of the hardware in use, it is the machine
//! as the files have it, before any patch. Values are compared, never names: a copy with equal values is the same machine, by whatever
//! name, and a patch that writes what is there changes nothing. Of several machines the nearest to that of the files counts.
//!
//! In a plan that was written down, `measured-with` of an estimate holds those values of its machine that are not the plan's own.

use std::collections::{BTreeMap, BTreeSet};

use calibrate::{Basis, Departure, EstimateKey, MachineKey};
use topology::Machine;

use crate::diagnostic::Diagnostic;
use crate::kind::Kind;
use crate::library::{Library, stem};
use crate::machine;
use crate::origin::Origin;
use crate::parse;
use crate::reader::Reader;
use crate::tree::{Node, Table, Value, get, get_mut, join};

/// The key of an estimate for values of the machine it was measured on.
pub(crate) const MEASURED_WITH: &str = "measured-with";
/// The key of a profile for the presets it was measured on.
const HARDWARE: &str = "hardware";
/// What [`Machines::named`] calls the machine of the files.
const OWN: &str = "";

/// What names the machines of each estimate that a profile with `hardware` gave.
pub(crate) type NamedBy = BTreeMap<String, Node>;
/// Departures of every estimate that has one.
pub(crate) type Departures = BTreeMap<EstimateKey, Vec<Departure>>;

/// Machines that estimates were measured on.
#[derive(Default)]
pub(crate) struct Machines {
    /// `gpu` and `node` by the name of their file; those of the files in use under [`OWN`].
    named: BTreeMap<String, Table>,
}

impl Machines {
    /// Keeps the machine of the files, before it is patched.
    pub(crate) fn keep_own(&mut self, root: &Table) {
        self.named.insert(OWN.to_owned(), parts(root));
    }

    /// Takes `hardware` off a profile file and gives it to each of its estimates. `own` is the name of the hardware in use.
    pub(crate) fn take(
        &mut self,
        file: &mut Table,
        own: Option<&str>,
        library: &Library,
        mistakes: &mut Vec<Diagnostic>,
    ) {
        let Some(list) = file.remove(HARDWARE) else { return };
        let Value::Array(items) = &list.value else {
            let message = format!("`hardware` is {}, not a list of hardware presets", list.value.kind());
            mistakes.push(Diagnostic::error(message).at(&list.origin));
            return;
        };
        let found = items.iter().filter_map(|item| self.find(item, own, library, mistakes));
        let found: Vec<Node> = found.map(|name| Node { value: Value::String(name), ..list.clone() }).collect();
        // Without a device in use, as of a profile that is only looked at, there is nothing to compare.
        if found.is_empty() && own.is_some() {
            lower(file);
        } else if !found.is_empty() {
            give(file, &Node { value: Value::Array(found), ..list.clone() });
        }
    }

    /// What a name of the list leads to.
    fn find(
        &mut self,
        item: &Node,
        own: Option<&str>,
        library: &Library,
        mistakes: &mut Vec<Diagnostic>,
    ) -> Option<String> {
        let Value::String(name) = &item.value else { return None };
        let Ok(source) = library.open_beside(Kind::Hardware, name, &item.origin) else {
            return own.is_some_and(|own| own == stem(name)).then(|| OWN.to_owned());
        };
        if !self.named.contains_key(&source.name) {
            let table = parts(&parse::file(&source, mistakes)?);
            self.named.insert(source.name.clone(), table);
        }
        Some(source.name.clone())
    }

    /// Takes what names the machines off the estimates of the merged files.
    pub(crate) fn named_by(root: &mut Table) -> NamedBy {
        let mut named_by = NamedBy::new();
        if let Some(Value::Table(profile)) = root.get_mut("profile").map(|node| &mut node.value) {
            each_estimate(profile, "", &mut |name, estimate| {
                named_by.extend(estimate.remove(HARDWARE).map(|node| (name.to_owned(), node)));
            });
        }
        named_by
    }

    /// In what the machine of `root`, patched, departs from those of its estimates; each estimate that departs has the values
    /// it was measured with written to it. An estimate whose basis was patched is one of the machine as it is.
    pub(crate) fn departures(
        &self,
        root: &mut Table,
        named_by: &NamedBy,
        patched: &BTreeSet<&str>,
        mistakes: &mut Vec<Diagnostic>,
    ) -> Departures {
        let mut departures = Departures::new();
        let here = typed(root, &mut Vec::new());
        let Some(Value::Table(profile)) = root.get_mut("profile").map(|node| &mut node.value) else {
            return departures;
        };
        let mut asked = Asked { machines: self, here: here.as_ref(), seen: BTreeMap::new(), mistakes };
        each_estimate(profile, "", &mut |name, estimate| {
            let overrides = estimate.remove(MEASURED_WITH);
            let hardware = named_by.get(name);
            let Some(nearest) = asked.nearest(hardware, overrides.as_ref()) else { return };
            let origin = hardware.or(overrides.as_ref()).or(estimate.get("basis")).map(|node| node.origin.clone());
            let (Some(key), Some(origin)) = (EstimateKey::from_name(name), origin) else { return };
            let concerns = |departure: &Departure| key.subject().is_lowered_by(departure.key);
            let departing: Vec<Departure> = nearest.departures.into_iter().filter(concerns).collect();
            if !departing.is_empty() && !patched.contains(format!("profile.{name}.basis").as_str()) {
                estimate.insert(MEASURED_WITH.to_owned(), written(&nearest.table, &departing, &origin));
                departures.insert(key, departing);
            }
        });
        departures
    }
}

/// A machine as files have it, and in what the one here departs from it.
#[derive(Clone)]
struct Nearest {
    table: Table,
    departures: Vec<Departure>,
}

/// Estimates are many, their machines few: each is compared once.
struct Asked<'a> {
    machines: &'a Machines,
    here: Option<&'a Machine>,
    seen: BTreeMap<String, Option<Nearest>>,
    mistakes: &'a mut Vec<Diagnostic>,
}

impl Asked<'_> {
    /// Of the machines that an estimate was measured on the one that is here, else the one nearest to that of the files: a patch does
    /// not choose another.
    fn nearest(&mut self, hardware: Option<&Node>, overrides: Option<&Node>) -> Option<Nearest> {
        let here = self.here?;
        let shown = |node: Option<&Node>| node.map_or_else(String::new, |node| node.value.to_string());
        let who = format!("{} {}", shown(hardware), shown(overrides));
        if let Some(seen) = self.seen.get(&who) {
            return seen.clone();
        }
        // Mistakes of the files in use are told where they are read.
        let own = self.machines.named.get(OWN).and_then(|table| typed(table, &mut Vec::new()));
        let mut nearest: Option<(f64, Nearest)> = None;
        for name in texts(hardware).unwrap_or_else(|| vec![OWN.to_owned()]) {
            let Some(mut table) = self.machines.named.get(&name).cloned() else { continue };
            lay(&mut table, overrides, self.mistakes);
            let mut told = Vec::new();
            let there = typed(&table, if name == OWN { &mut told } else { self.mistakes });
            let Some(there) = there else { continue };
            let departures = between(&there, here);
            let distance = if departures.is_empty() { -1.0 } else { distance(&there, own.as_ref().unwrap_or(here)) };
            if nearest.as_ref().is_none_or(|(least, _)| distance < *least) {
                nearest = Some((distance, Nearest { table, departures }));
            }
        }
        let nearest = nearest.map(|(_, nearest)| nearest);
        self.seen.insert(who, nearest.clone());
        nearest
    }
}

fn between(measured: &Machine, here: &Machine) -> Vec<Departure> {
    Departure::all((&measured.device, &measured.node), (&here.device, &here.node))
}

/// How far a machine is from the one of the files, as the square of its distance in logarithms.
fn distance(measured: &Machine, own: &Machine) -> f64 {
    between(measured, own).iter().filter_map(Departure::log_ratio).map(|logarithm| logarithm * logarithm).sum()
}

/// The device and the node of some tables; `None` where they cannot be read.
fn typed(table: &Table, mistakes: &mut Vec<Diagnostic>) -> Option<Machine> {
    let origin = table.get("gpu")?.origin.clone();
    let mut reader = Reader::new(table, Origin::whole(origin.source()), Vec::new());
    let machine = machine::one_node(&mut reader);
    match reader.finish(&[]) {
        Ok(_) => Some(machine),
        Err(more) => {
            mistakes.extend(more);
            None
        }
    }
}

fn parts(root: &Table) -> Table {
    let parts = ["gpu", "node"].into_iter();
    parts.filter_map(|name| Some((name.to_owned(), root.get(name)?.clone()))).collect()
}

/// Lays the values of `measured-with` over a machine.
fn lay(machine: &mut Table, overrides: Option<&Node>, mistakes: &mut Vec<Diagnostic>) {
    let Some(node) = overrides else { return };
    let laid = texts(Some(node)).and_then(|texts| {
        texts.iter().try_for_each(|text| {
            let (key, value) = parse::argument(text).ok()?;
            MachineKey::from_name(&key)?;
            get_mut(machine, &key)?.value = value.value;
            Some(())
        })
    });
    if laid.is_none() {
        let message = format!("`{MEASURED_WITH}` is {}, not a list of values of a machine", node.value);
        let hint = "write them as `--set` does, for example [\"gpu.sms=132\"]";
        mistakes.push(Diagnostic::error(message).at(&node.origin).hint(hint));
    }
}

/// The texts of a list; `None` where it is none.
fn texts(node: Option<&Node>) -> Option<Vec<String>> {
    let Value::Array(items) = &node?.value else { return None };
    let text = |item: &Node| if let Value::String(text) = &item.value { Some(text.clone()) } else { None };
    items.iter().map(text).collect()
}

/// The node of `measured-with`.
fn written(measured: &Table, departures: &[Departure], origin: &Origin) -> Node {
    let node = |value| Node { value, origin: origin.clone(), key: 0..0 };
    let text = |key: &str| match get(measured, key).map(|node| &node.value) {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => String::new(),
    };
    let items = departures.iter().map(|departure| departure.key.name());
    let items = items.map(|key| node(Value::String(format!("{key}={}", text(key)))));
    node(Value::Array(items.collect()))
}

/// Gives a node to every estimate of a table.
fn give(table: &mut Table, hardware: &Node) {
    each_estimate(table, "", &mut |_, estimate| {
        estimate.insert(HARDWARE.to_owned(), hardware.clone());
    });
}

/// Visits the tables that are estimates, with their dotted names.
fn each_estimate(table: &mut Table, prefix: &str, visit: &mut impl FnMut(&str, &mut Table)) {
    for (name, node) in table {
        let path = join(prefix, name);
        if let Value::Table(inner) = &mut node.value {
            if inner.contains_key("value") { visit(&path, inner) } else { each_estimate(inner, &path, visit) }
        }
    }
}

/// Nobody knows the machine: all that was measured there is extrapolated.
fn lower(file: &mut Table) {
    each_estimate(file, "", &mut |_, estimate| {
        let Some(Value::String(basis)) = estimate.get_mut("basis").map(|node| &mut node.value) else { return };
        if Basis::ALL.iter().any(|known| known.name() == basis && *known < Basis::Extrapolated) {
            *basis = Basis::Extrapolated.name().to_owned();
        }
    });
}
