//! The columns of a picture: which devices of a node stand side by side.

use crate::Network;
use crate::wiring::Stack;

/// More columns than this are not told apart by eye; the next coarser grouping is drawn instead.
const COLUMNS_MAX: u32 = 16;

/// Things alike on a range of columns, both ends included.
#[derive(Clone, Copy)]
pub(super) struct Part {
    pub(super) first: u32,
    pub(super) last: u32,
    /// Its number.
    pub(super) name: u32,
    pub(super) count: u32,
}

impl Part {
    pub(super) const fn at(column: u32, name: u32, count: u32) -> Self {
        Self { first: column, last: column, name, count }
    }
}

/// Which column each device of a node stands on.
pub(super) struct Columns {
    /// Columns of the grid.
    pub(super) n: u32,
    /// By local rank.
    pub(super) of_rank: Vec<u32>,
}

impl Columns {
    pub(super) fn of(network: &Network) -> Self {
        let layout = network.layout();
        let (n_ranks, n_nics, n_planes) = (layout.node_devices, layout.node_nics, network.wiring().n_planes());
        let key = |rank: u32| {
            let nic = layout.nic_of_rank(rank);
            let plane = network.wiring().socket(0, nic).map_or(0, |socket| socket.plane);
            if n_ranks <= COLUMNS_MAX {
                (plane, nic, rank)
            } else if (1..=COLUMNS_MAX).contains(&n_nics) {
                (plane, nic, 0)
            } else if (1..=COLUMNS_MAX).contains(&n_planes) {
                (plane, 0, 0)
            } else {
                (0, 0, 0)
            }
        };
        let mut keys: Vec<_> = (0..n_ranks).map(key).collect();
        keys.sort_unstable();
        keys.dedup();
        let of_rank = (0..n_ranks).map(|rank| keys.partition_point(|other| *other < key(rank)) as u32).collect();
        Self { n: keys.len() as u32, of_rank }
    }

    pub(super) const fn whole(&self, count: u32) -> Part {
        Part { first: 0, last: self.n - 1, name: 0, count }
    }

    pub(super) fn of_nic(&self, network: &Network, nic: u32, count: u32) -> Part {
        let layout = network.layout();
        let columns = || {
            let ranks = (0..layout.node_devices).filter(|rank| layout.nic_of_rank(*rank) == nic);
            ranks.map(|rank| self.of_rank[rank as usize])
        };
        Part { first: columns().min().unwrap_or(0), last: columns().max().unwrap_or(0), name: nic, count }
    }

    /// The columns of the NICs that stand below switches.
    pub(super) fn of_stack(nics: &[Part], stack: &Stack) -> Part {
        let own = || stack.nics.iter().map(|nic| nics[*nic as usize]);
        Part {
            first: own().map(|part| part.first).min().unwrap_or(0),
            last: own().map(|part| part.last).max().unwrap_or(0),
            name: stack.name,
            count: stack.count,
        }
    }
}
