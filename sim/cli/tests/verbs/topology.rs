//! `topology`.

use scenario::{Library, published};

use serde_json::Value;

use crate::{assert_near, json, number, refused, stdout};

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

/// 48 ports down and 16 up: 256 nodes take six leaves of each plane, whose wires two spines take, and nothing else is paid for.
#[test]
fn an_oversubscribed_network_has_and_costs_the_wires_that_are_left() {
    let args = ["topology", "h800-2048-mpft", "--set", "fabric.oversubscription=3"];
    let answer = json(&[&args[..], &["--json"]].concat());
    assert_eq!(answer["leaf_ports"], serde_json::json!({ "down": 48, "up": 16 }));
    let (switches, wires) = (8.0 * (6.0 + 2.0), 8.0 * 6.0 * 16.0);
    assert_near("switches", switches, number(&answer, "/switches/scale_out"));
    assert_near("wires", wires, number(&answer, "/wires/trunk"));
    assert_near("cost of switches", switches * 36_000.0, number(&answer, "/cost/switches/usd"));
    assert_near("cost of wires", (wires + 2048.0) * 1280.0, number(&answer, "/cost/links/usd"));
    // 48 ports down of 64 leaves, in each of eight planes.
    assert_near("full size", 8.0 * 48.0 * 64.0, number(&answer, "/full_size/endpoints"));
    let text = stdout(&args);
    assert!(text.contains("48 down, 16 up (3.00 : 1)"), "{text}");
}

