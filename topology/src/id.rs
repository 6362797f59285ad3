//! Numbers of devices, nodes and links.

use std::fmt;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $word:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u32);

        impl $name {
            /// As a position in a vector.
            #[must_use]
            pub const fn index(self) -> usize {
                self.0 as usize
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($word, " {}"), self.0)
            }
        }
    };
}

id!(
    /// One device of the machine, counted node by node: `node x devices of a node + local rank`.
    DeviceId,
    "device"
);
id!(
    /// One node of the machine.
    NodeId,
    "node"
);
id!(
    /// One directed link; dense from zero, so a vector indexed by it holds one entry a link.
    LinkId,
    "link"
);

impl LinkId {
    /// The same wire in the other direction.
    #[must_use]
    pub const fn reverse(self) -> Self {
        // The builder adds the two directions of a wire one after the other, the one away from the device first.
        Self(self.0 ^ 1)
    }

    /// Whether the link leads away from the device, towards the core of its fabric.
    #[must_use]
    pub const fn leads_up(self) -> bool {
        self.0.is_multiple_of(2)
    }
}
