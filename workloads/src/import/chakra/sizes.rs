//! What both ends of every message give as its size.

use std::collections::BTreeMap;

use crate::import::{Graph, Mistake};

/// One end of a message: its rank, its node there, and the size that is written, if one is.
type End = (u32, u32, Option<u64>);

/// Sizes of messages by sender, receiver and tag, at both ends, in the order of the files.
#[derive(Debug, Default)]
pub(super) struct Sizes(BTreeMap<(u32, u32, u64), [Vec<End>; 2]>);

impl Sizes {
    /// A send of a rank.
    pub(super) fn sent(&mut self, (from, to, tag): (u32, u32, u64), node: u32, size: Option<u64>) {
        self.0.entry((from, to, tag)).or_default()[0].push((from, node, size));
    }

    /// A receive of a rank.
    pub(super) fn received(&mut self, (from, to, tag): (u32, u32, u64), node: u32, size: Option<u64>) {
        self.0.entry((from, to, tag)).or_default()[1].push((to, node, size));
    }

    /// Messages whose ends do not agree. Which send a receive meets is only known when both run, so sends and receives of two ranks
    /// and a tag are compared as they stand, and pass if they are the same sizes in another order.
    pub(super) fn contradictions(&self, job: &Graph) -> Vec<Mistake> {
        let place = |(rank, node, _): End| {
            let trace = job.traces.get(rank as usize);
            let name =
                trace.and_then(|trace| Some(format!("{}: {}", trace.name, trace.nodes.get(node as usize)?.name)));
            name.unwrap_or_else(|| format!("rank {rank}"))
        };
        let mut mistakes = Vec::new();
        for [sent, received] in self.0.values() {
            let of = |ends: &[End]| {
                let mut sizes: Vec<Option<u64>> = ends.iter().map(|end| end.2).collect();
                sizes.sort_unstable();
                sizes
            };
            if of(sent) == of(received) {
                continue;
            }
            let differs = |(send, receive): &(&End, &End)| receive.2.is_some() && send.2 != receive.2;
            let Some((send, receive)) = sent.iter().zip(received).find(differs) else { continue };
            let bytes = |end: &End| end.2.unwrap_or_default();
            mistakes.push(Mistake {
                place: place(*receive),
                message: format!(
                    "receives {} bytes, but {} sends it {} bytes",
                    bytes(receive),
                    place(*send),
                    bytes(send)
                ),
                hint: "write one `comm_size` at both ends, or tell messages of several sizes apart by `comm_tag`"
                    .to_owned(),
            });
        }
        mistakes
    }
}
