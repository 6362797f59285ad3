//! placeholder: to be replaced by the folder schedule/
/// Order of chunks on every rank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Schedule {
    /// One forward, one backward.
    OneFOneB,
    /// 1F1B with several stages a rank.
    Interleaved {
        /// Stages a rank holds.
        virtual_stages: u8,
    },
    /// Zero-bubble with 1F1B's memory.
    Zb1p,
    /// Two directions at once, two copies of the weights.
    DualPipe,
    /// DualPipe cut in half: a V.
    DualPipeV,
}
