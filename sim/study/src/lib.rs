//! Questions over many runs: proposals, sweeps, draws, sensitivity, subsets, shards.
//!
//! A [`Study`] is a base scenario and patches of it. Each patch is a [`Point`]; each point is run once with the profile as it stands and
//! once a draw of its spreads, the same draws for all. The [`Answer`] sets every point beside the base, with an
//! interval, a [`Verdict`] and the few estimates that decide it.
//!
//! ```
//! use std::collections::BTreeMap;
//!
//! use study::{Answer, Criterion, InMemory, Manifest, Refusal, Results, Shard, Study, StudyError, StudyProgress, Tunnel};
//!
//! /// A tunnel in which more links are always better.
//! struct Formula(scenario::Library);
//!
//! impl Tunnel for Formula {
//!     fn load(&self, sets: &[String]) -> Result<scenario::Loaded, scenario::Mistakes> {
//!         scenario::load("tiny-moe", sets, &self.0)
//!     }
//!
//!     fn run(&self, plan: &plan::Plan) -> Result<Results, Refusal> {
//!         let step = 8.0 / f64::from(plan.site.machine.device.scale_up.links);
//!         let numbers = BTreeMap::from([("step_seconds".into(), step)]);
//!         Ok(Results { criterion: Criterion::less("step_seconds"), numbers, words: BTreeMap::new() })
//!     }
//! }
//!
//! let text = "base = \"tiny-moe\"\n[sweep.links]\norder = \"grid\"\nknobs.gpu.scale-up.links = [8, 16]";
//! let absent = |name: &str| Err(StudyError::Fault(format!("no proposal `{name}`")));
//! let study = Study::read("links.toml", text, &absent)?;
//! let tunnel = Formula(scenario::Library::built_in());
//! let manifest = Manifest::new(&study, &tunnel, "an example")?;
//! let store = InMemory::default();
//! study::run(&manifest, &tunnel, &store, Shard::WHOLE, false, &StudyProgress::default())?;
//! let answer = Answer::new(&manifest, &store)?;
//! assert_eq!(answer.points[1].name, "links-2");
//! assert!(answer.points[1].difference.as_ref().is_some_and(|difference| difference.share == -0.5));
//! # Ok::<(), StudyError>(())
//! ```
//!
//! The way of a question, each step a type:
//!
//! 1. [`Study`]: a file, with [`Proposal`]s by name or in place, sweeps (grid, list, range, Latin hypercube) and [`Together`].
//! 2. [`Manifest`]: every point with the digest of its plan. Each [`Shard`] works it out alike.
//! 3. [`run()`] puts what a shard holds through a [`Tunnel`] and keeps each [`FinishedPoint`] in a [`Store`], under a key made of plan,
//!    draws and build, so what is finished is never run again, and two shards never differ.
//! 4. [`Answer`]: JSON; [`ResultTable`]: CSV and Parquet. Both are functions of manifest and store: not of jobs, shards or interruptions.
//!
//! Proposals of precision also stand in [`Answer::arithmetic`], their objectives beside what the sums of their GEMMs lose.
//!
//! [`SideBySide`] sets the answers of several studies side by side: what a proposal is worth on each of their jobs.
//!
//! [`sensitivity()`] asks another question of the same tunnel: what moves the objective, knob by knob.
//!
//! [`search()`] asks a third: which of many patches is best, within what limits. [`solve()`] asks backwards, for the value of a key, and
//! [`JobDiff`] what differs between two jobs.
//!
//! This crate does not know what a plan is made of, how it is run, what its results mean (but for [`ANOMALY`]), or where files are. By which of them a job is judged, each run
//! says itself in its [`Criterion`].

mod answer;
mod arithmetic;
mod compare;
mod criterion;
mod decide;
mod diff;
mod draws;
mod error;
mod file;
mod interval;
mod json;
mod knob;
mod manifest;
mod parse;
mod point;
mod proposal;
mod refusal;
mod run;
mod search;
mod sensitivity;
mod shard;
mod solve;
mod subsets;
mod sweep;
mod table;
mod together;
mod tunnel;

pub use answer::{About, Answer, Base, Difference, Expectation, PointRow};
pub use arithmetic::{ARITHMETIC, Arithmetic, Gemm, How, ProductSums, ScalesName, SumLength};
pub use compare::{ComparedChange, ComparedOutcome, ComparedProposal, ComparedStudy, SideBySide};
pub use criterion::{Criterion, Named};
pub use decide::{Decider, deciders};
pub use diff::{JobDiff, KeyDiff, NumberDiff, WordDiff};
pub use draws::Draws;
pub use error::StudyError;
pub use file::Study;
pub use interval::{Interval, Verdict};
pub use knob::{Change, plain};
pub use manifest::{Entry, Manifest, TogetherEntry, hash};
pub use point::{ANOMALY, FinishedPoint, Point, PointKind, Results};
pub use proposal::{HandCalculation, Proposal};
pub use refusal::Refusal;
pub use run::{InMemory, Store, StudyProgress, on_threads, run};
pub use search::{
    Limit, N_CANDIDATES_MAX, RejectedBy, RejectedPoint, Search, SearchAnswer, SearchAxis, SearchPoint, search,
};
pub use sensitivity::{Knob, KnobTurn, Sensitivity, sensitivity};
pub use shard::Shard;
pub use solve::{Goal, Solved, solve};
pub use subsets::Together;
pub use table::ResultTable;
pub use together::{Pair, SetOutcome, Share, TogetherAnswer};
pub use tunnel::Tunnel;
