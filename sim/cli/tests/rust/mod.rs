//! Reading Rust, as far as the rules of the house need it: tokens with their lines, and which of them are tests.

/// A word, number, string or mark.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Token {
    /// From 1.
    pub(crate) line: usize,
    /// What it is.
    pub(crate) kind: TokenKind,
}

/// What a token is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum TokenKind {
    /// A name or keyword.
    Word(String),
    /// A number as it is written, type and underscores included.
    Number(String),
    /// What stands between the quotes, escapes as they are written.
    Text(String),
    /// Anything else.
    Mark(char),
}

impl TokenKind {
    /// The text of a word.
    pub(crate) fn word(&self) -> Option<&str> {
        if let Self::Word(text) = self { Some(text) } else { None }
    }

    /// The text of a number.
    pub(crate) fn number(&self) -> Option<&str> {
        if let Self::Number(text) = self { Some(text) } else { None }
    }
}

/// Words, numbers, string literals and marks; comments, characters and lifetimes are left out.
pub(crate) fn tokens(source: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let (mut rest, mut line) = (source, 1);
    while let Some(first) = rest.chars().next() {
        let (length, kind) = next(rest, first);
        if let Some(kind) = kind {
            tokens.push(Token { line, kind });
        }
        line += rest[..length].matches('\n').count();
        rest = &rest[length..];
    }
    tokens
}

/// The value of a literal, without its underscores and the name of its type.
pub(crate) fn number(text: &str) -> Option<f64> {
    let text = text.replace('_', "");
    let types = ["u8", "u16", "u32", "u64", "u128", "usize", "i8", "i16", "i32", "i64", "i128", "isize", "f64"];
    let bare = types.iter().find_map(|name| text.strip_suffix(name)).unwrap_or(&text);
    let radix = |prefix: &str, base| Some(u128::from_str_radix(bare.strip_prefix(prefix)?, base).ok()? as f64);
    radix("0x", 16).or_else(|| radix("0b", 2)).or_else(|| radix("0o", 8)).or_else(|| bare.parse().ok())
}

/// Modules in files of their own that only tests have.
pub(crate) fn test_module_names(tokens: &[Token]) -> Vec<String> {
    let name = |at: usize| match (&tokens.get(at)?.kind, &tokens.get(at + 1)?.kind, &tokens.get(at + 2)?.kind) {
        (TokenKind::Word(word), TokenKind::Word(name), TokenKind::Mark(';')) if word == "mod" => Some(name.clone()),
        _ => None,
    };
    test_items(tokens).into_iter().filter_map(name).collect()
}

/// Without the items that `#[cfg(test)]` stands before.
pub(crate) fn without_tests(tokens: Vec<Token>) -> Vec<Token> {
    let mut keep = vec![true; tokens.len()];
    for start in test_items(&tokens) {
        let mut depth = 0;
        for (at, token) in tokens.iter().enumerate().skip(start) {
            keep[at] = false;
            match token.kind {
                TokenKind::Mark('{') => depth += 1,
                TokenKind::Mark('}') => depth -= 1,
                _ => {}
            }
            if depth == 0 && matches!(token.kind, TokenKind::Mark('}' | ';')) {
                break;
            }
        }
    }
    tokens.into_iter().zip(keep).filter(|(_, keep)| *keep).map(|(token, _)| token).collect()
}

fn next(rest: &str, first: char) -> (usize, Option<TokenKind>) {
    let span = |keep: fn(char) -> bool| rest.find(|c| !keep(c)).unwrap_or(rest.len());
    if rest.starts_with("//") {
        return (rest.find('\n').unwrap_or(rest.len()), None);
    }
    if rest.starts_with("/*") {
        return (comment(rest), None);
    }
    let raw = rest.strip_prefix('b').unwrap_or(rest);
    let prefix = rest.len() - raw.len();
    if raw.starts_with('"') {
        let length = prefix + quoted(raw);
        return (length, Some(TokenKind::Text(rest[prefix + 1..length - 1].to_owned())));
    }
    let hashes = raw.strip_prefix('r').map(|after| after.len() - after.trim_start_matches('#').len());
    if let Some(hashes) = hashes.filter(|&hashes| raw[1 + hashes..].starts_with('"')) {
        let start = prefix + 2 + hashes;
        let close = format!("\"{}", "#".repeat(hashes));
        let end = rest[start..].find(&close).map_or(rest.len(), |at| start + at);
        return ((end + close.len()).min(rest.len()), Some(TokenKind::Text(rest[start..end].to_owned())));
    }
    match first {
        '\'' => (character(rest), None),
        '0'..='9' => {
            let length = digits(rest);
            (length, Some(TokenKind::Number(rest[..length].to_owned())))
        }
        c if c.is_alphabetic() || c == '_' => {
            let length = span(|c| c.is_alphanumeric() || c == '_');
            (length, Some(TokenKind::Word(rest[..length].to_owned())))
        }
        c if c.is_whitespace() => (span(char::is_whitespace), None),
        c => (c.len_utf8(), Some(TokenKind::Mark(c))),
    }
}

