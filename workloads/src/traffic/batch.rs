//! One sampled batch: the picks of all tokens of a group of ranks, counted by where they go.

use super::learn::learned;
use super::noise::{Noise, Purpose, normal, stream};
use super::pick::Picker;
use super::{ExpertLayout, Router, TrafficError, TrafficSpec, power_law};

/// What one expert layer of one micro-batch sends, in tokens. A token that several experts of one rank (or node) want
/// goes there once, but in `copies`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picks {
    /// `[rank * n_nodes + node]`: tokens of a rank that at least one expert on the node wants; its own node included.
    pub to_node: Vec<u32>,
    /// `[relay * devices + local rank]`: distinct tokens that the relay hands to a rank of its own node, itself
    /// included. A token's relay on a node is the rank with its source's local rank; on its source's node, the source.
    pub forwarded: Vec<u32>,
    /// `[rank]`: tokens of a rank that at least one other node wants.
    pub leaving: Vec<u32>,
    /// `[relay]`: tokens that the relay hands to at least one other rank of its node.
    pub handed: Vec<u32>,
    /// `[source * n_ranks + rank]`: picks of a rank's tokens that fall on experts of a rank, itself included: a token
    /// that picks two experts there counts twice.
    pub copies: Vec<u32>,
    /// `[expert]`: tokens an expert gets.
    pub expert_tokens: Vec<u32>,
    /// `[rank]`: distinct tokens a rank gets, its own included.
    pub received: Vec<u32>,
}

impl Picks {
    /// Distinct tokens that `rank` gets.
    #[must_use]
    pub fn tokens_received(&self, rank: u32) -> u32 {
        self.received[rank as usize]
    }

    /// Tokens of each expert of `rank`: the rows of its grouped products. Where experts do not divide, the last ranks have fewer.
    #[must_use]
    pub fn rows(&self, rank: u32) -> &[u32] {
        let n = self.expert_tokens.len().div_ceil(self.received.len());
        let [first, end] = [rank as usize, rank as usize + 1].map(|at| (at * n).min(self.expert_tokens.len()));
        &self.expert_tokens[first..end]
    }

    /// Rows of all experts of `rank` together: its load.
    #[must_use]
    pub fn rows_total(&self, rank: u32) -> u32 {
        self.rows(rank).iter().sum()
    }

    /// Ranks of the group.
    #[must_use]
    pub fn n_ranks(&self) -> u32 {
        self.received.len() as u32
    }
}

/// Samples batches; the state of the router is worked out once.
#[derive(Clone, Debug)]
pub struct Sampler {
    spec: TrafficSpec,
    layout: ExpertLayout,
    popularity: Vec<f64>,
    bias: Vec<f64>,
    balanced: Option<Picks>,
}

impl Sampler {
    /// A sampler of `spec` for `layout`.
    ///
    /// [`Router::LearnedBias`] runs its bias updates here. Published updates see the load of a global batch of millions
    /// of tokens; these see 512 fresh ones, and the bias is the mean over the last quarter of the updates, which takes
    /// out what so few tokens add.
    ///
    /// # Errors
    /// As [`TrafficSpec::check`].
    pub fn new(spec: &TrafficSpec, layout: &ExpertLayout) -> Result<Self, TrafficError> {
        spec.check(layout)?;
        let none = vec![0.0; layout.experts as usize];
        let (popularity, bias, balanced) = match spec.router {
            Router::Balanced => (none.clone(), none, Some(balanced(spec, layout))),
            Router::Skewed | Router::PowerLaw => (none.clone(), none, None),
            Router::LearnedBias => {
                let (popularity, bias) = learned(spec, layout);
                (popularity, bias, None)
            }
        };
        Ok(Self { spec: spec.clone(), layout: layout.clone(), popularity, bias, balanced })
    }

    /// Batches of a pool: `spec.samples`, or one for [`Router::Balanced`], where all would be equal.
    #[must_use]
    pub fn n_batches(&self) -> u32 {
        if self.balanced.is_some() { 1 } else { self.spec.samples }
    }

    /// Batch `index` of the pool. Depends on nothing but the specification, the layout and the index.
    #[must_use]
    pub fn batch(&self, index: u32) -> Picks {
        if let Some(batch) = &self.balanced {
            return batch.clone();
        }
        let mut rng = stream(self.spec.seed, Purpose::Batch(index));
        let n_experts = self.layout.experts as usize;
        let falls = self.spec.router == Router::PowerLaw;
        let popularity = if falls {
            power_law::popularity(self.spec.exponent, n_experts, &mut rng)
        } else {
            self.popularity.iter().map(|popularity| popularity + self.spec.skew * normal(&mut rng)).collect()
        };
        let mut picker = Picker::new(&self.layout, &popularity, &self.bias);
        let mut noise = Noise::new(&mut rng, n_experts);
        let mut count = Count::new(&self.layout);
        for rank in 0..self.layout.n_ranks {
            for _ in 0..self.layout.tokens {
                count.token(rank, picker.pick(if falls { noise.draw_exponential() } else { noise.draw() }));
            }
        }
        count.finish()
    }
}

