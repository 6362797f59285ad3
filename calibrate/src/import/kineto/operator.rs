//! What a recorded operator asks, from its name and the shapes of its inputs.

use serde_json::Value;

use workloads::op::Precision;

use crate::question::{Direction, Question};

/// The question of one operator; in words why there is none.
pub(super) fn question(operator: &Value, sms: Option<u32>) -> Result<Question, String> {
    let name = operator["name"].as_str().unwrap_or_default();
    let call = Call { arguments: &operator["args"] };
    let Some(kind) = Kind::of(name) else { return Err(format!("calls of `{name}`")) };
    if call.arguments["Input Dims"].is_null() {
        return Err(format!("calls of `{name}` without shapes: record them with `record_shapes=True`"));
    }
    let question = match kind {
        Kind::Product { first } => call.product(first, sms),
        Kind::Scaled => call.scaled(sms),
        Kind::Attention(attention) => call.attention(&attention),
    };
    question.map_err(|reason| format!("calls of `{name}` {reason}"))
}

enum Kind {
    /// `A B`, with `A` the input of this index.
    Product {
        first: usize,
    },
    /// `A B` with scales.
    Scaled,
    Attention(Attention),
}

/// Where an attention operator has its inputs.
struct Attention {
    /// Index of the queries; keys and values follow.
    queries: usize,
    /// Index of the argument that says whether it is causal.
    causal: usize,
    /// `batch, heads, tokens, width`, else `batch, tokens, heads, width`.
    heads_first: bool,
    direction: Direction,
}

impl Kind {
    fn of(name: &str) -> Option<Self> {
        let attention = |queries, causal, heads_first, direction| {
            Some(Self::Attention(Attention { queries, causal, heads_first, direction }))
        };
        use Direction::{Backward, Forward};
        match name {
            "aten::mm" => Some(Self::Product { first: 0 }),
            "aten::addmm" => Some(Self::Product { first: 1 }),
            "aten::_scaled_mm" => Some(Self::Scaled),
            "aten::_scaled_dot_product_flash_attention" => attention(0, 4, true, Forward),
            "aten::_scaled_dot_product_efficient_attention" | "aten::_scaled_dot_product_cudnn_attention" => {
                attention(0, 6, true, Forward)
            }
            "aten::_flash_attention_forward" => attention(0, 8, false, Forward),
            "aten::_scaled_dot_product_flash_attention_backward" => attention(1, 11, true, Backward),
            "aten::_flash_attention_backward" => attention(1, 11, false, Backward),
            _ => None,
        }
    }
}

struct Call<'a> {
    arguments: &'a Value,
}

