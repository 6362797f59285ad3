//! What was measured: profiles of named estimates, and the demands they give an op.
pub mod estimate;
pub mod profile;
pub use estimate::{Basis, Dimension, Estimate, EstimateKey};
pub use profile::{MissingEstimates, Profile};
