//! How tokens pick experts, and what therefore travels between ranks.
//!
//! A [`Picks`] is one expert layer of one micro-batch: every rank of an expert-parallel group sends each of its tokens
//! to `top_k` experts. A [`PicksPool`] is a handful of sampled batches that every layer and micro-batch draws from. Counts
//! only: nothing here knows bytes, links or times.
//!
//! ```
//! use workloads::model::{Gate, GroupScore};
//! use workloads::traffic::{ExpertLayout, PicksPool, Router, TrafficSpec};
//!
//! let layout = ExpertLayout {
//!     n_ranks: 64, n_nodes: 8, devices: 8, experts: 256, top_k: 8, groups: 8, node_limit: 4,
//!     gate: Gate::Sigmoid, group_score: GroupScore::TopSum, tokens: 64,
//! };
//! let spec = TrafficSpec { router: Router::Skewed, skew: 0.2, exponent: 0.0, seed: 1, samples: 4, bias_speed: 0.0, bias_steps: 0 };
//! let pool = PicksPool::sample(&spec, &layout)?;
//! let batch = &pool.batches()[pool.draw(17, 3, 0)];
//! assert_eq!(batch.expert_tokens.iter().sum::<u32>(), 64 * 64 * 8);
//! assert!(pool.nodes_per_token().mean <= 4.0);
//! # Ok::<(), workloads::traffic::TrafficError>(())
//! ```
//!
//! # Selection
//!
//! As published for DeepSeek-V3 (technical report, section 2.1.2; `inference/model.py`): a token has an affinity to each
//! expert; the score is affinity plus bias; a group's score is the sum of its `top_k / node_limit` best scores (or its
//! best alone); the `node_limit` best groups are kept and the `top_k` best scores inside them win. Groups are those of
//! the model, cut in the order of experts. Experts lie on ranks in the same order, and nodes follow from that: with as
//! many nodes as groups a token reaches `node_limit` nodes at most, with twice as many twice as many.
//! `node_limit == groups` is no limit.
//!
//! # Affinity
//!
//! The logit of expert e is `p_e + n`, with `p_e` the expert's popularity and n a standard exponential, independent for
//! each token and expert: the tail in which choices are made. With u uniform on 0..1 the odds against the expert are
//! `x = exp(-p_e) u`, and the chance to lie in the tail is in proportion to `exp(p_e)`. The sigmoid gate's affinity
//! `1 / (1 + x)` is taken as `1 - x`: winners have an x of about `top_k / experts`. The softmax gate's is in proportion to
//! `1 / x`; its denominator is the same for all experts of a token and drops out, but not beside a bias, so
//! [`Router::LearnedBias`] with softmax is refused.
//!
//! Under [`Router::PowerLaw`] experts differ so much that choices are not made in the tail alone. There n is a whole
//! Gumbel variable, of which the exponential is the tail, and `x = exp(-p_e) E` with E a standard exponential. The
//! smallest x of a token are then exactly successive draws without replacement, each in proportion to `exp(p_e)`.
//!
//! # Popularity
//!
//! - [`Router::Balanced`]: no sampling. Every rank gets the same counts, to the last token, with the expected numbers of
//!   distinct nodes and ranks.
//! - [`Router::Skewed`]: `p_e ~ N(0, skew)`, drawn anew for each batch.
//! - [`Router::PowerLaw`]: `p_e = -exponent ln r_e` with `r_e` the expert's rank, from 1, in an order drawn anew for each
//!   batch, as layers have popular experts of their own; `skew` says nothing.
//! - [`Router::LearnedBias`]: `p_e = P_e + N(0, skew)`; `P_e ~ N(0, 1)` once for the pool. The bias has been through
//!   `bias_steps` updates `b_e += bias_speed x sign(mean load - load_e)` under `P_e` alone; see [`Sampler::new`].
//!
//! With `skew = 0`, [`Router::Skewed`] is uniform random picks. The spread of rows over GPUs (CV: standard deviation over
//! mean) is about `sqrt(c^2 + (exp(skew^2) - 1) / m)` with m experts a GPU and c the spread of uniform picks. For 64 ranks
//! of 4,096 tokens, 8 of 256 experts in 4 of 8 groups:
//!
//! | skew | CV | most loaded GPU over mean |
//! |---|---|---|
//! | 0 | 0.55 % | 1.013 |
//! | 0.05 | 2.6 % | 1.064 |
//! | 0.1 | 5.1 % | 1.13 |
//! | **0.13** | **6.5 %** | **1.17** |
//! | 0.2 | 10 % | 1.27 |
//! | 0.5 | 27 % | 1.87 |
//!
//! 0.13 meets the spread in the published training trace. The learned bias leaves about 2.3 % of its own after 1,000
//! updates of 0.001; 0.12 then meets it. Fewer than some 500 leave the least popular experts behind.
//!
//! A power law is of the chance of each draw, and loads follow it from below: an expert gets a token once at most, so that
//! none has more than experts / top_k times the mean, here 32. With `exponent = 0` picks are uniform:
//!
//! | exponent | CV | most loaded GPU over mean | most loaded expert over mean |
//! |---|---|---|---|
//! | 0.3 | 20 % | 1.8 | 3.8 |
//! | 0.5 | 40 % | 2.9 | 8 |
//! | **0.7** | **69 %** | **4.5** | **15** |
//! | 1 | 117 % | 7.2 | 27 |
//! | 1.2 | 144 % | 8.4 | 31 |
//! | 2 | 200 % | 10 | 32 |
//!
//! The load distributions `power_law_1.01` and `power_law_1.2` of aiconfigurator (`collector/helper.py` of
//! ai-dynamo/aiconfigurator), with which kernels of mixtures of experts are timed, are another law under that name: the
//! *number of experts* with a load x falls as `x^-1.2`, from one token to four fifths of all. Of 256 experts and 4,096
//! tokens the most loaded then has 15 times the mean, as under an exponent of 0.7 here, but half of the experts have less
//! than a tenth of it. (`power_law_1.01`: 8 times, as under 0.5.)
//!
//! # Where it breaks
//!
//! Tokens are independent: neighbors of one sequence pick alike in reality, which makes single ranks' sends uneven, not
//! only their receives. Layers are alike. Popularity is normal; its size is chosen to meet one observed spread. How
//! much bias evens out a popularity, and so how many updates it takes, rests on the shape of the tail, which is assumed.

