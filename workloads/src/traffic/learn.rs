//! The auxiliary-loss-free bias: an expert with more than its share is made a little less likely, and the other way
//! round (DeepSeek-V3 technical report, section 2.1.2).

use super::noise::{Noise, Purpose, normal, stream};
use super::pick::Picker;
use super::{ExpertLayout, TrafficSpec};

/// Tokens whose load one of the averaged updates sees.
pub(super) const TOKENS_PER_UPDATE: u32 = 512;
/// Tokens before that: while the bias is on its way, a coarser look at the load has the right sign often enough.
const TOKENS_ON_THE_WAY: u32 = 128;

/// Persistent popularity `N(0, 1)` and the bias after the updates: its mean over the last quarter of them.
pub(super) fn learned(spec: &TrafficSpec, layout: &ExpertLayout) -> (Vec<f64>, Vec<f64>) {
    let n_experts = layout.experts as usize;
    let mut rng = stream(spec.seed, Purpose::Learning);
    let popularity: Vec<f64> = (0..n_experts).map(|_| normal(&mut rng)).collect();
    let mut noise = Noise::new(&mut rng, n_experts);
    let (mut bias, mut sum) = (vec![0.0; n_experts], vec![0.0; n_experts]);
    let n_averaged = spec.bias_steps.div_ceil(4);
    for step in 0..spec.bias_steps {
        let mut picker = Picker::new(layout, &popularity, &bias);
        let mut load = vec![0_u64; n_experts];
        let averaged = step + n_averaged >= spec.bias_steps;
        let n_tokens = if averaged { TOKENS_PER_UPDATE } else { TOKENS_ON_THE_WAY };
        for _ in 0..n_tokens {
            for &expert in picker.pick(noise.draw()) {
                load[expert as usize] += 1;
            }
        }
        // Compared as whole numbers: load x experts against all picks.
        let picks = u64::from(n_tokens) * u64::from(layout.top_k);
        for (bias, load) in bias.iter_mut().zip(load) {
            *bias += match picks.cmp(&(load * n_experts as u64)) {
                std::cmp::Ordering::Greater => spec.bias_speed,
                std::cmp::Ordering::Equal => 0.0,
                std::cmp::Ordering::Less => -spec.bias_speed,
            };
        }
        if averaged {
            sum.iter_mut().zip(&bias).for_each(|(sum, bias)| *sum += bias);
        }
    }
    let mean = |sum: f64| sum / f64::from(n_averaged.max(1));
    (popularity, sum.into_iter().map(mean).collect())
}
