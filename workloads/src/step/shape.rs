//! How one micro-batch lies on one rank, and what is kept of it.

use super::dispatcher::Dispatcher;
use super::tuning::{Lora, LoraTargets};
use crate::model::{Attention, Model};
use crate::op::{LinearPrecision, Output};
use crate::recipe::Recipe;

/// How one micro-batch lies on one rank, and what is kept of it for the backward pass.
#[derive(Clone, Debug, PartialEq)]
pub struct Shape {
    /// Tokens of a sequence.
    pub sequence: u64,
    /// Sequences of a micro-batch.
    pub micro_batch: u64,
    /// Tensor-parallel ranks, with sequence parallelism.
    pub tp: u64,
    /// Context-parallel ranks.
    pub cp: u64,
    /// Expert-parallel ranks.
    pub ep: u64,
    /// Arithmetic of the linear layers.
    pub linear: LinearPrecision,
    /// Whether forward products with one scale a tensor leave their sums in the tensor core. Says nothing of other arithmetic.
    pub forward_left: bool,
    /// What is computed again in the backward pass.
    pub recompute: Recompute,
    /// Whether the inputs of FP8 GEMMs are kept in FP8; else in BF16. Nothing to say where `linear` is BF16.
    pub keep_fp8: bool,
    /// Whether tokens and gradients are dispatched in FP8; else in BF16, and cast in the order of the experts. Nothing to say
    /// where `linear` is BF16.
    pub dispatch_fp8: bool,
    /// Who brings tokens to their experts.
    pub dispatcher: Dispatcher,
    /// Where BF16 becomes FP8. Nothing to say where `linear` is BF16.
    pub casting: Casting,
    /// Whether a product can read an FP8 operand transposed, with the scales it has, so that nobody writes a 128x1 copy.
    pub transposed_reads: bool,
    /// Pieces the logits are computed in. One: logits are kept from forward to backward. More: see [`super::head`].
    pub logit_pieces: u64,
    /// Whether what tensor parallelism does not split is split by tokens instead.
    pub sequence_parallel: bool,
    /// How the core of attention is computed.
    pub attention: AttentionKernel,
    /// Whether attention scores and both residual branches pass through dropout, with a mask of a byte an element.
    pub dropout: bool,
    /// What gradients of weights are summed in.
    pub gradients: Gradients,
    /// Whether a step has several micro-batches, whose gradients are added up.
    pub accumulates: bool,
    /// Whether keys and values pass around a ring of context-parallel ranks; else they are gathered.
    pub ring_attention: bool,
    /// Whether gathers and scatters of tensor parallelism run beside products.
    pub overlaps_tensor: bool,
    /// Adapters that are trained beside frozen weights; none: all weights are trained.
    pub lora: Option<Lora>,
    /// Tokens of the documents that are packed into a sequence, whose tokens see none of another; empty: one fills it.
    pub documents: Vec<u64>,
    /// Which kernels the stack runs.
    pub recipe: Recipe,
}

/// What gradients of weights are summed in over the micro-batches of a step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Gradients {
    /// FP32: the product of the weight gradient adds into it.
    #[default]
    Fp32,
    /// BF16: the product writes its result, and a kernel adds it where there are earlier ones.
    Bf16,
}

impl Gradients {
    /// Bytes of one.
    #[must_use]
    pub fn width(self) -> f64 {
        match self {
            Self::Fp32 => super::element::FP32,
            Self::Bf16 => super::element::BF16,
        }
    }

    /// What a weight gradient's product does with its result.
    #[must_use]
    pub fn output(self) -> Output {
        match self {
            Self::Fp32 => Output::AccumulateFp32,
            Self::Bf16 => Output::Bf16,
        }
    }

    /// Bytes per element read and written where something `width` wide is added.
    pub(super) fn added(self, width: f64) -> [f64; 2] {
        [width + self.width(), self.width()]
    }
}

/// How the core of attention is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttentionKernel {
    /// In one kernel, whose scores never leave the SMs.
    Fused,
    /// As products and a softmax, with the scores in memory between them.
    Unfused,
}

