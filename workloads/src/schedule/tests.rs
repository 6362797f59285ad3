//! Laws of every schedule, and the published closed forms.

use std::collections::BTreeSet;

use super::*;

/// Every schedule with many sizes it accepts.
fn cases() -> Vec<(Schedule, u32, u32)> {
    let mut schedules = vec![Schedule::OneFOneB, Schedule::GPipe, Schedule::Zb1p, Schedule::Zb2p];
    schedules.extend([Schedule::DualPipe, Schedule::DualPipeV]);
    schedules.extend([2, 3, 4].map(|virtual_stages| Schedule::Interleaved { virtual_stages }));
    let mut cases = Vec::new();
    for schedule in schedules {
        for pp in 1..=10 {
            let sizes = (1..=4 * pp + 3).filter(|&n| schedule.check(pp, n).is_ok());
            cases.extend(sizes.map(|n| (schedule, pp, n)));
        }
    }
    cases.push((Schedule::DualPipe, 16, 120));
    cases
}

fn replay_of(schedule: Schedule, pp: u32, n: u32, costs: Costs) -> Replay {
    let slots = schedule.slots(pp, n).unwrap();
    replay(&slots, schedule, pp, &|_, slot| costs.of(slot)).unwrap()
}

fn expect(what: &str, expectation: f64, actual: f64) {
    assert!((expectation - actual).abs() < 1e-9, "{what}\n  Expectation: {expectation}\n  Actual:      {actual}");
}

#[test]
fn every_chunk_runs_once_on_its_own_rank() {
    for (schedule, pp, n) in cases() {
        let slots = schedule.slots(pp, n).unwrap();
        let parts: [fn(&Slot) -> Option<Chunk>; 3] = [Slot::forward, Slot::backward, Slot::weight];
        for part in parts {
            let mut seen = BTreeSet::new();
            for (rank, list) in (0..pp).zip(&slots) {
                for chunk in list.iter().filter_map(part) {
                    let stage = schedule.stage(pp, rank, chunk.virtual_stage);
                    assert_eq!(schedule.rank_of(pp, n, stage, chunk.micro_batch), rank, "{schedule:?} {pp} {n}");
                    assert!(seen.insert((stage, chunk.micro_batch)), "{schedule:?} {pp} {n} twice: {chunk:?}");
                }
            }
            assert_eq!(seen.len(), (schedule.n_stages(pp) * n) as usize, "{schedule:?} {pp} {n}");
        }
    }
}

#[test]
fn forward_precedes_backward_precedes_weight_first_in_first_out() {
    for (schedule, pp, n) in cases() {
        for list in schedule.slots(pp, n).unwrap() {
            let (mut forwards, mut waiting) = (BTreeSet::new(), std::collections::VecDeque::new());
            for slot in list {
                if let Some(chunk) = slot.backward() {
                    assert!(forwards.contains(&chunk), "{schedule:?} {pp} {n}: {slot:?} before its forward");
                }
                match slot {
                    Slot::BackwardInput(chunk) => waiting.push_back(chunk),
                    Slot::Weight(chunk) => assert_eq!(waiting.pop_front(), Some(chunk)),
                    _ => {}
                }
                forwards.extend(slot.forward());
            }
            assert!(waiting.is_empty(), "{schedule:?} {pp} {n}: weight gradients left over");
        }
    }
}

#[test]
fn every_schedule_runs_to_its_end_whatever_chunks_cost() {
    for (schedule, pp, n) in cases() {
        let slots = schedule.slots(pp, n).unwrap();
        let uneven =
            |rank: u32, slot: &Slot| f64::from(1 + rank % 3) + if slot.forward().is_some() { 0.5 } else { 1.0 };
        let replay = replay(&slots, schedule, pp, &uneven).unwrap();
        for (rank, (list, spans)) in (0..pp).zip(slots.iter().zip(&replay.spans)) {
            assert!(
                spans.windows(2).all(|pair| pair[0].1 <= pair[1].0),
                "{schedule:?} {pp} {n}: a rank does two things"
            );
            let busy: f64 = list.iter().map(|slot| uneven(rank, slot)).sum();
            expect("idle + busy = makespan", replay.makespan, busy + replay.idle[rank as usize]);
        }
    }
}

