//! Blocks of an attention rank's cache.
//!
//! Every request that is decoded grows by a token at the same time, and needs a block when its last is full. So requests are counted by
//! what their length leaves over a block, and nothing is touched per request and token.

/// Blocks of a cache and who holds them.
#[derive(Clone, Debug)]
pub(super) struct Cache {
    block: u64,
    total: u64,
    used: u64,
    /// Requests that grow, by `(length - clock) mod block`.
    growing: Vec<u64>,
}

impl Cache {
    pub(super) fn new(block: u64, total: u64) -> Self {
        Self { block, total, used: 0, growing: vec![0; block as usize] }
    }

    pub(super) fn blocks_of(&self, tokens: u64) -> u64 {
        tokens.div_ceil(self.block)
    }

    pub(super) fn free(&self) -> u64 {
        self.total - self.used
    }

    pub(super) fn used(&self) -> u64 {
        self.used
    }

    /// Takes blocks that are free.
    pub(super) fn take(&mut self, blocks: u64) {
        self.used += blocks;
    }

    pub(super) fn give_back(&mut self, blocks: u64) {
        self.used -= blocks;
    }

    /// A request of so many tokens grows from now on.
    pub(super) fn grows(&mut self, length: u64, clock: u64) {
        let class = self.class(length, clock);
        self.growing[class] += 1;
    }

    /// It does no longer.
    pub(super) fn stays(&mut self, length: u64, clock: u64) {
        let class = self.class(length, clock);
        self.growing[class] -= 1;
    }

    /// Blocks that all of them need for their next `tokens`.
    pub(super) fn needed(&self, clock: u64, tokens: u64) -> u64 {
        (0..tokens).map(|step| self.growing[self.class(0, clock + step)]).sum()
    }

    /// A length is a multiple of the block at the clocks at which this is that of zero.
    fn class(&self, length: u64, clock: u64) -> usize {
        ((length % self.block + self.block - clock % self.block) % self.block) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_needed_when_lengths_pass_a_multiple() {
        let mut cache = Cache::new(4, 100);
        let (mut lengths, mut clock) = (vec![3_u64, 4, 9, 12], 5_u64);
        lengths.iter().for_each(|length| {
            cache.take(length.div_ceil(4));
            cache.grows(*length, clock);
        });
        for tokens in [1, 1, 2, 3, 1, 4, 1] {
            cache.take(cache.needed(clock, tokens));
            clock += tokens;
            lengths.iter_mut().for_each(|length| *length += tokens);
            assert_eq!(cache.used(), lengths.iter().map(|length| length.div_ceil(4)).sum::<u64>());
        }
        let length = lengths.pop().expect("one");
        cache.stays(length, clock);
        cache.give_back(cache.blocks_of(length));
        cache.take(cache.needed(clock, 9));
        assert_eq!(cache.used(), lengths.iter().map(|length| (length + 9).div_ceil(4)).sum::<u64>());
    }
}