/// A batch while it is counted.
struct Count {
    devices: usize,
    n_nodes: usize,
    homes: Vec<Home>,
    batch: Picks,
}

/// Where an expert lives.
#[derive(Clone, Copy)]
struct Home {
    rank: u32,
    node: u32,
    /// Index into `forwarded` for the relay of local rank 0.
    forwarded: u32,
}

impl Count {
    fn new(layout: &ExpertLayout) -> Self {
        let (devices, n_nodes, n_ranks) = (layout.devices, layout.n_nodes as usize, layout.n_ranks as usize);
        let home = |expert| {
            let rank = expert / layout.experts_per_rank();
            let node = rank / devices;
            Home { rank, node, forwarded: node * devices * devices + rank % devices }
        };
        let batch = Picks {
            to_node: vec![0; n_ranks * n_nodes],
            forwarded: vec![0; n_ranks * devices as usize],
            leaving: vec![0; n_ranks],
            handed: vec![0; n_ranks],
            copies: vec![0; n_ranks * n_ranks],
            expert_tokens: vec![0; layout.experts as usize],
            received: vec![0; n_ranks],
        };
        Self { devices: devices as usize, n_nodes, homes: (0..layout.experts).map(home).collect(), batch }
    }

    /// One token of `source`; its picks ascend, so that equal ranks and nodes stand side by side.
    fn token(&mut self, source: u32, picks: &[u32]) {
        let relay = (source as usize % self.devices) * self.devices;
        let to_node = &mut self.batch.to_node[source as usize * self.n_nodes..][..self.n_nodes];
        let n_ranks = self.batch.received.len();
        let copies = &mut self.batch.copies[source as usize * n_ranks..][..n_ranks];
        let (own, local) = (source / self.devices as u32, source % self.devices as u32);
        let (mut last_rank, mut last_node, mut last_handed) = (u32::MAX, u32::MAX, u32::MAX);
        let mut leaves = false;
        for &expert in picks {
            let home = self.homes[expert as usize];
            self.batch.expert_tokens[expert as usize] += 1;
            copies[home.rank as usize] += 1;
            self.batch.forwarded[home.forwarded as usize + relay] += u32::from(home.rank != last_rank);
            to_node[home.node as usize] += u32::from(home.node != last_node);
            leaves |= home.node != own;
            let relay = home.node * self.devices as u32 + local;
            if home.rank != relay && home.node != last_handed {
                self.batch.handed[relay as usize] += 1;
                last_handed = home.node;
            }
            (last_rank, last_node) = (home.rank, home.node);
        }
        self.batch.leaving[source as usize] += u32::from(leaves);
    }

    fn finish(mut self) -> Picks {
        receive(&mut self.batch, self.devices);
        self.batch
    }
}

/// What ranks get, from what relays hand on.
fn receive(batch: &mut Picks, devices: usize) {
    let nodes = batch.received.chunks_mut(devices).zip(batch.forwarded.chunks(devices * devices));
    for (received, forwarded) in nodes {
        for relay in forwarded.chunks(devices) {
            for (received, tokens) in received.iter_mut().zip(relay) {
                *received += tokens;
            }
        }
    }
}

/// The batch in which all ranks are alike: expected counts, rounded once.
fn balanced(spec: &TrafficSpec, layout: &ExpertLayout) -> Picks {
    let Places { nodes: n_nodes, ranks: n_ranks, leaving, handed } = expected_places(spec, layout);
    let ranks = layout.n_ranks as usize;
    let to_node = (f64::from(layout.tokens) * n_nodes / f64::from(layout.n_nodes)).round() as u32;
    let through = f64::from(layout.tokens) * f64::from(layout.n_nodes);
    let forwarded = (through * n_ranks / f64::from(layout.n_ranks)).round() as u32;
    let tokens = |share: f64| (f64::from(layout.tokens) * share).round() as u32;
    let mut batch = Picks {
        to_node: vec![to_node; ranks * layout.n_nodes as usize],
        forwarded: vec![forwarded; ranks * layout.devices as usize],
        leaving: vec![tokens(leaving); ranks],
        // A relay gets the tokens of one source a node, a part of them on each.
        handed: vec![tokens(handed); ranks],
        copies: balanced_copies(layout),
        expert_tokens: balanced_rows(layout),
        received: vec![0; ranks],
    };
    receive(&mut batch, layout.devices as usize);
    batch
}

