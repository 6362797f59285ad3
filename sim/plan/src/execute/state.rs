//! Where gangs and ranks stand between calls.

use std::collections::VecDeque;

use engine::Handle;
use units::SimTime;

use super::gang::{Call, GangId, Tabulated};
use super::outcome::RankTotals;
use super::routines::Routines;
use crate::label::Label;

/// What was decided for a gang, and not yet ended by all its ranks.
#[derive(Debug, Default)]
pub(super) struct GangState {
    pub(super) decided: VecDeque<Decided>,
    /// The number of the first of them.
    pub(super) first: u32,
    pub(super) standing: Standing,
}

/// How a gang stands with its sequencer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Standing {
    /// It is asked when a rank has nothing left.
    #[default]
    Open,
    /// It is not asked until it is to be.
    Waiting,
    Done,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Decided {
    pub(super) what: What,
    pub(super) n_arrived: u32,
    /// Ranks that have ended it, or passed it over.
    pub(super) n_ended: u32,
    /// The task of a tabulated call that runs.
    pub(super) task: Option<Handle>,
    pub(super) is_cancelled: bool,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum What {
    Call(Call),
    Tabulated(Tabulated),
}

/// Where a rank stands.
#[derive(Debug)]
pub(super) struct RankState {
    pub(super) gang: GangId,
    /// Its place in the gang.
    pub(super) member: u32,
    /// The number of the call that it runs, or begins next.
    pub(super) number: u32,
    pub(super) running: bool,
    /// What it runs.
    pub(super) call: Call,
    pub(super) label: Label,
    pub(super) began: SimTime,
    /// Points of the routine that streams have reached, a bit each.
    pub(super) reached: Vec<u64>,
    /// Messages that the next call waits for because they must have left.
    pub(super) unsent: u32,
    /// When its host has launched all that it has been asked for.
    pub(super) host: SimTime,
    /// It waits for the counts of a dispatch that is open.
    pub(super) counts: bool,
    pub(super) totals: RankTotals,
}

impl RankState {
    pub(super) fn of(routines: &Routines<'_>) -> Vec<Self> {
        let gangs = routines.gangs.iter().enumerate();
        let places = gangs.flat_map(|(gang, of)| (0..of.ranks.len() as u32).map(move |member| (gang, member)));
        let state = |(gang, member)| Self {
            gang: GangId(gang as u32),
            member,
            number: 0,
            running: false,
            call: Call::default(),
            label: Label::default(),
            began: SimTime::ZERO,
            reached: Vec::new(),
            unsent: 0,
            host: SimTime::ZERO,
            counts: false,
            totals: RankTotals::new(routines.n_labels),
        };
        places.map(state).collect()
    }
}