/// By every verb that has a machine, with both rates; at rates that fit, by none.
#[test]
fn a_nic_that_cannot_send_as_fast_as_it_could_is_noted() {
    for args in [["topology", "h800-64-mpft"], ["check", "tiny-moe"], ["run", "tiny-moe"]] {
        let quick = stdout(
            &[&args[..], &["--set", "node.nic.rate=3200 Gbit/s", "--set", "fabric.oversubscription=2"]].concat(),
        );
        for part in ["50 GB/s (`fabric.link-rate`)", "64 GB/s (`node.host.pcie-rate`)", "43 down, 21 up (2.05 : 1)"] {
            // A screen breaks lines where it likes.
            let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(words(&quick).contains(part), "{args:?}: no `{part}` in {quick}");
        }
        assert!(!stdout(&args).contains("fabric.link-rate"), "{args:?}");
    }
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

/// The networks of the preset at the prices of a cluster.
fn networks(set: &str) -> Vec<Value> {
    let compared = json(&["topology", "h800-2048-mpft", "--compare", "64-ports", "--set", set, "--json"]);
    compared["networks"].as_array().expect("networks").clone()
}

/// Switches, links and endpoints at these prices, in dollars.
fn closed_form(network: &Value, switch: f64, link: f64, endpoint_link: f64) -> f64 {
    let count = |what: &str| number(network, &format!("/{what}"));
    count("switches") * switch + count("links") * link + count("endpoints") * endpoint_link
}

/// Counts must be those of Table 3 of arXiv:2505.09343. Costs are ours, from quoted prices that know nothing of the
/// table; they are printed beside it, and must be of its size.
#[test]
fn the_published_table_of_topologies_follows_from_quoted_prices() {
    let mut compared = 0;
    for network in networks("gpu.sms=132") {
        let name = network["about"].as_str().expect("a name");
        for what in ["endpoints", "switches", "links"] {
            if let Some(published) = network["published"][what].as_f64() {
                assert_near(&format!("{name}: {what}"), published, number(&network, &format!("/{what}")));
                compared += 1;
            }
        }
        assert_near(name, closed_form(&network, 36_000.0, 1280.0, 1280.0), number(&network, "/cost_usd"));
        let per_endpoint = number(&network, "/cost_usd") / number(&network, "/endpoints");
        assert_near(name, per_endpoint, number(&network, "/cost_usd_per_endpoint"));
        if let Some(published) = network["published"]["cost_usd_per_endpoint"].as_f64() {
            let error = number(&network, "/error/cost_per_endpoint");
            assert_near(name, per_endpoint / published - 1.0, error);
            assert!(error.abs() < 0.1, "{name}: published {published}, ours {per_endpoint}, {:+.1} %", error * 100.0);
            compared += 1;
        }
    }
    assert_eq!(compared, 12, "three networks of the table are among the facts, each with four figures");
}

#[test]
fn solved_prices_give_back_the_rows_they_are_solved_from_and_call_them_used() {
    let networks = networks("gpu.sms=132");
    assert_eq!(networks.len(), 5);
    for network in &networks {
        let name = network["name"].as_str().expect("a name");
        let is_used = ["fat-tree-2", "multi-plane", "dragonfly"].contains(&name);
        assert_eq!(network["used"], is_used, "{name}");
        match network["published"]["cost_usd"].as_f64() {
            Some(published) => assert!(
                (number(network, "/solved_cost_usd") / published - 1.0).abs() < 1e-9,
                "{name}: published {published}, ours {network:#}"
            ),
            None => assert!(!is_used, "{name}"),
        }
    }
}

#[test]
fn a_dearer_switch_is_paid_for_by_every_network() {
    for (cheap, dear) in networks("gpu.sms=132").iter().zip(&networks("fabric.switch-price=50000 USD")) {
        let more = number(dear, "/cost_usd") - number(cheap, "/cost_usd");
        let expected = 14_000.0 * number(cheap, "/switches");
        assert!((more / expected - 1.0).abs() < 1e-9, "{}: {more} {expected}", cheap["about"]);
    }
}

/// 2,048 devices in 256 nodes, eight planes of 8 leaves and 4 spines: 96 switches, 2,048 wires to NICs and as many
/// between switches.
#[test]
fn a_cluster_costs_what_its_parts_do() {
    let sets =
        ["gpu.price=10000 USD", "gpu.power=500 W", "node.price=1000 USD", "node.power=0 W", "node.nic.price=0 USD"];
    let mut args = vec!["topology", "h800-2048-mpft", "--json"];
    args.extend(sets.iter().flat_map(|set| ["--set", *set]));
    let cost = json(&args)["cost"].clone();
    let network = 96.0 * 36_000.0 + 4096.0 * 1280.0;
    assert_near("devices", 2048.0 * 1e4, number(&cost, "/devices/usd"));
    assert_near("nodes", 256.0 * 1e3, number(&cost, "/nodes/usd"));
    assert_near("network", network, number(&cost, "/switches/usd") + number(&cost, "/links/usd"));
    assert_near("an endpoint", network / 2048.0, number(&cost, "/network_usd_per_endpoint"));
    let total = 2048.0 * 1e4 + 256.0 * 1e3 + network;
    assert_near("all", total, number(&cost, "/total/usd"));
    assert_near("a device", total / 2048.0, number(&cost, "/usd_per_device"));
    let power = 2048.0 * (500.0 + 25.0) + 96.0 * 750.0 + 2048.0 * (17.0 + 17.5);
    assert_near("power", power, number(&cost, "/total/watts"));
}

#[test]
fn networks_that_cannot_be_compared_say_why() {
    let root = tempfile::tempdir().expect("a folder");
    let path = root.path().join("networks.toml");
    let refuse = |body: &str| {
        let head = "about = \"\"\nfacts = \"topology\"\nports = 64\nunits = { \"M$\" = 1e6 }\n";
        std::fs::write(&path, format!("{head}{body}")).expect("written");
        refused(&["topology", "h800-2048-mpft", "--compare", path.to_str().expect("a path")])
    };
    for (body, says) in [
        ("network.a = { about = \"\", shape.slim-fly = { q = 30, endpoints = 1 } }", "leaves 2 when divided by 4"),
        ("network.a = { about = \"\", shape.slim-fly = { q = 29, endpoints = 22 } }", "it needs 65 ports a switch"),
        (
            "network.a = { about = \"\", published = \"topo.ft9\", shape.fat-tree = { tiers = 2, planes = 1 } }",
            "no fact `topo.ft9_cost`",
        ),
        ("network.a = { about = \"\", shape.torus = { sides = 3 } }", "unknown variant `torus`"),
        (
            "solved.rows = [\"a\", \"b\"]\nnetwork.a = { about = \"\", shape.fat-tree = { tiers = 2, planes = 1 } }",
            "of which no cost is published",
        ),
    ] {
        let (code, message) = refuse(body);
        assert!(code == 2 && message.contains(says), "{body}: {code} {message}");
    }
    let set = "fabric.switch-ports=128";
    let (code, message) = refused(&["topology", "h800-2048-mpft", "--compare", "64-ports", "--set", set]);
    assert!(code == 2 && message.contains("prices of 128-port ones"), "{message}");
    let (code, message) = refused(&["topology", "h800-2048-mpft", "--compare", "65-ports"]);
    assert!(code == 2 && message.contains("did you mean `64-ports`?"), "{message}");
}
