//! Ratchets: what the house has too much of, by name or by number. Each may only shrink; what is new obeys the rule.

mod circles;
mod functions;

use std::collections::{BTreeMap, BTreeSet};

use crate::rooms::{HOUSE, Room};
use crate::{model_code, none, read};

/// Names that several public types have. One meaning a word: take a name off once it has one home.
const TWICE: [&str; 0] = [];

/// Functions that are longer than [`N_LINES_MAX`], by file and name.
const LONG: [(&str, &str); 5] = [
    ("calibrate/src/question.rs", "op"),
    ("sim/cli/src/study/text.rs", "study"),
    ("sim/platform/src/exchange.rs", "folded"),
    ("sim/scenario/src/hugging_face.rs", "model"),
    ("workloads/src/import/simai.rs", "layout"),
];
/// The 99th percentile was 38 lines when this was set.
const N_LINES_MAX: usize = 45;

/// Functions with more than [`N_PARAMETERS_MAX`] parameters, `self` not counted.
const N_WIDE: usize = 63;
const N_PARAMETERS_MAX: usize = 4;

#[test]
fn a_public_type_is_named_once() {
    let mut homes: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for file in model_code() {
        for triple in file.tokens.windows(3) {
            let [public, kind, name] = [0, 1, 2].map(|at| triple[at].kind.word());
            let is_type = kind.is_some_and(|kind| ["struct", "enum", "trait", "type"].contains(&kind));
            if let (Some("pub"), true, Some(name)) = (public, is_type, name) {
                homes.entry(name.to_owned()).or_default().push(format!("{}:{}", file.path, triple[2].line));
            }
        }
    }
    homes.retain(|_, homes| homes.len() > 1);
    let excused = |name: &str| TWICE.contains(&name);
    let new = homes.iter().filter(|(name, _)| !excused(name));
    let mut faults: Vec<String> = new.map(|(name, homes)| format!("`{name}`: {}", homes.join(", "))).collect();
    let once = TWICE.into_iter().filter(|name| !homes.contains_key(*name));
    faults.extend(once.map(|name| format!("`{name}` has one home by now: take it off the list")));
    none(&faults, "one meaning a word: a name says which of the two it is");
}

#[test]
fn functions_are_short_and_take_few_things() {
    let all: Vec<_> = model_code().iter().flat_map(functions::of).collect();
    let mut faults = Vec::new();
    for function in all.iter().filter(|function| function.n_lines > N_LINES_MAX) {
        let functions::Function { path, line, name, n_lines, .. } = function;
        if !LONG.contains(&(path, name)) {
            faults.push(format!("{path}:{line}: `{name}` has {n_lines} lines, more than {N_LINES_MAX}"));
        }
    }
    let is_long = |(path, name): &(&str, &str)| {
        all.iter().any(|function| function.path == *path && function.name == *name && function.n_lines > N_LINES_MAX)
    };
    let short = LONG.iter().filter(|excused| !is_long(excused));
    faults.extend(short.map(|(path, name)| format!("{path}: `{name}` is short by now: take it off the list")));
    let wide: Vec<_> = all.iter().filter(|function| function.n_parameters > N_PARAMETERS_MAX).collect();
    if wide.len() > N_WIDE {
        let listed = wide.iter().map(|function| {
            format!("{}:{}: `{}` takes {}", function.path, function.line, function.name, function.n_parameters)
        });
        faults.extend(listed);
        faults.push(format!(
            "{} functions take more than {N_PARAMETERS_MAX} things; there were {N_WIDE}, and there may only be fewer",
            wide.len()
        ));
    }
    none(&faults, "cut by subject; things that travel together are a struct");
}

#[test]
fn files_of_a_crate_use_each_other_one_way() {
    let faults = circles::new(&model_code());
    none(&faults, "what both need is a file of its own, below both");
}

#[test]
fn the_table_of_rooms_is_the_one_in_code() {
    let page = read("ARCHITECTURE.md");
    let rows: Vec<Row> = page.lines().filter_map(Row::read).collect();
    let mut faults = Vec::new();
    for room in &HOUSE {
        let Some(row) = rows.iter().find(|row| row.name == room.name) else {
            faults.push(format!("`{}` has no row", room.name));
            continue;
        };
        let mut packages: Vec<&str> = row.packages.clone();
        packages.sort_unstable();
        let same = [
            ("floor", row.floor == room.floor),
            ("folder", row.link.starts_with(&format!("{}/src/", room.folder))),
            ("imports", row.imports() == room.rooms.iter().copied().collect()),
            ("packages", packages == room.packages),
        ];
        faults.extend(
            same.into_iter().filter(|(_, same)| !same).map(|(what, _)| format!("`{}`: other {what}", room.name)),
        );
    }
    let known = |row: &&Row| HOUSE.iter().any(|room| room.name == row.name);
    faults.extend(rows.iter().filter(|row| !known(row)).map(|row| format!("`{}` is no crate", row.name)));
    none(&faults, "the table of `ARCHITECTURE.md` and `HOUSE` say the same");
}

/// A row of the table of rooms.
struct Row<'a> {
    floor: u8,
    name: &'a str,
    link: &'a str,
    rooms: &'a str,
    packages: Vec<&'a str>,
}

impl<'a> Row<'a> {
    /// `` | 1 | [`engine`](sim/engine/src/lib.rs) | holds | imports | packages | never | ``; `None` for any other line.
    fn read(line: &'a str) -> Option<Self> {
        let cells: Vec<&str> = line.strip_prefix("| ")?.split(" | ").collect();
        let &[floor, crate_name, _, rooms, packages, _] = cells.as_slice() else { return None };
        let (name, link) = crate_name.strip_prefix("[`")?.split_once("`](")?;
        let listed = |cell: &'a str| cell.split([',', ';']).map(str::trim).filter(|item| *item != "-");
        let packages = listed(packages).map(|item| item.rsplit(": ").next().unwrap_or(item)).collect();
        Some(Self { floor: floor.parse().ok()?, name, link, rooms, packages })
    }

    /// A list; or `all` that are below, but some.
    fn imports(&self) -> BTreeSet<&'a str> {
        let named = |list: &'a str| {
            let names = list.split(',').flat_map(|part| part.split(" and "));
            names.map(|name| name.split(" (").next().unwrap_or(name).trim()).filter(|name| *name != "-")
        };
        let Some(rest) = self.rooms.strip_prefix("all") else { return named(self.rooms).collect() };
        let except: Vec<&str> =
            rest.trim_start_matches(" below").strip_prefix(" but ").map_or_else(Vec::new, |list| named(list).collect());
        let below = |room: &&Room| room.floor < self.floor && !except.contains(&room.name);
        HOUSE.iter().filter(below).map(|room| room.name).collect()
    }
}
