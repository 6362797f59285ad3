//! Published facts, to compare with: each a number with its source, and what of ours answers it.

use std::collections::BTreeMap;

use crate::diagnostic::{Diagnostic, Mistakes};
use crate::kind::Kind;
use crate::library::Library;
use crate::origin::Origin;
use crate::parse;
use crate::reader::Reader;
use crate::tree::{Table, Value, join};

/// A file of `published/`.
#[derive(Clone, Debug, PartialEq)]
pub struct Published {
    /// Sorted by identifier.
    pub facts: Vec<Fact>,
    /// What is said of families; a fact may be of a family that another file speaks of.
    pub families: Vec<FactFamily>,
    /// Factor from base units (seconds, bytes, fractions, counts) to each unit that compared facts have.
    pub units: BTreeMap<String, f64>,
}

/// Facts that stand together: one table of one publication.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FactFamily {
    /// Its name, for example `deepgemm_dense`.
    pub name: String,
    /// What it is of, in a few words.
    pub about: String,
    /// What larger kind of thing it is of, for example `kernels`; empty where nothing of it is compared.
    pub group: String,
    /// Why the model has no answer to any of it; empty where it has.
    pub unpredicted: String,
}

/// One published number.
#[derive(Clone, Debug, PartialEq)]
pub struct Fact {
    /// Its identifier, as sources of presets and profiles name it, for example `step.mpft_step`.
    pub id: String,
    /// Whose family it is of.
    pub family: String,
    /// What it is.
    pub quantity: String,
    /// The number, in `unit`.
    pub value: f64,
    /// The unit, in words.
    pub unit: String,
    /// Where and how it holds.
    pub conditions: String,
    /// Who published it.
    pub source: String,
    /// `measured`, `theoretical`, `spec` or `vendor-claim`.
    pub kind: String,
    /// What to know before relying on it; empty where there is nothing.
    pub note: String,
    /// What answers it.
    pub standing: Standing,
}

/// What a fact is to a comparison.
#[derive(Clone, Debug, PartialEq)]
pub enum Standing {
    /// The model answers it.
    Asked(Ask),
    /// The model does not: it is an input or beyond it. Why, or empty where its family says so.
    Unpredicted(String),
}

/// A question to the model and where its answer stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Ask {
    /// Command lines of the program, without its name; the answers of several add up.
    pub commands: Vec<String>,
    /// What of the answer.
    pub figure: FactFigure,
    /// The answer times this,
    pub times: f64,
    /// or this over the answer: work, where a rate was published.
    pub over: Option<f64>,
    /// Another fact of the same measurement, by its identifier: comparing both would count one error twice.
    pub repeats: Option<String>,
}

/// A figure of what a command came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FactFigure {
    /// A key of its JSON, dots between levels.
    Key(String),
    /// Sums of ops in overlapped pairs, each `NAME PASS + NAME PASS`, over the runs of its first or of one after ` / `.
    Ops(Vec<String>),
    /// A mean over overlapped pairs: `duration`, `compute`, `dispatch` or `combine`.
    Pair(String),
}

/// Words of a file that are no facts.
const ABOUT: &str = "about";
const FAMILIES: &str = "families";
const UNITS: &str = "units";

/// A file of `published/`.
///
/// # Errors
/// Every mistake in the file, at once.
pub fn published(reference: &str, library: &Library) -> Result<Published, Mistakes> {
    let source = library.open(Kind::Published, reference, None).map_err(|absent| Mistakes::new(vec![absent]))?;
    let mut mistakes = Vec::new();
    let Some(mut root) = parse::file(&source, &mut mistakes) else { return Err(Mistakes::new(mistakes)) };
    root.remove(ABOUT);
    for (name, node) in root.iter().filter(|(_, node)| node.as_table().is_none()) {
        let mistake = Diagnostic::error(format!("`{name}` does not belong in a file of published facts"));
        let mistake = mistake.at(&node.key_origin());
        mistakes.push(mistake.hint(format!(
            "a fact is a table with a `value`; beside facts there are `{ABOUT}`, `{FAMILIES}` and `{UNITS}`"
        )));
    }
    let namespaces: Vec<String> = root.keys().cloned().collect();
    let mut ids = Vec::new();
    let facts = root.iter().filter(|(name, _)| ![FAMILIES, UNITS].contains(&name.as_str()));
    collect_ids(&facts.map(|(name, node)| (name.clone(), node.clone())).collect(), "", &mut ids);
    let (families, units) = (names_in(&root, FAMILIES), names_in(&root, UNITS));
    let mut reader = Reader::new(&root, Origin::whole(&source), mistakes);
    let units = units.into_iter().map(|unit| {
        let factor = reader.number(&join(UNITS, &unit), f64::MIN_POSITIVE..=f64::MAX);
        (unit, factor)
    });
    let units = units.collect();
    let families = families.iter().map(|name| family(&mut reader, name)).collect();
    let facts = ids.iter().map(|id| fact(&mut reader, id)).collect();
    let namespaces: Vec<&str> = namespaces.iter().map(String::as_str).collect();
    reader.finish(&namespaces).map_err(Mistakes::new)?;
    Ok(Published { facts, families, units })
}

