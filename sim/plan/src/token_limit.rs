//! The least time of a token in decoding, from bandwidth alone.

use topology::Machine;
use units::Seconds;
use workloads::model::Model;

use crate::{Contradiction, PlanError};

/// Bytes of an element sent out, and of one sent back.
const DISPATCH: f64 = 1.0;
const COMBINE: f64 = 2.0;
/// Micro-batches in turns: while one computes the other communicates, so a layer takes two exchanges.
const IN_TURNS: f64 = 2.0;

/// The least times of decoding.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TokenLimit {
    /// One dispatch and one combine.
    pub exchange: Seconds,
    /// A layer.
    pub layer: Seconds,
    /// A token, all layers.
    pub token: Seconds,
}

/// `(1 B + 2 B) tokens (top-k + shared) hidden / rate` for an exchange, two of them a layer, all layers a token
/// (arXiv:2505.09343 section 2.3.2). Assumed: one expert a device, every copy of a token on the wire, the port's whole rate,
/// every layer one of experts, and nothing else that takes time. `rate` is that of the scale-up fabric where it holds
/// `ranks`, else of the NICs of a device.
///
/// # Errors
/// A model without experts.
pub fn token_limit(model: &Model, machine: &Machine, ranks: u32, tokens: u64) -> Result<TokenLimit, PlanError> {
    let Some(experts) = &model.experts else {
        return Err(Contradiction::NoExperts { model: model.name.clone() }.into());
    };
    let node = &machine.node;
    let rate = if ranks <= node.devices {
        machine.device.scale_up_rate().get()
    } else {
        node.nic.rate.get() * f64::from(node.nic.count) / f64::from(node.devices)
    };
    let copies = f64::from(experts.top_k + experts.shared);
    let exchange = (DISPATCH + COMBINE) * tokens as f64 * copies * model.hidden as f64 / rate;
    let layer = IN_TURNS * exchange;
    let token = layer * f64::from(model.layers);
    Ok(TokenLimit { exchange: Seconds::new(exchange), layer: Seconds::new(layer), token: Seconds::new(token) })
}
