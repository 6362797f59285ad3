//! Number formats and accumulators, bit by bit: what FP8 arithmetic loses.
//!
//! ```
//! use numerics::{Accumulator, OperandDistribution, Format, Operands, SumQuestion};
//!
//! // Four bits cannot hold 64 + 1: what is small beside the sum is truncated away.
//! let ones = Operands::from_bytes(Format::E4M3, 1, 64, &[Format::E4M3.encode(1.0) as u8; 64])?;
//! let never = Accumulator::new(4, 4, None)?;
//! assert_eq!(never.multiply(&ones, &ones)?, [32.0]);
//! let promoted = Accumulator::new(4, 4, Some(16))?;
//! assert_eq!(promoted.multiply(&ones, &ones)?, [64.0]);
//!
//! // The same at the size of a real GEMM.
//! let loss = |accumulator| {
//!     let distribution = OperandDistribution::HalfNormal;
//!     SumQuestion { format: Format::E4M3, k: 4096, distribution, accumulator, seed: 0 }.loss()
//! };
//! let (never, promoted) = (Accumulator::new(13, 32, None)?, Accumulator::new(13, 32, Some(128))?);
//! assert!(loss(never)?.relative_error > 10.0 * loss(promoted)?.relative_error);
//! # Ok::<(), numerics::NumericsError>(())
//! ```
//!
//! - [`Format`]: codes to numbers and back.
//! - [`Operands`]: a matrix of codes, ready to be multiplied; [`exact`] multiplies without loss.
//! - [`Accumulator`]: how a tensor core adds products, with promotion to FP32 or without.
//! - [`Quantized`], [`ScaledDot`]: scales by tensor, tile or block, and products of matrices that have them.
//! - [`LogFormat`]: steps on a logarithmic scale, tile by tile.
//! - [`SumQuestion`] to [`Loss`]: relative error and bias of long sums of random products; [`ScaledQuestion`]: of a GEMM
//!   whose operands are quantized under scales first.
//!
//! This crate does not know GPUs, models or time: widths, groups and intervals come from whoever asks.

mod accumulator;
mod error;
mod format;
mod log_format;
mod loss;
mod operands;
mod scale;
mod scaled_loss;

pub use accumulator::Accumulator;
pub use error::NumericsError;
pub use format::{Format, Specials};
pub use log_format::LogFormat;
pub use loss::{Loss, OperandDistribution, SumQuestion};
pub use operands::{Operands, exact};
pub use scale::{Granularity, Quantized, ScaleAt, ScaleKind, ScaledDot};
pub use scaled_loss::ScaledQuestion;