/// Where BF16 activations and gradients become FP8 (arXiv:2412.19437 section 3.5.2 asks for all but the first).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Casting {
    /// A kernel reads BF16 and writes FP8.
    #[default]
    Kernel,
    /// A norm writes FP8 itself where nobody else reads its output; all other casts are kernels.
    Norm,
    /// Beside the memory: half the bytes of a cast or transpose cross to the device.
    Memory,
    /// On the way to the product, which then reads BF16. Kernels are left that write what must travel or be transposed.
    Product,
}

/// Which copies a cast writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Copies {
    /// 1x128 tiles along the rows: for the product, its input gradient, or the dispatch.
    Rows,
    /// 128x1 tiles, transposed: for the weight gradient.
    Columns,
    /// Both, in one read.
    Both,
}

impl Copies {
    /// How many that is.
    pub(super) fn count(self) -> f64 {
        match self {
            Self::Rows | Self::Columns => 1.0,
            Self::Both => 2.0,
        }
    }
}

/// What is computed again in the backward pass instead of kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recompute {
    /// Norms.
    pub norm: bool,
    /// Up-projections of latent attention, with the rotary position after them.
    pub mla_up: bool,
    /// The activation of the feed-forward layer.
    pub swiglu: bool,
    /// The core of unfused attention, from kept queries, keys and values (*selective*, arXiv:2205.05198). A fused
    /// kernel always computes its scores again.
    pub core: bool,
    /// Whole layers, from their input. The others then have nothing to say. Each segment's forward list then opens
    /// its input-gradient list; in time that of attention runs before the feed-forward segment's. In a layer of experts
    /// the tokens are dispatched again too ([`super::Exchange::dispatch_again`]).
    pub full: bool,
    /// Whole layers but for the core of attention, every second of its products and what was summed over ranks, as PyTorch's selective
    /// checkpointing by operation does where torchtitan sets it.
    pub operations: bool,
}

impl Recompute {
    /// Whether layers are computed again from their input.
    #[must_use]
    pub fn layers(&self) -> bool {
        self.full || self.operations
    }
}

/// Why a shape cannot be laid out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShapeError {
    /// A size that must be one or more is zero.
    #[error("`{0}` is 0; it must be 1 or more")]
    Zero(&'static str),
    /// Something does not divide.
    #[error("{what} ({of}) cannot be split evenly {by_what} ({by}) ways")]
    Uneven {
        /// What is to be split.
        what: &'static str,
        /// How much of it there is.
        of: u64,
        /// The key of the divisor.
        by_what: &'static str,
        /// The divisor.
        by: u64,
    },
    /// Documents that are longer or shorter than the sequence together.
    #[error("the documents have {sum} tokens together, but a sequence has {sequence} (`job.sequence`)")]
    Documents {
        /// Their tokens.
        sum: u64,
        /// Those of a sequence.
        sequence: u64,
    },
    /// Scores of a ring's turns kept apart.
    #[error("`policy.context-parallel` `ring` with `policy.attention` `unfused` is not modeled")]
    UnfusedRing,
    /// Several documents per sequence where no model of attention keeps them apart.
    #[error("several documents per sequence with {0} are not modeled")]
    Packed(&'static str),
    /// More ranks than key-value heads, which then cannot each be held by the same number of ranks.
    #[error(
        "`parallel.tp` ({tp}) cannot share the {kv_heads} key-value heads evenly: with more ranks than heads every head is held by \
         the same number of ranks; take a multiple of {kv_heads}, or {kv_heads} or fewer"
    )]
    KeyValueHeads {
        /// Tensor-parallel ranks.
        tp: u64,
        /// Key-value heads.
        kv_heads: u64,
    },
    /// A micro-batch is beyond counting.
    #[error("a micro-batch of {0} tokens; more than 2^32 are not counted")]
    TooLarge(u128),
    /// Unfused attention has a product per head, kept apart.
    #[error(
        "`model.attention.heads` {heads} x `job.micro-batch` {micro_batch} / `parallel.tp` {tp} = {of_rank} heads of unfused attention on a rank; at most {max} are kept apart",
        max = ShapeError::HEADS_MAX
    )]
    Heads {
        /// Attention heads of the model.
        heads: u64,
        /// Sequences of a micro-batch.
        micro_batch: u64,
        /// Tensor-parallel ranks.
        tp: u64,
        /// Heads of all sequences on a rank.
        of_rank: u128,
    },
    /// Unfused attention writes its scores, a number per head, query and key.
    #[error("unfused attention has {scores} scores on a rank, beyond what is counted exactly (2^53)")]
    Scores {
        /// Heads x queries x keys.
        scores: u128,
    },
    /// Experts take the tokens of a rank, which only sequence parallelism tells apart.
    #[error("experts with `parallel.tp` {0} need `policy.sequence-parallel = true`")]
    ReplicatedTokens(u64),
}

