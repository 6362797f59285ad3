//! The list of `book/absent.md`: keys that do not move the time.

use std::fs;
use std::path::Path;

const HEADING: &str = "### Keys that do not move the time";

/// A row: keys, or families of keys that end in `.*`, and why.
pub(super) struct Row {
    pub(super) keys: Vec<String>,
    pub(super) reason: String,
}

impl Row {
    /// Whether one of its keys, or a family, is or holds `key`.
    pub(super) fn names(&self, key: &str) -> bool {
        self.keys.iter().any(|named| is_named(named, key))
    }
}

/// Whether a key is what a row calls it, or stands in the family that it names.
pub(super) fn is_named(named: &str, key: &str) -> bool {
    match named.strip_suffix(".*") {
        Some(family) => key.strip_prefix(family).is_some_and(|rest| rest.starts_with('.')),
        None => named == key || key.strip_suffix(".value") == Some(named),
    }
}

/// The rows of the page.
pub(super) fn rows() -> Vec<Row> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../book/absent.md");
    let text = fs::read_to_string(path).expect("a page of the repository");
    let section = text.split(HEADING).nth(1).unwrap_or_else(|| panic!("no `{HEADING}`"));
    let rows = section.lines().skip_while(|line| !line.starts_with("|---")).skip(1);
    rows.take_while(|line| line.starts_with('|')).map(row).collect()
}

fn row(line: &str) -> Row {
    let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
    let [keys, reason] = cells.as_slice() else { panic!("no row of two cells: {line}") };
    let keys = keys.split('`').skip(1).step_by(2).map(str::to_owned).collect();
    Row { keys, reason: (*reason).to_owned() }
}
