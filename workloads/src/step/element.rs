//! Bytes of an element.

/// In BF16.
pub(super) const BF16: f64 = 2.0;
/// In FP32.
pub(super) const FP32: f64 = 4.0;
/// Bytes of an element of a dropout mask.
pub(super) const MASK: f64 = 1.0;
