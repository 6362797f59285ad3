//! How a job is laid over ranks.

use crate::model::{LayerKind, Model};
use crate::schedule::Schedule;

/// Degrees of parallelism, all decided. `ranks = pp x dp x cp x tp`; `ep` divides `dp x cp x tp`.
#[derive(Clone, Debug, PartialEq)]
pub struct Parallelism {
    /// Pipeline ranks.
    pub pp: u32,
    /// Data-parallel replicas.
    pub dp: u32,
    /// Context-parallel ranks.
    pub cp: u32,
    /// Tensor-parallel ranks, with sequence parallelism.
    pub tp: u32,
    /// Expert-parallel ranks.
    pub ep: u32,
    /// Transformer layers of each pipeline stage, first to last. The embedding joins the first stage; MTP modules and
    /// head join the last. As many entries as the schedule has stages: `pp` x virtual stages of a rank for interleaved
    /// and DualPipe-V, else `pp`.
    pub stages: Vec<u32>,
    /// What a rank keeps of the weights that others hold too.
    pub sharding: Sharding,
    /// Ranks over which that is spread, of those that hold the same common weights; the groups of so many ranks then sum their shards
    /// among each other. None: all of them.
    pub shard_ranks: Option<u32>,
}

/// What each of the ranks that would hold the same weights keeps of them, their gradients and the optimizer's state; its names are those of
/// `parallel.sharding`. Sources: arXiv:1910.02054 (ZeRO), PyTorch's `fully_shard`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sharding {
    /// All of everything: gradients are summed, and every rank updates all it holds.
    None,
    /// Its share of the optimizer's state: gradients are summed once per step, weights gathered after the update.
    Zero1,
    /// Its share of the gradients too: they are summed layer by layer in every backward chunk.
    Zero2,
    /// Its share of the weights too: they are gathered layer by layer in every chunk, before they are used.
    Zero3,
}

impl Sharding {
    /// Every one, from least to most.
    pub const ALL: [Self; 4] = [Self::None, Self::Zero1, Self::Zero2, Self::Zero3];

    /// Its name in files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Zero1 => "zero-1",
            Self::Zero2 => "zero-2",
            Self::Zero3 => "zero-3",
        }
    }

    /// Whether gradients are summed and dropped layer by layer within chunks.
    #[must_use]
    pub fn spreads_gradients(self) -> bool {
        self >= Self::Zero2
    }

    /// Whether weights are gathered layer by layer within chunks.
    #[must_use]
    pub fn spreads_weights(self) -> bool {
        self == Self::Zero3
    }
}

/// What one pipeline stage holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stage {
    /// Whether it begins with the embedding.
    pub embedding: bool,
    /// Its layers, in order.
    pub layers: Vec<LayerKind>,
    /// Multi-token-prediction modules, each with a block of its own.
    pub mtp: u32,
    /// Uses of the head: one for the model's own prediction and one a module.
    pub heads: u32,
}

