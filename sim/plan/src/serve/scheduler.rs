//! Who runs in the next iteration.

/// The scheduler of a serving stack (`scheduler.*`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchedulerSpec {
    /// Whose shape it has.
    pub kind: SchedulerKind,
    /// Requests that an attention rank decodes at a time, at most.
    pub slots: u64,
    /// Tokens that an attention rank computes in an iteration, at most.
    pub tokens: u64,
    /// Tokens of a block of the cache.
    pub block: u64,
    /// Numbers of requests that decoding is padded to, ascending; empty: none.
    pub batch_sizes: Vec<u64>,
}

/// Whose shape a scheduler has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SchedulerKind {
    /// vLLM: all that decode, then parts of prompts up to the budget of tokens. A request that finds no block drives out the youngest, which is
    /// computed again.
    Vllm,
    /// SGLang: prompts first, by themselves; decoding goes on when none can begin. A request that finds no block drives out the youngest.
    Sglang,
    /// TensorRT-LLM: as vLLM, but room for the whole answer is kept from the start, so that none is driven out.
    Trtllm,
    /// Whole prompts one at a time before any decoding. Room for the whole answer is kept.
    PrefillFirst,
}

impl SchedulerKind {
    /// Every one with its name in files.
    pub const ALL: [(&'static str, Self); 4] = [
        ("vllm", Self::Vllm),
        ("sglang", Self::Sglang),
        ("trtllm", Self::Trtllm),
        ("prefill-first", Self::PrefillFirst),
    ];

    /// Whether room for the whole answer is kept from the start.
    pub(super) const fn keeps_room(self) -> bool {
        match self {
            Self::Trtllm | Self::PrefillFirst => true,
            Self::Vllm | Self::Sglang => false,
        }
    }

    /// Whether prompts and decoding share an iteration.
    pub(super) const fn mixes(self) -> bool {
        match self {
            Self::Vllm | Self::Trtllm => true,
            Self::Sglang | Self::PrefillFirst => false,
        }
    }
}

impl SchedulerSpec {
    /// The number of requests that so many are padded to.
    pub(super) fn padded(&self, requests: u64) -> u64 {
        let at = self.batch_sizes.partition_point(|size| *size < requests);
        self.batch_sizes.get(at).copied().unwrap_or(requests)
    }
}
