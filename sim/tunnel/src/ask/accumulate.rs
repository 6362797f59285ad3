//! What a long sum loses in a tensor core's accumulator.

use numerics::{Loss, SumQuestion};
use serde_json::{Value, json};

use crate::error::TunnelError;

/// Relative error and bias of sums of random products.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AccumulateReply {
    /// What was asked.
    pub question: SumQuestion,
    /// What is lost.
    pub loss: Loss,
}

/// Relative error and bias of sums of random products.
///
/// # Errors
/// A sum of nothing, or of more products than the emulation takes.
pub fn accumulate(question: &SumQuestion) -> Result<AccumulateReply, TunnelError> {
    Ok(AccumulateReply { question: *question, loss: question.loss()? })
}

impl AccumulateReply {
    /// By the names that files and facts use.
    #[must_use]
    pub fn json(&self) -> Value {
        let Self { question, loss } = self;
        let accumulator = question.accumulator;
        json!({
            "relative_error": loss.relative_error,
            "standard_error": loss.relative_error_standard_error,
            "bias": loss.bias,
            "bias_standard_error": loss.bias_standard_error,
            "n_outputs": loss.n_outputs,
            "question": {
                "format": question.format.name(),
                "k": question.k,
                "distribution": question.distribution.name(),
                "fraction_bits": accumulator.fraction_bits(),
                "stored_bits": accumulator.stored_bits(),
                "group": accumulator.group(),
                "promote": accumulator.promote(),
                "seed": question.seed,
            },
        })
    }
}
