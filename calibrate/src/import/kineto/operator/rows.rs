//! Kernels over rows that memory bounds: norms, softmax, and what works element by element.

use serde_json::Value;
use workloads::kernel::StreamKernel;

use super::{Call, Question};

const BF16: &str = "c10::BFloat16";
const F32: &str = "float";

/// Where an operator has the tensor whose rows it passes, and what it must be to be the kernel that is measured.
pub(super) struct Rows {
    what: StreamKernel,
    /// Index of the tensor.
    of: usize,
    /// Its format, and those of other inputs that must have one.
    formats: &'static [(usize, &'static str)],
    rule: Rule,
}

/// What must hold beside the formats.
enum Rule {
    /// The last side is the whole of what is normed, as the weight of this index has it.
    Weight(usize),
    /// The argument of this index is the last side.
    LastSide(usize),
    /// Inputs of these indices have the sides of the tensor, and all lie in memory as they are.
    Same(&'static [usize]),
}

impl Rows {
    pub(super) fn of(name: &str) -> Option<Self> {
        use StreamKernel as Of;
        let rows = |what, of, formats, rule| Some(Self { what, of, formats, rule });
        match name {
            "aten::native_layer_norm" => rows(Of::LayerNorm, 0, &[(0, BF16), (2, BF16)], Rule::Weight(2)),
            "aten::native_layer_norm_backward" => {
                rows(Of::LayerNormGradient, 1, &[(0, BF16), (1, BF16), (5, BF16)], Rule::Weight(5))
            }
            "aten::_fused_rms_norm" => rows(Of::Norm, 0, &[(0, BF16), (2, BF16)], Rule::Weight(2)),
            "aten::_fused_rms_norm_backward" => {
                rows(Of::NormGradient, 1, &[(0, BF16), (1, BF16), (4, BF16)], Rule::Weight(4))
            }
            "aten::_softmax" => rows(Of::Softmax, 0, &[(0, BF16)], Rule::LastSide(1)),
            "aten::_softmax_backward_data" => rows(Of::SoftmaxGradient, 1, &[(0, BF16), (1, BF16)], Rule::LastSide(2)),
            "aten::_log_softmax" => rows(Of::LogSoftmax, 0, &[(0, F32)], Rule::LastSide(1)),
            "aten::_log_softmax_backward_data" => {
                rows(Of::LogSoftmaxGradient, 1, &[(0, F32), (1, F32)], Rule::LastSide(2))
            }
            "aten::gelu" => rows(Of::Gelu, 0, &[(0, BF16)], Rule::Same(&[])),
            "aten::add" | "aten::add_" | "aten::mul" | "aten::mul_" | "aten::sub" => {
                rows(Of::Elementwise, 0, &[(0, BF16), (1, BF16)], Rule::Same(&[1]))
            }
            "aten::copy_" => rows(Of::Widen, 1, &[(0, F32), (1, BF16)], Rule::Same(&[0])),
            "aten::native_dropout" => rows(Of::Dropout, 0, &[(0, BF16)], Rule::Same(&[])),
            _ => None,
        }
    }

    pub(super) fn question(&self, call: &Call<'_>) -> Result<Question, String> {
        for (index, format) in self.formats {
            if call.type_of(*index) != *format {
                return Err(format!("in `{}`", call.type_of(*index)));
            }
        }
        let sides = call.sides(self.of).filter(|sides| !sides.is_empty());
        let sides = sides.ok_or_else(|| format!("whose input {} has no sides", self.of))?;
        self.check(call, &sides)?;
        let dim = sides[sides.len() - 1];
        let tokens = sides[..sides.len() - 1].iter().try_fold(1_u64, |product, side| product.checked_mul(*side));
        let tokens = tokens.filter(|tokens| tokens.checked_mul(dim).is_some());
        let tokens = tokens.ok_or_else(|| format!("of {sides:?} elements"))?;
        Ok(match self.what {
            StreamKernel::Norm => Question::Rmsnorm { tokens, dim },
            what => Question::Rows { what, tokens, dim },
        })
    }

