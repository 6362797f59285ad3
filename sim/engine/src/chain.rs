//! A chain between submission and the end of its last task.

use units::SimTime;

use crate::driver::{List, Turn};
use crate::handle::Handle;
use crate::share::Course;

/// Tasks that follow one another. Either one of them has a slot as any task, or it is *on course*: what happens to several of
/// them is known, and holds as long as nobody else comes to what they draw from and claim.
#[derive(Debug)]
pub(crate) struct Chain {
    /// None once it is over.
    pub(crate) handle: Option<Handle>,
    pub(crate) list: List,
    pub(crate) n_tasks: u32,
    /// Tasks that have ended.
    pub(crate) n_ended: u32,
    /// Sequence of the first task; the others follow.
    pub(crate) sequence: u64,
    /// Class of the last task foreseen.
    pub(crate) class: u8,
    /// Of tasks that have ended and, on course, of those foreseen.
    pub(crate) turns: Vec<Turn>,
    /// When the first task that has not ended got its claims.
    pub(crate) since: SimTime,
    pub(crate) course: Course,
    /// The task beside it whose rate changes on the course.
    pub(crate) withheld: Option<u32>,
    /// Its course is in force.
    pub(crate) foreseen: bool,
    /// Counts courses.
    pub(crate) version: u32,
}

impl Default for Chain {
    fn default() -> Self {
        Self {
            handle: None,
            list: List(0),
            n_tasks: 0,
            n_ended: 0,
            sequence: 0,
            class: 0,
            turns: Vec::new(),
            since: SimTime::ZERO,
            course: Course::default(),
            withheld: None,
            foreseen: false,
            version: 0,
        }
    }
}
