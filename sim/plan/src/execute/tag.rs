//! What the driver calls its tasks.

use super::gang::CallId;

/// What the driver calls a task.
#[derive(Clone, Copy, Debug)]
pub(super) enum Tag {
    Ring {
        at: At,
        ring: u32,
    },
    Copying {
        exchange: u32,
        member: u32,
    },
    /// What a routine sends.
    Message {
        from: u32,
        to: u32,
        key: u32,
    },
    /// What a sequencer sends.
    Sent {
        token: u64,
    },
    Tabulated {
        call: CallId,
    },
}

/// A stream of a rank.
#[derive(Clone, Copy, Debug)]
pub(super) struct At {
    pub(super) rank: u32,
    pub(super) stream: u8,
}
