//! Where a value stands: a file or a command-line argument, and the bytes within it.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::kind::Kind;

/// A text that values come from.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Source {
    /// How messages call it: a path, or `--set`.
    pub(crate) name: String,
    pub(crate) text: String,
    pub(crate) place: Place,
}

/// Where a text came from, which decides what a relative path in it means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// A file on disk.
    Disk(PathBuf),
    /// A file of the compiled-in copy, by its path below `scenarios`.
    BuiltIn(PathBuf),
    /// A command-line argument.
    Argument,
}

/// Where a value was written.
#[derive(Clone, PartialEq, Eq)]
pub struct Origin {
    source: Arc<Source>,
    span: Range<usize>,
}

impl Origin {
    /// A range of bytes of a source, moved to the nearest character boundaries inside it.
    pub(crate) fn new(source: &Arc<Source>, span: Range<usize>) -> Self {
        let text = &source.text;
        let mut start = span.start.min(text.len());
        while !text.is_char_boundary(start) {
            start -= 1;
        }
        let mut end = span.end.clamp(start, text.len());
        while !text.is_char_boundary(end) {
            end += 1;
        }
        Self { source: Arc::clone(source), span: start..end }
    }

    /// The whole of a source, shown as its name without a line.
    pub(crate) fn whole(source: &Arc<Source>) -> Self {
        Self::new(source, 0..0)
    }

    /// Whether it stands in a file of defaults.
    pub(crate) fn is_default(&self) -> bool {
        let folder = |path: &Path| path.parent().is_some_and(|parent| parent.ends_with(Kind::Defaults.folder()));
        match &self.source.place {
            Place::Disk(path) | Place::BuiltIn(path) => folder(path),
            Place::Argument => false,
        }
    }

    pub(crate) fn source(&self) -> &Arc<Source> {
        &self.source
    }

    /// The file's path as it was found, or `--set` for a command-line patch.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.source.name
    }

    /// The text of the file or argument.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.source.text
    }

    /// The bytes of [`Origin::text`] that the value takes; empty where the file as a whole is meant.
    #[must_use]
    pub fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    /// The lines that the value stands on, and its bytes within them.
    pub(crate) fn lines(&self) -> (&str, Range<usize>) {
        let (text, span) = (self.text(), self.span());
        let start = text[..span.start].rfind('\n').map_or(0, |newline| newline + 1);
        let end = text[span.end..].find('\n').map_or(text.len(), |newline| span.end + newline + 1);
        (&text[start..end], span.start - start..span.end - start)
    }

    /// Line of the first byte, from 1.
    #[must_use]
    pub fn line(&self) -> usize {
        1 + self.before().matches('\n').count()
    }

    /// Column of the first byte in characters, from 1.
    #[must_use]
    pub fn column(&self) -> usize {
        let before = self.before();
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        1 + before[line_start..].chars().count()
    }

    /// Names of published facts that the line of the value gives for it, in a comment or as an estimate's `source`: words
    /// with a dot, of which only those that are facts mean anything.
    #[must_use]
    pub fn sources(&self) -> Vec<&str> {
        let start = self.before().rfind('\n').map_or(0, |newline| newline + 1);
        let line = self.source.text[start..].lines().next().unwrap_or_default();
        let said = [line.find("source"), line.find('#')].into_iter().flatten().min();
        let words = said.map_or("", |at| &line[at..]);
        let words = words.split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')));
        words.map(|word| word.trim_matches('.')).filter(|word| word.contains('.')).collect()
    }

    fn before(&self) -> &str {
        &self.source.text[..self.span.start]
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Origin({self})")
    }
}

impl fmt::Display for Origin {
    /// `scenarios/hardware/h800-sxm5.toml:14`, or `--set gpu.sms=160`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.source.place {
            Place::Argument => write!(f, "{} {}", self.file(), self.text()),
            Place::Disk(_) | Place::BuiltIn(_) => write!(f, "{}:{}", self.file(), self.line()),
        }
    }
}
