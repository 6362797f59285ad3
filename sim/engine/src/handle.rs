//! What a driver calls something that it may give up later.

/// A task, a batch or a chain that was submitted. It stays valid when that is over: it then names nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Handle {
    pub(crate) what: What,
    /// Where the engine keeps it.
    pub(crate) place: u32,
    /// How many were kept there before.
    pub(crate) turn: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum What {
    Task,
    Batch,
    Chain,
}

/// Gives out places, freed ones first.
#[derive(Debug, Default)]
pub(crate) struct Places {
    /// With the turn of the next to come there.
    free: Vec<(u32, u32)>,
    n_places: u32,
}

impl Places {
    #[inline]
    pub(crate) fn take(&mut self) -> (u32, u32) {
        self.free.pop().unwrap_or_else(|| {
            self.n_places += 1;
            (self.n_places - 1, 0)
        })
    }

    /// What was in a place in that turn is over.
    #[inline]
    pub(crate) fn free(&mut self, place: u32, turn: u32) {
        self.free.push((place, turn.wrapping_add(1)));
    }
}

/// Places of all that can be submitted.
#[derive(Debug, Default)]
pub(crate) struct Handles {
    pub(crate) tasks: Places,
    pub(crate) batches: Places,
    pub(crate) chains: Places,
}

impl Handles {
    #[inline]
    pub(crate) fn task(&mut self) -> Handle {
        let (place, turn) = self.tasks.take();
        Handle { what: What::Task, place, turn }
    }

    pub(crate) fn batch(&mut self) -> Handle {
        let (place, turn) = self.batches.take();
        Handle { what: What::Batch, place, turn }
    }

    pub(crate) fn chain(&mut self) -> Handle {
        let (place, turn) = self.chains.take();
        Handle { what: What::Chain, place, turn }
    }
}