#[test]
fn placement_is_its_own_inverse() {
    for (schedule, pp, _) in cases() {
        for rank in 0..pp {
            for (virtual_stage, stage) in schedule.held(pp, rank).into_iter().enumerate() {
                let direction = if schedule == Schedule::DualPipe { virtual_stage as u8 } else { 0 };
                assert_eq!(schedule.place(pp, stage, direction), (rank, virtual_stage as u8), "{schedule:?} {pp}");
            }
        }
    }
    assert_eq!(Schedule::DualPipe.held(8, 2), [2, 5]);
    assert_eq!(Schedule::DualPipeV.held(8, 2), [2, 13]);
    assert_eq!(Schedule::Interleaved { virtual_stages: 3 }.held(4, 1), [1, 5, 9]);
}

#[test]
fn bubble_of_1f1b_is_closed() {
    for pp in 1..=12 {
        for n in [pp, pp + 1, 3 * pp, 5 * pp + 1] {
            let costs = Costs::new(1.25, 2.75, 0.5, 4.0).unwrap();
            let bubble = replay_of(Schedule::OneFOneB, pp, n, costs).bubble;
            expect(&format!("1f1b {pp} {n}"), f64::from(pp - 1) * (costs.f + costs.b), bubble);
        }
    }
}

#[test]
fn bubble_of_gpipe_is_closed_for_any_number_of_micro_batches() {
    for pp in 1..=12 {
        for n in 1..=2 * pp {
            let costs = Costs::new(1.25, 2.75, 0.5, 4.0).unwrap();
            let bubble = replay_of(Schedule::GPipe, pp, n, costs).bubble;
            expect(&format!("gpipe {pp} {n}"), f64::from(pp - 1) * (costs.f + costs.b), bubble);
        }
    }
}

#[test]
fn bubble_of_interleaved_is_closed() {
    for virtual_stages in [2_u8, 3, 5] {
        let schedule = Schedule::Interleaved { virtual_stages };
        for pp in 1..=9 {
            for rounds in 1..=4 {
                let costs = Costs::new(1.25, 2.75, 0.5, 4.0).unwrap();
                // With F and B of all a rank's stages: (pp-1)(F+B)/v.
                let expectation = f64::from(pp - 1) * (costs.f + costs.b);
                let bubble = replay_of(schedule, pp, rounds * pp, costs).bubble;
                expect(&format!("interleaved {virtual_stages} {pp} {rounds}"), expectation, bubble);
            }
        }
    }
}

#[test]
fn bubble_of_zb1p_is_closed_where_the_input_gradient_is_no_shorter_than_the_weight_gradient() {
    for pp in 1..=12 {
        for n in [2 * pp, 2 * pp + 1, 5 * pp] {
            for costs in [Costs::new(1.0, 2.0, 1.0, 3.0), Costs::new(1.0, 2.5, 1.0, 3.0)] {
                let costs = costs.unwrap();
                let bubble = replay_of(Schedule::Zb1p, pp, n, costs).bubble;
                expect(&format!("zb1p {pp} {n}"), f64::from(pp - 1) * (costs.f + costs.b - 2.0 * costs.w), bubble);
            }
        }
    }
}

#[test]
fn bubble_of_zb2p_is_closed_where_the_forward_is_no_shorter_than_the_weight_gradient() {
    for pp in 1..=12 {
        for n in [2 * pp - 1, 2 * pp, 5 * pp] {
            for (f, b, w) in [(1.0, 2.0, 1.0), (1.0, 2.5, 1.0), (1.5, 2.0, 0.5), (1.0, 1.75, 1.0)] {
                let costs = Costs::new(f, b, w, 3.0).unwrap();
                let replay = replay_of(Schedule::Zb2p, pp, n, costs);
                // The published bubble; a rank waits for its first forward too, and for the last of all at the end.
                let published = (f + b - 3.0 * w).max(0.0);
                let what = format!("zb2p {pp} {n}, F {f}, B {b}, W {w}");
                expect(&what, f64::from(pp - 1) * published, replay.without_barrier().1);
                expect(&what, f64::from(pp - 1) * published.max(f), replay.bubble);
            }
        }
    }
}