/// Why a layout is impossible. Keys are those of the file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParallelError {
    /// A degree is zero.
    #[error("`{0}` is 0; it must be 1 or more")]
    Zero(&'static str),
    /// More ranks than can be numbered.
    #[error("`parallel` asks for {0} ranks; more than {max} cannot be numbered", max = u32::MAX)]
    Ranks(u128),
    /// The experts' ranks are not a share of the others.
    #[error("`parallel.ep` {ep} does not divide dp {dp} x cp {cp} x tp {tp} = {ranks} ranks of a stage")]
    ExpertRanks {
        /// Expert-parallel ranks.
        ep: u32,
        /// Replicas.
        dp: u32,
        /// Context-parallel ranks.
        cp: u32,
        /// Tensor-parallel ranks.
        tp: u32,
        /// The product of the three, which they are taken from.
        ranks: u64,
    },
    /// More ranks than experts.
    #[error("`parallel.ep` ({ep}) is more than the {routed} routed experts of a layer")]
    Experts {
        /// Expert-parallel ranks.
        ep: u32,
        /// Routed experts a layer.
        routed: u32,
    },
    /// A dense model has no experts to spread.
    #[error("`parallel.ep` is {0}, but the model is dense")]
    NoExperts(u32),
    /// The stages listed are not those of the schedule.
    #[error("{listed} stages are listed, but `{schedule}` over {pp} ranks has {n_stages}")]
    Stages {
        /// Entries.
        listed: usize,
        /// Name of the schedule.
        schedule: &'static str,
        /// Pipeline ranks.
        pp: u32,
        /// Stages of the schedule.
        n_stages: u32,
    },
    /// The model has fewer layers than the schedule has stages.
    #[error("`{schedule}` over {pp} ranks has {n_stages} stages, but the model has {layers} layers")]
    FewLayers {
        /// Name of the schedule.
        schedule: &'static str,
        /// Pipeline ranks.
        pp: u32,
        /// Stages of the schedule.
        n_stages: u32,
        /// Layers of the model.
        layers: u32,
    },
    /// The stages hold too many or too few layers.
    #[error("the stages hold {held} layers, but the model has {layers}")]
    Layers {
        /// Sum of the entries.
        held: u64,
        /// Layers of the model.
        layers: u32,
    },
    /// A stage has nothing to do.
    #[error("stage {0} of `parallel.stages` (from zero) has nothing to do")]
    EmptyStage(usize),
}

impl ParallelError {
    /// The key to change.
    #[must_use]
    pub const fn key(&self) -> &'static str {
        match self {
            Self::Zero(key) => key,
            Self::Ranks(_) | Self::FewLayers { .. } => "parallel.pp",
            Self::ExpertRanks { .. } | Self::Experts { .. } | Self::NoExperts(_) => "parallel.ep",
            Self::Stages { .. } | Self::Layers { .. } | Self::EmptyStage(_) => "parallel.stages",
        }
    }

    /// What to do about it, where the message does not have it.
    #[must_use]
    pub fn way_out(&self) -> Option<String> {
        const AUTO: &str = "`parallel.stages = \"auto\"` cuts by itself";
        match self {
            Self::Zero(_) | Self::Ranks(_) => None,
            Self::ExpertRanks { ranks, .. } => Some(format!("take a divisor of {ranks}")),
            Self::Experts { routed, .. } => Some(format!("take {routed} or fewer")),
            Self::NoExperts(_) => Some("set `parallel.ep = 1`".to_owned()),
            Self::Stages { .. } => Some(AUTO.to_owned()),
            Self::FewLayers { .. } => {
                Some("lower `parallel.pp` or `policy.virtual-stages`, or list `parallel.stages`".to_owned())
            }
            Self::Layers { .. } => Some(format!("change the list or `model.layers`; {AUTO}")),
            Self::EmptyStage(_) => Some("only the first and the last may hold no layer".to_owned()),
        }
    }
}

impl Parallelism {
    /// Ranks over which experts are spread where common weights are spread over `ranks`; none where groups of ranks that hold the same
    /// experts cut across those.
    #[must_use]
    pub fn expert_shard_ranks(&self, ranks: u32) -> Option<u32> {
        let held = u64::from(ranks) * u64::from(self.tp);
        let ep = u64::from(self.ep.max(1));
        match (held.is_multiple_of(ep), ep.is_multiple_of(held.max(1))) {
            (true, _) => u32::try_from(held / ep).ok(),
            (false, true) => Some(1),
            (false, false) => None,
        }
    }

    /// Ranks of the job.
    #[must_use]
    pub fn n_ranks(&self) -> u32 {
        self.pp * self.dp * self.cp * self.tp
    }

