//! The queue of launches: a kernel begins when the one before has ended and the host has launched it.

mod gangs;

use engine::Resources;
use gangs::{KEEP, at, call, kernel, machine, seconds};
use plan::{
    COMPUTE, CallId, Gang, GangsOutcome, HostWaits, Instruction, Label, Lane, Next, OpKernel, Routine, Routines,
    Sequencer, run_gangs,
};
use platform::RankResources;
use units::SimTime;

/// The first gang runs so many calls one after the other; each waits for a message that the call before sends its own rank.
struct Calls(u32);

impl Sequencer for Calls {
    fn next(&mut self, of: CallId, _now: SimTime, _commands: &mut plan::Commands) -> Next {
        let own = plan::Address { gang: gangs::PREFILL, key: 0 };
        match of {
            CallId { gang: gangs::DECODE, .. } => Next::Done,
            CallId { number, .. } if number == self.0 => Next::Done,
            CallId { number, .. } => {
                let needs = (number > 0).then_some(0);
                let sends = (number + 1 < self.0).then_some(own);
                call(0, Label(0), Some(Lane { needs, sends, ..Lane::default() }))
            }
        }
    }
}

/// `n_calls` of `n` kernels, each `device` seconds on the device and `launch` on the host.
fn run(n_calls: u32, n: usize, [device, launch]: [f64; 2], host: HostWaits) -> GangsOutcome {
    let (resources, ranks, gangs) = machine();
    let kernels = [OpKernel { launch: seconds(launch), ..kernel(device) }];
    let mut routine = Routine::new(1);
    routine.streams[COMPUTE] = vec![Instruction::Kernel(0); n];
    routine.streams[COMPUTE].push(Instruction::Send(plan::Half::Forward));
    outcome(&(resources, ranks, gangs), &[routine], &kernels, host, n_calls)
}

fn outcome(
    (resources, ranks, gangs): &(Resources, Vec<RankResources>, Vec<Gang>),
    routines: &[Routine],
    kernels: &[OpKernel],
    host: HostWaits,
    n_calls: u32,
) -> GangsOutcome {
    let routines = Routines {
        n_labels: 1,
        routines,
        n_ops: 1,
        kernels,
        n_keys: 1,
        host,
        ..Routines::none(resources, ranks, gangs)
    };
    run_gangs(&routines, &mut Calls(n_calls), KEEP).expect("it runs")
}

#[test]
fn the_slower_of_host_and_device_binds() {
    for (device, launch) in [(1.0, 0.25), (1.0, 1.0), (0.25, 1.0), (1.0, 0.0)] {
        for n in [1_usize, 7, 40] {
            let outcome = run(1, n, [device, launch], HostWaits::default());
            let all = n as f64;
            let expected = (launch + all * device).max(all * launch + device);
            assert_eq!(outcome.end, at(expected), "{n} kernels of {device} s, launched in {launch} s");
            let rank = &outcome.gangs[0];
            assert_eq!(rank.compute, seconds(2.0 * all * device), "two ranks compute as long whoever binds");
            assert_eq!(rank.unlaunched, seconds(2.0 * (expected - all * device)));
        }
    }
}

#[test]
fn a_host_that_runs_ahead_pays_once_and_one_that_waits_for_messages_pays_each_call() {
    let (n_calls, n, device, launch) = (5, 8, 1.0, 0.25);
    let work = f64::from(n_calls) * n as f64 * device;
    let ahead = run(n_calls, n, [device, launch], HostWaits::default());
    assert_eq!(ahead.end, at(work + launch));
    let waits = run(n_calls, n, [device, launch], HostWaits { messages: true, ..HostWaits::default() });
    assert_eq!(waits.end, at(work + launch * f64::from(n_calls)));
}

#[test]
fn long_kernels_hide_the_launches_of_short_ones_behind_them() {
    let (resources, ranks, gangs) = machine();
    let kernels = [10.0, 0.1].map(|device| OpKernel { launch: seconds(1.0), ..kernel(device) });
    let mut routine = Routine::new(1);
    // While the long one runs the host launches all of the short ones.
    routine.streams[COMPUTE] = [vec![Instruction::Kernel(0)], vec![Instruction::Kernel(1); 9]].concat();
    let outcome = outcome(&(resources, ranks, gangs), &[routine], &kernels, HostWaits::default(), 1);
    assert_eq!(outcome.end, at(1.0 + 10.0 + 0.9));
}

#[test]
fn streams_of_a_rank_share_its_host() {
    let (resources, ranks, gangs) = machine();
    let kernels = [OpKernel { launch: seconds(1.0), ..kernel(0.5) }];
    let mut routine = Routine::new(2);
    routine.streams = vec![vec![Instruction::Kernel(0); 3], vec![Instruction::Kernel(0); 3]];
    let outcome = outcome(&(resources, ranks, gangs), &[routine], &kernels, HostWaits::default(), 1);
    assert_eq!(outcome.end, at(6.0 + 0.5));
    assert_eq!(outcome.gangs[0].compute, outcome.gangs[0].side);
}
