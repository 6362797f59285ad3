//! The attention segment of a layer.

use super::gate::Router;
use super::gqa::Grouped;
use super::mla::Latent;
use super::tape::Tape;
use super::{LayerKind, Passes, Shape};
use crate::model::{Attention, Model};

/// The attention segment of one layer: norm, projections, core, output projection, residual; in a layer of experts also
/// the norm before the experts, the gate and the cast of what is dispatched, as in the published trace.
///
/// With `tp` > 1 heads are split and sequence parallelism holds outside (Megatron): an all-gather before, a
/// reduce-scatter after, mirrored in the backward pass, and the input gathered again for the weight gradient. Latent
/// attention gathers the latents, its down-projections run on the rank's own tokens with a copy of the weights. With
/// `cp` > 1 keys and values are gathered (as Llama 3 does), again in the backward pass, and their gradients
/// reduce-scattered; each rank's share of the causal triangle is taken as even.
#[must_use]
pub fn attention(model: &Model, shape: &Shape, kind: LayerKind) -> Passes {
    let mut tape = Tape::new(shape).with_adapters();
    let router = Router::of(model, shape, kind);
    match model.attention {
        Attention::Mla { .. } => {
            let latent = Latent::of(model, shape);
            latent.forward(&mut tape);
            router.iter().for_each(|router| router.forward(&mut tape));
            tape.again_if_full();
            router.iter().for_each(|router| router.backward(&mut tape));
            latent.backward(&mut tape);
        }
        Attention::Gqa { .. } => {
            let grouped = Grouped::of(model, shape);
            grouped.forward(&mut tape);
            router.iter().for_each(|router| router.forward(&mut tape));
            tape.again_if_full();
            router.iter().for_each(|router| router.backward(&mut tape));
            grouped.backward(&mut tape);
        }
    }
    tape.finish_overlapped()
}
