//! The rules of the house that no compiler knows: who may import whom, where numbers live, what files look like.
//!
//! Each test collects every violation before it fails, and names file, line and the way out.

mod ratchets;
mod rooms;
mod rust;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use rooms::{HOUSE, Room};
use rust::{Token, TokenKind, number, test_module_names, tokens, without_tests};

/// Literals above a million that are no number about the world: file, literal, reason.
const LITERALS: &[(&str, &str, &str)] = &[
    ("calibrate/import/stand_ins.cu", "0xffffffff", "every lane of a warp"),
    ("calibrate/import/stand_ins.cu", "0xffff0000", "the upper half of a word, where a BF16 is"),
    ("calibrate/kernels/device.cu", "0x7feb352d", "multiplier of a hash: operands are random, and the same again"),
    ("calibrate/kernels/device.cu", "0x846ca68b", "multiplier of a hash"),
    ("calibrate/kernels/device.cu", "0x9e3779b9", "multiplier of a hash"),
    ("calibrate/kernels/device.cu", "0x85ebca6b", "multiplier of a hash"),
    ("calibrate/kernels/exchange.cu", "0xffff0000", "the upper half of a word, where a BF16 is"),
    ("calibrate/kernels/memory.cu", "0xffffffff", "every lane of a warp"),
    ("calibrate/kernels/norm.cu", "0xffffffff", "every lane of a warp"),
    ("calibrate/kernels/numbers.cuh", "0xffff0000", "the upper half of a word, where a BF16 is"),
    ("calibrate/kernels/stream.cu", "0xffffffff", "every lane of a warp"),
    ("calibrate/kernels/wgmma.cu", "4000000000", "nanoseconds until a kernel that waits for nothing gives up"),
    ("calibrate/kernels/wgmma_gemm.cu", "0xFFFFFFFF", "every lane of a warp"),
    ("calibrate/src/fit/family.rs", "4e9", "bytes per second, from where a search for a row rate sets out"),
    ("calibrate/src/fit/family.rs", "60e9", "bytes per second, from where a search for a block rate sets out"),
    ("calibrate/src/fit/mod.rs", "0x0100_0193", "multiplier of a hash"),
    ("calibrate/src/sample.rs", "0xcbf2_9ce4_8422_2325_u64", "start of a hash"),
    ("calibrate/src/sample.rs", "0x0000_0100_0000_01b3", "multiplier of a hash"),
    ("sim/engine/src/replay.rs", "0x9E37_79B9_7F4A_7C15", "multiplier of a hash"),
    ("sim/engine/src/replay.rs", "0xC2B2_AE3D_27D4_EB4F", "multiplier of a hash"),
    ("sim/engine/src/share.rs", "1e12", "picoseconds in a second: the clock of `units`, in real arithmetic"),
];

/// Files that may be longer than [`N_LINES_MAX`]: file, reason.
const LONG_FILES: &[(&str, &str)] = &[];

/// Where calls into CUDA are.
const UNSAFE_FOLDER: &str = "calibrate/src/gpu/";

const N_LINES_MAX: usize = 500;
const LITERAL_MAX: f64 = 1e6;

#[test]
fn every_crate_stands_on_lower_floors() {
    let mut faults = Vec::new();
    let members: BTreeSet<String> = strings(&manifest(".")["workspace"]["members"]);
    let folders: BTreeSet<String> = HOUSE.iter().map(|room| room.folder.to_owned()).collect();
    if members != folders {
        faults.push(format!("members {members:?} are not the rooms of this test, {folders:?}"));
    }
    let floors: BTreeMap<&str, u8> = HOUSE.iter().map(|room| (room.name, room.floor)).collect();
    for room in &HOUSE {
        for import in imports(room) {
            let Room { name, floor, .. } = room;
            match floors.get(import.as_str()) {
                Some(other) if other >= floor => {
                    faults.push(format!("`{name}` (floor {floor}) imports `{import}` (floor {other}): not below it"));
                }
                Some(_) if !room.rooms.contains(&import.as_str()) => {
                    faults.push(format!(
                        "`{name}` (floor {floor}) imports the room `{import}`, which its row leaves out"
                    ));
                }
                None if !room.packages.contains(&import.as_str()) => {
                    faults.push(format!(
                        "`{name}` (floor {floor}) imports the package `{import}`, which its row leaves out"
                    ));
                }
                _ => {}
            }
        }
    }
    none(&faults, "a new import is a decision: write it into HOUSE and into ARCHITECTURE.md");
}

