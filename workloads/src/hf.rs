//! A [`Model`] from the `config.json` a model is published with on Hugging Face.
//!
//! Read are the dimensions only: no weights, no rotary or quantization settings. `model.node-limit` is `topk_group`,
//! `groups` is `n_group`, `mtp-modules` is `num_nextn_predict_layers`. Query-key norms (some hundred weights a layer)
//! are left out. What a file leaves out is an error, but for what the model's own code (`transformers`) has one default for, which
//! leaves no choice. Python's `Infinity` and `NaN` are read; of a key that is asked for they are no value.

mod families;
mod fields;
mod python;

use crate::model::{Model, ModelError};

pub use families::MODEL_TYPES;

/// Everything that is wrong with a `config.json`.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{}", .problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct HfError {
    /// What is wrong, in the order of reading.
    pub problems: Vec<Problem>,
}

/// One thing that is wrong with a `config.json`.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Problem {
    /// It is not JSON.
    #[error("not JSON: {0}")]
    Json(String),
    /// It is JSON but no object.
    #[error("a `config.json` is an object, this is something else")]
    Object,
    /// The kind of model is not known.
    #[error("unknown `model_type` `{found}`; known are {}", MODEL_TYPES.map(|name| format!("`{name}`")).join(", "))]
    ModelType {
        /// What the file says.
        found: String,
    },
    /// A key is not there.
    #[error("`{0}` is missing")]
    Missing(&'static str),
    /// A value has the wrong type or size.
    #[error("`{key}` is {found}, not {expected}")]
    Value {
        /// The key.
        key: &'static str,
        /// Its value, as JSON.
        found: String,
        /// What it must be.
        expected: &'static str,
    },
    /// The dimensions make no sense together.
    #[error(transparent)]
    Model(#[from] ModelError),
}

/// The model a `config.json` describes; `text` is the file's content.
///
/// # Errors
/// Everything that is missing, of the wrong kind, or not modeled, all at once.
///
/// ```
/// let text = r#"{ "model_type": "llama", "num_hidden_layers": 126, "hidden_size": 16384, "intermediate_size": 53248,
///     "vocab_size": 128256, "num_attention_heads": 128, "num_key_value_heads": 8 }"#;
/// let model = workloads::hf::from_config_json(text)?;
/// assert_eq!((model.params() as f64 / 1e8).round() / 10.0, 405.9);
/// # Ok::<(), workloads::hf::HfError>(())
/// ```
pub fn from_config_json(text: &str) -> Result<Model, HfError> {
    let one = |problem| HfError { problems: vec![problem] };
    let text = python::as_json(text.strip_prefix('\u{feff}').unwrap_or(text));
    let value: serde_json::Value =
        serde_json::from_str(&text).map_err(|error| one(Problem::Json(error.to_string())))?;
    let object = value.as_object().ok_or_else(|| one(Problem::Object))?;
    let mut fields = fields::Fields::new(object);
    let model = families::model(&mut fields);
    let mut problems = fields.problems;
    match model {
        Some(model) if problems.is_empty() => {
            problems.extend(model.check().into_iter().map(Problem::Model));
            if problems.is_empty() { Ok(model) } else { Err(HfError { problems }) }
        }
        _ => Err(HfError { problems }),
    }
}

#[cfg(test)]
mod tests;
