//! How a job is laid over ranks.

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
}

impl Parallelism {
    /// Ranks of the job.
    #[must_use]
    pub fn n_ranks(&self) -> u32 {
        self.pp * self.dp * self.cp * self.tp
    }
}
