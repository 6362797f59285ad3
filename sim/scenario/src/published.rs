//! Published facts, to compare with.

use crate::diagnostic::Mistakes;
use crate::library::{Kind, Library};
use crate::origin::Origin;
use crate::parse;
use crate::reader::Reader;
use crate::tree::{Table, Value, join};

/// One published number.
#[derive(Clone, Debug, PartialEq)]
pub struct Fact {
    /// Its identifier, as sources of presets and profiles name it, for example `step.mpft_step`.
    pub id: String,
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
}

/// The facts of a file of `published/`, sorted by identifier.
///
/// # Errors
/// Every mistake in the file, at once.
pub fn published(reference: &str, library: &Library) -> Result<Vec<Fact>, Mistakes> {
    let source = library.open(Kind::Published, reference, None).map_err(|absent| Mistakes::new(vec![absent]))?;
    let mut mistakes = Vec::new();
    let Some(mut root) = parse::file(&source, &mut mistakes) else { return Err(Mistakes::new(mistakes)) };
    root.remove("about");
    let namespaces: Vec<String> = root.keys().cloned().collect();
    let mut ids = Vec::new();
    collect_ids(&root, "", &mut ids);
    let mut reader = Reader::new(&root, Origin::whole(&source), mistakes);
    let facts = ids.iter().map(|id| fact(&mut reader, id)).collect();
    let namespaces: Vec<&str> = namespaces.iter().map(String::as_str).collect();
    reader.finish(&namespaces).map_err(Mistakes::new)?;
    Ok(facts)
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

fn fact(reader: &mut Reader<'_>, id: &str) -> Fact {
    let key = |name: &str| format!("{id}.{name}");
    let note = key("note");
    let seen = key("seen");
    if reader.has(&seen) {
        reader.flag(&seen);
    }
    Fact {
        id: id.to_owned(),
        quantity: reader.text(&key("quantity")),
        value: reader.number(&key("value"), f64::MIN..=f64::MAX),
        unit: reader.text(&key("unit")),
        conditions: reader.text(&key("conditions")),
        source: reader.text(&key("source")),
        kind: reader.text(&key("kind")),
        note: if reader.has(&note) { reader.text(&note) } else { String::new() },
    }
}
