//! What was measured: profiles of named estimates, and the demands they give an op.
//!
//! A [`Profile`] holds every [`EstimateKey`] with value, spread, [`Basis`] and source. An [`Estimator`] turns an op of
//! `workloads` into a [`Demand`] on a device of `topology`: tensor work, bytes, the shortest time its SMs allow.
//!
//! ```
//! use calibrate::{Basis, Dimension, EstimateKey};
//!
//! let key = EstimateKey::from_name("memory.peak-fraction").expect("a key of the model");
//! assert_eq!(key.dimension(), Dimension::Fraction);
//! assert!(key.doc().starts_with("Share of the memory peak"));
//! assert!(Basis::Measured < Basis::Assumed, "from firm to soft");
//! ```
//!
//! This crate does not know the engine: an estimate is never a finished time.

mod basis;
mod bench;
mod demand;
mod departure;
pub mod design;
mod draw;
mod elsewhere;
mod estimate;
pub mod fit;
#[cfg(feature = "gpu")]
pub mod gpu;
pub mod import;
mod key;
mod machine_key;
mod mock;
mod profile;
mod question;
mod sample;
pub mod session;
mod subject;

pub use basis::Basis;
pub use bench::{Bench, BenchError};
pub use demand::{
    Algorithm, CannotRun, CollectiveCall, CollectiveDemand, Demand, Estimator, Lacking, Spread, Traffic, lacking,
    traffic,
};
pub use departure::Departure;
pub use draw::{END_DEVIATIONS, carried, interval};
pub use estimate::{Dimension, Estimate};
pub use key::{AttentionTerm, CacheKind, CachedTerm, CollectiveTerm, EstimateKey, GemmTerm, StreamKernel, StreamTerm};
pub use machine_key::{MachineKey, MachinePart, MachineValue};
pub use mock::Mock;
pub use profile::{MissingEstimates, Profile};
pub use question::{Direction, Distribution, MovedBy, Question};
pub use sample::{Fingerprint, Line, Reading, Sample};
pub use subject::Subject;
