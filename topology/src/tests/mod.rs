//! Laws of networks, over every kind of fabric.

mod analysis;
pub(crate) mod fixture;
mod mistakes;
mod paths;

use self::fixture::network;
use crate::{FabricKind, Network};

/// One of each kind, small enough to try all pairs, large enough to reach the top tier.
fn every_kind() -> Vec<(&'static str, Network)> {
    vec![
        ("multi-plane, one leaf a plane", network(FabricKind::FatTree, 8, 2, 64, 4)),
        ("multi-plane, two tiers", network(FabricKind::FatTree, 8, 2, 4, 7)),
        ("multi-plane, three tiers", network(FabricKind::FatTree, 8, 3, 4, 15)),
        ("fewer planes than NICs", network(FabricKind::FatTree, 3, 2, 8, 6)),
        ("fat tree, two tiers", network(FabricKind::FatTree, 1, 2, 16, 9)),
        ("fat tree, three tiers", network(FabricKind::FatTree, 1, 3, 16, 20)),
        ("rail, two tiers", network(FabricKind::RailFatTree, 1, 2, 16, 11)),
        ("rail, three tiers", network(FabricKind::RailFatTree, 1, 3, 8, 14)),
        ("rails in two planes", network(FabricKind::RailFatTree, 2, 2, 8, 8)),
    ]
}
