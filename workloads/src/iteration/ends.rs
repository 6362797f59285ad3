//! What stands before the first layer and after the last.

use super::list::{BF16, OpList, Weights};
use super::{RankBatch, UnitLayout};
use crate::model::Model;
use crate::op::{Axis, Collective, Op, Precision};
use crate::recipe::MemoryOp;

/// Rows of the embedding.
#[must_use]
pub fn before_layers(model: &Model, layout: &UnitLayout, batch: &RankBatch) -> Vec<Op> {
    let mut list = OpList::new(layout);
    let rows = batch.rows();
    list.stream(("embedding", MemoryOp::Embedding), [rows, rows * model.hidden], [BF16, BF16]);
    list.finish()
}

/// Norm, logits of the rows that are sampled, and the choice of the next token. The vocabulary is split over the devices of an
/// attention rank, which gather the logits.
#[must_use]
pub fn after_layers(model: &Model, layout: &UnitLayout, batch: &RankBatch) -> Vec<Op> {
    let mut list = OpList::new(layout);
    let sampled = batch.sampled();
    list.norm("final-norm", batch.rows(), model.hidden);
    let outputs = model.vocabulary / layout.tp;
    list.gemm(sampled, Weights { name: "head", inputs: model.hidden, outputs }, Precision::Bf16);
    let logits = sampled * model.vocabulary;
    list.collective("logits-gather", Axis::Tp, Collective::AllGather, logits as f64 * BF16);
    list.stream(("sample", MemoryOp::Sample), [sampled, logits], [BF16, 0.0]);
    list.finish()
}
