//! Typed reading of the merged namespace. It collects every mistake and hands out a placeholder for what is wrong, so
//! that a struct can be written down field by field; nothing leaves this crate while a mistake stands.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::str::FromStr;

use units::ParseError;

use crate::diagnostic::{Diagnostic, N_HINTED_MAX};
use crate::origin::Origin;
use crate::tree::{Lookup, Node, Table, Value, leaves, list, look_up, nearest};

/// A quantity with a base unit.
pub(crate) trait Quantity: FromStr<Err = ParseError> + Copy + Default {
    /// The count of the base unit.
    fn base(self) -> f64;
}

macro_rules! quantities {
    ($($name:ident),+) => {
        $(impl Quantity for units::$name {
            fn base(self) -> f64 {
                self.get()
            }
        })+
    };
}

quantities!(Bytes, BytesPerSec, Seconds, Hertz, Dollars, Watts, DollarsPerJoule, DollarsPerSec);

/// A key that is a number or one of some words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WordOr<T> {
    Word(&'static str),
    Given(T),
}

/// What a key was read as.
#[derive(Clone, Debug)]
pub(crate) struct Decided {
    /// In base units at full precision: two spellings of one value are equal here.
    pub(crate) canonical: String,
    /// As a file would say it.
    pub(crate) shown: String,
}

