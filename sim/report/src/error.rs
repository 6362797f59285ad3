//! What can be wrong with what a report is made from.

use std::fmt;

use serde::Serialize;
use serde_json::Value;

/// Why a report cannot be made. Every case is a fault in the data handed over, so no figure is drawn from it.
#[derive(Clone, Debug, PartialEq)]
pub enum ReportError {
    /// A page of a job that has none.
    NoPage,
    /// A number that is infinite or not a number, by its path in the JSON, for example `phases_by_rank[3].bubble`.
    NotFinite {
        /// Where it stands.
        path: String,
    },
    /// An interval that ends before it starts, starts before the step or is not finite.
    BadSpan {
        /// Process and thread of its lane.
        lane: String,
        /// Its name.
        span: String,
        /// Its start, seconds.
        start: f64,
        /// Its end, seconds.
        end: f64,
    },
    /// An interval that starts before the one before it in its lane has ended.
    Overlap {
        /// Process and thread of the lane.
        lane: String,
        /// The later interval.
        span: String,
        /// Its start, seconds.
        start: f64,
        /// The end of the one before, seconds.
        previous_end: f64,
    },
    /// A box of a picture that stands outside its grid, or a line that leads to no box.
    BadPicture {
        /// For example `line 3`.
        part: String,
    },
    /// The library that draws, fills the template or encodes said no.
    Library(String),
}

impl fmt::Display for ReportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoPage => f.write_str("only a training step has a page; `--json` has what an imported graph came to"),
            Self::NotFinite { path } => write!(f, "`{path}` of the result is not a finite number"),
            Self::BadSpan { lane, span, start, end } => {
                write!(f, "interval `{span}` of `{lane}` runs from {start} s to {end} s")
            }
            Self::Overlap { lane, span, start, previous_end } => write!(
                f,
                "interval `{span}` of `{lane}` starts at {start} s, before the one before it ends at {previous_end} s"
            ),
            Self::BadPicture { part } => {
                write!(f, "{part} of the picture of the machine stands for nothing")
            }
            Self::Library(message) => f.write_str(message),
        }
    }
}

impl std::error::Error for ReportError {}

impl ReportError {
    pub(crate) fn library(error: impl fmt::Display) -> Self {
        Self::Library(error.to_string())
    }
}

/// Fails with the path of the first number that is not finite.
///
/// JSON has no such numbers and `serde_json` writes `null` for them; nothing here has an optional field but [`MAY_BE_NONE`], so any other
/// `null` is one of them.
///
/// # Errors
/// [`ReportError::NotFinite`].
pub(crate) fn finite<T: Serialize>(name: &str, value: &T) -> Result<(), ReportError> {
    let value = serde_json::to_value(value).map_err(ReportError::library)?;
    match first_null(&value, name.to_owned()) {
        Some(path) => Err(ReportError::NotFinite { path }),
        None => Ok(()),
    }
}

/// Tables that stand as `null` where there is none: a number in one would be deeper.
const MAY_BE_NONE: &str = "serving.tpot";

fn first_null(value: &Value, path: String) -> Option<String> {
    match value {
        Value::Null if path == MAY_BE_NONE => None,
        Value::Null => Some(path),
        Value::Array(items) => {
            items.iter().enumerate().find_map(|(index, item)| first_null(item, format!("{path}[{index}]")))
        }
        Value::Object(fields) => fields.iter().find_map(|(key, field)| {
            let inner = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            first_null(field, inner)
        }),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}
