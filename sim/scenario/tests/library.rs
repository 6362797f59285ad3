//! Where a reference leads.

mod memory;

use memory::Memory;
use scenario::{Kind, Library, load, load_machine};

/// Whoever has thousands of mistakes gets the first of them, and how many more there are.
#[test]
fn a_file_of_any_number_of_tables_keys_or_patches_is_refused_with_the_first_of_them() {
    const N: usize = 20_000;
    let tables: String = (0..N).map(|index| format!("[t{index}]\nx = 1\n")).collect();
    let keys: String = (0..N).map(|index| format!("policy.k{index} = 1\n")).collect();
    let patches: String = (0..N).map(|index| format!("patch.gpu.k{index} = 1\n")).collect();
    let uses = scenario(r#"cluster = "h800-64-mpft", model = "deepseek-v3", profiles = ["h800-published"]"#);
    for more in [tables, keys, patches] {
        let text = format!("{uses}\n{more}");
        let refusal = load("s.toml", &[], &Memory::library(&[], &[("s.toml", &text)])).expect_err("refused");
        assert_eq!(refusal.diagnostics().len(), N);
        let shown = refusal.to_string();
        assert_eq!(shown.matches("error: ").count(), 100);
        assert!(shown.ends_with("and 19900 more mistakes") && shown.len() < 200_000, "{} bytes", shown.len());
    }
    let sets: Vec<String> = (0..N).map(|index| format!("gpu.k{index}=1")).collect();
    let refusal = load("tiny-moe", &sets, &Library::built_in()).expect_err("refused");
    assert_eq!(refusal.diagnostics().len(), N);
    // A key of one part for each letter would be walked part by part, and its table nested as deep.
    let deep = format!("{uses}\npolicy.\"{}\" = 1\n", ["a"; N].join("."));
    let refusal = load("s.toml", &[], &Memory::library(&[], &[("s.toml", &deep)])).expect_err("refused").to_string();
    assert!(refusal.contains("more than 32 parts"), "{refusal:.400}");
}

const JOB: &str = r#"
parallel = { pp = 4, ep = 16 }
job = { sequence = 4096, global-batch = 160, micro-batch = 1, precision = "fp8-block" }
"#;

fn scenario(uses: &str) -> String {
    format!("use = {{ {uses} }}\n{JOB}")
}

#[test]
fn the_first_folder_that_has_a_preset_gives_it() {
    let cluster =
        |nodes: u32| format!("use = {{ hardware = \"h800-sxm5\", fabric = \"ft3\" }}\ncluster.nodes = {nodes}");
    let (first, second, third) = (cluster(2), cluster(4), cluster(6));
    let files = [
        ("mine/clusters/a.toml", first.as_str()),
        ("scenarios/clusters/a.toml", &second),
        ("scenarios/clusters/b.toml", &third),
    ];
    let library = Memory::library(&["mine", "scenarios"], &files);
    let nodes =
        |name: &str| load_machine(name, &[], &library).unwrap_or_else(|mistakes| panic!("{mistakes}")).machine.n_nodes;
    assert_eq!((nodes("a"), nodes("b"), nodes("h800-2048-mpft")), (2, 6, 256));
    let names = library.names(Kind::Cluster);
    assert!(names.is_sorted());
    assert_eq!(names.iter().filter(|name| *name == "a").count(), 1);
}

#[test]
fn a_path_is_relative_to_the_file_that_names_it() {
    let text = scenario(r#"cluster = "../parts/c.toml", model = "deepseek-v3", profiles = ["h800-published"]"#);
    let cluster = "use = { hardware = \"h800-sxm5\", fabric = \"./f.toml\" }\ncluster.nodes = 8";
    let fabric = include_str!("../../../scenarios/fabrics/rail-ft2.toml");
    let files = [("jobs/s.toml", text.as_str()), ("parts/c.toml", cluster), ("parts/f.toml", fabric)];
    let loaded =
        load("jobs/s.toml", &[], &Memory::library(&[], &files)).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    assert_eq!(loaded.plan.name, "s");
    assert_eq!(loaded.origins["fabric.kind"].to_string(), "parts/f.toml:4");
}

#[test]
fn a_file_of_a_library_finds_the_rest_of_it() {
    let files = [
        ("elsewhere/studies/s.toml", "base = \"../train/t.toml\""),
        ("elsewhere/proposals/p.toml", "about = \"theirs\""),
        ("lib/proposals/q.toml", "about = \"given\""),
        ("elsewhere/proposals/q.toml", "about = \"theirs\""),
        ("elsewhere/proposals/full-nvlink.toml", "about = \"theirs\""),
        ("desk/s.toml", ""),
        ("proposals/p.toml", "about = \"of nobody\""),
    ];
    let library = Memory::library(&["lib"], &files);
    let open = |kind, reference: &str, from| library.text(kind, reference, from);
    let study = open(Kind::Study, "elsewhere/studies/s.toml", None).expect("a study");
    assert_eq!(study.resolve("../train/t.toml"), "elsewhere/train/t.toml");
    assert_eq!(study.resolve("tiny-moe"), "tiny-moe");
    for (name, expectation) in [
        ("p", "elsewhere/proposals/p.toml"),
        ("q", "lib/proposals/q.toml"),
        ("full-nvlink", "elsewhere/proposals/full-nvlink.toml"),
        ("nic-800g", "scenarios/proposals/nic-800g.toml"),
        ("../proposals/p.toml", "elsewhere/proposals/p.toml"),
    ] {
        assert_eq!(open(Kind::Proposal, name, Some(&study)).expect(name).name(), expectation);
    }
    let lone = open(Kind::Study, "desk/s.toml", None).expect("a study");
    let text = open(Kind::Proposal, "full-nvlinc", Some(&lone)).expect_err("there is none").to_string();
    assert!(text.contains("there is no proposal preset") && text.contains("did you mean `full-nvlink`?"), "{text}");
    assert!(open(Kind::Proposal, "p", Some(&lone)).is_err(), "a desk is no library");
}

#[test]
fn a_hugging_face_config_is_a_model_with_keys() {
    let config = r#"{ "model_type": "llama", "num_hidden_layers": 32, "hidden_size": 4096, "intermediate_size": 14336,
        "vocab_size": 128256, "num_attention_heads": 32, "num_key_value_heads": 8 }"#;
    let text = scenario(r#"cluster = "h800-64-mpft", model = "config.json", profiles = ["h800-published"]"#);
    let text = text.replace(", ep = 16", "");
    let library = Memory::library(&[], &[("jobs/s.toml", text.as_str()), ("jobs/config.json", config)]);
    let sets = ["model.layers=16".to_owned()];
    let loaded = load("jobs/s.toml", &sets, &library).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    let preset = load("jobs/s.toml", &["use.model=llama-3.1-8b".to_owned(), sets[0].clone()], &library);
    let preset = preset.unwrap_or_else(|mistakes| panic!("{mistakes}")).plan;
    let [preset, model] = [&preset, &loaded.plan].map(|plan| plan.train().expect("training").job.model.clone());
    assert_eq!(workloads::model::Model { name: preset.name.clone(), ..model }, preset);
    assert!(loaded.origins["model.hidden"].file().ends_with("config.json"));

    let broken = Memory::library(&[], &[("jobs/s.toml", text.as_str()), ("jobs/config.json", "{}")]);
    let mistakes = load("jobs/s.toml", &[], &broken).expect_err("it describes no model").to_string();
    assert!(mistakes.contains("`jobs/config.json`"), "{mistakes}");
}

#[test]
fn a_path_that_is_not_there_names_the_preset_that_is() {
    let mistakes =
        load("elsewhere/train/tiny-moe.toml", &[], &Library::built_in()).expect_err("no such file").to_string();
    assert!(mistakes.contains("there is no file `elsewhere/train/tiny-moe.toml`"), "{mistakes}");
    assert!(mistakes.contains("preset `tiny-moe`: name it without a path"), "{mistakes}");
}

#[test]
fn every_preset_model_and_profile_makes_a_plan() {
    let library = Library::built_in();
    for model in library.names(Kind::Model) {
        let others = ["parallel.ep=1", "parallel.pp=8", "policy.schedule=1f1b", "traffic.router=balanced"];
        let sets = [vec![format!("use.model={model}")], others.map(str::to_owned).to_vec()].concat();
        load("deepseek-v3-2048", &sets, &library).unwrap_or_else(|mistakes| panic!("{model}:\n{mistakes}"));
    }
    for profile in library.names(Kind::Profile) {
        // A profile of a few estimates stands before one that holds the rest.
        load("tiny-moe", &[format!("use.profiles=[\"{profile}\", \"h800-published\"]")], &library)
            .unwrap_or_else(|mistakes| panic!("{profile}:\n{mistakes}"));
    }
}
