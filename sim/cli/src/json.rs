//! JSON on a screen.

/// Indented JSON with a newline at its end.
pub(crate) fn pretty(value: &serde_json::Value) -> String {
    format!("{value:#}\n")
}
