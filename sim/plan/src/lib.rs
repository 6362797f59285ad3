//! Everything decided, and what it comes to: a [`Plan`] is lowered to a [`Program`], the program is run.
//!
//! ```
//! use plan::{Keep, Progress, Recording, check_memory, lower, run, sample};
//! use scenario::{Library, load};
//!
//! let plan = load("tiny-moe", &["gpu.sms=144".to_owned()], &Library::built_in())?.plan;
//! let plan = plan.train()?;
//! let memory = check_memory(plan, sample(plan)?.as_ref())?;
//! let program = lower(plan)?;
//! let outcome = run(&program, Keep { ranks: Recording::OnePerStage, streams: false }, &Progress::default())?;
//! assert_eq!((memory.len(), outcome.ranks.len()), (4, 4)); // one row a pipeline rank
//! assert!(outcome.step.seconds() > 0.0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Four steps, each pure:
//!
//! 1. [`Plan`] is the machine, the model, the job, what we choose ([`Policies`]), the traffic, the profile and what money
//!    is taken to buy ([`CostTerms`]), with nothing left open.
//! 2. [`memory()`] and [`check_memory`] say what every pipeline rank holds at its fullest, and refuse with the table.
//! 3. [`lower`] is the one place where hardware meets workload meets measurement. A [`Program`] is resources
//!    ([`platform::RankResources`]), kernels ([`OpKernel`]), all-to-alls message by message ([`platform::ExchangeTemplate`]), collectives ([`Ring`]), and
//!    one [`Routine`] for each kind of chunk: streams of [`Instruction`]s. [`SlotPlan`]s hold which routine a rank runs when.
//! 4. [`run`] drives the engine: a [`Sequencer`] decides what each [`Gang`] of ranks runs next, and every rank is a small
//!    machine of streams that starts what may start when something ends. [`run_gangs`] does that for any kind of job.
//!    *Columns* of ranks that meet only in the optimizer run apart, on as many threads as there are, bytes unchanged. The
//!    [`Outcome`] holds phases, totals of ops and ports, recorded intervals and the evidence for the laws.
//!
//! [`JobCost`] says what holding the machine for some time costs.
//!
//! Where replicas are alike, [`Folding::Auto`] runs one rank a stage with the slowest load of its group: the same bits
//! where traffic is balanced, a little late where it is not (`tests/steps/folding.rs`).
//!
//! Beside the way lies [`sums()`]: how a plan adds the products of its linear layers, for whoever asks what that loses.
//! Jobs that other tools wrote ([`workloads::import::Graph`]) have no model and no plan: [`replay()`] runs them on a machine.
//!
//! This crate does not know files, spans, units of people or printing; it draws no random number that the plan's seed does
//! not give.

mod collective;
mod companion;
mod contradiction;
mod cost;
mod error;
mod execute;
mod fitting;
mod kernel;
mod label;
mod launches;
mod layout;
mod least;
mod lower;
mod memory;
mod plan;
mod program;
mod rank_memory;
mod replay;
mod routine;
mod serve;
mod sums;
mod token_limit;

pub use collective::{CollectiveAnswer, CollectiveQuestion, collective};
pub use companion::{Companion, CompanionOn};
pub use contradiction::Contradiction;
pub use cost::{CostTerms, JobCost};
pub use error::PlanError;
pub use execute::{
    Address, Beside, Call, CallId, CallPart, ChunkSpan, Commands, Event, ExchangeTotal, Gang, GangId, GangsOutcome,
    Keep, Lane, Next, OpTotal, Outcome, OverlappedTotals, PooledPorts, Ports, Progress, Ran, RankTotals, Routines,
    Sequencer, StreamSpan, Tabulated, run, run_gangs,
};
pub use fitting::lower_fitting;
pub use kernel::{Clock, CollectiveAlone, KernelCall, TimeAlone, When, collective_alone, kernel};
pub use label::{Label, LabelKind, LabelName, PhaseSpans, TRAIN_LABELS};
pub use launches::{HostPolicy, Launches};
pub use layout::Layout;
pub use least::least_step;
pub use lower::{
    ExchangeMemo, Sampling, Shared, casting, expert_layout, lower, lower_with, n_micro_batches, sampled, shape,
};
pub use memory::{check_memory, memory, sample};
pub use plan::{
    ContextParallel, DataParallel, DispatchFormat, Ema, Folding, ForwardSums, Imported, Job, KeepActivations, Plan,
    PointToPoint, Policies, Recording, ServePlan, Simulation, Site, TensorCollectives, Train, TrainPlan,
};
pub use program::*;
pub use rank_memory::RankMemory;
pub use replay::{Evidence, RankReplay, Replayed, replay};
pub use routine::{COMPUTE, Half, Instruction, Routine};
pub use serve::{
    AllReduces, BoundBy, Drafts, IterationOverlap, IterationPart, IterationPricer, IterationTable, IterationTime,
    Iterations, OverlapPolicy, PrefillUnits, RequestList, RequestRecord, SchedulerKind, SchedulerSpec, Serve,
    ServedPhase, ServingBooks, ServingStack, TimeHistogram, UnitLoad, UnitMemory, UnitPart, serve, unit_memory,
};
pub use sums::{Length, Scales, Sums, sums};
pub use token_limit::{TokenLimit, token_limit};
