//! A command line as one text, into words.

/// Words between blanks; single and double quotes keep blanks within a word. Why not, where a quote is left open.
pub(super) fn words(line: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for c in line.chars() {
        match quote {
            Some(open) if c == open => quote = None,
            Some(_) => word.get_or_insert_default().push(c),
            None if c == '\'' || c == '"' => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            None if c.is_whitespace() => words.extend(word.take()),
            None => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    match quote {
        Some(open) => Err(format!("the quote {open} is not closed")),
        None => Ok(words),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_keep_blanks() {
        let line = "run tiny-moe --set 'node.nic.rate=800 Gbit/s' --set use.profiles='[\"a\", \"b\"]' ''";
        let expected =
            ["run", "tiny-moe", "--set", "node.nic.rate=800 Gbit/s", "--set", "use.profiles=[\"a\", \"b\"]", ""];
        assert_eq!(words(line).as_deref(), Ok(&expected.map(str::to_owned)[..]));
        assert!(words("run 'tiny").is_err());
        assert_eq!(words("  "), Ok(Vec::new()));
    }
}
