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

mod bench;
mod demand;
pub mod design;
mod draw;
mod estimate;
pub mod fit;
#[cfg(feature = "gpu")]
pub mod gpu;
pub mod import;
mod mock;
mod profile;
mod question;
mod sample;
pub mod session;

pub use bench::{Bench, BenchError};
pub use demand::{CannotRun, CollectiveKeys, Demand, Estimator, Lacking, lacking};
pub use estimate::{Basis, Dimension, Estimate, EstimateKey};
pub use mock::Mock;
pub use profile::{MissingEstimates, Profile};
pub use question::{Collective, Direction, Distribution, Dtype, Question};
pub use sample::{Fingerprint, Line, Reading, Sample};
