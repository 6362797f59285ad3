//! A chain between submission and the end of its last task.

use units::SimTime;

use crate::share::{Course, Turn};
use crate::task::Task;

/// Tasks that follow one another. Either one of them has a slot as any task, or it is *on course*: what happens to several of
/// them is known, and holds as long as nobody else comes to what they draw from and claim.
#[derive(Debug)]
pub(crate) struct Chain<T> {
    pub(crate) tasks: Vec<Task<T>>,
    /// Sequence of the first task; the others follow.
    pub(crate) sequence: u64,
    /// Of tasks that have ended and, on course, of those foreseen.
    pub(crate) turns: Vec<Turn>,
    /// Tasks that have ended.
    pub(crate) n_ended: usize,
    /// When the first task that has not ended got its claims.
    pub(crate) since: SimTime,
    pub(crate) course: Course,
    /// The task beside it whose rate changes on the course.
    pub(crate) withheld: Option<u32>,
    /// Counts courses.
    pub(crate) version: u32,
}

impl<T> Default for Chain<T> {
    fn default() -> Self {
        Self {
            tasks: Vec::new(),
            sequence: 0,
            turns: Vec::new(),
            n_ended: 0,
            since: SimTime::ZERO,
            course: Course::default(),
            withheld: None,
            version: 0,
        }
    }
}
