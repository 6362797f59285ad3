//! Published facts that cannot be held against the model.

use thiserror::Error;

/// Why facts cannot be compared.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum FactsError {
    /// A unit with two factors.
    #[error(
        "`{file}` says that the unit `{unit}` is {factor}, and another file {other}\nhint: a unit means one thing: give it two names"
    )]
    UnitTwice {
        /// The later file.
        file: String,
        /// The unit.
        unit: String,
        /// Its factor there.
        factor: f64,
        /// Its factor before.
        other: f64,
    },
    /// A family with two entries.
    #[error("`{file}` describes the family `{family}` a second time\nhint: keep one `[families]` entry")]
    FamilyTwice {
        /// The later file.
        file: String,
        /// The family.
        family: String,
    },
    /// Files without a fact.
    #[error(
        "no published fact stands in {0}, so there is nothing to validate\nhint: a fact is a table with a `value`; without `--published` those of the library are taken"
    )]
    NoFact(String),
    /// A fact in two files.
    #[error("the fact `{0}` stands in two files\nhint: keep one")]
    FactTwice(String),
    /// A fact that repeats one that is not asked.
    #[error("the fact `{fact}` repeats `{other}`, which is none that is asked\nhint: name a fact with an `ask`")]
    RepeatsNone {
        /// The fact.
        fact: String,
        /// What it repeats.
        other: String,
    },
    /// A family of which there is no fact.
    #[error("no published fact is of the family `{family}`\nhint: there are {known}")]
    NoFamily {
        /// As it was named.
        family: String,
        /// Families that there are.
        known: String,
    },
    /// A unit without a factor.
    #[error("no file of published facts knows the unit `{0}`\nhint: add it to `[units]`, its factor from base units")]
    Unit(String),
    /// A figure that the reply does not have.
    #[error("the prediction of `{fact}` cannot be formed: {reason}")]
    NoFigure {
        /// The fact.
        fact: String,
        /// Why.
        reason: String,
    },
    /// A baseline of another form.
    #[error("`{name}` is no baseline: {reason}\nhint: write one with `validate --json`")]
    NoBaseline {
        /// Its name.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A baseline of other facts.
    #[error("the baseline has no family of facts in common with this validation")]
    NothingInCommon,
}
