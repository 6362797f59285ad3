//! Gangs, and what they are told to run.

use std::ops::Range;

use engine::{Capacity, CapacityId, Resources};
use platform::RankResources;
use units::Seconds;

use crate::label::Label;

/// Ranks that meet inside a routine: a column's members on one pipeline rank.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gang {
    /// Its ranks, one after the other.
    pub ranks: Range<u32>,
    /// Ports of all its ranks together, where it runs tabulated calls.
    pub pooled: Option<PooledPorts>,
}

/// Which gang of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GangId(pub u32);

/// Which call: the calls of a gang count from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId {
    /// Whose.
    pub gang: GangId,
    /// How many calls the gang was given before.
    pub number: u32,
}

/// Capacities of all ranks of a gang together, which its tabulated calls draw from, and messages that its ranks send and take.
///
/// Assumed: an exchange among the gang's ranks fills both directions of its ports, so a port has one capacity, the sum of what its
/// ranks send. Messages into the gang and out of it at one time share it, which is too slow where nothing else is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PooledPorts {
    /// Device memory, bytes.
    pub memory: CapacityId,
    /// What SMs of communication kernels copy, bytes.
    pub copy: CapacityId,
    /// Scale-up ports, bytes.
    pub up: CapacityId,
    /// NICs, bytes.
    pub out: CapacityId,
}

impl PooledPorts {
    /// Adds the sums of what some ranks have.
    pub fn add_to(resources: &mut Resources, ranks: &[RankResources]) -> Self {
        let mut sum = |port: fn(&RankResources) -> CapacityId| {
            let rate = ranks.iter().map(|rank| resources.rate(port(rank))).sum::<f64>().max(f64::MIN_POSITIVE);
            resources.add_capacity(Capacity { rate })
        };
        Self {
            memory: sum(|rank| rank.memory),
            copy: sum(|rank| rank.copy),
            up: sum(|rank| rank.up_send),
            out: sum(|rank| rank.out_send),
        }
    }
}

/// What a gang runs next.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Next {
    /// A routine, instruction by instruction on every rank.
    Run(Call),
    /// One task for all its ranks.
    Tabulated(Tabulated),
    /// Nothing that is known yet: the gang is asked again after [`super::Commands::ask`].
    Wait,
    /// Nothing more.
    Done,
}

/// A routine that every rank of a gang runs, each at its own pace: a rank begins when its call before has ended and what
/// the call's lanes need has come to *it*.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Call {
    /// Which routine.
    pub routine: u32,
    /// What its time counts as.
    pub label: Label,
    /// What each [`crate::Half`] of the routine works on.
    pub lanes: [Option<Lane>; 2],
}

/// What one half of a routine works on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lane {
    /// Whose tokens: with layer and group it picks the sampled batch.
    pub micro_batch: u32,
    /// The message that it waits for. Its key is free again once the call has begun.
    pub needs: Option<u32>,
    /// Where its result goes when the routine sends it.
    pub sends: Option<Address>,
}

/// Where a result goes: the member of another gang with the sender's place in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    /// Which gang.
    pub gang: GangId,
    /// The key under which the receiver waits for it.
    pub key: u32,
}

/// A call without instructions: one task that starts when the last rank of the gang is free and draws from its pooled ports.
/// It counts in its phase, and in no total of kernels or exchanges.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tabulated {
    /// How long it takes with the ports to itself.
    pub alone: Seconds,
    /// Bytes of all ranks together: memory, copied by SMs, scale-up, scale-out.
    pub draws: [f64; 4],
    /// What its time counts as.
    pub label: Label,
}
