//! everything decided, and its lowering
pub mod plan;
pub use plan::*;
