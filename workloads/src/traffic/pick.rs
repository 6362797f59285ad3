//! One token's choice, as published, fast enough for a quarter of a million tokens in a blink.
//!
//! Loops run over plain arrays with few branches to guess, so that the compiler can use vector registers; nothing is
//! sorted. Candidates are the scores above a line that moves so that it has some more than enough of them; counting,
//! for each, the better ones then tells the winners. The line costs or saves time and never changes the outcome.

use super::ExpertLayout;
use crate::model::Gate;

/// Scores worked on at once.
const N_LANES: usize = 8;
/// Experts whose hits fit one word.
const N_BITS: usize = u32::BITS as usize;
/// Bits of a draw that count: all that a 32-bit float holds.
const DRAW_BITS: u32 = 24;
/// How fast the line follows the number of candidates, in scores a score too many.
const LINE_GAIN: f32 = 0.05;
/// Lowerings of the line, each twice the last, before it is dropped altogether.
const N_LOWERINGS: u32 = 16;

/// Chooses experts for tokens under fixed popularity and bias.
pub(super) struct Picker {
    gate: Gate,
    /// Groups of experts; one where there is no limit.
    n_groups: usize,
    /// Groups a token may pick from.
    n_kept: usize,
    /// Best scores a group is judged by.
    n_judged: usize,
    n_picks: usize,
    group_size: usize,
    /// `exp(-popularity)` over the number of draws, by expert: a draw times this is the odds against the expert.
    against: Vec<f32>,
    /// The bias, and half a draw: odds of zero would beat every popularity.
    bias: Vec<f32>,
    scores: Vec<f32>,
    group_scores: Vec<f32>,
    group_ranks: Vec<u32>,
    /// The best groups, and one place for what comes after the last.
    kept: Vec<u32>,
    line: Line,
    candidates: Candidates,
    /// The winners, and one place for what comes after the last.
    picks: Vec<u32>,
}

/// Above it lie the candidates.
struct Line {
    at: f32,
    /// Typical distance from one score to the next.
    spacing: f32,
    /// Candidates there should be.
    n_wanted: f32,
}

/// Experts that may win, ascending, with their scores and ranks.
struct Candidates {
    n: usize,
    experts: Vec<u32>,
    scores: Vec<f32>,
    ranks: Vec<u32>,
}

impl Picker {
    /// A picker for experts of `popularity` (shift of the logit) and `bias` (added to the affinity).
    pub(super) fn new(layout: &ExpertLayout, popularity: &[f64], bias: &[f64]) -> Self {
        let limited = layout.node_limit < layout.groups;
        let n_groups = if limited { layout.groups as usize } else { 1 };
        let n_experts = layout.experts as usize;
        let n_draws = f64::from(1 << DRAW_BITS);
        let n_picks = layout.top_k as usize;
        let against: Vec<f64> = popularity.iter().map(|p| (-p).exp() / n_draws).collect();
        Self {
            gate: layout.gate,
            n_groups,
            n_kept: if limited { layout.node_limit as usize } else { 1 },
            n_judged: layout.n_judged(),
            n_picks,
            group_size: n_experts / n_groups,
            bias: against.iter().zip(bias).map(|(against, bias)| (bias - 0.5 * against) as f32).collect(),
            against: against.into_iter().map(|against| against as f32).collect(),
            scores: vec![0.0; n_experts],
            group_scores: vec![f32::NEG_INFINITY; n_groups.next_multiple_of(N_LANES)],
            group_ranks: vec![0; n_groups],
            kept: vec![0; n_groups + 1],
            line: Line {
                at: 0.0,
                spacing: 1.0 / n_experts as f32,
                // So many that too few are rare.
                n_wanted: n_picks as f32 + 2.0 * (n_picks as f32).sqrt(),
            },
            candidates: Candidates {
                n: 0,
                experts: vec![0; n_experts],
                scores: vec![0.0; n_experts.next_multiple_of(N_LANES)],
                ranks: Vec::with_capacity(n_experts.next_multiple_of(N_LANES)),
            },
            picks: vec![0; n_picks + 1],
        }
    }

    /// The experts one token picks, ascending, given one draw for each expert; low draws are high affinities.
    pub(super) fn pick(&mut self, draws: &[u32]) -> &[u32] {
        self.score(draws);
        self.judge_groups();
        self.gather();
        self.choose();
        &self.picks[..self.n_picks]
    }

    /// The scores of the last token.
    #[cfg(test)]
    pub(super) fn scores(&self) -> &[f32] {
        &self.scores
    }

    /// Scores all experts. The constant 1 of the sigmoid gate, which all share, is left out: that leaves more digits.
    fn score(&mut self, draws: &[u32]) {
        let experts = self.against.iter().zip(&self.bias).zip(draws).zip(&mut self.scores);
        for (((against, bias), &draw), score) in experts {
            *score = bias - (draw >> (u32::BITS - DRAW_BITS)) as i32 as f32 * against;
        }
    }

    /// Scores all groups by their best experts.
    fn judge_groups(&mut self) {
        if self.n_groups == 1 {
            return;
        }
        for (score, group) in self.group_scores.iter_mut().zip(self.scores.chunks_exact(self.group_size)) {
            *score = match (self.n_judged, self.gate) {
                (1, _) => best_two(group).0,
                (2, Gate::Sigmoid) => {
                    let (best, next) = best_two(group);
                    best + next
                }
                (n, gate) => best_sum(group, n, gate),
            };
        }
        rank(&self.group_scores, self.n_groups, &mut self.group_ranks);
        take_best(&self.group_ranks, 0.., self.n_kept, &mut self.kept);
    }

