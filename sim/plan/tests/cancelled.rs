//! Calls that are given up leave no trace but the time they took.

mod gangs;

use calibrate::{Algorithm, EstimateKey};
use gangs::{DECODE, KEEP, PREFILL, at, call, kernel, machine, seconds};
use plan::{
    COMPUTE, CallId, Commands, Event, Half, Instruction, Label, LoadTable, Next, PlanError, Ring, Routine, Routines,
    Sequencer, Tabulated, run_gangs,
};
use platform::{ExchangeKind, ExchangeTemplate, Flow, Leg};
use units::{Seconds, SimSpan, SimTime};

/// The first gang runs one call after the other; some are given up at their moments.
struct Restarts {
    what: Next,
    n_calls: u32,
    /// Seconds, and the number of the call.
    cancels: Vec<(f64, u32)>,
    stops: Option<f64>,
    heard: Vec<(u32, bool, SimTime)>,
}

impl Restarts {
    const STOP: u64 = 99;
}

impl Sequencer for Restarts {
    fn next(&mut self, of: CallId, _now: SimTime, commands: &mut Commands) -> Next {
        if of == (CallId { gang: PREFILL, number: 0 }) {
            self.cancels.iter().for_each(|&(after, number)| commands.wake(at(after), u64::from(number)));
            self.stops.into_iter().for_each(|after| commands.wake(at(after), Self::STOP));
        }
        if of.gang == PREFILL && of.number < self.n_calls { self.what } else { Next::Done }
    }

    fn ended(&mut self, call: CallId, now: SimTime, _commands: &mut Commands) {
        self.heard.push((call.number, true, now));
    }

    fn event(&mut self, event: Event, now: SimTime, commands: &mut Commands) {
        match event {
            Event::Woken(Self::STOP) => commands.stop(),
            Event::Woken(number) => commands.cancel(CallId { gang: PREFILL, number: number as u32 }),
            Event::Cancelled(call) => self.heard.push((call.number, false, now)),
            Event::Delivered(token) => unreachable!("nobody sends {token}"),
        }
    }
}

/// The members run for 2 and 5 s, meet in an all-to-all of 1 s, run again, meet in a collective of 3 s, and run; beside it for
/// another 12.
fn meeting() -> Routine {
    let mut routine = Routine::new(2);
    let loaded = Instruction::Loaded { table: 0, half: Half::Forward, layer: 0 };
    let exchange = |kind| Instruction::Exchange { kind, half: Half::Forward, layer: 0, sms: 0 };
    routine.streams[COMPUTE] = vec![loaded, Instruction::Signal(0), Instruction::Ring(0), loaded, loaded];
    routine.streams[1] = vec![
        Instruction::Await(0),
        exchange(ExchangeKind::Dispatch),
        Instruction::Kernel(2),
        exchange(ExchangeKind::Combine),
    ];
    Routine { n_events: 1, ..routine }
}

/// Both members send 10 bytes to each other over ports of 10 bytes per second.
fn exchange() -> ExchangeTemplate {
    let flow = |from: u16, to: u16| Flow {
        from,
        to,
        up: true,
        copies: 1,
        occupied: [10.0; 2],
        bytes: 10.0,
        copied: [0.0; 2],
        shortest: 0.0,
    };
    ExchangeTemplate {
        flows: vec![flow(0, 1), flow(1, 0)],
        waits: vec![2, 2],
        node_waits: vec![0],
        devices: 2,
        memory: vec![1.0; 2],
        ..ExchangeTemplate::default()
    }
}

fn play(mut restarts: Restarts) -> Result<(Restarts, plan::GangsOutcome), PlanError> {
    let (resources, ranks, gangs) = machine();
    let leg = Leg {
        algorithm: Algorithm::Ring,
        up: [0.0; 2],
        out: [0.0; 2],
        shortest: 3.0,
        latency: SimSpan::ZERO,
        limit: EstimateKey::KernelLatency,
    };
    let routines = Routines {
        n_labels: 1,
        routines: &[meeting()],
        n_ops: 2,
        kernels: &[2.0, 5.0, 12.0].map(kernel),
        tables: &[LoadTable { first: 0 }],
        rings: &[Ring { op: 1, span: 2, stride: 1, leg, layer: None, launch: SimSpan::ZERO }],
        exchanges: &[[exchange(), exchange()]],
        group_size: 2,
        ..Routines::none(&resources, &ranks, &gangs)
    };
    let outcome = run_gangs(&routines, &mut restarts, KEEP)?;
    Ok((restarts, outcome))
}

fn restarts(what: Next, n_calls: u32, cancels: &[(f64, u32)]) -> Restarts {
    Restarts { what, n_calls, cancels: cancels.to_vec(), stops: None, heard: Vec::new() }
}

fn detailed() -> Next {
    call(0, Label(0), None)
}

#[test]
fn what_follows_a_cancelled_call_begins_as_if_it_were_the_first() {
    let (plain, outcome) = play(restarts(detailed(), 1, &[])).expect("it runs");
    let whole = outcome.end;
    assert_eq!((whole, plain.heard), (at(19.0), vec![(0, true, whole)]), "5 + 1 + 12 + 1 s");
    // Before anything met, while one waits, in either meeting, between them, in the last kernels.
    for tenths in [1, 10, 20, 25, 50, 55, 60, 65, 79, 80, 90, 130, 180, 185, 189] {
        let moment = f64::from(tenths) / 10.0;
        let (played, outcome) = play(restarts(detailed(), 2, &[(moment, 0)])).expect("it runs");
        let end = whole + seconds(moment);
        assert_eq!(played.heard, [(0, false, at(moment)), (1, true, end)], "given up after {moment} s");
        assert_eq!(outcome.gangs[0].phases[Label(0)], seconds(2.0 * (19.0 + moment)));
    }
}

#[test]
fn a_call_can_be_given_up_before_any_rank_comes_to_it_and_after_it_ended() {
    // The sequencer decides call 1 when the first rank asks for it; both members end together here, at 19 s.
    let (played, _) = play(restarts(detailed(), 3, &[(20.0, 1), (20.0, 0), (21.0, 1), (30.0, 0)])).expect("it runs");
    assert_eq!(played.heard, [(0, true, at(19.0)), (1, false, at(20.0)), (2, true, at(39.0))]);
    let fault = play(restarts(detailed(), 3, &[(1.0, 2)])).map(|_| ()).expect_err("nobody decided call 2");
    assert!(fault.to_string().contains("call 2 of gang 0"), "{fault}");
}

#[test]
fn a_tabulated_call_gives_its_ports_back() {
    let piece = Next::Tabulated(Tabulated { alone: Seconds::new(1.0), draws: [0.0, 0.0, 0.0, 80.0], label: Label(0) });
    let (played, outcome) = play(restarts(piece, 2, &[(1.0, 0)])).expect("it runs");
    assert_eq!(played.heard, [(0, false, at(1.0)), (1, true, at(5.0))]);
    assert_eq!(outcome.gangs[PREFILL.0 as usize].phases[Label(0)], seconds(2.0 * 5.0));
    assert_eq!(outcome.gangs[DECODE.0 as usize].phases[Label(0)], SimSpan::ZERO);
}

#[test]
fn a_stopped_run_is_no_fault() {
    let (played, outcome) = play(Restarts { stops: Some(30.5), ..restarts(detailed(), 9, &[]) }).expect("it runs");
    assert_eq!((outcome.end, played.heard), (at(30.5), vec![(0, true, at(19.0))]));
}
