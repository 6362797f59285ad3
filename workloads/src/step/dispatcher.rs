//! Who brings tokens to their experts.

/// Who brings tokens to their experts and results back; its names are those of `policy.dispatcher`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dispatcher {
    /// Kernels of their own send a token, sort nothing ahead and sum what comes back.
    #[default]
    DeepEp,
    /// Every pick of a token is a row of its own, sorted by expert, in a collective library's all-to-all of uneven counts.
    NcclAllToAll,
    /// Every rank gathers all tokens of its expert-parallel group, takes the rows it wants, and reduces and scatters results.
    NcclAllGather,
}

impl Dispatcher {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::DeepEp, Self::NcclAllToAll, Self::NcclAllGather];

    /// Its name in files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::DeepEp => "deepep",
            Self::NcclAllToAll => "nccl-all-to-all",
            Self::NcclAllGather => "nccl-all-gather",
        }
    }
}