impl ShapeError {
    /// Heads of a rank that unfused attention keeps apart: far beyond any model, and few enough for a list.
    pub const HEADS_MAX: u64 = 1 << 18;

    /// What to do about it, where the message does not have it.
    #[must_use]
    pub fn way_out(&self) -> Option<String> {
        match self {
            Self::Heads { .. } => {
                Some("take fewer heads, a smaller micro-batch or `policy.attention = \"fused\"`".to_owned())
            }
            Self::Scores { .. } => Some("take a shorter `job.sequence` or `policy.attention = \"fused\"`".to_owned()),
            Self::Uneven { of, by, .. } => {
                let below = (1..=*by).rev().find(|ways| of.is_multiple_of(*ways)).unwrap_or(1);
                Some(format!("take a number that divides {of}, such as {below}"))
            }
            Self::Documents { .. } => Some("list as many tokens as `job.sequence` has".to_owned()),
            Self::UnfusedRing => Some("take `gather`, or `policy.attention = \"fused\"`".to_owned()),
            Self::Packed(_) => Some("leave `job.documents` out, or take that back".to_owned()),
            Self::TooLarge(_) => Some("take a shorter `job.sequence` or a smaller `job.micro-batch`".to_owned()),
            Self::Zero(_) | Self::KeyValueHeads { .. } | Self::ReplicatedTokens(_) => None,
        }
    }
}

impl Shape {
    /// Tokens of a micro-batch on one rank: `sequence x micro-batch / cp`.
    #[must_use]
    pub fn tokens(&self) -> u64 {
        self.sequence * self.micro_batch / self.cp.max(1)
    }

    /// Tokens of a rank outside the tensor-parallel parts: `tokens / tp`, or all of them without sequence parallelism.
    #[must_use]
    pub fn tokens_sequence_parallel(&self) -> u64 {
        if self.sequence_parallel { self.tokens() / self.tp.max(1) } else { self.tokens() }
    }

    /// Tokens of all ranks of an expert-parallel group.
    #[must_use]
    pub fn tokens_gathered(&self) -> u64 {
        self.tokens_sequence_parallel() * self.ep.max(1)
    }

    /// Whether the linear layers run in FP8.
    #[must_use]
    pub fn fp8(&self) -> bool {
        self.linear.is_fp8()
    }

    /// Whether the inputs of a feed-forward network's linear layers are needed again: for gradients of their weights, or of adapters.
    #[must_use]
    pub fn trains_feed_forward(&self) -> bool {
        self.lora.is_none_or(|lora| lora.targets == LoraTargets::All)
    }

    /// Whether what is dispatched travels in FP8.
    #[must_use]
    pub fn sends_fp8(&self) -> bool {
        self.fp8() && self.dispatch_fp8 && self.dispatcher == Dispatcher::DeepEp
    }

    /// Bytes of an element that is dispatched.
    #[must_use]
    pub fn sent_width(&self) -> f64 {
        if self.sends_fp8() { self.fp8_width() } else { super::element::BF16 }
    }

    /// Bytes of an FP8 activation element with its share of scales: an FP32 scale per 1x128 tile adds 1/32; one scale
    /// a tensor adds nothing.
    #[must_use]
    pub fn fp8_width(&self) -> f64 {
        1.0 + self.scale_width()
    }

