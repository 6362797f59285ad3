//! A job that is no training step, on gangs alone: its times are closed forms.
//!
//! Ports send 10 bytes per second, and a gang has two ranks, so its pooled ports send 20.

use calibrate::EstimateKey;
use engine::Resources;
use plan::{
    Address, COMPUTE, Call, CallId, CallPart, Commands, Event, Gang, GangId, GangsOutcome, Instruction, Keep, Label,
    Lane, LoadTable, Next, OpKernel, PlanError, PooledPorts, Recording, Routine, Routines, Sequencer, Tabulated,
    run_gangs,
};
use platform::{Kernel, Message, PortRates, RankResources};
use units::{Seconds, SimSpan, SimTime};

const PREFILL: GangId = GangId(0);
const DECODE: GangId = GangId(1);
const KEEP: Keep = Keep { ranks: Recording::None, streams: false };

fn seconds(seconds: f64) -> SimSpan {
    Seconds::new(seconds).into()
}

fn at(after: f64) -> SimTime {
    SimTime::ZERO + seconds(after)
}

/// A kernel that takes some seconds and draws nothing.
fn kernel(shortest: f64) -> OpKernel {
    let limit = EstimateKey::KernelLatency;
    let kernel = Kernel { sms: 0, tensor: 0.0, memory: 0.0, shortest, latency: SimSpan::ZERO, limit };
    OpKernel { op: 0, loaded: false, kernel }
}

/// A message of so many bytes between nodes.
fn message(bytes: f64) -> Message {
    Message { bytes, out: bytes, ..Message::default() }
}

