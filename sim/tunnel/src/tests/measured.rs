//! What counts as measured is what was measured: on another machine nothing is, and nothing becomes so by turning a knob.

use calibrate::{MachineKey, MachinePart};
use rayon::prelude::*;

use super::perturb::others;
use super::scenes::{Numbers, Scene, numbers};

/// Scenes on the machine of their profile.
fn on_their_machine() -> Vec<Scene> {
    let measured = |scene: &Scene| share(&scene.numbers, "measured") > 0.5;
    let scenes: Vec<Scene> = Scene::all().into_iter().filter(measured).collect();
    assert!(!scenes.is_empty(), "a scene whose machine is that of its profile");
    scenes
}

fn share(numbers: &Numbers, basis: &str) -> f64 {
    numbers.get(&format!(".basis_shares.{basis}")).copied().unwrap_or(0.0)
}

#[test]
fn no_value_of_a_device_raises_what_is_measured_and_prices_leave_it() {
    for scene in on_their_machine() {
        let leaves: Vec<_> = scene.base.leaves.iter().filter(|leaf| leaf.key.starts_with("gpu.")).collect();
        leaves.par_iter().for_each(|leaf| {
            let mut ran = 0;
            for set in others(&leaf.key, &leaf.value, &|set| scene.with(set).err()) {
                let Ok(other) = scene.with(&set).map_err(|_| ()).and_then(|other| numbers(&other.plan).map_err(|_| ()))
                else {
                    continue;
                };
                ran += 1;
                let [before, after] = [&scene.numbers, &other].map(|numbers| share(numbers, "measured"));
                match MachineKey::from_name(&leaf.key) {
                    Some(key) if key.part() != MachinePart::Ability => {
                        assert_eq!(after, 0.0, "{}: {set}", scene.name);
                        let soft = share(&other, "extrapolated") + share(&other, "assumed");
                        assert!((soft - 1.0).abs() < 1e-12, "{}: {set}: {soft}", scene.name);
                    }
                    Some(_) => assert!(after <= before + 1e-12, "{}: {set}: {before}, then {after}", scene.name),
                    None => assert_eq!(after, before, "{}: {set}", scene.name),
                }
            }
            assert!(ran > 0, "{}: no other value of `{}` runs", scene.name, leaf.key);
        });
    }
}

#[test]
fn what_is_written_over_itself_changes_no_bit() {
    for scene in Scene::all() {
        let of_machine = |key: &str| key.starts_with("gpu.") || key.starts_with("node.");
        let sets: Vec<String> = scene
            .base
            .leaves
            .iter()
            .filter(|leaf| of_machine(&leaf.key))
            .map(|leaf| format!("{}={}", leaf.key, leaf.value))
            .collect();
        let sets: Vec<&str> = sets.iter().map(String::as_str).collect();
        let other = scene.under(&sets).unwrap_or_else(|mistakes| panic!("{}: {mistakes}", scene.name));
        assert_eq!(numbers(&other.plan).expect("it runs"), scene.numbers, "{}", scene.name);
    }
}
