//! What is trained, where not all weights are.

/// Training of adapters alone (arXiv:2106.09685): beside a linear layer `[inputs] -> outputs` whose weights are frozen runs one of
/// `inputs -> rank -> outputs`, whose output is added. The arithmetic of adapters is BF16, whatever that of the frozen products is.
///
/// Embedding, head, norms, gate and routed experts have no adapter. Left out: dropout before an adapter, and that the first layer's
/// input needs no gradient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lora {
    /// Inner width of an adapter.
    pub rank: u64,
    /// Which linear layers have one.
    pub targets: LoraTargets,
}

/// Which linear layers have adapters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoraTargets {
    /// All of attention, and of dense and shared feed-forward networks.
    All,
    /// Those of attention.
    Attention,
    /// The projections of queries, keys and values.
    QueryKeyValue,
}

impl LoraTargets {
    /// Every one, with its name in files.
    pub const ALL: [(&'static str, Self); 3] =
        [("all", Self::All), ("attention", Self::Attention), ("query-key-value", Self::QueryKeyValue)];

    /// Whether a product of a segment that is tuned has an adapter.
    pub(super) fn has(self, product: &str) -> bool {
        self != Self::QueryKeyValue || product != OUTPUT
    }
}

/// The product after the core of attention.
pub(super) const OUTPUT: &str = "output-projection";
