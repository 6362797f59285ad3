//! Laws of networks, over every kind of fabric.

mod analysis;
pub(crate) mod fixture;
mod mistakes;
mod oversubscription;
mod paths;

use self::fixture::{network, oversubscribed};
use crate::{FabricKind, Network};

/// One of each kind, small enough to try all pairs, large enough to reach the top tier.
fn every_kind() -> Vec<(&'static str, Network)> {
    let mut kinds = every_full_kind();
    kinds.extend([
        ("multi-plane, two tiers, 2 : 1", oversubscribed(FabricKind::FatTree, [8, 2, 8, 19], 2.0)),
        ("multi-plane, three tiers, 3 : 1", oversubscribed(FabricKind::FatTree, [8, 3, 4, 17], 3.0)),
        ("fat tree, three tiers, 3 : 1", oversubscribed(FabricKind::FatTree, [1, 3, 12, 20], 3.0)),
        ("rail, three tiers, 2 : 1", oversubscribed(FabricKind::RailFatTree, [1, 3, 8, 14], 2.0)),
    ]);
    kinds
}

/// Those of full bisection.
fn every_full_kind() -> Vec<(&'static str, Network)> {
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
