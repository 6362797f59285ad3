//! The seam between a kind of job and the driver of its routines.

use engine::CapacityId;
use platform::Message;
use units::SimTime;

use super::gang::{CallId, GangId, Next};

/// The token of the wake after which cancelled calls are gone: the driver's own.
pub(super) const CANCELLED: u64 = u64::MAX;

/// Decides what every gang of a job runs next: one implementation for each kind of job.
///
/// Decisions are of gangs, starts of ranks: the driver queues what was decided for a gang, and each of its ranks goes
/// through the queue at its own pace. So `next` comes when the first rank has run out of decided calls, not when all have.
pub trait Sequencer {
    /// What the gang runs as this call.
    fn next(&mut self, call: CallId, now: SimTime, commands: &mut Commands) -> Next;

    /// One rank of a gang has ended its part of a call.
    fn rank_ended(&mut self, _part: &CallPart) {}

    /// The last rank of a gang has ended a call.
    fn ended(&mut self, _call: CallId, _now: SimTime, _commands: &mut Commands) {}

    /// Something asked for by a command has happened.
    fn event(&mut self, _event: Event, _now: SimTime, _commands: &mut Commands) {}
}

/// A call as one rank ran it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallPart {
    /// Which call.
    pub call: CallId,
    /// Which rank of the run.
    pub rank: u32,
    /// When the rank began.
    pub start: SimTime,
    /// When it ended.
    pub end: SimTime,
}

/// What a command of a sequencer led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The moment of a [`Commands::wake`].
    Woken(u64),
    /// A message of [`Commands::send`] has come.
    Delivered(u64),
    /// A call of [`Commands::cancel`] runs no longer; [`Sequencer::ended`] does not come for it.
    Cancelled(CallId),
}

/// What a sequencer wants done at this instant, in this order.
#[derive(Debug, Default)]
pub struct Commands(pub(super) Vec<Command>);

#[derive(Clone, Copy, Debug)]
pub(super) enum Command {
    Ask(GangId),
    Wake(SimTime, u64),
    Send { message: Message, ends: [u32; 2], token: u64 },
    Cancel(CallId),
    SetRate(CapacityId, f64),
    Stop,
}

impl Commands {
    /// A gang that was told to wait is asked again.
    pub fn ask(&mut self, gang: GangId) {
        self.0.push(Command::Ask(gang));
    }

    /// [`Event::Woken`] comes at a moment; one that has passed is now.
    ///
    /// # Panics
    /// If the token is the largest there is, which the driver has for itself.
    pub fn wake(&mut self, at: SimTime, token: u64) {
        assert!(token != CANCELLED, "{token} is no token of a sequencer");
        self.0.push(Command::Wake(at, token));
    }

    /// A message leaves one rank for another; [`Event::Delivered`] comes when it has arrived.
    pub fn send(&mut self, message: Message, ends: [u32; 2], token: u64) {
        self.0.push(Command::Send { message, ends, token });
    }

    /// Gives up a call that was decided. Ranks that run it do so no longer, those that have not come to it pass it over, and
    /// [`Event::Cancelled`] comes at this instant. Kernels, exchanges and collectives under way are gone; messages that have left arrive
    /// all the same. Nothing happens if the call has ended.
    pub fn cancel(&mut self, call: CallId) {
        self.0.push(Command::Cancel(call));
    }

    /// Ends the run at this instant, whatever is under way.
    pub fn stop(&mut self) {
        self.0.push(Command::Stop);
    }

    /// Changes the rate of a capacity from now on.
    ///
    /// # Panics
    /// If the rate is not positive and finite.
    pub fn set_rate(&mut self, capacity: CapacityId, rate: f64) {
        self.0.push(Command::SetRate(capacity, rate));
    }
}
