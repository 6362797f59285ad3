//! How the host of a software stack launches kernels.

/// How the host of a software stack launches kernels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HostPolicy {
    /// How kernels are launched (`framework.host.launches`).
    pub launches: Launches,
    /// Whether it waits for the device where a message between stages goes or comes (`framework.host.waits-for-messages`).
    pub waits_for_messages: bool,
    /// Whether it waits for the counts of a dispatch before it launches what follows (`framework.host.waits-for-counts`).
    pub waits_for_counts: bool,
}

/// How kernels are launched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Launches {
    /// Each by itself.
    #[default]
    Each,
    /// As CUDA graphs, which cost the host nothing that counts.
    Graphs,
}