    fn check(&self, call: &Call<'_>, sides: &[u64]) -> Result<(), String> {
        let last = sides.len() - 1;
        let is_fit = match &self.rule {
            Rule::Weight(index) => call.dims::<1>(*index)? == [sides[last]],
            // A softmax to another format is another kernel.
            Rule::LastSide(index) => {
                let is_last = [format!("{last}"), "-1".to_owned()].iter().any(|side| call.concrete(*index) == side);
                is_last && call.concrete(index + 1) != "True"
            }
            Rule::Same(others) => {
                let is_same = others.iter().all(|index| call.sides(*index).is_some_and(|other| other == sides));
                if is_same {
                    [self.of].iter().chain(*others).try_for_each(|index| call.dense(*index))?;
                }
                is_same
            }
        };
        if is_fit { Ok(()) } else { Err("over other sides than those that are measured".to_owned()) }
    }
}

impl Call<'_> {
    /// Whether a tensor lies in memory row after row without gaps.
    fn dense(&self, index: usize) -> Result<(), String> {
        let strides = self.arguments["Input Strides"][index].as_array();
        let strides: Option<Vec<u64>> = strides.and_then(|strides| strides.iter().map(Value::as_u64).collect());
        let strides = strides.ok_or("without strides: a newer PyTorch records `Input Strides`")?;
        let sides = self.sides(index).unwrap_or_default();
        let mut expected = 1_u64;
        for (side, stride) in sides.iter().zip(&strides).rev() {
            if *side > 1 && *stride != expected {
                return Err("whose elements lie apart".to_owned());
            }
            expected = expected.saturating_mul(*side);
        }
        if sides.len() == strides.len() { Ok(()) } else { Err("whose strides are not of its sides".to_owned()) }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::question;
    use super::*;

    fn ask(name: &str, args: &Value) -> Result<Question, String> {
        question(json!({"name": name, "args": args}).as_object().expect("an object"))
    }

    #[test]
    fn rows_are_all_sides_but_the_last() {
        let args = json!({"Input Dims": [[2, 512, 4096], [], [4096], [4096], []], "Input type": [BF16, "ScalarList", BF16, BF16, "Scalar"]});
        let (tokens, dim) = (1024, 4096);
        let what = StreamKernel::LayerNorm;
        assert_eq!(ask("aten::native_layer_norm", &args), Ok(Question::Rows { what, tokens, dim }));
        assert_eq!(ask("aten::_fused_rms_norm", &args), Ok(Question::Rmsnorm { tokens, dim }));
        let wide = json!({"Input Dims": [[2, 512, 4096], [], [512, 4096]], "Input type": [BF16, "", BF16]});
        assert!(ask("aten::native_layer_norm", &wide).is_err(), "the norm of two sides at once");
        let float = json!({"Input Dims": [[2, 512, 4096], [], [4096]], "Input type": [F32, "", F32]});
        assert!(ask("aten::native_layer_norm", &float).unwrap_err().contains("`float`"));
    }

    #[test]
    fn a_softmax_is_of_the_last_side() {
        let args = |side: &str| json!({"Input Dims": [[8, 64, 128]], "Input type": [BF16], "Concrete Inputs": ["", side, "False"]});
        let expectation = Question::Rows { what: StreamKernel::Softmax, tokens: 512, dim: 128 };
        assert_eq!(ask("aten::_softmax", &args("-1")), Ok(expectation.clone()));
        assert_eq!(ask("aten::_softmax", &args("2")), Ok(expectation));
        assert!(ask("aten::_softmax", &args("1")).is_err());
    }

    #[test]
    fn what_lies_apart_is_another_kernel() {
        let args = |dims: Value, strides: Value| json!({"Input Dims": dims, "Input type": [BF16, BF16], "Input Strides": strides});
        let dims = json!([[64, 128], [64, 128]]);
        let expectation = Question::Rows { what: StreamKernel::Elementwise, tokens: 64, dim: 128 };
        assert_eq!(ask("aten::add", &args(dims.clone(), json!([[128, 1], [128, 1]]))), Ok(expectation));
        assert!(ask("aten::add", &args(dims.clone(), json!([[1, 64], [128, 1]]))).unwrap_err().contains("apart"));
        assert!(ask("aten::add", &args(dims, Value::Null)).unwrap_err().contains("Input Strides"));
        assert!(
            ask("aten::add", &args(json!([[64, 128], [128]]), json!([[128, 1], [1]]))).is_err(),
            "spread over rows"
        );
    }
}
