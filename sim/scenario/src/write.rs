//! TOML text, line by line: the one place that writes it by hand. What is written here is what `parse` reads.

use std::fmt::Write;

/// A file that is being written.
#[derive(Clone, Debug, Default)]
pub struct TomlText(String);

impl TomlText {
    /// A line for people.
    pub fn comment(&mut self, text: &str) {
        let _ = writeln!(self.0, "# {}", one_line(text));
    }

    /// The head of a table, `dotted.name`, with an empty line before it.
    pub fn table(&mut self, name: &str) {
        let _ = writeln!(self.0, "\n[{name}]");
    }

    /// The head of the next table of a list of tables.
    pub fn item(&mut self, name: &str) {
        let _ = writeln!(self.0, "\n[[{name}]]");
    }

    /// A key and its value, which is TOML: [`text`], [`list`], [`inline`], [`number`] or a value that was read.
    pub fn line(&mut self, key: &str, value: impl std::fmt::Display) {
        let _ = writeln!(self.0, "{key} = {value}");
    }

    /// The same with a word for people behind it.
    pub fn noted(&mut self, key: &str, value: impl std::fmt::Display, note: &str) {
        let _ = writeln!(self.0, "{key} = {value} # {}", one_line(note));
    }

    /// The file.
    #[must_use]
    pub fn finish(self) -> String {
        self.0
    }
}

/// A comment ends at the line, and what stands in one may hold anything.
fn one_line(text: &str) -> String {
    text.replace(char::is_control, " ")
}

/// Text in quotes.
#[must_use]
pub fn text(text: &str) -> String {
    toml::Value::from(text).to_string()
}

/// Values in brackets.
#[must_use]
pub fn list(values: impl IntoIterator<Item = String>) -> String {
    format!("[{}]", values.into_iter().collect::<Vec<_>>().join(", "))
}

/// Keys and values in braces, on one line.
#[must_use]
pub fn inline(pairs: impl IntoIterator<Item = (String, String)>) -> String {
    let pairs: Vec<String> = pairs.into_iter().map(|(key, value)| format!("{key} = {value}")).collect();
    if pairs.is_empty() { "{}".to_owned() } else { format!("{{ {} }}", pairs.join(", ")) }
}

/// A bare number of so many significant digits.
#[must_use]
pub fn number(value: f64, digits: usize) -> String {
    let rounded: f64 = format!("{value:.*e}", digits.saturating_sub(1)).parse().unwrap_or(value);
    let text = format!("{rounded:?}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::origin::{Place, Source};
    use crate::parse;
    use crate::tree::{Table, Value, get};

    /// As this crate reads it.
    fn read(text: String) -> Table {
        let source = Arc::new(Source { name: "written".to_owned(), text, place: Place::Argument });
        let mut mistakes = Vec::new();
        let table = parse::file(&source, &mut mistakes);
        assert!(mistakes.is_empty(), "{mistakes:?}");
        table.expect("TOML")
    }

    #[test]
    fn what_is_written_is_read_back() {
        let odd = ["", "plain", "a \"quoted\" word", "two\nlines", "back\\slash", "tab\t#", "π", "'''"];
        let mut file = TomlText::default();
        file.comment("one\nline");
        file.line("first", 1);
        for (index, word) in odd.iter().enumerate() {
            file.table(&format!("words.w{index}"));
            file.noted("is", text(word), word);
        }
        file.table("lists");
        file.line("words", list(odd.map(text)));
        file.line("none", list([]));
        file.line("pairs", inline([("a".to_owned(), "1".to_owned()), (text("b c"), text("d"))]));
        file.line("empty", inline([]));
        let table = read(file.finish());
        let value = |key: &str| &get(&table, key).unwrap_or_else(|| panic!("no `{key}`")).value;
        assert_eq!(value("first"), &Value::Integer(1));
        for (index, word) in odd.iter().enumerate() {
            assert_eq!(value(&format!("words.w{index}.is")), &Value::String((*word).to_owned()));
        }
        let Value::Array(items) = value("lists.words") else { panic!("no list") };
        let back: Vec<String> = items.iter().map(|item| item.value.to_string()).collect();
        assert_eq!(back, odd.map(text));
        assert_eq!(value("lists.pairs.a"), &Value::Integer(1));
        assert_eq!(value("lists.pairs.b c"), &Value::String("d".to_owned()));
    }

    #[test]
    fn numbers_keep_the_digits_asked_for() {
        for power in -12..16 {
            let meant = 1.234_567_891 * 10_f64.powi(power);
            let mut file = TomlText::default();
            file.line("x", number(meant, 6));
            let is = match get(&read(file.finish()), "x").expect("a number").value {
                Value::Float(number) => number,
                Value::Integer(number) => number as f64,
                _ => panic!("no number"),
            };
            assert!((is / meant - 1.0).abs() < 1e-5, "expectation {meant}, actual {is}");
        }
        assert_eq!((number(128.0, 6), number(0.123_456_78, 3)), ("128".to_owned(), "0.123".to_owned()));
    }
}
