//! Answers as JSON.

use serde::Serialize;

use crate::StudyError;

/// Indented, keys in the order of the fields, a newline at the end; equal answers give equal bytes.
pub(crate) fn pretty<T: Serialize>(answer: &T) -> Result<String, StudyError> {
    let text = serde_json::to_string_pretty(answer).map_err(|error| StudyError::Fault(error.to_string()))?;
    Ok(text + "\n")
}