#[test]
fn every_import_is_used() {
    let code = all_code();
    let mut faults = Vec::new();
    for room in &HOUSE {
        let own = format!("{}/src/", room.folder);
        let sources = code.iter().filter(|source| source.path.starts_with(&own));
        let words: BTreeSet<&str> =
            sources.flat_map(|source| &source.tokens).filter_map(|token| token.kind.word()).collect();
        let idle = imports(room).into_iter().filter(|import| !words.contains(import.replace('-', "_").as_str()));
        faults.extend(idle.map(|import| format!("{}/Cargo.toml: `{import}` is never used", room.folder)));
    }
    none(&faults, "take it out of the manifest, and of HOUSE");
}

#[test]
fn every_crate_takes_what_the_workspace_gives() {
    let mut faults = Vec::new();
    for room in &HOUSE {
        let manifest = manifest(room.folder);
        let inherits = |table: &toml::Value| table.get("workspace").and_then(toml::Value::as_bool) == Some(true);
        if !manifest.get("lints").is_some_and(inherits) {
            faults.push(format!("{}: no `[lints] workspace = true`", room.folder));
        }
        for key in ["version", "edition", "rust-version", "license", "publish"] {
            if !manifest["package"].get(key).is_some_and(inherits) {
                faults.push(format!("{}: `{key}` is not the workspace's", room.folder));
            }
        }
        if manifest["package"].get("description").is_none() {
            faults.push(format!("{}: no `description`", room.folder));
        }
    }
    none(&faults, "let the workspace decide");
}

#[test]
fn no_number_about_the_world_is_in_code() {
    let mut faults = Vec::new();
    let mut used = BTreeSet::new();
    let code = model_code().into_iter().chain(kernels());
    for file in code.filter(|file| !file.path.starts_with("sim/units/")) {
        for token in &file.tokens {
            let TokenKind::Number(text) = &token.kind else { continue };
            if number(text).is_none_or(|value| value <= LITERAL_MAX) {
                continue;
            }
            match LITERALS.iter().position(|(path, literal, _)| *path == file.path && literal == text) {
                Some(index) => {
                    used.insert(index);
                }
                None => faults.push(format!("{}:{}: {text}", file.path, token.line)),
            }
        }
    }
    let stale = (0..LITERALS.len()).filter(|index| !used.contains(index));
    faults.extend(stale.map(|index| format!("LITERALS: {:?} is not there any more", LITERALS[index])));
    none(&faults, "numbers about the world live in scenarios/, with a source; units in `units`");
}

#[test]
fn nothing_asks_for_the_name_of_hardware() {
    let stems = ["a100", "h20", "h100", "h200", "h800", "b200", "b300", "gb200", "gb300", "mi300", "mi325", "tpu"];
    let mut faults = Vec::new();
    for file in model_code().into_iter().chain(kernels()) {
        for token in &file.tokens {
            // A sentence may name hardware; a word that code can compare may not.
            if let TokenKind::Text(text) = &token.kind
                && !text.contains(char::is_whitespace)
                && stems.iter().any(|stem| text.to_lowercase().starts_with(stem))
            {
                faults.push(format!("{}:{}: \"{text}\"", file.path, token.line));
            }
        }
    }
    none(&faults, "what differs between devices is an ability or a number in its file, never its name");
}

#[test]
fn only_calls_into_cuda_are_unsafe() {
    let mut faults = Vec::new();
    for file in all_code() {
        let below = file.path.starts_with(UNSAFE_FOLDER);
        for token in &file.tokens {
            match token.kind.word() {
                Some("unsafe") if !below => faults.push(format!("{}:{}: `unsafe`", file.path, token.line)),
                Some("unsafe_code") if file.path != format!("{UNSAFE_FOLDER}mod.rs") => {
                    faults.push(format!("{}:{}: the lint `unsafe_code` is changed", file.path, token.line));
                }
                _ => {}
            }
        }
    }
    if manifest(".")["workspace"]["lints"]["rust"]["unsafe_code"].as_str() != Some("deny") {
        faults.push("Cargo.toml: the workspace does not deny `unsafe_code`".to_owned());
    }
    none(&faults, "unsafe is for calls into CUDA, below calibrate/src/gpu; find a safe way");
}

#[test]
fn nothing_is_left_to_do() {
    let mut faults = Vec::new();
    for file in all_code() {
        for pair in file.tokens.windows(2) {
            if let TokenKind::Word(word) = &pair[0].kind
                && ["todo", "unimplemented", "dbg"].contains(&word.as_str())
                && pair[1].kind == TokenKind::Mark('!')
            {
                faults.push(format!("{}:{}: {word}!", file.path, pair[0].line));
            }
        }
    }
    none(&faults, "finish it, or make it an error that names what is not modeled");
}

