//! Mistakes in files, and how they are shown.

use std::fmt;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

use crate::origin::Origin;

/// Whether a diagnostic stops the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The scenario has no plan.
    Error,
    /// The plan stands, but its reader should know.
    Warning,
}

/// One thing that is wrong, where, and the way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Whether it stops the run.
    pub severity: Severity,
    /// What is wrong: lower case, what the user typed in backticks.
    pub message: String,
    /// Where it was written; `None` where nothing was written, for example a file that is not there.
    pub origin: Option<Origin>,
    /// What would be right.
    pub hint: Option<String>,
}

impl Diagnostic {
    /// An error without a place and a hint yet.
    pub(crate) fn error(message: impl Into<String>) -> Self {
        Self { severity: Severity::Error, message: message.into(), origin: None, hint: None }
    }

    pub(crate) fn at(mut self, origin: &Origin) -> Self {
        self.origin = Some(origin.clone());
        self
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// As rustc shows it: message, `--> file:line:column`, the line with carets, `hint:`. No newline at the end.
    /// `color` adds ANSI colors.
    #[must_use]
    pub fn render(&self, color: bool) -> String {
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let mut group = Group::with_title(level.primary_title(&self.message));
        if let Some(origin) = &self.origin {
            group = if origin.span().is_empty() {
                group.element(annotate_snippets::Origin::path(origin.file()))
            } else {
                let snippet = Snippet::source(origin.text()).path(origin.file());
                group.element(snippet.annotation(AnnotationKind::Primary.span(origin.span())))
            };
        }
        if let Some(hint) = &self.hint {
            group = group.element(Level::HELP.with_name("hint").message(hint));
        }
        let renderer = if color { Renderer::styled() } else { Renderer::plain() };
        renderer.decor_style(DecorStyle::Ascii).render(&[group])
    }
}

/// Every mistake that was found, in the order of files and lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mistakes(Vec<Diagnostic>);

impl Mistakes {
    /// Sorts by file and place and drops exact repetitions.
    pub(crate) fn new(mut diagnostics: Vec<Diagnostic>) -> Self {
        diagnostics.sort_by(|a, b| place(a).cmp(&place(b)).then_with(|| a.message.cmp(&b.message)));
        diagnostics.dedup();
        Self(diagnostics)
    }

    /// The mistakes.
    #[must_use]
    pub fn diagnostics(&self) -> &[Diagnostic] {
        &self.0
    }

    /// All of them as rustc shows them, an empty line between two; `color` adds ANSI colors.
    #[must_use]
    pub fn render(&self, color: bool) -> String {
        let shown: Vec<String> = self.0.iter().map(|diagnostic| diagnostic.render(color)).collect();
        shown.join("\n\n")
    }
}

fn place(diagnostic: &Diagnostic) -> Option<(&str, usize)> {
    diagnostic.origin.as_ref().map(|origin| (origin.file(), origin.span().start))
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Mistakes {}