impl Call<'_> {
    fn dims<const N: usize>(&self, index: usize) -> Result<[u64; N], String> {
        let dims = self.arguments["Input Dims"][index].as_array();
        let dims: Option<Vec<u64>> = dims.and_then(|dims| dims.iter().map(Value::as_u64).collect());
        let dims = dims.and_then(|dims| <[u64; N]>::try_from(dims).ok());
        dims.filter(|dims| dims.iter().all(|dim| *dim > 0))
            .ok_or_else(|| format!("whose input {index} has no {N} sides"))
    }

    fn type_of(&self, index: usize) -> &str {
        self.arguments["Input type"][index].as_str().unwrap_or_default()
    }

    fn concrete(&self, index: usize) -> &str {
        self.arguments["Concrete Inputs"][index].as_str().unwrap_or_default()
    }

    fn gemm(&self, first: usize, dtype: Precision, sms: Option<u32>) -> Result<Question, String> {
        let ([m, inner], [k, n]) = (self.dims(first)?, self.dims(first + 1)?);
        if inner != k {
            return Err(format!("whose inner dimensions are {inner} and {k}"));
        }
        let sms = sms.ok_or("on a device whose `numSms` the trace does not have")?;
        Ok(Question::Gemm { m, n, k, dtype, sms })
    }

    fn product(&self, first: usize, sms: Option<u32>) -> Result<Question, String> {
        match self.type_of(first) {
            "c10::BFloat16" => self.gemm(first, Precision::Bf16, sms),
            other => Err(format!("in `{other}`")),
        }
    }

    /// Inputs: the two operands, their scales, bias, scale of the result, type of the result, fast accumulation.
    fn scaled(&self, sms: Option<u32>) -> Result<Question, String> {
        if self.type_of(0) != "c10::Float8_e4m3fn" || self.type_of(1) != "c10::Float8_e4m3fn" {
            return Err(format!("in `{}` and `{}`", self.type_of(0), self.type_of(1)));
        }
        let n_scales = |index: usize| {
            let dims = self.arguments["Input Dims"][index].as_array();
            dims.map_or(0, |dims| dims.iter().filter_map(Value::as_u64).product())
        };
        if n_scales(2) != 1 || n_scales(3) != 1 {
            return Err("with more than one scale a tensor".to_owned());
        }
        let dtype = if self.concrete(7) == "True" { Precision::Fp8TensorFast } else { Precision::Fp8Tensor };
        self.gemm(0, dtype, sms)
    }

    fn attention(&self, places: &Attention) -> Result<Question, String> {
        let Attention { queries: first, causal, heads_first, direction } = *places;
        if self.type_of(first) != "c10::BFloat16" {
            return Err(format!("in `{}`", self.type_of(first)));
        }
        let causal = match self.concrete(causal) {
            "True" => true,
            "False" => false,
            _ => return Err("that do not say whether they are causal: record `Concrete Inputs`".to_owned()),
        };
        let sides = |index: usize| {
            let [batch, second, third, width] = self.dims(index)?;
            let (heads, tokens) = if heads_first { (second, third) } else { (third, second) };
            Ok::<_, String>((batch * heads, tokens, width))
        };
        let (heads, queries, qk) = sides(first)?;
        let (kv_heads, keys, _) = sides(first + 1)?;
        let (_, _, value) = sides(first + 2)?;
        Ok(Question::Attention { heads, kv_heads, queries, keys, qk, value, causal, direction })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn scaled_products_tell_fast_sums_from_full_ones() {
        let call = |scales: &Value, fast: &str| {
            let kind = "c10::Float8_e4m3fn";
            let args = json!({
                "Input Dims": [[4096, 7168], [7168, 2048], scales, scales, [], [], [], []],
                "Input type": [kind, kind, "float", "float", "", "", "Scalar", "Scalar"],
                "Concrete Inputs": ["", "", "", "", "", "", "15", fast],
            });
            question(&json!({"name": "aten::_scaled_mm", "args": args}), Some(132))
        };
        let expectation = |dtype| Ok(Question::Gemm { m: 4096, n: 2048, k: 7168, dtype, sms: 132 });
        assert_eq!(call(&json!([]), "True"), expectation(Precision::Fp8TensorFast));
        assert_eq!(call(&json!([1]), "False"), expectation(Precision::Fp8Tensor));
        assert!(call(&json!([4096, 1]), "False").unwrap_err().contains("more than one scale"));
    }

    #[test]
    fn attention_has_its_tokens_where_the_operator_says() {
        let kind = "c10::BFloat16";
        let backward = json!({
            "name": "aten::_flash_attention_backward",
            "args": {
                "Input Dims": [[2, 512, 8, 128], [2, 512, 8, 128], [2, 1024, 4, 128], [2, 1024, 4, 64]],
                "Input type": [kind, kind, kind, kind],
                "Concrete Inputs": ["", "", "", "", "", "", "", "", "512", "1024", "0.", "True"],
            },
        });
        let expectation = Question::Attention {
            heads: 16,
            kv_heads: 8,
            queries: 512,
            keys: 1024,
            qk: 128,
            value: 64,
            causal: true,
            direction: Direction::Backward,
        };
        assert_eq!(question(&backward, None), Ok(expectation));
        let mut silent = backward;
        silent["args"]["Concrete Inputs"] = json!([]);
        assert!(question(&silent, None).unwrap_err().contains("Concrete Inputs"));
    }

    #[test]
    fn calls_without_shapes_or_types_of_ours_say_so() {
        let refuse = |name: &str, args: Value| question(&json!({"name": name, "args": args}), Some(132)).unwrap_err();
        assert!(refuse("aten::mm", json!({})).contains("record_shapes"));
        let dims = json!([[8, 8], [8, 8]]);
        assert!(refuse("aten::mm", json!({"Input Dims": dims, "Input type": ["float", "float"]})).contains("`float`"));
        assert_eq!(refuse("aten::bmm", json!({})), "calls of `aten::bmm`");
    }
}
