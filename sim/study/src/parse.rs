//! TOML of studies and proposals.

use serde::de::DeserializeOwned;

use crate::StudyError;

/// TOML into a type, with the place of what is wrong.
pub(crate) fn parse<T: DeserializeOwned>(place: &str, text: &str) -> Result<T, StudyError> {
    toml::from_str(text).map_err(|error| {
        let before = &text[..error.span().map_or(0, |span| span.start).min(text.len())];
        let line = 1 + before.matches('\n').count();
        let column = 1 + before.rsplit('\n').next().map_or(0, |line| line.chars().count());
        let message = error.message().split_whitespace().collect::<Vec<_>>().join(" ");
        StudyError::file(format!("{place}:{line}:{column}"), message, "scenarios/studies/README.md has every key")
    })
}