#[test]
fn no_rank_of_zb2p_idles_between_equal_chunks_and_each_ends_a_chunk_after_the_one_before() {
    let costs = Costs::new(1.0, 2.0, 1.0, 3.0).unwrap();
    for pp in 1..=12_u32 {
        let n = 2 * pp - 1;
        for (rank, list) in (0_u32..).zip(replay_of(Schedule::Zb2p, pp, n, costs).spans) {
            expect("start", f64::from(rank), list[0].0);
            expect("end", f64::from(rank + 3 * n), list[list.len() - 1].1);
        }
    }
}

#[test]
fn a_barrier_adds_nothing_where_the_first_rank_begins_and_ends_the_step() {
    let costs = Costs::new(1.0, 2.5, 1.0, 3.5).unwrap();
    for (schedule, pp, n) in cases().into_iter().filter(|&(schedule, ..)| schedule != Schedule::Zb2p) {
        let replay = replay_of(schedule, pp, n, costs);
        let (longest, idle) = replay.without_barrier();
        assert!(longest <= replay.makespan && idle <= replay.bubble, "{schedule:?} {pp} {n}");
        if matches!(schedule, Schedule::OneFOneB | Schedule::GPipe | Schedule::Zb1p) {
            expect("the first rank lasts from start to end", replay.makespan, longest);
            expect("and what it idles is the bubble", replay.bubble, idle);
        }
    }
}

#[test]
fn bubble_of_dual_pipe_is_closed_where_forward_input_and_weight_gradient_are_equal() {
    let costs = Costs::new(1.0, 2.0, 1.0, 3.0).unwrap();
    let per_half = costs.fb + costs.b - 3.0 * costs.w;
    for half in 1..=8_u32 {
        for n in [4 * half, 4 * half + 2, 12 * half] {
            let bubble = replay_of(Schedule::DualPipe, 2 * half, n, costs).bubble;
            expect(&format!("dual-pipe {} {n}", 2 * half), f64::from(half - 1) * per_half, bubble);
        }
        // The published table counts stages, here 2 x ranks.
        for n in [2 * half, 2 * half + 1, 7 * half] {
            let bubble = replay_of(Schedule::DualPipeV, half, n, costs).bubble;
            expect(&format!("dual-pipe-v {half} {n}"), f64::from(half - 1) * per_half, bubble);
        }
    }
}

#[test]
fn dual_pipe_of_8_stages_and_20_micro_batches() {
    let replay = replay_of(Schedule::DualPipe, 8, 20, Costs::new(1.0, 2.0, 1.0, 2.5).unwrap());
    expect("makespan", 59.0, replay.makespan);
    expect("bubble", 4.5, replay.bubble);
}

#[test]
fn dual_pipe_counts_of_16_ranks_and_120_micro_batches() {
    let slots = Schedule::DualPipe.slots(16, 120).unwrap();
    for (rank, list) in (0..16_usize).zip(&slots) {
        let h = rank.min(15 - rank);
        let middle = usize::from(h == 7);
        let count = |pick: fn(&Slot) -> bool| list.iter().filter(|slot| pick(slot)).count();
        assert_eq!(count(|slot| matches!(slot, Slot::Overlapped { .. })), 97 + h - middle);
        assert_eq!(count(|slot| matches!(slot, Slot::Forward(_))), 23 - h + middle);
        let inputs = count(|slot| matches!(slot, Slot::BackwardInput(_)));
        assert_eq!(inputs + count(|slot| matches!(slot, Slot::Backward(_))), 23 - h + middle);
        assert_eq!((inputs, count(|slot| matches!(slot, Slot::Weight(_)))), (15 - h, 15 - h));
    }
}

/// Activation sets of the rank that keeps the most.
fn sets(schedule: Schedule, pp: u32, n: u32) -> u32 {
    schedule.slots(pp, n).unwrap().iter().map(|list| in_flight_max(list).iter().sum()).max().unwrap()
}