    fn degrees(&self) -> [(&'static str, u32); 5] {
        let names = ["parallel.pp", "parallel.dp", "parallel.cp", "parallel.tp", "parallel.ep"];
        let degrees = [self.pp, self.dp, self.cp, self.tp, self.ep];
        std::array::from_fn(|index| (names[index], degrees[index]))
    }

    /// Everything that keeps `model` from being laid out this way under a schedule; empty where it fits.
    #[must_use]
    pub fn check(&self, model: &Model, schedule: Schedule) -> Vec<ParallelError> {
        let mut errors: Vec<ParallelError> = self
            .degrees()
            .into_iter()
            .filter(|(_, degree)| *degree == 0)
            .map(|(key, _)| ParallelError::Zero(key))
            .collect();
        let ranks = [self.pp, self.dp, self.cp, self.tp].into_iter().map(u128::from).product();
        if ranks > u128::from(u32::MAX) {
            errors.push(ParallelError::Ranks(ranks));
        }
        if errors.is_empty() {
            errors.extend(self.check_experts(model));
            errors.extend(self.check_stages(model, schedule));
        }
        errors
    }

    /// What keeps the experts of `model` from being spread over ranks; no degree may be zero.
    #[must_use]
    pub fn check_experts(&self, model: &Model) -> Vec<ParallelError> {
        let Self { dp, cp, tp, ep, .. } = *self;
        let Some(experts) = &model.experts else {
            return (ep > 1).then_some(ParallelError::NoExperts(ep)).into_iter().collect();
        };
        let ranks = u64::from(dp) * u64::from(cp) * u64::from(tp);
        let ranks_uneven = !ranks.is_multiple_of(u64::from(ep));
        let of_ranks = ranks_uneven.then_some(ParallelError::ExpertRanks { ep, dp, cp, tp, ranks });
        let of_experts = (experts.routed < ep).then_some(ParallelError::Experts { ep, routed: experts.routed });
        of_ranks.into_iter().chain(of_experts).collect()
    }

    /// What keeps the layers of `model` from lying on the stages listed; no degree may be zero.
    #[must_use]
    pub fn check_stages(&self, model: &Model, schedule: Schedule) -> Vec<ParallelError> {
        let (listed, n_stages, pp) = (self.stages.len(), schedule.n_stages(self.pp), self.pp);
        let mut errors = Vec::new();
        if listed as u64 != u64::from(n_stages) {
            errors.push(ParallelError::Stages { listed, schedule: schedule.name(), pp, n_stages });
        }
        let mut inner = 1..listed.saturating_sub(1);
        errors.extend(inner.find(|stage| self.stages[*stage] == 0).map(ParallelError::EmptyStage));
        let held = self.stages.iter().copied().map(u64::from).sum();
        if held != u64::from(model.layers) {
            errors.push(ParallelError::Layers { held, layers: model.layers });
        }
        errors
    }
}

/// Layers of each stage of a schedule over `pp` ranks, where the scenario does not say ([`default_stages`]).
///
/// # Errors
/// More stages than layers.
pub fn stages_of(model: &Model, schedule: Schedule, pp: u32) -> Result<Vec<u32>, ParallelError> {
    let (n_stages, layers) = (schedule.n_stages(pp), model.layers);
    if n_stages > layers {
        return Err(ParallelError::FewLayers { schedule: schedule.name(), pp, n_stages, layers });
    }
    Ok(default_stages(model, n_stages))
}

/// What each stage holds: layers in order, the embedding in the first, MTP modules and every use of the head in the
/// last. The sum of `stages` is the caller's to check ([`Parallelism::check`]).
#[must_use]
pub fn stage_layers(model: &Model, stages: &[u32]) -> Vec<Stage> {
    let mut next = 0;
    let last = stages.len().saturating_sub(1);
    let stage = |(index, layers): (usize, &u32)| {
        let first = next;
        next += layers;
        Stage {
            embedding: index == 0,
            layers: (first..next).map(|layer| model.layer_kind(layer)).collect(),
            mtp: if index == last { model.mtp_modules } else { 0 },
            heads: if index == last { 1 + model.mtp_modules } else { 0 },
        }
    };
    stages.iter().enumerate().map(stage).collect()
}

/// Layers of each of `n_stages` stages where the scenario does not say. Basis: assumed; no report gives the split.
///
/// The last stage has fewer layers, for what it does besides. With MTP modules that work is counted in layers: one a
/// module, and a head as its weights over those a token uses in a layer (1.6 for DeepSeek-V3). The last stage gets what then makes it
/// even with the others, at least one layer; the others share the rest as evenly as it goes, the earlier ones more
/// (DeepSeek-V3 over 16: fifteen of 4, then 1 with the MTP module and both heads). Without MTP modules the stages differ by
/// at most one, and the missing layers are taken from the last stage first, then the first, then the inner ones from the
/// end (Llama 3 405B over 16, 126 layers: 7, fourteen of 8, 7; as its report has it, arXiv:2407.21783 section 3.3.2).
///
/// Fewer layers than stages give empty stages, which [`Parallelism::check`] refuses.
#[must_use]
pub fn default_stages(model: &Model, n_stages: u32) -> Vec<u32> {
    match n_stages {
        0 => Vec::new(),
        1 => vec![model.layers],
        n if model.mtp_modules > 0 && model.layers >= n => with_modules(model, n),
        n => ends_lighter(model.layers, n),
    }
}

fn with_modules(model: &Model, n_stages: u32) -> Vec<u32> {
    let used = model.layer_active_params(model.layer_kind(model.layers - 1)).max(1);
    let head = model.table_params() as f64 / used as f64;
    let besides = f64::from(model.mtp_modules) + f64::from(1 + model.mtp_modules) * head;
    let even = (f64::from(model.layers) + besides) / f64::from(n_stages);
    let last = ((even - besides).floor().max(1.0) as u32).min(model.layers + 1 - n_stages);
    let (rest, others) = (model.layers - last, n_stages - 1);
    let share = |index| rest / others + u32::from(index < rest % others);
    (0..others).map(share).chain([last]).collect()
}

fn ends_lighter(layers: u32, n_stages: u32) -> Vec<u32> {
    let most = layers.div_ceil(n_stages);
    let missing = most * n_stages - layers;
    let order = (0..n_stages as usize).rev();
    let (ends, inner): (Vec<usize>, Vec<usize>) =
        order.partition(|index| *index == 0 || *index + 1 == n_stages as usize);
    let lighter: Vec<usize> = ends.into_iter().chain(inner).take(missing as usize).collect();
    (0..n_stages as usize).map(|index| most - u32::from(lighter.contains(&index))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{deepseek_v3, llama_405b};

    #[test]
    fn the_default_split_leaves_room_at_the_ends() {
        let mut v3 = vec![4; 15];
        v3.push(1);
        assert_eq!(default_stages(&deepseek_v3(), 16), v3);
        let mut llama = vec![8; 16];
        (llama[0], llama[15]) = (7, 7);
        assert_eq!(default_stages(&llama_405b(), 16), llama);
    }

    #[test]
    fn every_default_split_holds_every_layer() {
        for model in [deepseek_v3(), llama_405b()] {
            for n_stages in 1..=model.layers {
                let stages = default_stages(&model, n_stages);
                assert_eq!(stages.iter().sum::<u32>(), model.layers, "{n_stages} stages");
                let held: usize = stage_layers(&model, &stages).iter().map(|stage| stage.layers.len()).sum();
                assert_eq!(held, model.layers as usize);
            }
        }
    }

    #[test]
    fn the_last_stage_of_deepseek_v3_has_mtp_and_two_heads() {
        let model = deepseek_v3();
        let stages = stage_layers(&model, &default_stages(&model, 16));
        assert!(stages[0].embedding);
        assert_eq!(stages[0].layers[2..], [LayerKind::Dense, LayerKind::Moe]);
        assert_eq!((stages[15].layers.len(), stages[15].mtp, stages[15].heads), (1, 1, 2));
        assert_eq!(stages[14].heads, 0);
    }

    #[test]
    fn all_mistakes_are_told_at_once() {
        let parallel = Parallelism {
            pp: 16,
            dp: 128,
            cp: 1,
            tp: 1,
            ep: 60,
            stages: vec![4; 15],
            sharding: Sharding::Zero1,
            shard_ranks: None,
        };
        let errors = parallel.check(&deepseek_v3(), Schedule::OneFOneB);
        assert_eq!(
            errors,
            [
                ParallelError::ExpertRanks { ep: 60, dp: 128, cp: 1, tp: 1, ranks: 128 },
                ParallelError::Stages { listed: 15, schedule: "1f1b", pp: 16, n_stages: 16 },
                ParallelError::Layers { held: 60, layers: 61 },
            ]
        );
    }
}