    /// Collects the candidates of the kept groups, lowering the line until there are enough.
    fn gather(&mut self) {
        let (mut at, mut step) = (self.line.at, self.line.spacing * self.line.n_wanted);
        let mut n = self.collect(at);
        self.line.at += LINE_GAIN * self.line.spacing * (n as f32 - self.line.n_wanted);
        for lowering in 0..=N_LOWERINGS {
            if n >= self.n_picks {
                break;
            }
            at = if lowering < N_LOWERINGS { at - step } else { f32::NEG_INFINITY };
            step *= 2.0;
            n = self.collect(at);
        }
        let candidates = &mut self.candidates;
        candidates.n = n;
        for (score, &expert) in candidates.scores.iter_mut().zip(&candidates.experts[..n]) {
            *score = self.scores[expert as usize];
        }
        candidates.scores[n..n.next_multiple_of(N_LANES)].fill(f32::NEG_INFINITY);
    }

    /// Collects the candidates above a line; how many there are.
    fn collect(&mut self, line: f32) -> usize {
        let mut n = 0;
        for &group in &self.kept[..self.n_kept] {
            let first = group as usize * self.group_size;
            let scores = &self.scores[first..first + self.group_size];
            n = collect_above(scores, line, first as u32, &mut self.candidates.experts, n);
        }
        n
    }

    /// Takes the best candidates.
    fn choose(&mut self) {
        let Candidates { n, experts, scores, ranks } = &mut self.candidates;
        rank(&scores[..n.next_multiple_of(N_LANES)], *n, ranks);
        take_best(ranks, experts.iter().copied(), self.n_picks, &mut self.picks);
    }
}

/// The rank of each of the first `n` scores among them, from 0 for the best; of equal ones the first is better. What
/// follows them is negative infinity, up to whole lanes.
fn rank(scores: &[f32], n: usize, ranks: &mut Vec<u32>) {
    ranks.clear();
    for lanes in scores.as_chunks::<N_LANES>().0 {
        let mut better = [0; N_LANES];
        for &score in &scores[..n] {
            for (better, &own) in better.iter_mut().zip(lanes) {
                *better += if score > own { 1 } else { 0 };
            }
        }
        ranks.extend_from_slice(&better);
    }
    ranks.truncate(n);
    // Without equal scores the ranks are 0, 1, ... in some order.
    if ranks.iter().sum::<u32>() as usize != n * (n - 1) / 2 {
        for (at, rank) in ranks.iter_mut().enumerate() {
            *rank += scores[..at].iter().filter(|&&score| score == scores[at]).count() as u32;
        }
    }
}

/// Copies the items of the `n` best ranks; `best` has a place more.
fn take_best(ranks: &[u32], items: impl Iterator<Item = u32>, n: usize, best: &mut [u32]) {
    let mut n_taken = 0;
    for (&rank, item) in ranks.iter().zip(items) {
        // Written always, kept by moving on: no branch to guess.
        best[n_taken] = item;
        n_taken += usize::from((rank as usize) < n);
    }
}

/// Writes the numbers, counted from `first`, of the scores above the line to `experts` from `n` on; the new `n`.
fn collect_above(scores: &[f32], line: f32, first: u32, experts: &mut [u32], mut n: usize) -> usize {
    let mut first = first;
    let (blocks, rest) = scores.as_chunks::<N_BITS>();
    for block in blocks {
        // One bit a score.
        let mut hits = 0;
        for (&score, bit) in block.iter().zip(&BITS) {
            hits += if score > line { *bit } else { 0 };
        }
        while hits != 0 {
            experts[n] = first + hits.trailing_zeros();
            n += 1;
            hits &= hits - 1;
        }
        first += N_BITS as u32;
    }
    for (&score, expert) in rest.iter().zip(first..) {
        if score > line {
            experts[n] = expert;
            n += 1;
        }
    }
    n
}

/// The bits of a word.
const BITS: [u32; N_BITS] = {
    let mut bits = [0; N_BITS];
    let mut at = 0;
    while at < N_BITS {
        bits[at] = 1 << at;
        at += 1;
    }
    bits
};

/// The two best scores.
fn best_two(scores: &[f32]) -> (f32, f32) {
    let (chunks, rest) = scores.as_chunks::<N_LANES>();
    let mut best = [f32::NEG_INFINITY; N_LANES];
    let mut next = [f32::NEG_INFINITY; N_LANES];
    for chunk in chunks {
        for lane in 0..N_LANES {
            next[lane] = max(next[lane], min(best[lane], chunk[lane]));
            best[lane] = max(best[lane], chunk[lane]);
        }
    }
    let mut half = N_LANES / 2;
    while half > 0 {
        for lane in 0..half {
            let other = best[lane + half];
            next[lane] = max(max(next[lane], next[lane + half]), min(best[lane], other));
            best[lane] = max(best[lane], other);
        }
        half /= 2;
    }
    for &score in rest {
        next[0] = max(next[0], min(best[0], score));
        best[0] = max(best[0], score);
    }
    (best[0], next[0])
}

/// The sum of the `n` best affinities, up to what all groups share. Softmax affinities are in proportion to the odds for
/// the expert, which a score holds upside down.
fn best_sum(scores: &[f32], n: usize, gate: Gate) -> f32 {
    let mut sorted = scores.to_vec();
    sorted.sort_by(|a, b| b.total_cmp(a));
    let affinity = |score: &f32| match gate {
        Gate::Sigmoid => *score,
        Gate::Softmax => -1.0 / score,
    };
    sorted[..n].iter().map(affinity).sum()
}

/// The larger; one instruction, unlike `f32::max`, which looks for NaN.
fn max(a: f32, b: f32) -> f32 {
    if a > b { a } else { b }
}

/// The smaller.
fn min(a: f32, b: f32) -> f32 {
    if a < b { a } else { b }
}
