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
                // The lines of the value alone: a renderer looks at every line that it is given.
                let (lines, span) = origin.lines();
                let snippet = Snippet::source(lines).path(origin.file()).line_start(origin.line());
                group.element(snippet.annotation(AnnotationKind::Primary.span(span)))
            };
        }
        if let Some(hint) = &self.hint {
            group = group.element(Level::HELP.with_name("hint").message(hint));
        }
        let renderer = if color { Renderer::styled() } else { Renderer::plain() };
        renderer.decor_style(DecorStyle::Ascii).render(&[group])
    }
}

/// Mistakes that are shown: whoever has more has one that repeats.
const N_SHOWN_MAX: usize = 100;
/// Mistakes that get a hint: to find what was meant takes a look at every key there is.
pub(crate) const N_HINTED_MAX: usize = 1000;

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

    /// The first of them as rustc shows them, an empty line between two, and how many more there are; `color` adds ANSI colors.
    #[must_use]
    pub fn render(&self, color: bool) -> String {
        let shown = self.0.iter().take(N_SHOWN_MAX).map(|diagnostic| diagnostic.render(color));
        let more = self.0.len().saturating_sub(N_SHOWN_MAX);
        let more = (more > 0).then(|| format!("and {more} more mistakes"));
        shown.chain(more).collect::<Vec<_>>().join("\n\n")
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