/// A table with a value is a fact; identifiers have dots, so facts stand at any depth.
fn collect_ids(table: &Table, prefix: &str, ids: &mut Vec<String>) {
    for (name, node) in table {
        if let Value::Table(inner) = &node.value {
            let id = join(prefix, name);
            if inner.contains_key("value") {
                ids.push(id);
            } else {
                collect_ids(inner, &id, ids);
            }
        }
    }
}

fn names_in(root: &Table, table: &str) -> Vec<String> {
    let inner = root.get(table).and_then(|node| node.as_table());
    inner.map(|inner| inner.keys().cloned().collect()).unwrap_or_default()
}

fn family(reader: &mut Reader<'_>, name: &str) -> FactFamily {
    let key = |part: &str| format!("{FAMILIES}.{name}.{part}");
    FactFamily {
        name: name.to_owned(),
        about: reader.text(&key("about")),
        group: optional(reader, &key("group")),
        unpredicted: optional(reader, &key("unpredicted")),
    }
}

fn fact(reader: &mut Reader<'_>, id: &str) -> Fact {
    let key = |name: &str| join(id, name);
    let seen = key("seen");
    if reader.has(&seen) {
        reader.flag(&seen);
    }
    Fact {
        id: id.to_owned(),
        family: optional(reader, &key("family")),
        quantity: reader.text(&key("quantity")),
        value: reader.number(&key("value"), f64::MIN..=f64::MAX),
        unit: reader.text(&key("unit")),
        conditions: reader.text(&key("conditions")),
        source: reader.text(&key("source")),
        kind: reader.text(&key("kind")),
        note: optional(reader, &key("note")),
        standing: standing(reader, id),
    }
}

fn standing(reader: &mut Reader<'_>, id: &str) -> Standing {
    let key = |name: &str| join(id, name);
    let [ask, unpredicted] = ["ask", "unpredicted"].map(key);
    if reader.has(&ask) && reader.has(&unpredicted) {
        let message = format!("`{id}` is asked and yet unpredicted");
        reader.refuse(&unpredicted, message, Some("keep one of `ask` and `unpredicted`".to_owned()));
    }
    if reader.has(&ask) {
        Standing::Asked(asked(reader, id))
    } else {
        Standing::Unpredicted(optional(reader, &unpredicted))
    }
}

fn asked(reader: &mut Reader<'_>, id: &str) -> Ask {
    let key = |name: &str| join(id, name);
    let figures: Vec<&str> = ["answer", "ops", "pair"].into_iter().filter(|name| reader.has(&key(name))).collect();
    let figure = match figures[..] {
        ["answer"] => FactFigure::Key(reader.text(&key("answer"))),
        ["ops"] => FactFigure::Ops(reader.texts(&key("ops"))),
        ["pair"] => FactFigure::Pair(reader.text(&key("pair"))),
        _ => {
            let message = format!("`{id}` takes exactly one of `answer`, `ops` and `pair`");
            reader.refuse(id, message, Some("say which figure of what is asked answers it".to_owned()));
            FactFigure::Key(String::new())
        }
    };
    let mut factor = |name: &str| {
        let name = key(name);
        reader.has(&name).then(|| reader.number(&name, f64::MIN_POSITIVE..=f64::MAX))
    };
    let (times, over) = (factor("times"), factor("over"));
    let repeats = key("repeats");
    let repeats = reader.has(&repeats).then(|| reader.text(&repeats));
    Ask { commands: reader.texts(&key("ask")), figure, times: times.unwrap_or(1.0), over, repeats }
}

/// A text, or nothing.
fn optional(reader: &mut Reader<'_>, key: &str) -> String {
    if reader.has(key) { reader.text(key) } else { String::new() }
}