mod batch;
mod learn;
mod noise;
mod pick;
mod pool;
mod power_law;

pub use batch::{Picks, Sampler, expected_distinct};
pub use pool::{PicksPool, Statistic};

use crate::model::{Gate, GroupScore};

/// How tokens pick experts (`traffic.*` keys).
#[derive(Clone, Debug, PartialEq)]
pub struct TrafficSpec {
    /// The state of the router.
    pub router: Router,
    /// Standard deviation of experts' popularity from batch to batch, in units of the logit's noise scale.
    pub skew: f64,
    /// How steeply popularity falls with an expert's rank.
    pub exponent: f64,
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
    /// Popularity that falls as a power of an expert's rank, in an order drawn anew for each sampled batch.
    PowerLaw,
    /// Persistent uneven popularity, evened out by the bias update.
    LearnedBias,
}

/// Experts on ranks on nodes, and how a token chooses.
#[derive(Clone, Debug, PartialEq)]
pub struct ExpertLayout {
    /// Expert-parallel degree: ranks that share the experts, in contiguous parts that are equal but for the last ranks', which
    /// have fewer where experts do not divide.
    pub n_ranks: u32,
    /// Nodes these ranks lie on, in order.
    pub n_nodes: u32,
    /// Expert-parallel ranks a node.
    pub devices: u32,
    /// Routed experts.
    pub experts: u32,
    /// Experts a token picks.
    pub top_k: u32,
    /// Groups the experts are cut in for routing.
    pub groups: u32,
    /// Groups a token may pick from; `groups` is no limit.
    pub node_limit: u32,
    /// How logits become affinities.
    pub gate: Gate,
    /// How a group is scored.
    pub group_score: GroupScore,
    /// Tokens a rank sends in one micro-batch.
    pub tokens: u32,
}

/// Why traffic cannot be sampled. Each message says what to change.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum TrafficError {
    /// A count of zero.
    #[error("`{name}` is 0; give at least 1")]
    Zero {
        /// Which count.
        name: &'static str,
    },
    /// Ranks do not fill the nodes.
    #[error("{n_ranks} ranks do not fill {n_nodes} nodes of {devices}; the three must agree")]
    Nodes {
        /// Ranks.
        n_ranks: u32,
        /// Nodes.
        n_nodes: u32,
        /// Ranks a node.
        devices: u32,
    },
    /// Experts do not divide evenly.
    #[error("{experts} experts do not divide by {groups} groups; take a divisor of {experts}")]
    Uneven {
        /// Experts.
        experts: u32,
        /// Groups.
        groups: u32,
    },
    /// More groups allowed than there are.
    #[error("a node limit of {node_limit} is above the {groups} groups; {groups} is no limit")]
    Limit {
        /// Groups a token may pick from.
        node_limit: u32,
        /// Groups.
        groups: u32,
    },
    /// A token cannot find enough experts.
    #[error("a token picks {top_k} experts but may reach only {reachable}; lower `top_k` or raise the node limit")]
    TopK {
        /// Experts a token picks.
        top_k: u32,
        /// Experts in the groups it may pick from.
        reachable: u32,
    },
    /// Counts above what 32 bits hold.
    #[error("{n_ranks} ranks x {tokens} tokens x {top_k} picks are more than a batch can count; at most {}", u32::MAX)]
    TooMany {
        /// Ranks.
        n_ranks: u32,
        /// Tokens a rank.
        tokens: u32,
        /// Experts a token picks.
        top_k: u32,
    },
    /// A number that cannot be.
    #[error("`{name}` = {value}; give a number from 0 to {max}")]
    Range {
        /// Which key.
        name: &'static str,
        /// What was given.
        value: f64,
        /// The largest that makes sense.
        max: f64,
    },
    /// More draws than anybody waits for.
    #[error("`{name}` = {value} draws more scores of tokens for experts than anybody waits for; take at most {most}")]
    TooLong {
        /// Which key.
        name: &'static str,
        /// What was given.
        value: u32,
        /// The most for this layout.
        most: u32,
    },
    /// A bias beside the softmax gate.
    #[error("the learned bias is added to affinities of the sigmoid gate; with softmax take `skewed` or `balanced`")]
    BiasWithSoftmax,
}