#[test]
fn files_are_short_and_named_for_what_they_hold() {
    let mut faults = Vec::new();
    for file in all_code().into_iter().chain(kernels()) {
        let excused = LONG_FILES.iter().any(|(path, _)| *path == file.path);
        if file.n_lines > N_LINES_MAX && !excused {
            faults.push(format!("{}: {} lines, more than {N_LINES_MAX}", file.path, file.n_lines));
        }
        let vague = ["util", "utils", "common", "helper", "helpers", "misc"];
        let names = Path::new(&file.path).with_extension("");
        for name in names.iter().filter_map(|name| name.to_str()).filter(|name| vague.contains(name)) {
            faults.push(format!("{}: `{name}` says nothing", file.path));
        }
    }
    none(&faults, "cut by subject, and name the parts");
}

#[test]
fn every_crate_opens_with_a_tour() {
    let mut faults = Vec::new();
    for room in &HOUSE {
        let folder = root().join(room.folder).join("src");
        let library = folder.join("lib.rs").is_file();
        let path = folder.join(if library { "lib.rs" } else { "main.rs" });
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let tour: Vec<&str> = text.lines().take_while(|line| line.starts_with("//!")).collect();
        let has = |what: &str| tour.iter().any(|line| line.contains(what));
        if tour.is_empty() {
            faults.push(format!("{}: no `//!` at the top", room.folder));
        }
        if library && tour.iter().filter(|line| line.starts_with("//! ```")).count() < 2 {
            faults.push(format!("{}: no example in the tour", room.folder));
        }
        if !has("does not know") {
            faults.push(format!("{}: the tour does not say what it \"does not know\"", room.folder));
        }
    }
    none(&faults, "a tour: purpose in a sentence, an example that compiles, main types, what it does not know");
}

