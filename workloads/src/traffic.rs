//! placeholder: to be replaced by the folder traffic/
/// How tokens pick experts (`traffic.*` keys).
#[derive(Clone, Debug, PartialEq)]
pub struct TrafficSpec {
    /// The state of the router.
    pub router: Router,
    /// Spread of experts' popularity (see the module's doc for the exact meaning).
    pub skew: f64,
    /// Seed of every draw.
    pub seed: u64,
    /// Sampled batches kept to draw from.
    pub samples: u32,
    /// Step of the auxiliary-loss-free bias update.
    pub bias_speed: f64,
    /// Bias updates before the sampled batches are drawn.
    pub bias_steps: u32,
}
/// The state of the router.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Router {
    /// Every expert exactly the same share; no sampling.
    Balanced,
    /// Experts of uneven popularity, drawn anew for each sampled batch.
    Skewed,
    /// Persistent uneven popularity, evened out by the bias update.
    LearnedBias,
}
