//! Files of a crate that use each other in a circle. A module and those inside it are one subject and do not count.

use std::collections::{BTreeMap, BTreeSet};

use crate::Source;
use crate::rooms::HOUSE;
use crate::rust::{Token, TokenKind};

/// Circles that are there, each the files of it below `src` of a crate. What is not in one of them is new.
const KNOWN: [(&str, &[&str]); 3] = [
    ("sim/numerics", &["accumulator.rs", "operands.rs"]),
    ("calibrate", &["gpu/multi.rs", "gpu/together_multi.rs"]),
    ("sim/platform", &["collective.rs", "exchange.rs", "group.rs", "message.rs", "platform.rs", "way.rs"]),
];

type Module = Vec<String>;

/// Circles that are not known, and what is known and no circle any more.
pub(super) fn new(code: &[Source]) -> Vec<String> {
    let mut faults = Vec::new();
    for room in &HOUSE {
        let found = Crate::read(room.folder, code).circles();
        let known = || KNOWN.iter().filter(|(folder, _)| *folder == room.folder);
        for circle in &found {
            if !known().any(|(_, files)| circle.iter().all(|file| files.contains(&file.as_str()))) {
                faults.push(format!("{}: {}", room.folder, circle.join(", ")));
            }
        }
        for (folder, files) in known() {
            let all: BTreeSet<&str> = found.iter().flatten().map(String::as_str).collect();
            let free = files.iter().filter(|file| !all.contains(**file));
            faults.extend(free.map(|file| format!("{folder}: `{file}` is in no circle by now: take it off the list")));
        }
    }
    faults
}

/// A name that a file uses, by its path; and as what.
struct Use {
    path: Module,
    name: String,
}

/// A crate's files and what they use of each other.
struct Crate {
    files: BTreeMap<Module, String>,
    uses: BTreeMap<Module, Vec<Use>>,
}

impl Crate {
    fn read(folder: &str, code: &[Source]) -> Self {
        let (mut files, mut uses) = (BTreeMap::new(), BTreeMap::new());
        for source in code {
            let Some(file) = source.path.strip_prefix(&format!("{folder}/src/")) else { continue };
            let mut module: Module = file.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
            if ["mod", "lib", "main"].contains(&module[module.len() - 1].as_str()) {
                module.pop();
            }
            uses.insert(module.clone(), used(&source.tokens));
            files.insert(module, file.to_owned());
        }
        Self { files, uses }
    }

    /// Groups of files that reach each other, sorted.
    fn circles(&self) -> Vec<Vec<String>> {
        let reached: BTreeMap<&Module, BTreeSet<Module>> =
            self.files.keys().map(|module| (module, self.reached(module))).collect();
        let mut circles = BTreeSet::new();
        for module in self.files.keys() {
            let back = |other: &&Module| reached[module].contains(*other) && reached[other].contains(module);
            let circle: Vec<String> = self.files.keys().filter(back).map(|other| self.files[other].clone()).collect();
            if circle.len() > 1 {
                circles.insert(circle);
            }
        }
        circles.into_iter().collect()
    }

    /// All that a file uses, and what that uses.
    fn reached(&self, from: &Module) -> BTreeSet<Module> {
        let mut reached = BTreeSet::new();
        let mut next = vec![from.clone()];
        while let Some(module) = next.pop() {
            for used in &self.uses[&module] {
                let Some(target) = self.resolve(&module, &used.path, 0) else { continue };
                let is_inside = target.starts_with(&module) || module.starts_with(&target);
                if !is_inside && reached.insert(target.clone()) {
                    next.push(target);
                }
            }
        }
        reached
    }

    /// The file that a path leads to, through what modules on the way hand on; `None` for other crates.
    fn resolve(&self, from: &Module, path: &[String], depth: usize) -> Option<Module> {
        let first = path.first()?.as_str();
        let (mut module, mut rest) = match first {
            "crate" => (Module::new(), &path[1..]),
            "self" => (from.clone(), &path[1..]),
            "super" => (from.clone(), path),
            name => {
                let inner = [from.as_slice(), &[name.to_owned()]].concat();
                if !self.files.contains_key(&inner) {
                    return None;
                }
                (from.clone(), path)
            }
        };
        while rest.first().is_some_and(|segment| segment == "super") {
            module.pop();
            rest = &rest[1..];
        }
        while let Some(segment) = rest.first() {
            let inner = [module.as_slice(), std::slice::from_ref(segment)].concat();
            if self.files.contains_key(&inner) {
                module = inner;
                rest = &rest[1..];
                continue;
            }
            let handed = self.uses.get(&module).into_iter().flatten().filter(|used| used.name == *segment);
            let mut targets = handed.filter(|used| depth < 8 && used.path != path).filter_map(|used| {
                let path = [used.path.as_slice(), &rest[1..]].concat();
                self.resolve(&module, &path, depth + 1)
            });
            return targets.next().or(Some(module.clone()));
        }
        self.files.contains_key(&module).then_some(module)
    }
}

/// Everything a file uses by `use`, and by paths that begin at the crate or beside it.
fn used(tokens: &[Token]) -> Vec<Use> {
    let mut all = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        match tokens[at].kind.word() {
            Some("use") => at = tree(tokens, at + 1, &[], &mut all),
            Some("crate" | "super" | "self") => {
                let path = path(tokens, at);
                // Names of three tokens: two colons and a word.
                at += 1 + 3 * (path.len() - 1);
                if path.len() > 1 {
                    all.push(Use { path, name: String::new() });
                }
            }
            _ => at += 1,
        }
    }
    all
}

fn is(tokens: &[Token], at: usize, mark: char) -> bool {
    tokens.get(at).is_some_and(|token| token.kind == TokenKind::Mark(mark))
}

fn path(tokens: &[Token], at: usize) -> Module {
    let word = |at: usize| tokens.get(at).and_then(|token| token.kind.word());
    let mut path: Module = word(at).map(str::to_owned).into_iter().collect();
    let mut at = at + 1;
    while is(tokens, at, ':') && is(tokens, at + 1, ':') {
        let Some(word) = word(at + 2) else { break };
        path.push(word.to_owned());
        at += 3;
    }
    path
}

/// One branch of a `use`, from `at` on; where it ends.
fn tree(tokens: &[Token], at: usize, before: &[String], all: &mut Vec<Use>) -> usize {
    if is(tokens, at, '{') {
        let mut at = at + 1;
        while at < tokens.len() && !is(tokens, at, '}') {
            at = if is(tokens, at, ',') { at + 1 } else { tree(tokens, at, before, all) };
        }
        return at + 1;
    }
    if is(tokens, at, '*') {
        all.push(Use { path: before.to_vec(), name: String::new() });
        return at + 1;
    }
    let here = path(tokens, at);
    let Some(last) = here.last().cloned() else { return at + 1 };
    let whole = [before, &here].concat();
    let end = at + 1 + 3 * (here.len() - 1);
    if is(tokens, end, ':') && is(tokens, end + 1, ':') {
        return tree(tokens, end + 2, &whole, all);
    }
    let word = |at: usize| tokens.get(at).and_then(|token| token.kind.word());
    if word(end) == Some("as") {
        all.push(Use { path: whole, name: word(end + 1).unwrap_or_default().to_owned() });
        return end + 2;
    }
    all.push(Use { path: whole, name: last });
    end
}
