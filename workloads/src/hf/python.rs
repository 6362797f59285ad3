//! JSON as Python writes it: `Infinity`, `-Infinity` and `NaN` are values there, and in no JSON.

use std::borrow::Cow;

/// The words that Python writes for what is no number, longest first.
const WORDS: [&str; 3] = ["-Infinity", "Infinity", "NaN"];

/// The same text as JSON: each such word as a string, so that whoever reads the key is told what stands there.
pub(super) fn as_json(text: &str) -> Cow<'_, str> {
    if !WORDS.iter().any(|word| text.contains(word)) {
        return Cow::Borrowed(text);
    }
    let mut json = String::with_capacity(text.len() + 2);
    let (mut inside, mut escaped) = (false, false);
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let word = WORDS.iter().find(|word| !inside && rest.starts_with(**word));
        if let Some(word) = word {
            json.extend(["\"", word, "\""]);
            rest = &rest[word.len()..];
            continue;
        }
        // A quote ends a string unless it is escaped, and what is escaped escapes nothing.
        if c == '"' && !escaped {
            inside = !inside;
        }
        escaped = inside && c == '\\' && !escaped;
        json.push(c);
        rest = &rest[c.len_utf8()..];
    }
    Cow::Owned(json)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_python_become_strings_and_strings_stay() {
        let text = r#"{"a": [0.0, Infinity, -Infinity], "b": NaN, "NaN": "an \" Infinity \\", "c": 1}"#;
        let expected = r#"{"a": [0.0, "Infinity", "-Infinity"], "b": "NaN", "NaN": "an \" Infinity \\", "c": 1}"#;
        assert_eq!(as_json(text), expected);
        assert!(matches!(as_json("{\"a\": 1}"), Cow::Borrowed(_)));
    }
}
