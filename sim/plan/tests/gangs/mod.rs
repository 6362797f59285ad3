//! Two gangs of two ranks on a small machine: ports send 10 bytes per second, so the pooled ports of a gang send 20.

use calibrate::EstimateKey;
use engine::Resources;
use plan::{Call, Gang, GangId, Keep, Label, Lane, Next, OpKernel, PooledPorts, Recording};
use platform::{Kernel, PortRates, RankResources};
use units::{Seconds, SimSpan, SimTime};

pub(crate) const PREFILL: GangId = GangId(0);
pub(crate) const DECODE: GangId = GangId(1);
pub(crate) const KEEP: Keep = Keep { ranks: Recording::None, streams: false };

pub(crate) fn seconds(seconds: f64) -> SimSpan {
    Seconds::new(seconds).into()
}

pub(crate) fn at(after: f64) -> SimTime {
    SimTime::ZERO + seconds(after)
}

/// A kernel that takes some seconds and draws nothing.
pub(crate) fn kernel(shortest: f64) -> OpKernel {
    let limit = EstimateKey::KernelLatency;
    let kernel = Kernel { sms: 0, tensor: 0.0, memory: 0.0, shortest, latency: SimSpan::ZERO, limit };
    OpKernel {
        op: 0,
        category: workloads::op::Category::MemoryBound,
        continues: false,
        loaded: false,
        kernel,
        launch: SimSpan::ZERO,
    }
}

/// Two gangs of two ranks each, with pooled ports.
pub(crate) fn machine() -> (Resources, Vec<RankResources>, Vec<Gang>) {
    let mut resources = Resources::default();
    let rates = PortRates { memory: 10.0, copy: 10.0, up: 10.0, out: 10.0, sms: 1 };
    let ranks: Vec<_> = (0..4).map(|_| rates.add_to(&mut resources)).collect();
    let mut gang = |first: u32| Gang {
        ranks: first..first + 2,
        pooled: Some(PooledPorts::add_to(&mut resources, &ranks[first as usize..first as usize + 2])),
    };
    let gangs = vec![gang(0), gang(2)];
    (resources, ranks, gangs)
}

pub(crate) fn call(routine: u32, label: Label, lane: Option<Lane>) -> Next {
    Next::Run(Call { routine, label, lanes: [lane, None] })
}
