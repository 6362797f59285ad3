//! A unit: attention ranks that begin every iteration together.

use std::collections::BTreeMap;

use workloads::iteration::{Decoding, PromptPart, RankBatch};

use super::cache::Cache;
use super::job::{Serve, ServedPhase};
use super::memory::UnitMemory;
use super::rank::{Live, Piece, Rank};
use super::time::UnitLoad;

/// Attention ranks that begin every iteration together.
#[derive(Clone, Debug)]
pub(super) struct Unit {
    pub(super) ranks: Vec<Rank>,
    /// Tokens that each request which is decoded has got since the start.
    clock: u64,
    /// Fractions of a token that guesses have brought beyond whole ones.
    fraction: f64,
    /// Requests by the clock at which they have all their tokens; some were driven out since.
    ends: BTreeMap<u64, Vec<(usize, usize)>>,
    planned: Planned,
    /// When requests that are decoded got their last token, or came; none while there are none.
    last_token: Option<f64>,
}

/// What runs now.
#[derive(Clone, Debug, Default)]
struct Planned {
    decodes: bool,
    /// Tokens that each request gets which is decoded.
    tokens: u64,
    pieces: Vec<(usize, Piece)>,
    /// Requests whose cache came before this iteration.
    fresh: Vec<usize>,
}

/// What an iteration brought.
#[derive(Clone, Debug, Default)]
pub(super) struct Brought {
    /// Requests that got their first token.
    pub(super) first: Vec<usize>,
    /// Requests that ended.
    pub(super) ended: Vec<usize>,
    /// Tokens of all.
    pub(super) tokens: u64,
    /// Tokens of requests that were decoded, and the time since those before them.
    pub(super) between: Option<(u64, f64)>,
}

impl Unit {
    pub(super) fn new(job: &Serve, memory: &UnitMemory) -> Self {
        let rank = Rank::new(Cache::new(memory.block, memory.blocks));
        let ranks = vec![rank; job.layout.dp as usize];
        Self { ranks, clock: 0, fraction: 0.0, ends: BTreeMap::new(), planned: Planned::default(), last_token: None }
    }

    pub(super) fn n_requests(&self) -> u64 {
        self.ranks.iter().map(Rank::n_requests).sum()
    }

    /// A request goes to the attention rank that has fewest.
    pub(super) fn arrives(&mut self, id: usize) {
        if let Some(rank) = self.ranks.iter_mut().min_by_key(|rank| rank.n_requests()) {
            rank.arrives(id);
        }
    }

    /// Decides what runs from now on; nothing where there is nothing to do.
    pub(super) fn plan(&mut self, job: &Serve, lives: &mut [Live], now: f64) -> Option<UnitLoad> {
        self.planned = Planned::default();
        self.last_token.get_or_insert(now);
        if job.phase == ServedPhase::Decode {
            self.take_up(job, lives);
        }
        let decodes = self.ranks.iter().any(|rank| rank.n > 0);
        if decodes {
            self.planned.tokens = self.next_tokens(job);
            self.ranks.iter_mut().for_each(|rank| rank.make_room(self.clock, self.planned.tokens, lives));
        }
        let has_prompt =
            job.phase != ServedPhase::Decode && self.ranks.iter().any(|rank| rank.has_prompt(&job.scheduler, lives));
        self.planned.decodes = decodes && (job.scheduler.kind.mixes() || !has_prompt);
        if has_prompt {
            self.take_pieces(job, lives);
        }
        let load = self.load(job);
        (load.rows > 0).then_some(load)
    }

    fn take_up(&mut self, job: &Serve, lives: &mut [Live]) {
        for (index, rank) in self.ranks.iter_mut().enumerate() {
            for id in rank.take_up(&job.scheduler, self.clock, lives) {
                self.ends.entry(lives[id].ends_at()).or_default().push((index, id));
                self.planned.fresh.push(id);
            }
        }
    }

    /// Whole tokens that guesses bring in the next iteration.
    fn next_tokens(&mut self, job: &Serve) -> u64 {
        self.fraction += job.drafts.tokens_per_iteration();
        let whole = self.fraction.floor();
        self.fraction -= whole;
        whole as u64
    }

