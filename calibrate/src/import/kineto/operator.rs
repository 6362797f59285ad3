//! What a recorded operator asks, from its name and the shapes of its inputs.

mod attention;
mod rows;

use serde_json::{Map, Value};

use workloads::op::Precision;

use self::attention::Attention;
use self::rows::Rows;
use crate::question::{Direction, Question};

/// Products of one call that are told one by one.
const N_PRODUCTS_MAX: u64 = 4096;

/// The question of one operator, on all SMs of a device where `sms` is zero; in words why there is none.
pub(super) fn question(operator: &Map<String, Value>) -> Result<Question, String> {
    let name = operator.get("name").and_then(Value::as_str).unwrap_or_default();
    let Some(kind) = Kind::of(name) else { return Err(format!("calls of `{name}`")) };
    let call = Call { arguments: operator.get("args").unwrap_or(&Value::Null) };
    if call.arguments["Input Dims"].is_null() {
        return Err(format!("calls of `{name}` without shapes: record them with `record_shapes=True`"));
    }
    let question = match kind {
        Kind::Product { first } => call.product(first),
        Kind::Batch { first } => call.batch(first),
        Kind::Scaled => call.scaled(),
        Kind::Attention(attention) => call.attention(&attention),
        Kind::Rows(rows) => rows.question(&call),
    };
    question.map_err(|reason| format!("calls of `{name}` {reason}"))
}

enum Kind {
    /// `A B`, with `A` the input of this index.
    Product {
        first: usize,
    },
    /// One such product of each matrix of a list.
    Batch {
        first: usize,
    },
    /// `A B` with scales.
    Scaled,
    Attention(Attention),
    Rows(Rows),
}

impl Kind {
    fn of(name: &str) -> Option<Self> {
        match name {
            "aten::mm" => Some(Self::Product { first: 0 }),
            "aten::addmm" => Some(Self::Product { first: 1 }),
            "aten::bmm" => Some(Self::Batch { first: 0 }),
            "aten::baddbmm" => Some(Self::Batch { first: 1 }),
            "aten::_scaled_mm" => Some(Self::Scaled),
            _ => Attention::of(name).map(Self::Attention).or_else(|| Rows::of(name).map(Self::Rows)),
        }
    }
}

/// The inputs of a call.
struct Call<'a> {
    arguments: &'a Value,
}

