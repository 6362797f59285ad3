//! An attention rank: its queue, its prompts under way, and what it decodes.

use std::collections::{BTreeSet, VecDeque};

use workloads::iteration::PromptPart;

use super::cache::Cache;
use super::job::ServedPhase;
use super::scheduler::{SchedulerKind, SchedulerSpec};

/// A request in the system.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Live {
    /// Tokens to compute before the next one comes: the prompt, and after it was driven out what it had got.
    pub(super) prompt: u64,
    /// Tokens it is still to get.
    pub(super) left: u64,
    /// The unit's clock when it began to grow, and its length then.
    pub(super) since: (u64, u64),
    /// Blocks kept for its whole answer; zero where it grows.
    pub(super) kept: u64,
    /// Whether it is being decoded.
    pub(super) decodes: bool,
}

impl Live {
    /// The clock at which it has all its tokens.
    pub(super) fn ends_at(&self) -> u64 {
        self.since.0 + self.left
    }

    fn length(&self, clock: u64) -> u64 {
        self.since.1 + (clock - self.since.0)
    }
}

/// A prompt under way.
#[derive(Clone, Copy, Debug)]
struct Filling {
    id: usize,
    done: u64,
}

/// A part of a prompt that is computed in the next iteration.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece {
    pub(super) id: usize,
    pub(super) part: PromptPart,
}

/// An attention rank.
#[derive(Clone, Debug)]
pub(super) struct Rank {
    waiting: VecDeque<usize>,
    filling: VecDeque<Filling>,
    /// Requests that are decoded, the youngest last; some have ended.
    decoding: Vec<usize>,
    /// How many are decoded.
    pub(super) n: u64,
    /// Tokens of all of them.
    pub(super) context: u64,
    pub(super) cache: Cache,
    /// Requests that were driven out.
    pub(super) n_driven_out: u64,
}

impl Rank {
    pub(super) fn new(cache: Cache) -> Self {
        let (waiting, filling) = (VecDeque::new(), VecDeque::new());
        Self { waiting, filling, decoding: Vec::new(), n: 0, context: 0, cache, n_driven_out: 0 }
    }

    /// Requests that are here in whatever state.
    pub(super) fn n_requests(&self) -> u64 {
        self.n_waiting() + self.filling.len() as u64 + self.n
    }

    pub(super) fn n_waiting(&self) -> u64 {
        self.waiting.len() as u64
    }

    pub(super) fn arrives(&mut self, id: usize) {
        self.waiting.push_back(id);
    }

    /// Whether a prompt is under way, or the first that waits may begin.
    pub(super) fn has_prompt(&self, spec: &SchedulerSpec, lives: &[Live]) -> bool {
        !self.filling.is_empty() || self.admissible(spec, lives).is_some()
    }

    /// The first that waits, with the blocks it takes, where there is a slot and room.
    fn admissible(&self, spec: &SchedulerSpec, lives: &[Live]) -> Option<(usize, u64)> {
        let id = *self.waiting.front()?;
        let live = &lives[id];
        let tokens = if spec.kind.keeps_room() { live.prompt + live.left } else { live.prompt };
        let blocks = self.cache.blocks_of(tokens);
        // What grows will need a block each before long; a newcomer must not take the last ones.
        let spare = if spec.kind.keeps_room() || self.n_requests() == self.n_waiting() { 0 } else { self.n + 1 };
        let has_slot = self.n + (self.filling.len() as u64) < spec.slots;
        (has_slot && blocks + spare <= self.cache.free()).then_some((id, blocks))
    }

    fn admit(&mut self, spec: &SchedulerSpec, lives: &mut [Live]) -> Option<usize> {
        let (id, blocks) = self.admissible(spec, lives)?;
        self.waiting.pop_front();
        self.cache.take(blocks);
        lives[id].kept = if spec.kind.keeps_room() { blocks } else { 0 };
        Some(id)
    }

