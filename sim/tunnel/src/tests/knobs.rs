//! Every knob is alive: another value of it is another plan, and moves a number of some small job; or it stands on the list of
//! `book/absent.md`, and then moves none.

use std::collections::{BTreeMap, BTreeSet};

use rayon::prelude::*;
use study::Draws;

use super::page;
use super::perturb::others;
use super::scenes::{Numbers, Scene, numbers};

/// What became of a key over all scenes that have it.
#[derive(Clone, Debug, PartialEq)]
enum Fate {
    /// A number moved.
    Moves,
    /// Some other values ran, and nothing moved.
    Still,
    /// Other values are plans, but none of them runs.
    NeverRan(String),
    /// No other value is legal while everything else stays.
    Settled,
}

/// Keys that say how sure we are and not what is: a result does not move with them, its interval and its basis do.
fn is_about_sureness(key: &str) -> bool {
    let ends = [".spread", ".basis", ".measured-with"];
    key.starts_with("profile.elsewhere.") || (key.starts_with("profile.") && ends.iter().any(|end| key.ends_with(end)))
}

/// All keys that scenes have, and what became of each.
fn fates(scenes: &[Scene]) -> BTreeMap<String, Fate> {
    let leaves = scenes.iter().flat_map(|scene| &scene.base.leaves);
    let asked = leaves.filter(|leaf| !leaf.is_label() && !is_about_sureness(&leaf.key));
    let keys: BTreeSet<&str> = asked.map(|leaf| leaf.key.as_str()).collect();
    let keys: Vec<&str> = keys.into_iter().collect();
    keys.par_iter().map(|key| ((*key).to_owned(), fate(scenes, key))).collect()
}

fn fate(scenes: &[Scene], key: &str) -> Fate {
    let mut fate = Fate::Settled;
    for scene in scenes {
        let Some(leaf) = scene.base.leaves.iter().find(|leaf| leaf.key == key) else { continue };
        let base = &scene.base.plan;
        for set in others(key, &leaf.value, &|set| scene.with(set).err()) {
            let Ok(loaded) = scene.with(&set) else { continue };
            if loaded.plan == *base {
                continue;
            }
            match numbers(&loaded.plan) {
                Ok(other) if differ(&other, &scene.numbers) => return Fate::Moves,
                Ok(_) => fate = Fate::Still,
                Err(error) if fate == Fate::Settled => fate = Fate::NeverRan(format!("{}: {set}: {error}", scene.name)),
                Err(_) => {}
            }
        }
    }
    fate
}

fn differ(a: &Numbers, b: &Numbers) -> bool {
    // Bits, so that what is no number on both sides is no difference. How sure a result is does not make a knob alive.
    let is_result = |place: &str| ![".interval", ".serving.interval"].iter().any(|sure| place.starts_with(sure));
    let results = |numbers: &Numbers| numbers.clone().into_iter().filter(|(place, _)| is_result(place));
    let bits = |numbers: &Numbers| results(numbers).map(|(place, n)| (place, n.to_bits())).collect::<Vec<_>>();
    bits(a) != bits(b)
}

/// Keys whose value follows from the others: alone, every other value is refused.
const SETTLED: [(&str, &str); 3] = [
    ("model.attention.kind", "the other kind has other dimensions"),
    ("requests.trace", "a file, which no other word names"),
    ("model.experts", "a dense model gets experts as a table, not as a value"),
];

