//! Lines over the files: `[patch]` tables and `--set`. A patch changes what is there; it never adds.

use crate::diagnostic::{Diagnostic, N_HINTED_MAX};
use crate::origin::Origin;
use crate::parse;
use crate::tree::{Lookup, Node, Table, Value, get_mut, leaves, list, look_up, nearest};

/// One changed value.
pub(crate) struct Patch {
    key: String,
    node: Node,
}

impl Patch {
    pub(crate) fn key(&self) -> &str {
        &self.key
    }
}

/// The patches of a scenario's `[patch]` table, then those of `--set`, in order.
pub(crate) fn collect(file: &mut Table, sets: &[String], mistakes: &mut Vec<Diagnostic>) -> Vec<Patch> {
    let mut patches = Vec::new();
    match file.remove("patch") {
        None => {}
        Some(Node { value: Value::Table(table), .. }) => flatten("", &table, &mut patches),
        Some(node) => mistakes.push(Diagnostic::error("`patch` is a table of keys and values").at(&node.origin)),
    }
    for set in sets {
        match parse::argument(set) {
            Ok((key, Node { value: Value::Table(table), .. })) => flatten(&key, &table, &mut patches),
            Ok((key, node)) => patches.push(Patch { key, node }),
            Err(mistake) => mistakes.push(mistake),
        }
    }
    patches
}

fn flatten(prefix: &str, table: &Table, patches: &mut Vec<Patch>) {
    leaves(table, prefix, &mut |key, node| patches.push(Patch { key, node: node.clone() }));
}

/// Applies the patches of `use.*` to one file's references. `use` of another file is left for that file.
pub(crate) fn apply_to_use(used: &mut Table, patches: &[Patch]) {
    for patch in patches {
        if let Some(name) = patch.key.strip_prefix("use.")
            && let Some(node) = used.get_mut(name)
        {
            node.value = patch.node.value.clone();
            node.origin = patch.node.origin.clone();
        }
    }
}

/// Applies all patches to the merged files.
pub(crate) fn apply(root: &mut Table, patches: &[Patch], mistakes: &mut Vec<Diagnostic>) {
    for patch in patches {
        match refusal(root, patch, mistakes.len() < N_HINTED_MAX) {
            Some(mistake) => mistakes.push(mistake),
            None => {
                if let Some(node) = get_mut(root, &patch.key) {
                    node.value = patch.node.value.clone();
                    node.origin = patch.node.origin.clone();
                    node.key = patch.node.key.clone();
                }
            }
        }
    }
}

/// `is_hinted`: whether it says what would be right.
fn refusal(root: &Table, patch: &Patch, is_hinted: bool) -> Option<Diagnostic> {
    let key = &patch.key;
    let place = key_place(&patch.node);
    let (message, hint) = match look_up(root, key) {
        Lookup::Found(Node { value: Value::Table(table), .. }) => {
            let keys = || format!("its keys are {}", list(table.keys().map(|name| format!("{key}.{name}"))));
            (format!("`{key}` is a table; a patch changes one value"), is_hinted.then(keys))
        }
        Lookup::Found(_) => return None,
        Lookup::Blocked(outer, _) => (format!("there is no key `{key}`: `{outer}` is one value"), None),
        Lookup::Missing(part) => (format!("there is no key `{key}`"), is_hinted.then(|| way_out(root, key, &part))),
    };
    Some(Diagnostic { hint, ..Diagnostic::error(message).at(&place) })
}

fn key_place(node: &Node) -> Origin {
    if node.key.is_empty() { node.origin.clone() } else { node.key_origin() }
}

/// The key that was meant, and the keys that exist beside it.
fn way_out(root: &Table, key: &str, part: &str) -> String {
    let mut keys = Vec::new();
    leaves(root, "", &mut |leaf, _| keys.push(leaf));
    let parent = part.rsplit_once('.').map_or("", |(parent, _)| parent);
    let siblings = match look_up(root, parent) {
        Lookup::Found(Node { value: Value::Table(table), .. }) => {
            table.keys().map(|name| format!("{parent}.{name}")).collect()
        }
        _ => root.keys().map(|name| format!("{name}.*")).collect::<Vec<String>>(),
    };
    let there = format!("a patch changes what is there: {}", list(siblings));
    match nearest(key, keys.iter().map(String::as_str)) {
        Some(near) => format!("did you mean `{near}`? {there}"),
        None => there,
    }
}