#[test]
fn every_key_of_a_preset_is_in_the_reference_and_back() {
    let reference = read("scenarios/README.md");
    let mut keys = BTreeMap::new();
    for folder in ["hardware", "fabrics", "clusters", "models", "profiles", "defaults", "frameworks", "train"] {
        for path in files(&root().join("scenarios").join(folder), "toml") {
            let mut table: toml::Table = read(&path).parse().unwrap_or_else(|error| panic!("{path}: {error}"));
            // For people: what a test compares, and what a calibration says of its machine and of its errors.
            for aside in ["check", "machine", "held-out"] {
                table.remove(aside);
            }
            for (key, value) in std::mem::take(&mut table) {
                match value.as_table() {
                    Some(inner) if key == "patch" => leaves("", inner, &path, &mut keys),
                    Some(inner) => leaves(&key, inner, &path, &mut keys),
                    // `about`, `name`, and where a profile holds: words of the reference, not keys of the tree.
                    None => assert!(reference.contains(&format!("`{key}`")), "{path}: `{key}`"),
                }
            }
        }
    }
    let undocumented = keys.iter().filter(|(key, _)| !reference.contains(&format!("`{key}`")));
    let mut faults: Vec<String> = undocumented.map(|(key, path)| format!("{path}: `{key}`")).collect();
    let rows = reference.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` |"));
    // A framework is named by its file, and a kernel that nobody measured has no estimates; `scenario` holds the tables of both.
    let is_elsewhere = |key: &str| {
        key == "framework.name" || ["framework.kernels.", "profile.stream."].iter().any(|table| key.starts_with(table))
    };
    let rows =
        rows.map(|(key, _)| key).filter(|key| !key.ends_with('/') && *key != "model.experts" && !is_elsewhere(key));
    faults.extend(
        rows.filter(|key| !keys.contains_key(*key))
            .map(|key| format!("scenarios/README.md: `{key}`: no preset has it")),
    );
    none(&faults, "scenarios/README.md has one row for each key, and no other");
}

#[test]
fn pages_lead_somewhere_and_name_the_two_commands() {
    let mut faults = Vec::new();
    for page in [
        "README.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
        "book/README.md",
        "book/absent.md",
        "book/accuracy.md",
        "book/calibration.md",
        "book/decisions.md",
        "book/engine.md",
        "book/glossary.md",
        "book/lowering.md",
        "book/reference.md",
        "book/studies.md",
        "reports/README.md",
        "reports/speed.md",
        "reports/validation.md",
        "scenarios/README.md",
        "scenarios/studies/README.md",
    ] {
        let text = read(page);
        let folder = root().join(page).parent().map_or_else(root, Path::to_path_buf);
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = link.split('#').next().unwrap_or_default();
            if !link.contains("://") && !file.is_empty() && !folder.join(file).exists() {
                faults.push(format!("{page}: `{link}` leads nowhere"));
            }
        }
    }
    let commands = ["cargo run --release -- run scenarios/train/deepseek-v3-2048.toml", "cargo test --workspace"];
    for command in commands {
        if !read("README.md").lines().any(|line| line.trim() == command) {
            faults.push(format!("README.md: no line `{command}`"));
        }
    }
    none(&faults, "pages are part of the program");
}

// Reading the tree.

struct Source {
    /// Relative to the root, with `/`.
    path: String,
    n_lines: usize,
    tokens: Vec<Token>,
}

impl Source {
    fn read(path: String) -> Self {
        let text = read(&path);
        Self { n_lines: text.lines().count(), tokens: tokens(&text), path }
    }
}

/// All Rust of the workspace.
fn all_code() -> Vec<Source> {
    let paths = HOUSE.iter().flat_map(|room| files(&root().join(room.folder), "rs"));
    paths.map(Source::read).collect()
}

/// What runs on GPUs: CUDA C++, which has the words, numbers and comments of Rust as far as these rules look.
fn kernels() -> Vec<Source> {
    let paths = ["cu", "cuh"].into_iter().flat_map(|end| files(&root().join("calibrate"), end));
    let mut sources: Vec<Source> = paths.map(Source::read).collect();
    for token in sources.iter_mut().flat_map(|source| &mut source.tokens) {
        if let TokenKind::Number(text) = &mut token.kind {
            let of_c: &[char] = if text.starts_with("0x") { &['u', 'l', 'U', 'L'] } else { &['u', 'l', 'U', 'L', 'f'] };
            *text = text.trim_end_matches(of_c).to_owned();
        }
    }
    sources
}

/// What the program is made of: without tests, benches and examples.
fn model_code() -> Vec<Source> {
    let mut sources = all_code();
    let aside = |part: &str| ["tests", "tests.rs", "benches", "examples"].contains(&part);
    sources.retain(|source| !source.path.split('/').any(aside));
    let mut test_modules = BTreeSet::new();
    for source in &mut sources {
        let folder = source.path.rsplit_once('/').map_or("", |(folder, _)| folder).to_owned();
        let names = test_module_names(&source.tokens).into_iter();
        test_modules.extend(names.map(|name| format!("{folder}/{name}.rs")));
        source.tokens = without_tests(std::mem::take(&mut source.tokens));
    }
    sources.retain(|source| !test_modules.contains(&source.path));
    sources
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Files below a folder that end in `extension`, relative to the root, sorted.
fn files(folder: &Path, extension: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            let path = entry.expect("an entry of a folder").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == extension) {
                let path = path.strip_prefix(root()).expect("below the root").display().to_string();
                found.push(path.replace('\\', "/"));
            }
        }
    }
    found.sort();
    found
}

fn manifest(folder: &str) -> toml::Table {
    read(&format!("{folder}/Cargo.toml")).parse().unwrap_or_else(|error| panic!("{folder}/Cargo.toml: {error}"))
}

/// What a crate imports at run time; what only its tests and benches need is its own affair.
fn imports(room: &Room) -> BTreeSet<String> {
    let manifest = manifest(room.folder);
    let tables = ["dependencies", "build-dependencies"].into_iter().filter_map(|name| manifest.get(name)?.as_table());
    tables.flat_map(|table| table.keys().cloned()).collect()
}

fn strings(value: &toml::Value) -> BTreeSet<String> {
    value.as_array().into_iter().flatten().filter_map(|item| item.as_str().map(str::to_owned)).collect()
}

/// Dotted keys of a table, with the file that has them; an estimate counts as one.
fn leaves(prefix: &str, table: &toml::Table, path: &str, keys: &mut BTreeMap<String, String>) {
    for (name, value) in table {
        let key = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        match value.as_table() {
            Some(inner) if !inner.contains_key("basis") => leaves(&key, inner, path, keys),
            // A word of every family, which the reference has once.
            None if name == "implementation" => {}
            _ => {
                keys.entry(key).or_insert_with(|| path.to_owned());
            }
        }
    }
}

#[track_caller]
fn none(faults: &[String], way_out: &str) {
    assert!(faults.is_empty(), "\n{}\nhint: {way_out}\n", faults.join("\n"));
}
