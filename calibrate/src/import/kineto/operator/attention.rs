//! Attention's own kernels: where each operator has its inputs.

use super::{Call, Direction, Question};

/// Where an attention operator has its inputs.
pub(super) struct Attention {
    /// Index of the queries; keys and values follow.
    queries: usize,
    /// Index of the argument that says whether it is causal.
    causal: usize,
    /// Index of the argument that bounds how far back a query sees, where there is one.
    window: Option<usize>,
    /// `batch, heads, tokens, width`, else `batch, tokens, heads, width`.
    heads_first: bool,
    direction: Direction,
}

impl Attention {
    pub(super) fn of(name: &str) -> Option<Self> {
        use Direction::{Backward, Forward};
        let at = |queries, causal, heads_first, direction| {
            Some(Self { queries, causal, window: None, heads_first, direction })
        };
        match name {
            "aten::_scaled_dot_product_flash_attention" => at(0, 4, true, Forward),
            "aten::_scaled_dot_product_efficient_attention" | "aten::_scaled_dot_product_cudnn_attention" => {
                at(0, 6, true, Forward)
            }
            "aten::_flash_attention_forward" => at(0, 8, false, Forward),
            "aten::_scaled_dot_product_flash_attention_backward" => at(1, 11, true, Backward),
            "aten::_flash_attention_backward" => at(1, 11, false, Backward),
            "flash_attn::_flash_attn_forward" => at(0, 5, false, Forward).map(|it| it.windowed(6)),
            "flash_attn::_flash_attn_backward" => at(1, 11, false, Backward).map(|it| it.windowed(12)),
            _ => None,
        }
    }

    fn windowed(self, window: usize) -> Self {
        Self { window: Some(window), ..self }
    }
}

impl Call<'_> {
    pub(super) fn attention(&self, places: &Attention) -> Result<Question, String> {
        let Attention { queries: first, causal, window, heads_first, direction } = *places;
        self.is_bf16(first)?;
        let causal = match self.concrete(causal) {
            "True" => true,
            "False" => false,
            _ => return Err("that do not say whether they are causal: record `Concrete Inputs`".to_owned()),
        };
        // Minus one is as far as there is.
        if let Some(window) = window.filter(|window| self.concrete(*window) != "-1") {
            return Err(format!("over a window of `{}`", self.concrete(window)));
        }
        let sides = |index: usize| {
            let [batch, second, third, width] = self.dims(index)?;
            let (heads, tokens) = if heads_first { (second, third) } else { (third, second) };
            let heads = batch.checked_mul(heads).ok_or_else(|| format!("of {batch} batches of {heads} heads"))?;
            Ok::<_, String>((heads, tokens, width))
        };
        let (heads, queries, qk) = sides(first)?;
        let (kv_heads, keys, _) = sides(first + 1)?;
        let (_, _, value) = sides(first + 2)?;
        Ok(Question::Attention { heads, kv_heads, queries, keys, qk, value, causal, direction })
    }
}