    /// Bytes of scale an element of a tiled tensor carries.
    #[must_use]
    pub fn scale_width(&self) -> f64 {
        self.linear.scale_width()
    }

    /// Bytes an element of a linear layer's input takes while it is kept.
    #[must_use]
    pub fn kept_width(&self) -> f64 {
        if self.fp8() && self.keep_fp8 { self.fp8_width() } else { 2.0 }
    }

    /// What is computed again piece by piece; nothing where whole layers are.
    #[must_use]
    pub fn pieces_again(&self) -> Recompute {
        match self.recompute {
            Recompute { full, operations, .. } if self.recompute.layers() => {
                Recompute { full, operations, ..Recompute::default() }
            }
            pieces => pieces,
        }
    }

    /// Whether norms run again in the backward pass, so that what they gave is not kept.
    pub(super) fn norm_again(&self) -> bool {
        self.recompute.norm || self.recompute.layers()
    }

    /// The copies that a kernel still writes of those a cast is asked for. One copy serves both ways where products read it
    /// transposed; none is needed where products cast what they read, but a transposed one for lack of transposed reads.
    pub(super) fn copies_left(&self, asked: Copies) -> Option<Copies> {
        match (self.casting, self.transposed_reads, asked) {
            (Casting::Product, true, _) | (Casting::Product, false, Copies::Rows) => None,
            (Casting::Product, false, Copies::Columns | Copies::Both) => Some(Copies::Columns),
            (_, true, _) => Some(Copies::Rows),
            (_, false, asked) => Some(asked),
        }
    }

