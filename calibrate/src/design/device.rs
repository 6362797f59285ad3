//! What one device is asked besides products.

use super::{Facts, counts, powers, thin};
use crate::question::Question;

/// Between one SM and all: dense where a few SMs matter, and every count that a copy beside a product takes.
const SOME_SMS: [u32; 18] = [1, 2, 4, 8, 16, 20, 24, 32, 48, 64, 80, 96, 108, 112, 116, 120, 124, 128];
/// Above this a kernel bound by memory tells nothing new.
const BYTES_MAX: u64 = 4 << 30;

/// 1 MiB to 4 GiB on all SMs; 1 GiB, far beyond any L2, on fewer.
pub(super) fn memory(facts: &Facts, quick: bool) -> Vec<Question> {
    let fits = |bytes: &u64| *bytes <= facts.memory / 8;
    let sms = facts.sms;
    let mut questions = Vec::new();
    for bytes in thin(powers(20, 32, 1), quick, 3).into_iter().filter(fits) {
        questions.push(Question::Copy { bytes, sms });
        questions.push(Question::Read { bytes, sms });
        questions.push(Question::Write { bytes, sms });
    }
    let bytes = [1 << 30].into_iter().find(fits).unwrap_or(facts.memory / 8);
    for (index, sms) in thin(counts(facts, &SOME_SMS), quick, 2).into_iter().enumerate() {
        questions.push(Question::Copy { bytes, sms });
        if index.is_multiple_of(2) {
            questions.push(Question::Read { bytes, sms });
            questions.push(Question::Write { bytes, sms });
        }
    }
    questions
}

/// Tokens by widths; permutations with the eight copies of a token that large mixtures make, and with two.
pub(super) fn stream(facts: &Facts, quick: bool) -> Vec<Question> {
    let bytes_max = BYTES_MAX.min(facts.memory / 8);
    let mut questions = Vec::new();
    for tokens in thin(powers(6, 16, 2), quick, 2) {
        for dim in thin(vec![512, 2048, 7168, 16384], quick, 2) {
            let elements = tokens * dim;
            if 6 * elements <= bytes_max {
                questions.extend([
                    Question::Rmsnorm { tokens, dim },
                    Question::Swiglu { tokens, dim },
                    Question::Rope { tokens, dim },
                    Question::Cast { tokens, dim },
                    Question::CastTransposed { tokens: tokens.next_multiple_of(128), dim },
                ]);
            }
            let top_k: u32 = if dim == 512 { 2 } else { 8 };
            if 2 * elements * u64::from(1 + top_k) <= bytes_max {
                questions.push(Question::Permute { tokens, dim, top_k });
                questions.push(Question::Unpermute { tokens, dim, top_k });
            }
        }
    }
    questions
}