pub(crate) struct Reader<'a> {
    root: &'a Table,
    file: Origin,
    mistakes: Vec<Diagnostic>,
    /// Keys that were asked for.
    known: BTreeSet<String>,
    /// Keys whose value is wrong or unknown.
    unsound: BTreeSet<String>,
    /// Tables that are not there at all: one mistake each, not one a key.
    missing_tables: BTreeSet<String>,
    decided: BTreeMap<String, Decided>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(root: &'a Table, file: Origin, mistakes: Vec<Diagnostic>) -> Self {
        Self {
            root,
            file,
            mistakes,
            known: BTreeSet::new(),
            unsound: BTreeSet::new(),
            missing_tables: BTreeSet::new(),
            decided: BTreeMap::new(),
        }
    }

    /// A whole number in a range.
    pub(crate) fn count<T: TryFrom<u64> + Default>(&mut self, key: &str, range: RangeInclusive<u64>) -> T {
        let Some(node) = self.node(key) else { return T::default() };
        let count = match node.value {
            Value::Integer(number) => u64::try_from(number).ok().filter(|count| range.contains(count)),
            _ => return self.wrong(key, node, "a whole number", None),
        };
        match count.and_then(|count| T::try_from(count).ok()) {
            Some(count) => {
                self.keep(key, node.value.to_string(), node);
                count
            }
            None => self.out_of_range(key, node, range.start(), range.end()),
        }
    }

    /// A whole number in a range, or one of `words`.
    pub(crate) fn word_or_count<T: TryFrom<u64> + Default>(
        &mut self,
        key: &str,
        words: &[&'static str],
        range: RangeInclusive<u64>,
    ) -> WordOr<T> {
        let Some(node) = self.node(key) else { return WordOr::Given(T::default()) };
        let Value::String(text) = &node.value else { return WordOr::Given(self.count(key, range)) };
        match words.iter().find(|word| *word == text) {
            Some(word) => {
                self.keep(key, node.value.to_string(), node);
                WordOr::Word(word)
            }
            None => {
                let expected = format!("a whole number or {}", list(words));
                WordOr::Given(self.wrong(key, node, &expected, nearest(text, words.iter().copied())))
            }
        }
    }

    /// A string with a unit, above zero, or one of `words`.
    pub(crate) fn word_or_quantity<Q: Quantity>(&mut self, key: &str, words: &[&'static str]) -> WordOr<Q> {
        let Some(node) = self.node(key) else { return WordOr::Given(Q::default()) };
        match words.iter().find(|word| matches!(&node.value, Value::String(text) if text == *word)) {
            Some(word) => {
                self.keep(key, node.value.to_string(), node);
                WordOr::Word(word)
            }
            None => WordOr::Given(self.quantity(key)),
        }
    }

    /// A bare number in a range.
    pub(crate) fn number(&mut self, key: &str, range: RangeInclusive<f64>) -> f64 {
        let Some(node) = self.node(key) else { return 0.0 };
        let number = match node.value {
            Value::Integer(number) => number as f64,
            Value::Float(number) => number,
            _ => return self.wrong(key, node, "a bare number", None),
        };
        if !range.contains(&number) {
            return self.out_of_range(key, node, range.start(), range.end());
        }
        self.keep(key, format!("{number:?}"), node);
        number
    }

    /// A string with a unit, above zero.
    pub(crate) fn quantity<Q: Quantity>(&mut self, key: &str) -> Q {
        let quantity: Q = self.quantity_or_zero(key);
        if let Some(node) = self.sound(&[key]).then(|| self.node(key)).flatten()
            && quantity.base() <= 0.0
        {
            let hint = "what there is none of cannot be simulated: write what the part has";
            self.refuse(key, format!("`{key}` is {}: it must be above zero", node.value), Some(hint.to_owned()));
        }
        quantity
    }

    /// A string with a unit; zero is a value too.
    pub(crate) fn quantity_or_zero<Q: Quantity>(&mut self, key: &str) -> Q {
        let Some(node) = self.node(key) else { return Q::default() };
        let text = match &node.value {
            Value::String(text) => text.clone(),
            // Bare numbers get the message of a missing unit.
            Value::Integer(_) | Value::Float(_) => node.value.to_string(),
            _ => return self.wrong(key, node, "a string with a unit", None),
        };
        match text.parse::<Q>() {
            Ok(quantity) => {
                self.keep(key, format!("{:?}", quantity.base()), node);
                quantity
            }
            Err(error) => {
                let hint = error.hint().to_owned();
                self.refuse(key, error.to_string(), Some(format!("{hint}, in quotes")));
                Q::default()
            }
        }
    }

    /// One of the named choices; the first stands in where the value is wrong.
    pub(crate) fn choice<T: Copy>(&mut self, key: &str, choices: &[(&'static str, T)]) -> T {
        let fallback = choices[0].1;
        let Some(node) = self.node(key) else { return fallback };
        let names = || choices.iter().map(|(name, _)| *name);
        let expected = format!("one of {}", list(names()));
        let Value::String(text) = &node.value else {
            self.wrong::<u32>(key, node, &expected, None);
            return fallback;
        };
        match choices.iter().find(|(name, _)| name == text) {
            Some((_, choice)) => {
                self.keep(key, node.value.to_string(), node);
                *choice
            }
            None => {
                self.wrong::<u32>(key, node, &expected, nearest(text, names()));
                fallback
            }
        }
    }

    /// `true` or `false`.
    pub(crate) fn flag(&mut self, key: &str) -> bool {
        let Some(node) = self.node(key) else { return false };
        let Value::Boolean(flag) = node.value else { return self.wrong(key, node, "`true` or `false`", None) };
        self.keep(key, flag.to_string(), node);
        flag
    }

    /// Any string.
    pub(crate) fn text(&mut self, key: &str) -> String {
        let Some(node) = self.node(key) else { return String::new() };
        let Value::String(text) = &node.value else { return self.wrong(key, node, "a string", None) };
        self.keep(key, node.value.to_string(), node);
        text.clone()
    }

    /// A string, or a list of them.
    pub(crate) fn texts(&mut self, key: &str) -> Vec<String> {
        const EXPECTED: &str = "a string or a list of strings";
        let Some(node) = self.node(key) else { return Vec::new() };
        let texts = match &node.value {
            Value::String(text) => vec![text.clone()],
            Value::Array(items) => {
                let mut texts = Vec::with_capacity(items.len());
                for item in items {
                    let Value::String(text) = &item.value else { return self.wrong(key, item, EXPECTED, None) };
                    texts.push(text.clone());
                }
                texts
            }
            _ => return self.wrong(key, node, EXPECTED, None),
        };
        self.keep(key, node.value.to_string(), node);
        texts
    }

    /// A bare number above zero.
    pub(crate) fn positive(&mut self, key: &str) -> f64 {
        let number = self.number(key, 0.0..=f64::MAX);
        if self.sound(&[key]) && number <= 0.0 {
            self.refuse(key, format!("`{key}` is {number}: it must be above zero"), None);
        }
        number
    }

    /// A list of bare numbers in a range.
    pub(crate) fn numbers(&mut self, key: &str, range: RangeInclusive<f64>) -> Vec<f64> {
        const EXPECTED: &str = "a list of bare numbers";
        let Some(node) = self.node(key) else { return Vec::new() };
        let Value::Array(items) = &node.value else { return self.wrong(key, node, EXPECTED, None) };
        let mut numbers = Vec::with_capacity(items.len());
        for item in items {
            let number = match item.value {
                Value::Integer(number) => number as f64,
                Value::Float(number) => number,
                _ => return self.wrong(key, item, EXPECTED, None),
            };
            if !range.contains(&number) {
                return self.out_of_range(key, item, range.start(), range.end());
            }
            numbers.push(number);
        }
        self.keep(key, format!("{numbers:?}"), node);
        numbers
    }

    /// A list of whole numbers in a range, or `"auto"` (`None`).
    pub(crate) fn auto_or_counts(&mut self, key: &str, range: RangeInclusive<u64>) -> Option<Vec<u32>> {
        self.counts_or(key, "auto", range)
    }

    /// A list of whole numbers in a range, or a word (`None`).
    pub(crate) fn counts_or(&mut self, key: &str, word: &str, range: RangeInclusive<u64>) -> Option<Vec<u32>> {
        let expected = format!("a list of whole numbers or `\"{word}\"`");
        let node = self.node(key)?;
        let items = match &node.value {
            Value::String(text) if text == word => {
                self.keep(key, node.value.to_string(), node);
                return None;
            }
            Value::Array(items) => items,
            _ => return self.wrong(key, node, &expected, None),
        };
        let mut counts = Vec::with_capacity(items.len());
        for item in items {
            let Value::Integer(number) = item.value else {
                return self.wrong(key, item, &expected, None);
            };
            match u64::try_from(number)
                .ok()
                .filter(|count| range.contains(count))
                .and_then(|count| u32::try_from(count).ok())
            {
                Some(count) => counts.push(count),
                None => return self.out_of_range(key, item, range.start(), range.end()),
            }
        }
        self.keep(key, node.value.to_string(), node);
        Some(counts)
    }

    /// What kind of value stands at a key that may be a word or a table.
    pub(crate) fn is_word(&self, key: &str, word: &str) -> bool {
        matches!(look_up(self.root, key), Lookup::Found(Node { value: Value::String(text), .. }) if text == word)
    }

    /// Whether anything stands at a key. It does not make the key known.
    pub(crate) fn has(&self, key: &str) -> bool {
        matches!(look_up(self.root, key), Lookup::Found(_))
    }

    /// Names a key that may be absent, so that what stands there instead can be told from it.
    pub(crate) fn expect(&mut self, key: &str) {
        self.known.insert(key.to_owned());
    }

    /// Where the value of a key, or the name of a table, was written.
    pub(crate) fn place(&self, key: &str) -> Option<Origin> {
        match look_up(self.root, key) {
            Lookup::Found(node) => Some(node.origin.clone()),
            Lookup::Missing(_) | Lookup::Blocked(..) => None,
        }
    }

    /// Says what an automatic value turned out to be.
    pub(crate) fn decide(&mut self, key: &str, value: impl std::fmt::Display) {
        if let Some(decided) = self.decided.get_mut(key) {
            *decided = Decided { canonical: value.to_string(), shown: value.to_string() };
        }
    }

    /// What tells a value from others, where that is not how it is written.
    pub(crate) fn identify(&mut self, key: &str, canonical: String) {
        if let Some(decided) = self.decided.get_mut(key) {
            decided.canonical = canonical;
        }
    }

    /// The same of a quantity, which files write with its unit.
    pub(crate) fn decide_quantity<Q: Quantity + std::fmt::Display>(&mut self, key: &str, quantity: Q) {
        if let Some(decided) = self.decided.get_mut(key) {
            *decided = Decided { canonical: format!("{:?}", quantity.base()), shown: format!("\"{quantity}\"") };
        }
    }

    /// Whether all of these keys were read without a mistake, so that a check between them makes sense.
    pub(crate) fn sound(&self, keys: &[&str]) -> bool {
        !keys.iter().any(|key| self.unsound.contains(*key))
    }

    /// Whether every key of a namespace was read without a mistake.
    pub(crate) fn all_sound(&self, namespace: &str) -> bool {
        !self.unsound.iter().any(|key| key.split('.').next() == Some(namespace))
    }

    /// A mistake that belongs to no key.
    pub(crate) fn push(&mut self, mistake: Diagnostic) {
        self.mistakes.push(mistake);
    }

    /// Says that the value of a key could not be found out, for a reason that is a mistake elsewhere.
    pub(crate) fn doubt(&mut self, key: &str) {
        self.unsound.insert(key.to_owned());
    }

    /// A mistake in the value of a key.
    pub(crate) fn refuse(&mut self, key: &str, message: impl Into<String>, hint: Option<String>) {
        self.unsound.insert(key.to_owned());
        let mut diagnostic = Diagnostic::error(message);
        diagnostic.origin = match look_up(self.root, key) {
            Lookup::Found(node) | Lookup::Blocked(_, node) => Some(node.origin.clone()),
            Lookup::Missing(_) => Some(self.file.clone()),
        };
        diagnostic.hint = hint;
        self.mistakes.push(diagnostic);
    }

    /// Ends the reading of the given namespaces: what was never asked for is unknown.
    pub(crate) fn finish(mut self, namespaces: &[&str]) -> Result<BTreeMap<String, Decided>, Vec<Diagnostic>> {
        for table in std::mem::take(&mut self.missing_tables) {
            let place = self.file.clone();
            let mistake = Diagnostic::error(format!("the table `{table}` is missing")).at(&place);
            let hint = match table.as_str() {
                "gpu" | "node" | "fabric" | "cluster" => "name a preset with `use.cluster`".to_owned(),
                "model" => "name a preset with `use.model`".to_owned(),
                _ => format!("its keys are {}", list(self.known_inside(&table))),
            };
            self.mistakes.push(mistake.hint(hint));
        }
        for name in namespaces {
            if let Some(Value::Table(table)) = self.root.get(*name).map(|node| &node.value) {
                self.refuse_unknown(name, table);
            }
        }
        if self.mistakes.is_empty() { Ok(self.decided) } else { Err(self.mistakes) }
    }

    fn refuse_unknown(&mut self, prefix: &str, table: &Table) {
        for (name, node) in table {
            let path = format!("{prefix}.{name}");
            let inside = format!("{path}.");
            let holds_known = self.known.range(inside.clone()..).next().is_some_and(|known| known.starts_with(&inside));
            match &node.value {
                _ if self.known.contains(&path) => {}
                Value::Table(inner) if holds_known => self.refuse_unknown(&path, inner),
                // A value where a table should be has its own mistake already.
                _ if holds_known => {}
                _ => {
                    let place = if node.key.is_empty() { node.origin.clone() } else { node.key_origin() };
                    let mistake = Diagnostic::error(format!("there is no key `{path}`")).at(&place);
                    let is_hinted = self.mistakes.len() < N_HINTED_MAX;
                    let hint = is_hinted.then(|| self.unknown_hint(prefix, &path));
                    self.mistakes.push(Diagnostic { hint, ..mistake });
                }
            }
        }
    }

    fn unknown_hint(&self, prefix: &str, path: &str) -> String {
        let keys = self.known.iter().map(String::as_str);
        let tables = keys.clone().filter_map(|key| key.rsplit_once('.')).map(|(table, _)| table);
        if let Some(near) = nearest(path, keys.chain(tables)) {
            return format!("did you mean `{near}`?");
        }
        format!("the keys of `{prefix}` are {}", list(self.known_inside(prefix)))
    }

    /// Names of the keys of a table that were asked for.
    fn known_inside(&self, table: &str) -> BTreeSet<&str> {
        let inside = format!("{table}.");
        let rest = self.known.iter().filter_map(|known| known.strip_prefix(&inside));
        rest.filter_map(|rest| rest.split('.').next()).collect()
    }

    /// The node of a key, and a mistake where there is none.
    fn node(&mut self, key: &str) -> Option<&'a Node> {
        self.known.insert(key.to_owned());
        let mistake = match look_up(self.root, key) {
            Lookup::Found(node) => return Some(node),
            Lookup::Blocked(part, node) => {
                Diagnostic::error(format!("`{part}` is {}, not a table", node.value.kind())).at(&node.origin)
            }
            Lookup::Missing(part) if part == key => {
                Diagnostic::error(format!("the key `{key}` is missing")).at(&self.missing_place(key))
            }
            Lookup::Missing(part) => {
                self.unsound.insert(key.to_owned());
                self.missing_tables.insert(part);
                return None;
            }
        };
        self.unsound.insert(key.to_owned());
        if !self.mistakes.contains(&mistake) {
            self.mistakes.push(mistake);
        }
        None
    }

    /// Where a missing key should have stood.
    fn missing_place(&self, key: &str) -> Origin {
        let parent = key.rsplit_once('.').and_then(|(parent, _)| match look_up(self.root, parent) {
            Lookup::Found(node) => Some(&node.origin),
            Lookup::Missing(_) | Lookup::Blocked(..) => None,
        });
        // The file of defaults holds tables too, but what it leaves out is the scenario's to say.
        parent.filter(|origin| !origin.is_default()).unwrap_or(&self.file).clone()
    }

    fn keep(&mut self, key: &str, canonical: String, node: &Node) {
        self.decided.insert(key.to_owned(), Decided { canonical, shown: node.value.to_string() });
    }

    fn wrong<T: Default>(&mut self, key: &str, node: &Node, expected: &str, near: Option<&str>) -> T {
        let message = match &node.value {
            Value::Table(_) => format!("`{key}` is a table: it should be {expected}"),
            value => format!("`{value}` is no value of `{key}`: it should be {expected}"),
        };
        self.unsound.insert(key.to_owned());
        let mistake = Diagnostic::error(message).at(&node.origin);
        self.mistakes.push(match near {
            Some(near) => mistake.hint(format!("did you mean `{near}`?")),
            None => mistake,
        });
        T::default()
    }

    fn out_of_range<T: Default, N: std::fmt::Display>(&mut self, key: &str, node: &Node, start: &N, end: &N) -> T {
        self.unsound.insert(key.to_owned());
        let message = format!("`{}` is out of range for `{key}`", node.value);
        self.mistakes.push(Diagnostic::error(message).at(&node.origin).hint(format!("it goes from {start} to {end}")));
        T::default()
    }
}

/// Every leaf of some namespaces with what it was read as.
pub(crate) fn each_leaf<'a>(root: &'a Table, visit: &mut impl FnMut(String, &'a Node)) {
    leaves(root, "", visit);
}
