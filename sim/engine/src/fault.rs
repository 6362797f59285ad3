//! Why a run came to no record.

use units::SimTime;

/// A run that cannot be believed, or cannot go on.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// Tasks wait for claims that nobody will release.
    Stuck {
        /// When the last thing happened.
        at: SimTime,
        /// Tasks submitted and not ended.
        n_tasks: u64,
    },
    /// A law is broken: a fault of the engine, or a driver that answered twice differently.
    Broken {
        /// Which.
        law: Law,
        /// By how much, in the unit of the law.
        amount: f64,
    },
}

/// What holds in every run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Law {
    /// Time never goes back; the amount is seconds.
    Clock,
    /// No capacity serves above its rate; the amount is the excess, a share of the rate.
    Rate,
    /// What a task drew is what it asked for; the amount is the difference, a share of the task.
    Work,
    /// Every task that was submitted ended, was cancelled or was cut, once; the amount is tasks.
    Once,
    /// Claims never exceed their pool; the amount is things.
    Claims,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Stuck { at, n_tasks } => {
                write!(f, "stuck at {at}: {n_tasks} tasks wait for claims that nobody will release")
            }
            Self::Broken { law, amount } => match law {
                Law::Clock => write!(f, "a law is broken: time went back by {amount:e} s"),
                Law::Rate => write!(f, "a law is broken: a capacity served {amount:e} of its rate above it"),
                Law::Work => write!(f, "a law is broken: a task drew {amount:e} of its work too much or too little"),
                Law::Once => write!(f, "a law is broken: {amount} tasks more or fewer are over than were submitted"),
                Law::Claims => write!(f, "a law is broken: {amount} things were claimed of a pool that has no more"),
            },
        }
    }
}

impl std::error::Error for Fault {}