impl Call<'_> {
    /// Sides of an input, none of them zero.
    fn sides(&self, index: usize) -> Option<Vec<u64>> {
        let dims = self.arguments["Input Dims"][index].as_array()?;
        let dims: Option<Vec<u64>> = dims.iter().map(Value::as_u64).collect();
        dims.filter(|dims| dims.iter().all(|dim| *dim > 0))
    }

    fn dims<const N: usize>(&self, index: usize) -> Result<[u64; N], String> {
        let dims = self.sides(index).and_then(|dims| <[u64; N]>::try_from(dims).ok());
        dims.ok_or_else(|| format!("whose input {index} has no {N} sides"))
    }

    fn type_of(&self, index: usize) -> &str {
        self.arguments["Input type"][index].as_str().unwrap_or_default()
    }

    fn concrete(&self, index: usize) -> &str {
        self.arguments["Concrete Inputs"][index].as_str().unwrap_or_default()
    }

    fn is_bf16(&self, index: usize) -> Result<(), String> {
        match self.type_of(index) {
            "c10::BFloat16" => Ok(()),
            other => Err(format!("in `{other}`")),
        }
    }

    fn gemm(&self, first: usize, dtype: Precision) -> Result<Question, String> {
        let ([m, inner], [k, n]) = (self.dims(first)?, self.dims(first + 1)?);
        if inner != k {
            return Err(format!("whose inner dimensions are {inner} and {k}"));
        }
        Ok(Question::Gemm { m, n, k, dtype, sms: 0 })
    }

    fn product(&self, first: usize) -> Result<Question, String> {
        self.is_bf16(first)?;
        self.gemm(first, Precision::Bf16)
    }

    fn batch(&self, first: usize) -> Result<Question, String> {
        self.is_bf16(first)?;
        let ([products, m, inner], [others, k, n]) = (self.dims(first)?, self.dims(first + 1)?);
        if inner != k || products != others {
            return Err(format!("whose inner dimensions are {inner} and {k}, of {products} and {others} products"));
        }
        let dtype = Precision::Bf16;
        match products {
            1 => Ok(Question::Gemm { m, n, k, dtype, sms: 0 }),
            2..=N_PRODUCTS_MAX => Ok(Question::GroupedGemm { tokens: vec![m; products as usize], n, k, dtype, sms: 0 }),
            _ => Err(format!("of {products} products")),
        }
    }

    /// Inputs: the two operands, their scales, bias, scale of the result, type of the result, fast accumulation.
    fn scaled(&self) -> Result<Question, String> {
        if self.type_of(0) != "c10::Float8_e4m3fn" || self.type_of(1) != "c10::Float8_e4m3fn" {
            return Err(format!("in `{}` and `{}`", self.type_of(0), self.type_of(1)));
        }
        let n_scales = |index: usize| {
            let dims = self.arguments["Input Dims"][index].as_array();
            dims.map_or(0, |dims| dims.iter().filter_map(Value::as_u64).fold(1, u64::saturating_mul))
        };
        if n_scales(2) != 1 || n_scales(3) != 1 {
            return Err("with more than one scale a tensor".to_owned());
        }
        let dtype = if self.concrete(7) == "True" { Precision::Fp8TensorFast } else { Precision::Fp8Tensor };
        self.gemm(0, dtype)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn ask(operator: &Value) -> Result<Question, String> {
        question(operator.as_object().expect("an object"))
    }

    #[test]
    fn scaled_products_tell_fast_sums_from_full_ones() {
        let call = |scales: &Value, fast: &str| {
            let kind = "c10::Float8_e4m3fn";
            let args = json!({
                "Input Dims": [[4096, 7168], [7168, 2048], scales, scales, [], [], [], []],
                "Input type": [kind, kind, "float", "float", "", "", "Scalar", "Scalar"],
                "Concrete Inputs": ["", "", "", "", "", "", "15", fast],
            });
            ask(&json!({"name": "aten::_scaled_mm", "args": args}))
        };
        let expectation = |dtype| Ok(Question::Gemm { m: 4096, n: 2048, k: 7168, dtype, sms: 0 });
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
        assert_eq!(ask(&backward), Ok(expectation));
        let mut silent = backward;
        silent["args"]["Concrete Inputs"] = json!([]);
        assert!(ask(&silent).unwrap_err().contains("Concrete Inputs"));
    }

    #[test]
    fn calls_without_shapes_or_types_of_ours_say_so() {
        let refuse = |name: &str, args: Value| ask(&json!({"name": name, "args": args})).unwrap_err();
        assert!(refuse("aten::mm", json!({})).contains("record_shapes"));
        let dims = json!([[8, 8], [8, 8]]);
        assert!(refuse("aten::mm", json!({"Input Dims": dims, "Input type": ["float", "float"]})).contains("`float`"));
        assert_eq!(refuse("aten::cos", json!({})), "calls of `aten::cos`");
    }

    #[test]
    fn a_batch_of_products_is_one_product_each() {
        let kind = "c10::BFloat16";
        let call =
            |dims: Value| ask(&json!({"name": "aten::bmm", "args": {"Input Dims": dims, "Input type": [kind, kind]}}));
        let (n, k, dtype, sms) = (32, 64, Precision::Bf16, 0);
        assert_eq!(
            call(json!([[3, 16, 64], [3, 64, 32]])),
            Ok(Question::GroupedGemm { tokens: vec![16; 3], n, k, dtype, sms })
        );
        assert_eq!(call(json!([[1, 16, 64], [1, 64, 32]])), Ok(Question::Gemm { m: 16, n, k, dtype, sms }));
        assert!(call(json!([[3, 16, 64], [2, 64, 32]])).is_err());
        assert!(call(json!([[100_000, 16, 64], [100_000, 64, 32]])).unwrap_err().contains("100000 products"));
    }
}