    fn take_pieces(&mut self, job: &Serve, lives: &mut [Live]) {
        let decodes = self.planned.decodes;
        for (index, rank) in self.ranks.iter_mut().enumerate() {
            let decoded = if decodes { rank.n * job.drafts.queries() } else { 0 };
            let budget = job.scheduler.tokens.saturating_sub(decoded);
            self.planned
                .pieces
                .extend(rank.pieces(&job.scheduler, budget, lives).into_iter().map(|piece| (index, piece)));
        }
    }

    /// The fullest attention rank and the tokens of all. Requests and their keys may be most on different ranks: the fullest has both.
    fn load(&self, job: &Serve) -> UnitLoad {
        let queries = job.drafts.queries();
        let mut fullest = RankBatch::default();
        let mut rows = 0;
        if self.planned.decodes {
            let most = self.ranks.iter().map(|rank| rank.n).max().unwrap_or(0);
            let context = self.ranks.iter().map(|rank| rank.context + rank.n * queries).max().unwrap_or(0);
            fullest.decoding = Decoding { requests: job.scheduler.padded(most), queries, context };
            rows += self.ranks.iter().map(|rank| job.scheduler.padded(rank.n) * queries).sum::<u64>();
        }
        let mut parts: Vec<Vec<PromptPart>> = vec![Vec::new(); self.ranks.len()];
        self.planned.pieces.iter().for_each(|(rank, piece)| parts[*rank].push(piece.part));
        let tokens = |parts: &Vec<PromptPart>| parts.iter().map(|part| part.tokens).sum::<u64>();
        rows += parts.iter().map(tokens).sum::<u64>();
        fullest.prompts = parts.into_iter().max_by_key(tokens).unwrap_or_default();
        UnitLoad { rows: rows.max(fullest.rows()), fullest }
    }

    /// What the iteration that was planned has brought at its end.
    pub(super) fn finish(&mut self, job: &Serve, lives: &mut [Live], now: f64) -> Brought {
        let mut brought = Brought { first: std::mem::take(&mut self.planned.fresh), ..Brought::default() };
        if self.planned.decodes {
            self.grow(lives, &mut brought);
            let each = brought.tokens / self.planned.tokens.max(1);
            let since = self.last_token.map(|last| now - last);
            // Drafts that were right come together with the token that they follow.
            brought.between = since.map(|since| (each, since));
        }
        if self.planned.decodes || self.n_decoded() == 0 {
            self.last_token = Some(now);
        }
        for (index, piece) in std::mem::take(&mut self.planned.pieces) {
            let rank = &mut self.ranks[index];
            if !rank.filled(&piece, lives) {
                continue;
            }
            let live = &mut lives[piece.id];
            live.left -= 1;
            brought.tokens += 1;
            brought.first.push(piece.id);
            if Rank::is_done(job.phase, live) {
                rank.ends_with_prompt(live);
                brought.ended.push(piece.id);
            } else {
                rank.begins(piece.id, self.clock, live);
                self.ends.entry(live.ends_at()).or_default().push((index, piece.id));
            }
        }
        // Nobody waits for a token of a unit that has none to decode.
        self.last_token = self.last_token.filter(|_| self.n_decoded() > 0);
        brought
    }

    fn n_decoded(&self) -> u64 {
        self.ranks.iter().map(|rank| rank.n).sum()
    }

    fn grow(&mut self, lives: &mut [Live], brought: &mut Brought) {
        for _ in 0..self.planned.tokens {
            self.ranks.iter_mut().for_each(|rank| rank.grows(self.clock, 1));
            brought.tokens += self.ranks.iter().map(|rank| rank.n).sum::<u64>();
            self.clock += 1;
            for (index, id) in self.ends.remove(&self.clock).unwrap_or_default() {
                // Whoever was driven out meanwhile has another end.
                if lives[id].decodes && lives[id].ends_at() == self.clock {
                    self.ranks[index].leaves(self.clock, &mut lives[id]);
                    brought.ended.push(id);
                }
            }
        }
    }
}
