//! Attention over a ring of context-parallel ranks.

use units::Bytes;

use super::attention_core::{CORE, Core};
use super::tape::{BF16, FP32, Tape};
use crate::op::{Axis, Collective, Op, OpKind, Overlap, Pass};
use crate::recipe::MemoryOp;
use crate::seen::Seen;

/// The name of what passes keys and values on.
const RING: &str = "key-value-ring";

impl Core {
    /// The core of a rank of a ring (arXiv:2310.01889): in as many turns as ranks it attends to the keys that lie here, while they pass on to
    /// the next rank, and merges what each turn gives.
    ///
    /// A rank holds two pieces of the sequence, as far from its start as from its end. In the first turn its queries see its own keys under
    /// the causal mask, in every other one all of its queries see one piece of another rank's keys, or one piece of its queries sees both: as many
    /// pairs either way. Outputs are merged in FP32. Backward, gradients of keys and values follow them around in FP32, and those of queries
    /// are summed in it. Turns of a library that asks for keys of several ranks at once are not these.
    pub(super) fn ring(self, tape: &mut Tape<'_>, pass: Pass) {
        let (cp, own) = (tape.shape.cp, tape.shape.sequence / tape.shape.cp);
        let backward = pass == Pass::InputGradient;
        let keys = (tape.shape.tokens() * self.kv_heads * (self.qk + self.value)) as f64;
        let width = if backward { self.qk } else { self.value };
        let merged = tape.shape.tokens() * self.heads * width;
        for turn in 0..cp {
            let gradients = if backward && turn > 0 { keys * FP32 } else { 0.0 };
            let bytes = gradients + if turn + 1 < cp { keys * BF16 } else { 0.0 };
            let (sizes, seen) = if turn == 0 { ([own, own], Seen::Causal) } else { ([own, own / 2], Seen::All) };
            let kind = self.kind(sizes, tape.shape.micro_batch, seen);
            let joins = bytes > 0.0;
            if joins {
                tape.push_op(Op { overlap: Overlap::Beside, ..message(pass, bytes) });
            }
            let overlap = if joins { Overlap::Joins } else { Overlap::None };
            tape.push_op(Op { overlap, ..Op::new(CORE, pass, kind) });
            if turn > 0 {
                tape.stream(
                    pass,
                    MemoryOp::AttentionMerge.name(),
                    MemoryOp::AttentionMerge,
                    merged,
                    [FP32 + BF16, FP32],
                );
            }
        }
        if backward {
            // Gradients of the last turn's keys go home.
            tape.push_op(message(pass, keys * FP32));
        }
    }
}

fn message(pass: Pass, bytes: f64) -> Op {
    let (axis, what, bytes) = (Axis::Cp, Collective::SendRecv, Bytes::new(bytes));
    Op::new(RING, pass, OpKind::Collective { axis, what, bytes })
}