/// Length of a block comment; they nest.
fn comment(rest: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        let here = &rest[at..];
        if here.starts_with("/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if here.starts_with("*/") {
            (depth, at) = (depth - 1, at + 2);
        } else {
            at += here.chars().next().map_or(1, char::len_utf8);
        }
        if depth == 0 {
            break;
        }
    }
    at
}

/// Length of a string literal, quotes included.
fn quoted(rest: &str) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// Length of a character literal, or of the mark of a lifetime.
fn character(rest: &str) -> usize {
    let mut chars = rest.char_indices().skip(1);
    match (chars.next(), chars.next()) {
        (Some((_, '\\')), Some((at, c))) => {
            let after = at + c.len_utf8();
            rest[after..].find('\'').map_or(rest.len(), |end| after + end + 1)
        }
        (Some(_), Some((at, '\''))) => at + 1,
        _ => 1,
    }
}

/// Length of a number; `0..9` is two.
fn digits(rest: &str) -> usize {
    let bytes = rest.as_bytes();
    let hex = rest.starts_with("0x");
    let mut at = 1;
    while at < bytes.len() {
        let goes_on = match bytes[at] {
            b'.' => !hex && bytes.get(at + 1).is_some_and(u8::is_ascii_digit),
            b'+' | b'-' => !hex && matches!(bytes[at - 1], b'e' | b'E'),
            byte => byte.is_ascii_alphanumeric() || byte == b'_',
        };
        if !goes_on {
            break;
        }
        at += 1;
    }
    at
}

/// Where `#[cfg(test)]` stands: the place of the item that follows it.
fn test_items(tokens: &[Token]) -> Vec<usize> {
    let attribute = ["#", "[", "cfg", "(", "test", ")", "]"];
    let is = |token: &Token, text: &str| match &token.kind {
        TokenKind::Word(word) => word == text,
        TokenKind::Mark(mark) => text == mark.to_string(),
        TokenKind::Number(_) | TokenKind::Text(_) => false,
    };
    let stands = |window: &[Token]| window.iter().zip(attribute).all(|(token, text)| is(token, text));
    let places = tokens.windows(attribute.len()).enumerate().filter(|(_, window)| stands(window));
    places.map(|(at, _)| at + attribute.len()).collect()
}

#[test]
fn the_reader_of_rust_tells_code_from_text() {
    let source = r##"let a = 1_000_001; // 2e9
        /* 3e9 /* 4e9 */ */ let s = "5e9 \" 6e9"; let r = r#"7e9"#; let c = '"'; let l: &'static str = "x";
        let h = 0xFFFF_FFFF_u64; let f = 8.5e9_f64; let i = x.0.1; let range = 0..9;
        #[cfg(test)] mod tests { const N: u64 = 9e9; } let after = 1;"##;
    let tokens = without_tests(tokens(source));
    let numbers: Vec<&str> = tokens.iter().filter_map(|token| token.kind.number()).collect();
    assert_eq!(numbers, ["1_000_001", "0xFFFF_FFFF_u64", "8.5e9_f64", "0.1", "0", "9", "1"]);
    let values: Vec<f64> =
        ["1_000_001", "0xFFFF_FFFF_u64", "8.5e9_f64"].iter().filter_map(|text| number(text)).collect();
    assert_eq!(values, [1_000_001.0, f64::from(u32::MAX), 8.5e9]);
    let texts = tokens.iter().filter(|token| matches!(token.kind, TokenKind::Text(_)));
    assert_eq!(texts.count(), 3);
}