    /// The copies that products read in BF16 instead.
    pub(super) fn read_wide(&self, asked: Copies) -> &'static [Copies] {
        match (self.casting, self.transposed_reads, asked) {
            (Casting::Kernel | Casting::Norm | Casting::Memory, _, _) => &[],
            (Casting::Product, _, Copies::Rows) => &[Copies::Rows],
            (Casting::Product, false, Copies::Columns) => &[],
            (Casting::Product, false, Copies::Both) => &[Copies::Rows],
            (Casting::Product, true, Copies::Columns) => &[Copies::Columns],
            (Casting::Product, true, Copies::Both) => &[Copies::Rows, Copies::Columns],
        }
    }

    /// Bytes an element of a cast that cross to the device.
    pub(super) fn across_memory(&self, widths: [f64; 2]) -> [f64; 2] {
        match self.casting {
            Casting::Memory => widths.map(|width| width / 2.0),
            Casting::Kernel | Casting::Norm | Casting::Product => widths,
        }
    }

    /// Everything that keeps `model` from being laid out in this shape; empty where it fits.
    #[must_use]
    pub fn check(&self, model: &Model) -> Vec<ShapeError> {
        let mut errors: Vec<ShapeError> = [
            ("job.sequence", self.sequence),
            ("job.micro-batch", self.micro_batch),
            ("parallel.tp", self.tp),
            ("parallel.cp", self.cp),
            ("parallel.ep", self.ep),
            ("policy.logit-pieces", self.logit_pieces),
        ]
        .into_iter()
        .filter(|(_, value)| *value == 0)
        .map(|(name, _)| ShapeError::Zero(name))
        .collect();
        if model.experts.is_some() && self.tp > 1 && !self.sequence_parallel {
            errors.push(ShapeError::ReplicatedTokens(self.tp));
        }
        let tokens = u128::from(self.sequence) * u128::from(self.micro_batch);
        if tokens > 1 << 32 {
            errors.push(ShapeError::TooLarge(tokens));
        }
        if errors.is_empty() {
            errors.extend(self.divisions(model).into_iter().filter_map(uneven));
            errors.extend(self.shared_heads(model));
            errors.extend(self.unfused(model));
            errors.extend(self.packing());
            errors.extend(self.turns());
        }
        errors
    }

    /// More heads or scores than unfused attention can have.
    fn unfused(&self, model: &Model) -> Option<ShapeError> {
        let (Attention::Mla { heads, .. } | Attention::Gqa { heads, .. }) = model.attention;
        let (micro_batch, tp) = (self.micro_batch, self.tp);
        let of_rank = u128::from(heads) * u128::from(micro_batch) / u128::from(tp);
        match self.attention {
            AttentionKernel::Fused => None,
            AttentionKernel::Unfused if of_rank > u128::from(ShapeError::HEADS_MAX) => {
                Some(ShapeError::Heads { heads, micro_batch, tp, of_rank })
            }
            AttentionKernel::Unfused => {
                let scores = of_rank * u128::from(self.sequence / self.cp) * u128::from(self.sequence);
                (scores > 1 << 53).then_some(ShapeError::Scores { scores })
            }
        }
    }

    /// A ring whose turns no kernel of ours attends in.
    fn turns(&self) -> Option<ShapeError> {
        let is_ring = self.ring_attention && self.cp > 1;
        match self.attention {
            AttentionKernel::Unfused if is_ring => Some(ShapeError::UnfusedRing),
            AttentionKernel::Fused if is_ring && !(self.sequence / self.cp).is_multiple_of(2) => {
                let (what, of) = ("the tokens of a sequence on a rank of the ring", self.sequence / self.cp);
                Some(ShapeError::Uneven { what, of, by_what: "in pieces: `parallel.cp` x", by: 2 })
            }
            AttentionKernel::Fused | AttentionKernel::Unfused => None,
        }
    }

    /// Documents that do not fill a sequence, or that no kernel of ours keeps apart.
    fn packing(&self) -> Option<ShapeError> {
        let sum = self.documents.iter().try_fold(0_u64, |sum, tokens| sum.checked_add(*tokens)).unwrap_or(u64::MAX);
        let (sequence, unfused) = (self.sequence, self.attention == AttentionKernel::Unfused);
        match self.documents.is_empty() {
            true => None,
            false if sum != sequence => Some(ShapeError::Documents { sum, sequence }),
            false if self.cp > 1 => Some(ShapeError::Packed("`parallel.cp` above 1")),
            false if unfused => Some(ShapeError::Packed("`policy.attention = \"unfused\"`")),
            false => None,
        }
    }

    /// Fewer key-value heads than ranks: each is held by several.
    fn shared_heads(&self, model: &Model) -> Option<ShapeError> {
        let Attention::Gqa { kv_heads, .. } = model.attention else { return None };
        let uneven = kv_heads < self.tp && !self.tp.is_multiple_of(kv_heads);
        uneven.then_some(ShapeError::KeyValueHeads { tp: self.tp, kv_heads })
    }

    fn divisions(&self, model: &Model) -> Vec<(&'static str, u64, &'static str, u64)> {
        let (heads, kv_heads) = match model.attention {
            Attention::Mla { heads, .. } => (heads, heads),
            Attention::Gqa { heads, kv_heads, .. } => (heads, kv_heads),
        };
        let mut all = vec![
            ("the sequence", self.sequence, "`parallel.cp`", self.cp),
            ("the tokens of a rank", self.tokens(), "`parallel.tp`", self.tp),
            ("the tokens of a rank", self.tokens(), "`policy.logit-pieces`", self.logit_pieces),
            ("the attention heads", heads, "`parallel.tp`", self.tp),
            ("the vocabulary", model.vocabulary, "`parallel.tp`", self.tp),
            ("the width of a feed-forward layer", model.ffn, "`parallel.tp`", self.tp),
        ];
        if kv_heads >= self.tp {
            all.push(("the key-value heads", kv_heads, "`parallel.tp`", self.tp));
        }
        if let Some(experts) = &model.experts {
            let shared = u64::from(experts.shared) * experts.width;
            all.push(("the width of the shared experts", shared, "`parallel.tp`", self.tp));
        }
        all
    }
}

/// What keeps a size from being split.
fn uneven((what, of, by_what, by): (&'static str, u64, &'static str, u64)) -> Option<ShapeError> {
    (by == 0 || !of.is_multiple_of(by)).then_some(ShapeError::Uneven { what, of, by_what, by })
}