/// Popularity beyond e^8 : 1 is a mistake, not a router.
const SKEW_MAX: f64 = 8.0;
/// Beyond it all tokens pick the same experts, and weights of the last experts leave what a float holds.
const EXPONENT_MAX: f64 = 4.0;
/// Scores drawn for all sampled batches together, on all threads: some minutes.
const N_SAMPLED_MAX: u64 = 1 << 35;
/// Scores drawn for all updates of a bias, one after the other: some minutes.
const N_LEARNED_MAX: u64 = 1 << 33;

impl TrafficSpec {
    /// Whether this can be sampled for `layout`.
    ///
    /// # Errors
    /// The first reason why not.
    pub fn check(&self, layout: &ExpertLayout) -> Result<(), TrafficError> {
        layout.check()?;
        if self.samples == 0 {
            return Err(TrafficError::Zero { name: "traffic.samples" });
        }
        for (name, value, max) in [
            ("traffic.skew", self.skew, SKEW_MAX),
            ("traffic.exponent", self.exponent, EXPONENT_MAX),
            ("traffic.bias-speed", self.bias_speed, 1.0),
        ] {
            if !(0.0..=max).contains(&value) {
                return Err(TrafficError::Range { name, value, max });
            }
        }
        if self.router == Router::LearnedBias && layout.gate == Gate::Softmax {
            return Err(TrafficError::BiasWithSoftmax);
        }
        self.check_draws(layout)
    }

    /// A score is drawn for each token and expert, batch by batch and update by update.
    fn check_draws(&self, layout: &ExpertLayout) -> Result<(), TrafficError> {
        let experts = u64::from(layout.experts);
        let of_token = u64::from(layout.n_ranks) * experts;
        let of_batch = u64::from(layout.tokens) * of_token;
        if self.router == Router::Balanced {
            return Ok(());
        }
        let of_update = u64::from(learn::TOKENS_PER_UPDATE) * experts;
        let updates = if self.router == Router::LearnedBias { self.bias_steps } else { 0 };
        for (name, value, all, each) in [
            ("job.sequence x job.micro-batch / (parallel.cp x parallel.tp)", layout.tokens, N_SAMPLED_MAX, of_token),
            ("traffic.samples", self.samples, N_SAMPLED_MAX, of_batch),
            ("traffic.bias-steps", updates, N_LEARNED_MAX, of_update),
        ] {
            let most = u32::try_from(all / each.max(1)).unwrap_or(u32::MAX);
            if value > most {
                return Err(TrafficError::TooLong { name, value, most });
            }
        }
        Ok(())
    }
}

impl ExpertLayout {
    /// Whether the counts agree with each other.
    ///
    /// # Errors
    /// The first that does not.
    pub fn check(&self) -> Result<(), TrafficError> {
        let Self { n_ranks, n_nodes, devices, experts, top_k, groups, node_limit, tokens, .. } = *self;
        let counts = [
            ("ranks", n_ranks),
            ("experts", experts),
            ("top_k", top_k),
            ("groups", groups),
            ("node_limit", node_limit),
            ("tokens", tokens),
        ];
        if let Some((name, _)) = counts.into_iter().find(|&(_, count)| count == 0) {
            return Err(TrafficError::Zero { name });
        }
        if u64::from(n_nodes) * u64::from(devices) != u64::from(n_ranks) {
            return Err(TrafficError::Nodes { n_ranks, n_nodes, devices });
        }
        if experts % groups != 0 {
            return Err(TrafficError::Uneven { experts, groups });
        }
        if node_limit > groups {
            return Err(TrafficError::Limit { node_limit, groups });
        }
        let reachable = experts / groups * node_limit;
        if top_k > reachable {
            return Err(TrafficError::TopK { top_k, reachable });
        }
        if [tokens, top_k].iter().try_fold(n_ranks, |product, &n| product.checked_mul(n)).is_none() {
            return Err(TrafficError::TooMany { n_ranks, tokens, top_k });
        }
        Ok(())
    }

    /// Experts that a rank has room for.
    #[must_use]
    pub fn experts_per_rank(&self) -> u32 {
        self.experts.div_ceil(self.n_ranks)
    }

    /// Experts on the ranks before this one.
    fn experts_before(&self, rank: u32) -> u32 {
        (rank * self.experts_per_rank()).min(self.experts)
    }

    /// Best scores that a group is judged by.
    fn n_judged(&self) -> usize {
        match self.group_score {
            GroupScore::Max => 1,
            GroupScore::TopSum => {
                ((self.top_k / self.node_limit).max(1) as usize).min((self.experts / self.groups) as usize)
            }
        }
    }
}

#[cfg(test)]
mod tests;