#[test]
fn every_knob_moves_a_number_or_is_listed_and_moves_none() {
    let scenes = Scene::all();
    let fates = fates(&scenes);
    let rows = page::rows();
    let mut faults = Vec::new();
    for (key, fate) in &fates {
        let listed = rows.iter().any(|row| row.names(key));
        let settled = SETTLED.iter().any(|(name, _)| name == key);
        match fate {
            Fate::Moves if listed => faults.push(format!("`{key}` moves a result: take it off the list of book/absent.md")),
            Fate::Still if !listed => faults.push(format!(
                "`{key}` moves nothing: use it, or write it with the reason into book/absent.md, `Keys that do not move \
                 the time`; if it needs a job that no scene is, add one to sim/tunnel/tests/scenes"
            )),
            Fate::NeverRan(why) => faults.push(format!("`{key}`: no other value of it runs in any scene; {why}")),
            Fate::Settled if !settled => faults.push(format!("`{key}`: no other value of it is legal in any scene")),
            _ if settled && *fate != Fate::Settled => faults.push(format!("`{key}` is not settled by the others")),
            _ => {}
        }
    }
    for row in &rows {
        assert!(!row.reason.is_empty(), "{:?} has no reason", row.keys);
        let idle = row.keys.iter().filter(|named| !fates.keys().any(|key| page::is_named(named, key)));
        faults.extend(idle.map(|named| format!("book/absent.md lists `{named}`, which no scene has")));
    }
    assert!(faults.is_empty(), "{} of {} keys\n{}\n", faults.len(), fates.len(), faults.join("\n"));
}

/// How sure we are of an estimate moves intervals and bases, not results.
#[test]
fn a_spread_moves_an_interval_and_a_basis_what_results_rest_on() {
    let scenes = Scene::all();
    let scene = &scenes[0];
    let step = |numbers: &Numbers| numbers[".step_seconds"];
    let (key, estimate) = ("profile.memory.peak-fraction", "memory.peak-fraction");
    let width = |set: &str| {
        // On another machine than that of the profile, so that how far estimates carry matters too.
        let sets = [set, "gpu.memory.stacks=7"];
        let plan = scene.under(&sets).unwrap_or_else(|mistakes| panic!("{mistakes}")).plan;
        // The others are sure, so that none of them hides this one.
        let others = plan.site.profile.iter().filter(|(other, _)| other.name() != estimate);
        let sure = others.fold(plan.site.profile.clone(), |profile, (other, found)| {
            profile.with(other, calibrate::Estimate { spread: 0.0, ..found.clone() })
        });
        let drawn = (0..6).map(|draw| {
            let profile = Draws { seed: 1, n: 6 }.profile(&sure, draw);
            step(&numbers(&plan.with_profile(profile)).expect("it runs"))
        });
        let steps: Vec<f64> = drawn.collect();
        let ends = |of: fn(f64, f64) -> f64, start| steps.iter().copied().fold(start, of);
        ends(f64::max, 0.0) - ends(f64::min, f64::INFINITY)
    };
    let (narrow, wide) = (width(&format!("{key}.spread=0.0")), width(&format!("{key}.spread=0.4")));
    assert!(narrow < wide, "{estimate}: {narrow} s and {wide} s");
    let carries = "profile.elsewhere.exponent.value";
    let (narrow, wide) = (width(&format!("{carries}=0.0")), width(&format!("{carries}=0.4")));
    assert!(narrow < wide, "{carries}: {narrow} s and {wide} s");
    let other = scene.with("profile.gemm.bf16.peak-fraction.basis=assumed").expect("a basis");
    assert!(differ(&numbers(&other.plan).expect("it runs"), &scene.numbers), "the shares of bases move");
}

/// Every estimate, generically: another spread is another draw, another basis another profile.
#[test]
fn every_spread_moves_its_draws() {
    let scenes = Scene::all();
    for scene in &scenes {
        for (key, estimate) in scene.base.plan.site.profile.iter() {
            let wider = calibrate::Estimate { spread: estimate.spread + 0.1, ..estimate.clone() };
            let other = scene.base.plan.site.profile.clone().with(key, wider);
            // Draws above the most that is possible are that: some of so many lie below.
            let value = |profile: &calibrate::Profile| (0..16).map(|draw| profile.drawn(1, draw).value(key)).collect();
            let (before, after): (Vec<f64>, Vec<f64>) = (value(&scene.base.plan.site.profile), value(&other));
            assert!(before != after || estimate.value == 0.0, "{}: {}: {before:?}", scene.name, key.name());
        }
    }
}
