//! One dispatch and one combine with the machine to themselves.

use report::format::{bytes, seconds};
use tunnel::ask::{self, AllToAllReply, ScenarioQuery};

use crate::args::AllToAllArgs;
use crate::exit::Failure;
use crate::json::pretty;

/// One dispatch and one combine of a scenario's expert-parallel group, message by message.
pub(crate) fn all_to_all(args: &AllToAllArgs) -> Result<String, Failure> {
    let reply = ask::all_to_all(&args.query(), &args.layers.library()?)?.reply;
    Ok(if args.json { pretty(&reply.json()) } else { text(&reply) })
}

impl AllToAllArgs {
    /// What the arguments ask.
    pub(crate) fn query(&self) -> ScenarioQuery {
        ScenarioQuery { scenario: self.scenario.clone(), sets: self.layers.sets.clone() }
    }
}

fn text(reply: &AllToAllReply) -> String {
    let mut text = format!("{}, group of {} ranks\n", reply.name, reply.n_ranks);
    for (name, one) in [("dispatch", reply.dispatch), ("combine", reply.combine)] {
        text.push_str(&format!(
            "{name:<9} {:>9}   scale-up {:>9}   scale-out {:>9}   {}/s per rank\n",
            seconds(one.seconds),
            bytes(one.scale_up_bytes),
            bytes(one.scale_out_bytes),
            bytes(one.algorithm_bandwidth)
        ));
    }
    text
}
