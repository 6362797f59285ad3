//! What a rank holds at its fullest.

use units::Bytes;

/// The memory of one pipeline rank at its fullest.
#[derive(Clone, Debug, PartialEq)]
pub struct RankMemory {
    /// The pipeline rank.
    pub rank: u32,
    /// Items and their bytes.
    pub items: Vec<(&'static str, Bytes)>,
    /// Their sum.
    pub total: Bytes,
    /// What the device has.
    pub capacity: Bytes,
}
