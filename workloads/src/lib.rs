//! What is asked of the machine: models, the ops of a training step, pipeline schedules, expert traffic, memory.
//!
//! ```
//! use workloads::op::LinearPrecision;
//! use workloads::recipe::Recipe;
//! use workloads::step::{self, AttentionKernel, Casting, Dispatcher, Gradients, LayerKind, Load, Recompute, Shape};
//!
//! let config = r#"{ "model_type": "llama", "num_hidden_layers": 32, "hidden_size": 4096, "intermediate_size": 14336,
//!     "vocab_size": 128256, "num_attention_heads": 32, "num_key_value_heads": 8 }"#;
//! let model = workloads::hf::from_config_json(config)?;
//! let shape = Shape {
//!     sequence: 8192, micro_batch: 1, tp: 2, cp: 1, ep: 1, linear: LinearPrecision::Bf16,
//!     forward_left: false, recompute: Recompute::default(), keep_fp8: false, dispatch_fp8: true, dispatcher: Dispatcher::DeepEp, casting: Casting::Kernel, transposed_reads: false,
//!     logit_pieces: 1,
//!     sequence_parallel: true, attention: AttentionKernel::Fused, dropout: false,
//!     gradients: Gradients::Fp32, accumulates: true, ring_attention: false, overlaps_tensor: false,
//!     lora: None,
//!     documents: Vec::new(), recipe: Recipe::default(),
//! };
//! assert!(shape.check(&model).is_empty());
//! let passes = step::mlp(&model, &shape, LayerKind::Dense, &Load::default());
//! let gate_up = passes.forward.iter().find(|op| op.name == "gate-up").map(|op| op.flops().get());
//! assert_eq!(gate_up, Some(2.0 * 8192.0 * 4096.0 * 14336.0));
//! # Ok::<(), workloads::hf::HfError>(())
//! ```
//!
//! In the order of a reader who follows one step:
//!
//! - [`model`]: [`model::Model`] is the dimensions; parameters, arithmetic and cache bytes a token follow. [`hf`] reads
//!   them from a published `config.json`.
//! - [`parallel`]: [`parallel::Parallelism`] is the degrees, [`parallel::Stage`] what a pipeline stage holds.
//! - [`step`]: the ops ([`op::Op`]) of one layer and one micro-batch on one rank, forward and backward, and the
//!   optimizer's.
//! - [`traffic`]: which experts tokens pick, and what travels between ranks for it.
//! - [`schedule`]: in which order a pipeline rank runs its chunks.
//! - [`memory`]: what all of it takes on one rank.
//!
//! Apart from that: [`iteration`] has the ops of a unit that serves a model, and [`import`] reads jobs that other tools wrote, as graphs of work and messages.
//!
//! This crate does not know bandwidths, peaks, links, GPU names or how long anything takes.

pub mod hf;
pub mod import;
pub mod iteration;
pub mod kernel;
pub mod memory;
pub mod model;
pub mod op;
pub mod parallel;
pub mod recipe;
pub mod requests;
pub mod schedule;
pub mod seen;
pub mod step;
pub mod traffic;

#[cfg(test)]
mod fixtures;