    /// Parts of prompts for the next iteration, of so many tokens at most.
    pub(super) fn pieces(&mut self, spec: &SchedulerSpec, budget: u64, lives: &mut [Live]) -> Vec<Piece> {
        let mut pieces = Vec::new();
        let mut left = budget;
        for filling in &self.filling {
            let tokens = (lives[filling.id].prompt - filling.done).min(left);
            left -= tokens;
            pieces.extend(
                (tokens > 0).then_some(Piece { id: filling.id, part: PromptPart { tokens, cached: filling.done } }),
            );
        }
        if spec.kind == SchedulerKind::PrefillFirst {
            if pieces.is_empty()
                && let Some(id) = self.admit(spec, lives)
            {
                self.filling.push_back(Filling { id, done: 0 });
                pieces.push(Piece { id, part: PromptPart { tokens: lives[id].prompt, cached: 0 } });
            }
            return pieces;
        }
        while left > 0
            && let Some(id) = self.admit(spec, lives)
        {
            self.filling.push_back(Filling { id, done: 0 });
            let tokens = lives[id].prompt.min(left);
            left -= tokens;
            pieces.push(Piece { id, part: PromptPart { tokens, cached: 0 } });
        }
        pieces
    }

    /// Requests whose cache has come begin to be decoded; those that did.
    pub(super) fn take_up(&mut self, spec: &SchedulerSpec, clock: u64, lives: &mut [Live]) -> Vec<usize> {
        let mut taken = Vec::new();
        while let Some(id) = self.admit(spec, lives) {
            self.begins(id, clock, &mut lives[id]);
            taken.push(id);
        }
        taken
    }

    /// Makes room for so many tokens of each request; those that are driven out wait again, before all others.
    pub(super) fn make_room(&mut self, clock: u64, tokens: u64, lives: &mut [Live]) {
        self.forget_ended(lives);
        while self.cache.needed(clock, tokens) > self.cache.free() {
            let Some(id) = self.decoding.pop() else { return };
            if lives[id].decodes {
                self.leaves(clock, &mut lives[id]);
                let live = &mut lives[id];
                let got = clock - live.since.0;
                (live.prompt, live.left) = (live.since.1 + got, live.left - got);
                self.waiting.push_front(id);
                self.n_driven_out += 1;
            }
        }
    }

    /// All that are decoded have got so many tokens.
    pub(super) fn grows(&mut self, clock: u64, tokens: u64) {
        self.cache.take(self.cache.needed(clock, tokens));
        self.context += self.n * tokens;
    }

    /// A part of a prompt is computed; whether it was the last.
    pub(super) fn filled(&mut self, piece: &Piece, lives: &[Live]) -> bool {
        let Some(at) = self.filling.iter().position(|filling| filling.id == piece.id) else { return false };
        self.filling[at].done += piece.part.tokens;
        let is_whole = self.filling[at].done >= lives[piece.id].prompt;
        if is_whole {
            self.filling.remove(at);
        }
        is_whole
    }

    /// A request begins to be decoded.
    pub(super) fn begins(&mut self, id: usize, clock: u64, live: &mut Live) {
        live.since = (clock, live.prompt);
        live.decodes = true;
        self.decoding.push(id);
        self.n += 1;
        self.context += live.prompt;
        if live.kept == 0 {
            self.cache.grows(live.prompt, clock);
        }
    }

    /// A request is decoded no longer, and gives back its blocks.
    pub(super) fn leaves(&mut self, clock: u64, live: &mut Live) {
        let length = live.length(clock);
        live.decodes = false;
        self.n -= 1;
        self.context -= length;
        if live.kept == 0 {
            self.cache.stays(length, clock);
            self.cache.give_back(self.cache.blocks_of(length));
        }
        self.give_back_kept(live);
    }

    /// A request that ends with its prompt gives back its blocks.
    pub(super) fn ends_with_prompt(&mut self, live: &mut Live) {
        if live.kept == 0 {
            self.cache.give_back(self.cache.blocks_of(live.prompt));
        }
        self.give_back_kept(live);
    }

    fn give_back_kept(&mut self, live: &mut Live) {
        self.cache.give_back(live.kept);
        live.kept = 0;
    }

    /// Requests that ended stay in the list until it is much longer than what is decoded.
    fn forget_ended(&mut self, lives: &[Live]) {
        if self.decoding.len() as u64 > 2 * self.n + 64 {
            let mut seen = BTreeSet::new();
            self.decoding.retain(|id| lives[*id].decodes && seen.insert(*id));
        }
    }

    /// The first token of a request comes with its prompt; whether it is all that is asked of the unit.
    pub(super) fn is_done(phase: ServedPhase, live: &Live) -> bool {
        phase == ServedPhase::Prefill || live.left == 0
    }
}
