//! A collective on links of bare rates.

use plan::CollectiveQuestion;
use report::format::{bytes, count, seconds};
use serde_json::json;
use units::{Bytes, BytesPerSec};
use workloads::op;

use crate::args::{Collective, CollectiveArgs};
use crate::exit::Failure;
use crate::progress::{Extent, during};
use crate::run::pretty;

/// How long a collective takes, and in how many flows.
pub(crate) fn collective(args: &CollectiveArgs) -> Result<String, Failure> {
    let question = CollectiveQuestion {
        what: args.what.into(),
        n_nodes: args.nodes,
        n_devices: args.devices,
        scale_up: args.scale_up.parse::<BytesPerSec>()?,
        nic: args.nic.parse::<BytesPerSec>()?,
        bytes: Bytes::new(args.bytes as f64),
    };
    let answer = during("simulating", Extent::Unknown, args.json, || plan::collective(&question))?;
    if args.json {
        return Ok(pretty(&json!({
            "seconds": answer.time.get(),
            "n_flows": answer.n_flows,
            "algorithm_bandwidth": answer.algorithm_bandwidth.get(),
            "bus_bandwidth": answer.bus_bandwidth.get(),
        })));
    }
    Ok(format!(
        "{}   {} flows   {}/s, bus {}/s\n",
        seconds(answer.time.get()),
        count(answer.n_flows),
        bytes(answer.algorithm_bandwidth.get()),
        bytes(answer.bus_bandwidth.get())
    ))
}

impl From<Collective> for op::Collective {
    fn from(what: Collective) -> Self {
        match what {
            Collective::AllToAll => Self::AllToAll,
            Collective::AllReduce => Self::AllReduce,
            Collective::AllGather => Self::AllGather,
            Collective::ReduceScatter => Self::ReduceScatter,
            Collective::SendRecv => Self::SendRecv,
        }
    }
}