#[test]
fn activation_sets_are_closed() {
    for pp in 2..=12 {
        let n = 6 * pp;
        assert_eq!(sets(Schedule::OneFOneB, pp, n), pp);
        assert_eq!(sets(Schedule::Zb1p, pp, n), pp);
        assert_eq!(sets(Schedule::Zb2p, pp, n), 2 * pp - 1);
        assert_eq!(sets(Schedule::GPipe, pp, n), n);
        assert_eq!(sets(Schedule::Interleaved { virtual_stages: 3 }, pp, n), 3 * pp + pp - 1);
        assert_eq!(sets(Schedule::DualPipeV, pp, n), 2 * pp + 1);
        if pp % 2 == 0 {
            assert_eq!(sets(Schedule::DualPipe, pp, n), pp + 1);
        }
    }
    for (rank, list) in Schedule::OneFOneB.slots(8, 20).unwrap().iter().enumerate() {
        assert_eq!(in_flight_max(list), [8 - rank as u32]);
    }
    // What the zero-bubble schedules keep does not depend on the rank: where fewer forwards wait, more weight gradients do.
    for (schedule, kept) in [(Schedule::Zb1p, 8), (Schedule::Zb2p, 15)] {
        assert!(schedule.slots(8, 20).unwrap().iter().all(|list| in_flight_max(list) == [kept]), "{schedule:?}");
    }
}

#[test]
fn activation_memory_weighs_each_virtual_stage() {
    for list in Schedule::DualPipe.slots(8, 20).unwrap() {
        let most = u64::from(in_flight_max(&list).iter().sum::<u32>());
        assert_eq!(memory_max(&list, &[7, 7], &[7, 7]), 7 * most);
        assert!(memory_max(&list, &[7, 7], &[3, 3]) <= 7 * most);
        let alone: Vec<u32> = in_flight(&list).iter().map(|kept| kept.whole[1] + kept.awaiting_weight[1]).collect();
        assert_eq!(memory_max(&list, &[0, 1], &[0, 1]), u64::from(alone.into_iter().max().unwrap()));
    }
}

#[test]
fn names_go_there_and_back() {
    for name in Schedule::NAMES {
        assert_eq!(Schedule::from_name(name, 2).unwrap().name(), name);
    }
    assert!(Schedule::from_name("pipedream", 2).unwrap_err().to_string().contains("`dual-pipe-v`"));
    assert!(Schedule::from_name("interleaved", 1).is_err());
}

#[test]
fn what_cannot_be_laid_out_is_refused_with_the_way_out() {
    let message = |schedule: Schedule, pp, n| schedule.slots(pp, n).unwrap_err().to_string();
    assert!(message(Schedule::DualPipe, 7, 20).contains("take 6 or 8"));
    assert!(message(Schedule::DualPipe, 8, 21).contains("take 20 or 22"));
    assert!(message(Schedule::DualPipe, 8, 14).contains("at least 16 micro-batches, not 14"));
    assert!(message(Schedule::DualPipeV, 8, 15).contains("at least 16 micro-batches, not 15"));
    assert!(message(Schedule::Interleaved { virtual_stages: 2 }, 8, 20).contains("take 16 or 24"));
    assert!(message(Schedule::Interleaved { virtual_stages: 1 }, 8, 16).contains("`1f1b`"));
    assert!(message(Schedule::OneFOneB, 0, 16).contains("at least one rank"));
    assert!(message(Schedule::OneFOneB, u32::MAX, u32::MAX).contains("lower `job.global-batch`"));
}

#[test]
fn a_deadlock_is_named() {
    let mut slots = Schedule::OneFOneB.slots(2, 2).unwrap();
    slots[1].reverse();
    let error = replay(&slots, Schedule::OneFOneB, 2, &|_, _| 1.0).unwrap_err();
    assert!(matches!(error, ReplayError::Deadlock { rank: 0, index: 2, .. }), "{error}");
    let slots = Schedule::OneFOneB.slots(2, 2).unwrap();
    assert!(matches!(replay(&slots, Schedule::OneFOneB, 3, &|_, _| 1.0), Err(ReplayError::Ranks { .. })));
    assert!(matches!(replay(&slots, Schedule::OneFOneB, 2, &|_, _| f64::NAN), Err(ReplayError::Cost { .. })));
    let slots = Schedule::DualPipe.slots(2, 4).unwrap();
    assert!(matches!(replay(&slots, Schedule::OneFOneB, 2, &|_, _| 1.0), Err(ReplayError::NotHeld { .. })));
}

#[test]
fn costs_that_cannot_be_are_refused() {
    assert!(Costs::new(1.0, 2.0, 3.0, 2.5).unwrap_err().to_string().contains("larger than the whole"));
    assert!(Costs::new(-1.0, 2.0, 1.0, 2.5).unwrap_err().to_string().contains("`f` = -1"));
    assert!(Costs::new(1.0, f64::INFINITY, 1.0, 2.5).is_err());
}
