//! what came out
pub mod summary;
pub use summary::*;
