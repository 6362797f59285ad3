//! What happened, and the evidence that the laws held.

use units::SimTime;

use crate::fault::{Fault, Law};

/// What a run did. Intervals and totals by tag are the driver's to keep: it sees every end.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Record {
    /// When the last task ended, or the driver stopped the run.
    pub end: SimTime,
    /// Tasks that ran, bundles of equal tasks counted once.
    pub n_tasks: u64,
    /// Tasks that ran, each copy counted.
    pub n_copies: u64,
    /// Solves of the sharing problem.
    pub n_solves: u64,
    /// Tasks that the driver gave up.
    pub n_cancelled: u64,
    /// Tasks that were open when the driver stopped the run.
    pub n_cut: u64,
    /// Units drawn from each capacity.
    pub served: Vec<f64>,
    /// Units asked of each capacity by tasks that were cancelled, and not drawn.
    pub cancelled: Vec<f64>,
    /// The same of tasks that were cut.
    pub cut: Vec<f64>,
    /// How far the laws were from breaking.
    pub laws: Laws,
}

/// Evidence for the laws, gathered while running. A record has none that breaks them: [`crate::run`] returns a [`Fault`]
/// instead.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Laws {
    /// Largest use of a capacity over its rate, minus one; zero or less is lawful.
    pub overload_max: f64,
    /// Largest share of a task's work left, or done twice, at its end.
    pub residue_max: f64,
    /// Tasks submitted, less those that ended, were cancelled or were cut.
    pub n_lost: i64,
    /// Things claimed above the count of a pool, at worst.
    pub overclaim_max: u32,
}

impl Laws {
    /// Tolerance of real arithmetic: far above rounding, far below anything that matters.
    const TOLERANCE: f64 = 1e-6;

    /// The worse of two pieces of evidence.
    #[must_use]
    pub fn worse(self, other: Self) -> Self {
        Self {
            overload_max: self.overload_max.max(other.overload_max),
            residue_max: self.residue_max.max(other.residue_max),
            n_lost: if self.n_lost == 0 { other.n_lost } else { self.n_lost },
            overclaim_max: self.overclaim_max.max(other.overclaim_max),
        }
    }

    /// Refuses evidence that a law was broken. Time going back is found where it happens.
    pub(crate) fn hold(&self) -> Result<(), Fault> {
        let within = |amount: f64| amount <= Self::TOLERANCE;
        let broken = |law, amount| Err(Fault::Broken { law, amount });
        // Written so that what is not a number is refused.
        if !within(self.overload_max) {
            return broken(Law::Rate, self.overload_max);
        }
        if !within(self.residue_max) {
            return broken(Law::Work, self.residue_max);
        }
        if self.n_lost != 0 {
            return broken(Law::Once, self.n_lost as f64);
        }
        if self.overclaim_max > 0 {
            return broken(Law::Claims, f64::from(self.overclaim_max));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_law_that_is_broken_is_named_with_its_amount() {
        let lawful = Laws { overload_max: -0.5, residue_max: 1e-9, ..Laws::default() };
        assert_eq!(lawful.hold(), Ok(()));
        let cases = [
            (Laws { overload_max: 0.25, ..lawful }, Law::Rate, 0.25),
            (Laws { residue_max: 0.5, ..lawful }, Law::Work, 0.5),
            (Laws { n_lost: 3, ..lawful }, Law::Once, 3.0),
            (Laws { n_lost: -1, ..lawful }, Law::Once, -1.0),
            (Laws { overclaim_max: 7, ..lawful }, Law::Claims, 7.0),
        ];
        for (laws, law, amount) in cases {
            assert_eq!(laws.hold(), Err(Fault::Broken { law, amount }), "{laws:?}");
            assert_eq!(lawful.worse(laws).hold(), laws.hold(), "the worse of two is the broken one");
        }
        assert!(Laws { overload_max: f64::NAN, ..lawful }.hold().is_err(), "what is not a number is no evidence");
    }
}
