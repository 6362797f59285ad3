//! `topology`.

use scenario::{Library, published};

use crate::{assert_near, json, number, stdout};

#[test]
fn full_sizes_are_those_of_the_published_table() {
    let facts = published("topology", &Library::built_in()).expect("facts");
    for (network, fabric) in [("mpft", "mpft-8-plane"), ("ft2", "ft2")] {
        let set = format!("use.fabric={fabric}");
        let counts = json(&["topology", "h800-2048-mpft", "--set", &set, "--json"]);
        for what in ["endpoints", "switches", "links"] {
            let id = format!("topo.{network}_{what}");
            let fact = facts.facts.iter().find(|fact| fact.id == id).unwrap_or_else(|| panic!("no fact {id}"));
            assert_near(&id, fact.value, number(&counts, &format!("/full_size/{what}")));
        }
    }
}

#[test]
fn a_scenario_has_the_machine_of_its_cluster() {
    let [cluster, scenario] = ["h800-2048-mpft", "deepseek-v3-2048"].map(|name| json(&["topology", name, "--json"]));
    assert_eq!(cluster["switches"], scenario["switches"]);
    assert_eq!(cluster["n_devices"], 2048);
    // 1,024 NICs a half at 50 GB/s.
    assert_near("bisection", 1024.0 * 50e9, number(&cluster, "/bisection_bytes_per_second"));
}

#[test]
fn a_drawing_goes_where_it_is_asked_for() {
    let root = tempfile::tempdir().expect("a folder");
    let out = root.path().join("picture");
    let text = stdout(&["topology", "h800-64-mpft", "--out", out.to_str().expect("a path")]);
    assert!(text.contains("bisection"), "{text}");
    let read = |name: &str| std::fs::read_to_string(out.join(name)).expect("written");
    assert!(read("topology.dot").starts_with("digraph"));
    assert!(read("topology.svg").starts_with("<svg"));
}
