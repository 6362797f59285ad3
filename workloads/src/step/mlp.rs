//! The second segment of a layer, dense or of experts.

use super::ffn::dense;
use super::{LayerKind, Load, Passes, Shape, moe};
use crate::model::Model;

/// The feed-forward segment of one layer. A dense layer: norm, gate-up (up, where there is no gate), activation, down,
/// residual; `load` is not read. A
/// layer of experts: what happens between dispatch and combine, the shared experts, and the residual (which a real
/// stream adds when the combine is through).
///
/// The activation is one kernel with the cast of its output; it also writes the FP8 copy of its input that is kept. Its
/// gradient writes both FP8 copies. Its output is computed again straight to 128x1 where the policy says so. Biases are
/// added in passing, in the activation and in the residual.
#[must_use]
pub fn mlp(model: &Model, shape: &Shape, kind: LayerKind, load: &Load) -> Passes {
    match (&model.experts, kind) {
        (Some(experts), LayerKind::Moe) => moe::mlp(model, experts, shape, load),
        _ => dense(model, shape),
    }
}