/// Every rank gets the picks of as many tokens as it sends; where its experts do not divide them, the first get one more. Ranks
/// that hold fewer experts get fewer: then it is every expert that gets as many as the others.
fn balanced_rows(layout: &ExpertLayout) -> Vec<u32> {
    let (rows, per_rank) = (layout.tokens * layout.top_k, layout.experts_per_rank());
    if layout.experts.is_multiple_of(layout.n_ranks) {
        return (0..layout.experts).map(|e| rows / per_rank + u32::from(e % per_rank < rows % per_rank)).collect();
    }
    let all = u64::from(rows) * u64::from(layout.n_ranks);
    let until = |expert: u32| (all * u64::from(expert) / u64::from(layout.experts)) as u32;
    (0..layout.experts).map(|e| until(e + 1) - until(e)).collect()
}

/// Every rank's picks spread evenly over the ranks. Where they do not divide, those that are some distance away get one
/// more: a distance in nodes and one in local ranks, the same from every rank, so that all send and receive alike in
/// their node and beyond it.
fn balanced_copies(layout: &ExpertLayout) -> Vec<u32> {
    let (n_ranks, devices) = (u64::from(layout.n_ranks), u64::from(layout.devices));
    let n_nodes = u64::from(layout.n_nodes);
    let rows = u64::from(layout.tokens) * u64::from(layout.top_k);
    if !layout.experts.is_multiple_of(layout.n_ranks) {
        let until = |rank: u32| (rows * u64::from(layout.experts_before(rank)) / u64::from(layout.experts)) as u32;
        let of_source = (0..layout.n_ranks).map(|rank| until(rank + 1) - until(rank));
        return of_source.cycle().take((n_ranks * n_ranks) as usize).collect();
    }
    let to = |source: u64, rank: u64| {
        let nodes = (rank / devices + n_nodes - source / devices) % n_nodes;
        let distance = nodes * devices + (rank % devices + devices - source % devices) % devices;
        ((distance + 1) * rows / n_ranks - distance * rows / n_ranks) as u32
    };
    (0..n_ranks).flat_map(|source| (0..n_ranks).map(move |rank| to(source, rank))).collect()
}

/// What a token reaches, on average.
struct Places {
    /// Distinct nodes.
    nodes: f64,
    /// Distinct ranks.
    ranks: f64,
    /// Whether it leaves its node.
    leaving: f64,
    /// Nodes on which its relay hands it on.
    handed: f64,
}

/// What uniform picks reach: closed without a node limit, else the mean of many picks.
fn expected_places(spec: &TrafficSpec, layout: &ExpertLayout) -> Places {
    if layout.node_limit == layout.groups {
        let expected = |places| expected_distinct(layout.experts, places, layout.top_k);
        let reached = |experts| 1.0 - missed(layout.experts, experts, layout.top_k);
        let of_node = layout.experts.div_ceil(layout.n_nodes);
        return Places {
            nodes: expected(layout.n_nodes),
            ranks: expected(layout.n_ranks),
            leaving: reached(layout.experts - of_node),
            handed: f64::from(layout.n_nodes) * reached(of_node - layout.experts_per_rank()),
        };
    }
    let uniform = vec![0.0; layout.experts as usize];
    let mut picker = Picker::new(layout, &uniform, &uniform);
    let mut noise = Noise::new(&mut stream(spec.seed, Purpose::Expectation), layout.experts as usize);
    let mut count = Count::new(&ExpertLayout { tokens: EXPECTATION_TOKENS, ..layout.clone() });
    for _ in 0..EXPECTATION_TOKENS {
        count.token(0, picker.pick(noise.draw()));
    }
    let batch = count.finish();
    let mean = |counts: &[u32]| f64::from(counts.iter().sum::<u32>()) / f64::from(EXPECTATION_TOKENS);
    Places {
        nodes: mean(&batch.to_node),
        ranks: mean(&batch.received),
        leaving: mean(&batch.leaving),
        handed: mean(&batch.handed),
    }
}

/// Tokens behind an expectation with a node limit: a standard error of about one in a thousand.
const EXPECTATION_TOKENS: u32 = 1 << 14;

/// Expected distinct places that `picks` distinct experts of `experts` lie on, `experts / places` per place, rounded up:
/// `n (1 - C(E - E/n, k) / C(E, k))`, and no more than the picks or than the places that have any.
#[must_use]
pub fn expected_distinct(experts: u32, places: u32, picks: u32) -> f64 {
    let per_place = experts.div_ceil(places);
    let filled = f64::from(experts) / f64::from(per_place);
    filled * (1.0 - missed(experts, per_place, picks))
}

/// The chance that none of `picks` distinct experts of `experts` is among `some` of them: `C(E - s, k) / C(E, k)`.
fn missed(experts: u32, some: u32, picks: u32) -> f64 {
    let elsewhere = experts.saturating_sub(some);
    // There are no more picks than experts.
    (0..picks.min(experts)).map(|i| f64::from(elsewhere.saturating_sub(i)) / f64::from(experts - i)).product()
}