/// Two gangs of two ranks each, with pooled ports.
fn machine() -> (Resources, Vec<RankResources>, Vec<Gang>) {
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

fn call(routine: u32, label: Label, lane: Option<Lane>) -> Next {
    Next::Run(Call { routine, label, lanes: [lane, None] })
}

/// Prefill in two tabulated pieces; the first one's cache goes to decode, which begins when it has come, and again when it is woken.
#[derive(Default)]
struct Toy {
    has_cache: bool,
    is_woken: bool,
    ended: Vec<(CallId, SimTime)>,
}

impl Toy {
    const FILLING: Label = Label(0);
    const DECODING: Label = Label(1);

    fn piece(alone: f64, out: f64) -> Next {
        Next::Tabulated(Tabulated { alone: Seconds::new(alone), draws: [0.0, 0.0, 0.0, out], label: Self::FILLING })
    }
}

impl Sequencer for Toy {
    fn next(&mut self, of: CallId, _now: SimTime, commands: &mut Commands) -> Next {
        match (of.gang, of.number) {
            (PREFILL, 0) => Self::piece(1.0, 20.0),
            (PREFILL, 1) => Self::piece(2.0, 40.0),
            (DECODE, 0) if self.has_cache => call(0, Self::DECODING, None),
            (DECODE, 1) if self.is_woken => call(0, Self::DECODING, None),
            (DECODE, 1) => {
                commands.wake(at(9.0), 7);
                Next::Wait
            }
            (DECODE, 0) => Next::Wait,
            _ => Next::Done,
        }
    }

    fn ended(&mut self, call: CallId, now: SimTime, commands: &mut Commands) {
        self.ended.push((call, now));
        if call == (CallId { gang: PREFILL, number: 0 }) {
            commands.send(message(10.0), [0, 2], 5);
        }
    }

    fn event(&mut self, event: Event, now: SimTime, commands: &mut Commands) {
        match event {
            Event::Delivered(token) => self.has_cache = (token, now) == (5, at(2.0)),
            Event::Woken(token) => self.is_woken = (token, now) == (7, at(9.0)),
        }
        commands.ask(DECODE);
    }
}

/// One second on the compute stream, then two on another; two and a half on a third.
fn three_streams() -> Routine {
    let mut routine = Routine::new(3);
    routine.streams[COMPUTE] = vec![Instruction::Kernel(0), Instruction::Signal(0)];
    routine.streams[1] = vec![Instruction::Await(0), Instruction::Kernel(1)];
    routine.streams[2] = vec![Instruction::Kernel(2)];
    Routine { n_events: 1, ..routine }
}

#[test]
fn a_job_of_calls_messages_and_wakes_takes_the_sum_of_its_parts() {
    let (resources, ranks, gangs) = machine();
    let routines = Routines {
        n_labels: 2,
        routines: &[three_streams()],
        n_ops: 1,
        kernels: &[1.0, 2.0, 2.5].map(kernel),
        ..Routines::none(&resources, &ranks, &gangs)
    };
    let mut toy = Toy::default();
    let outcome = run_gangs(&routines, &mut toy, KEEP).expect("it runs");
    // The message has 10 of the pool's 20 bytes per second for a second; the second piece has the rest, then all: 1 + 30 / 20 s.
    let expected = [(PREFILL, 0, 1.0), (PREFILL, 1, 3.5), (DECODE, 0, 5.0), (DECODE, 1, 12.0)];
    assert_eq!(toy.ended, expected.map(|(gang, number, end)| (CallId { gang, number }, at(end))));
    let phases = |gang: GangId, label| outcome.gangs[gang.0 as usize].phases[label];
    assert_eq!(phases(PREFILL, Toy::FILLING), seconds(2.0 * 3.5));
    assert_eq!(phases(DECODE, Toy::DECODING), seconds(2.0 * 6.0));
    assert_eq!(outcome.gangs[1].compute, seconds(2.0 * 2.0), "kernels of the first stream alone");
    assert_eq!((outcome.end, outcome.ports.message_bytes), (at(12.0), 10.0));
}

/// Two gangs that hand over rounds under one key.
struct Relay {
    n_rounds: u32,
    parts: Vec<CallPart>,
}

impl Sequencer for Relay {
    fn next(&mut self, of: CallId, _now: SimTime, _commands: &mut Commands) -> Next {
        let sends = Some(Address { gang: DECODE, key: 0 });
        match of.gang {
            _ if of.number == self.n_rounds => Next::Done,
            PREFILL => call(0, Label(0), Some(Lane { sends, ..Lane::default() })),
            _ => call(1, Label(0), Some(Lane { needs: Some(0), ..Lane::default() })),
        }
    }

    fn rank_ended(&mut self, part: &CallPart) {
        self.parts.push(*part);
    }
}

/// The first gang's members take 2 and 5 s per call, its messages 1 s, the second gang's members `taking`.
fn relay(n_rounds: u32, taking: f64) -> Result<(GangsOutcome, Vec<CallPart>), PlanError> {
    let (resources, ranks, gangs) = machine();
    let [mut sending, mut receiving] = [Routine::new(1), Routine::new(1)];
    let half = plan::Half::Forward;
    sending.streams[COMPUTE] = vec![Instruction::Loaded { table: 0, half, layer: 0 }, Instruction::Send(half)];
    receiving.streams[COMPUTE] = vec![Instruction::Kernel(2)];
    let routines = Routines {
        n_labels: 1,
        routines: &[sending, receiving],
        n_ops: 1,
        kernels: &[2.0, 5.0, taking].map(kernel),
        tables: &[LoadTable { first: 0 }],
        message: message(10.0),
        n_keys: 1,
        ..Routines::none(&resources, &ranks, &gangs)
    };
    let mut relay = Relay { n_rounds, parts: Vec::new() };
    let outcome = run_gangs(&routines, &mut relay, KEEP)?;
    Ok((outcome, relay.parts))
}

#[test]
fn ranks_of_a_gang_begin_when_what_they_need_has_come_to_them() {
    let (outcome, parts) = relay(3, 1.0).expect("it runs");
    for (member, each) in [(0, 2.0), (1, 5.0)] {
        let starts = parts.iter().filter(|part| part.call.gang == DECODE && part.rank == 2 + member);
        let expected: Vec<_> = (1..=3).map(|round| at(f64::from(round) * each + 1.0)).collect();
        assert_eq!(starts.map(|part| part.start).collect::<Vec<_>>(), expected, "member {member}");
    }
    assert_eq!(outcome.end, at(17.0));
}

#[test]
fn a_message_that_another_overtakes_is_a_fault() {
    // Of the third message to the first member: the second still waits.
    let fault = relay(3, 10.0).expect_err("two messages under one key");
    assert!(fault.to_string().contains("rank 2 got a second message 0"), "{fault}");
}

struct Deaf;

impl Sequencer for Deaf {
    fn next(&mut self, _of: CallId, _now: SimTime, _commands: &mut Commands) -> Next {
        Next::Wait
    }
}

#[test]
fn a_gang_that_nobody_asks_again_is_a_fault() {
    let (resources, ranks, gangs) = machine();
    let fault = run_gangs(&Routines::none(&resources, &ranks, &gangs), &mut Deaf, KEEP).expect_err("it waits");
    assert!(fault.to_string().contains("gang 0: rank 0 waits for ever in call 0"), "{fault}");
}

/// Gives one gang one call, and nothing else to any.
struct Once(Next);

impl Sequencer for Once {
    fn next(&mut self, of: CallId, _now: SimTime, _commands: &mut Commands) -> Next {
        if (of.gang, of.number) == (PREFILL, 0) { self.0 } else { Next::Done }
    }
}

#[test]
fn a_call_that_names_what_is_not_there_is_a_fault() {
    let (resources, ranks, mut gangs) = machine();
    gangs[0].pooled = None;
    let streams = [three_streams()];
    let kernels = [1.0, 2.0, 2.5].map(kernel);
    let routines = Routines {
        n_labels: 1,
        routines: &streams,
        n_ops: 1,
        kernels: &kernels,
        n_keys: 3,
        ..Routines::none(&resources, &ranks, &gangs)
    };
    let to = |gang, key| Some(Lane { sends: Some(Address { gang: GangId(gang), key }), ..Lane::default() });
    let drawing = Tabulated { alone: Seconds::new(1.0), draws: [1.0; 4], label: Label(0) };
    for (next, reason) in [
        (call(1, Label(0), None), "routine 1 of 1"),
        (call(0, Label(1), None), "label 1 of 1"),
        (call(0, Label(0), Some(Lane { needs: Some(3), ..Lane::default() })), "message 3 of 3"),
        (call(0, Label(0), to(1, 3)), "message 3 of 3"),
        (call(0, Label(0), to(2, 0)), "gang 2"),
        (Next::Tabulated(Tabulated { label: Label(1), ..drawing }), "label 1 of 1"),
        (Next::Tabulated(drawing), "pooled ports"),
    ] {
        let fault = run_gangs(&routines, &mut Once(next), KEEP).expect_err(reason).to_string();
        assert!(fault.contains(&format!("call 0 of gang 0 names {reason}")), "{fault}");
    }
    run_gangs(&routines, &mut Once(call(0, Label(0), to(1, 2))), KEEP).expect("everything is there");
}

#[test]
fn a_rank_belongs_to_one_gang() {
    let (resources, ranks, gangs) = machine();
    let of = |lists: &[(u32, u32)], group_size| {
        let gangs: Vec<_> = lists.iter().map(|&(from, to)| Gang { ranks: from..to, ..gangs[0].clone() }).collect();
        let routines = Routines { group_size, ..Routines::none(&resources, &ranks, &gangs) };
        run_gangs(&routines, &mut Once(Next::Done), KEEP).map_err(|fault| fault.to_string())
    };
    assert!(of(&[(0, 1), (1, 4)], 1).is_ok());
    for (lists, group_size) in [
        (&[(0, 2)][..], 1),
        (&[(0, 2), (1, 4)], 1),
        (&[(0, 2), (3, 4)], 1),
        (&[(0, 1), (1, 4)], 2),
        (&[(0, 0), (0, 4)], 1),
    ] {
        let fault = of(lists, group_size).expect_err("gangs that are none");
        assert!(fault.contains("gang"), "{fault}");
    }
}
