//! Whole studies on a tunnel that is a formula: rows, draws, shards, interruptions, bad points.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use calibrate::EstimateKey;
use plan::Plan;
use scenario::{Library, Loaded, Mistakes};
use study::{
    Answer, Criterion, FinishedPoint, InMemory, Manifest, Proposal, Refusal, ResultTable, Results, Shard, Store, Study,
    StudyError, StudyProgress, Tunnel,
};

/// The step is 100 s over SMs for compute and 8 s over links for the network, each over the share of its rate reached.
struct Formula {
    library: Library,
    n_runs: AtomicUsize,
}

impl Formula {
    fn new() -> Self {
        Self { library: Library::built_in(), n_runs: AtomicUsize::new(0) }
    }

    fn n_runs(&self) -> usize {
        self.n_runs.load(Ordering::Relaxed)
    }
}

impl Tunnel for Formula {
    fn load(&self, sets: &[String]) -> Result<Loaded, Mistakes> {
        scenario::load("tiny-moe", sets, &self.library)
    }

    fn run(&self, plan: &Plan) -> Result<Results, Refusal> {
        self.n_runs.fetch_add(1, Ordering::Relaxed);
        let device = &plan.site.machine.device;
        if device.sms > 1000 {
            return Err(format!("{} SMs do not fit a die", device.sms).into());
        }
        let memory = plan.site.profile.value(EstimateKey::MemoryFraction);
        let links = plan.site.profile.value(EstimateKey::DispatchScaleUpFraction);
        let compute = 100.0 / f64::from(device.sms) / memory;
        let network = 8.0 / f64::from(device.scale_up.links) / links;
        let binding = if compute > network { "compute" } else { "network" };
        Ok(Results {
            criterion: Criterion::less("step_seconds"),
            numbers: BTreeMap::from([("step_seconds".into(), compute + network), ("network".into(), network)]),
            words: BTreeMap::from([("binding".into(), binding.into())]),
        })
    }
}

const STUDY: &str = r#"
about = "What would more links be worth?"
base = "tiny-moe"
draws = 24
seed = 7
proposals = ["more-links", "more-sms", "no-change", "huge", "misspelt"]
patch.gpu.sms = 100

[proposal.more-links]
about = "twice the links"
source = "a wish"
assumes = "nothing"
cost = 5
patch.gpu.scale-up.links = 16
hand-calculation = { text = "half of the network", low = -0.9, high = 0.0 }

[proposal.more-sms]
about = "twice the SMs"
source = "a wish"
assumes = "nothing"
cost = 7
patch.gpu.sms = 200
hand-calculation = { text = "slower, wrongly", low = 0.1, high = 0.2 }

[proposal.no-change]
about = "the same"
source = "a wish"
assumes = "nothing"
patch.gpu.sms = 100
hand-calculation = { text = "nothing", low = 0.0, high = 0.0 }

[proposal.huge]
about = "a die that cannot be"
source = "a wish"
assumes = "nothing"
patch.gpu.sms = 2000
hand-calculation = { text = "cannot run", low = 0.0, high = 0.0 }

[proposal.misspelt]
about = "a key that is not there"
source = "a wish"
assumes = "nothing"
patch.gpu.smz = 3
hand-calculation = { text = "cannot load", low = 0.0, high = 0.0 }

[sweep.links]
order = "grid"
knobs.gpu.scale-up.links = [2, 4, 6, 10]

[together]
proposals = ["more-links", "more-sms"]
target = "1 s"
"#;

fn nowhere(name: &str) -> Result<Proposal, StudyError> {
    Err(StudyError::Store(format!("there is no proposal `{name}`")))
}

fn study() -> Study {
    Study::read("a study", STUDY, &nowhere).expect("a study")
}

fn manifest(tunnel: &Formula) -> Manifest {
    Manifest::new(&study(), tunnel, "this build").expect("a manifest")
}

fn on_threads<T: Send>(n: usize, work: impl FnOnce() -> T + Send) -> T {
    rayon::ThreadPoolBuilder::new().num_threads(n).build().expect("threads").install(work)
}

fn all(tunnel: &Formula, store: &dyn Store) -> Answer {
    let manifest = manifest(tunnel);
    study::run(&manifest, tunnel, store, Shard::WHOLE, true, &StudyProgress::default()).expect("a base");
    Answer::new(&manifest, store).expect("all points")
}

fn bytes(answer: &Answer) -> (String, Vec<u8>, Vec<u8>) {
    let table = ResultTable::of(answer);
    (answer.json().expect("JSON"), table.csv().expect("CSV"), table.parquet().expect("Parquet"))
}

#[test]
fn rows_stand_in_the_order_of_the_file_with_base_and_hand_calculation() {
    let answer = all(&Formula::new(), &InMemory::default());
    let names: Vec<&str> = answer.points.iter().map(|row| row.name.as_str()).collect();
    let proposals = ["more-links", "more-sms", "no-change", "huge", "misspelt"];
    let sweep = ["links-1", "links-2", "links-3", "links-4"];
    assert_eq!(names, [&proposals[..], &sweep, &["more-links + more-sms"]].concat());
    let agrees = |index: usize| answer.points[index].hand_calculation.as_ref().and_then(|hand| hand.agrees);
    assert_eq!([agrees(0), agrees(1), agrees(2), agrees(3)], [Some(true), Some(false), Some(true), None]);
    assert_eq!(answer.points[0].binding.as_deref(), Some("compute"));
    assert!(answer.points[0].digest.len() == 64 && answer.points[4].digest.is_empty());
}

#[test]
fn a_bad_point_is_a_row_and_the_rest_goes_on() {
    let answer = all(&Formula::new(), &InMemory::default());
    let error = |index: usize| answer.points[index].error.clone().expect("an error");
    assert!(error(3).contains("2000 SMs"), "{}", error(3));
    assert!(error(4).contains("`gpu.smz`") && error(4).contains("did you mean"), "{}", error(4));
    assert_eq!(answer.points.iter().filter(|row| row.error.is_none()).count(), answer.points.len() - 2);
    assert_eq!(answer.points[3].objective.value, None);
}

/// A formula that is broken for some plans: it panics, on whatever thread it runs.
struct Broken {
    sound: Formula,
    is_broken: fn(&Plan) -> bool,
}

impl Tunnel for Broken {
    fn load(&self, sets: &[String]) -> Result<Loaded, Mistakes> {
        assert!(!sets.iter().any(|set| set.contains("links=6")), "six links cannot be loaded");
        self.sound.load(sets)
    }

    fn run(&self, plan: &Plan) -> Result<Results, Refusal> {
        assert!(!(self.is_broken)(plan), "a fault at {} SMs", plan.site.machine.device.sms);
        self.sound.run(plan)
    }
}

#[test]
fn a_panic_is_a_row_with_its_reason_and_all_others_are_as_without_it() {
    let broken = Broken { sound: Formula::new(), is_broken: |plan| plan.site.machine.device.sms == 200 };
    let manifest = Manifest::new(&study(), &broken, "this build").expect("a manifest");
    let answer = |shards: usize| {
        let store = InMemory::default();
        for index in 0..shards {
            let shard = Shard { index, of: shards };
            study::run(&manifest, &broken, &store, shard, true, &StudyProgress::default()).expect("a base");
        }
        Answer::new(&manifest, &store).expect("all points")
    };
    let (found, sound) = (answer(1), all(&Formula::new(), &InMemory::default()));
    assert_eq!(bytes(&found), bytes(&answer(3)), "in any number of shards");
    for (row, expected) in found.points.iter().zip(&sound.points) {
        let reason = match row.name.as_str() {
            "more-sms" | "more-links + more-sms" => "fault in the simulator: a fault at 200 SMs",
            "links-3" => "fault in the simulator: six links cannot be loaded",
            _ => {
                assert_eq!((&row.objective, &row.difference), (&expected.objective, &expected.difference));
                assert!(!row.fault, "{}", row.name);
                continue;
            }
        };
        assert_eq!((row.error.as_deref(), row.fault, row.objective.value), (Some(reason), true, None));
    }
    assert_eq!((found.n_faults(), sound.n_faults()), (3, 0), "a refusal is no fault");
    assert!(found.together_error.is_some_and(|error| error.contains("`more-sms` has no step")));
    let csv = String::from_utf8(ResultTable::of(&answer(1)).csv().expect("CSV")).expect("text");
    assert!(csv.contains("a fault at 200 SMs"), "{csv}");
}

#[test]
fn a_panic_in_the_base_or_in_one_knob_is_told_as_what_it_is() {
    let broken = Broken { sound: Formula::new(), is_broken: |plan| plan.site.machine.device.sms == 100 };
    let manifest = Manifest::new(&study(), &broken, "this build").expect("a manifest");
    let run = study::run(&manifest, &broken, &InMemory::default(), Shard::WHOLE, false, &StudyProgress::default());
    assert!(matches!(run, Err(StudyError::Fault(_))), "{run:?}");
    let broken = Broken { sound: Formula::new(), is_broken: |plan| plan.site.machine.device.sms > 132 };
    let found = study::sensitivity(&broken, &StudyProgress::default()).expect("a base");
    assert_eq!(found.n_faults(), 1);
    let sms = found.knobs.iter().find(|knob| knob.key == "gpu.sms").expect("a knob");
    assert!(sms.note.as_deref().is_some_and(|note| note.contains("no more: fault in the simulator")), "{:?}", sms.note);
    assert!(sms.elasticity.is_some(), "the other way");
}

#[test]
fn draws_are_common_to_both_sides() {
    let answer = carrying("0.0");
    let same = answer.points[2].difference.as_ref().expect("a difference");
    assert_eq!((same.low, same.high, same.decided), (Some(0.0), Some(0.0), Some(true)));
    let links = answer.points[0].difference.as_ref().expect("a difference");
    let names: Vec<&str> = links.decided_by.iter().map(|decider| decider.estimate.as_str()).collect();
    assert_eq!(names, ["profile.all-to-all.dispatch.scale-up-fraction"], "compute cancels draw by draw");
    assert!(links.high.is_some_and(|high| high < 0.0) && links.decided == Some(true));
    // Each draw of the difference is minus half of the network, in the draw's own share of the rate.
    let network = &answer.base.intervals["network"];
    let (low, high) = (links.low.expect("draws"), links.high.expect("draws"));
    assert!((low + network.high / 2.0).abs() < 1e-12 && (high + network.low / 2.0).abs() < 1e-12);
}

/// The study with estimates that carry to other machines within a power of the ratio.
fn carrying(exponent: &str) -> Answer {
    let patch =
        format!("patch.gpu.sms = 100\npatch.profile.elsewhere.exponent.value = {exponent}\n\n[proposal.more-links]");
    let text = STUDY.replacen("patch.gpu.sms = 100\n\n[proposal.more-links]", &patch, 1);
    let study = Study::read("a study", &text, &nowhere).expect("a study");
    let (tunnel, store) = (Formula::new(), InMemory::default());
    let manifest = Manifest::new(&study, &tunnel, "this build").expect("a manifest");
    study::run(&manifest, &tunnel, &store, Shard::WHOLE, true, &StudyProgress::default()).expect("a base");
    Answer::new(&manifest, &store).expect("all points")
}

/// The same formula on a simulator whose steps may be longer by a share on a better machine.
struct Anomalous(Formula, f64);

impl Tunnel for Anomalous {
    fn load(&self, sets: &[String]) -> Result<Loaded, Mistakes> {
        self.0.load(sets)
    }

    fn run(&self, plan: &Plan) -> Result<Results, Refusal> {
        let mut results = self.0.run(plan)?;
        results.numbers.insert(study::ANOMALY.into(), self.1);
        Ok(results)
    }
}

#[test]
fn a_difference_below_an_anomaly_is_undecided_with_draws_and_without() {
    let decided = |anomaly: f64, draws: &str| {
        let tunnel = Anomalous(Formula::new(), anomaly);
        let study = Study::read("a study", &STUDY.replacen("draws = 24", draws, 1), &nowhere).expect("a study");
        let (manifest, store) =
            (Manifest::new(&study, &tunnel, "this build").expect("a manifest"), InMemory::default());
        study::run(&manifest, &tunnel, &store, Shard::WHOLE, true, &StudyProgress::default()).expect("a base");
        let answer = Answer::new(&manifest, &store).expect("all points");
        let differences = [0, 2].map(|index| answer.points[index].difference.clone().expect("a difference"));
        let links = differences[0].share.abs();
        (links, differences.map(|difference| difference.decided))
    };
    let (links, decisions) = decided(0.0, "draws = 24");
    assert_eq!(decisions, [Some(true), Some(true)]);
    assert_eq!(decided(links * 0.99, "draws = 24").1, [Some(true), Some(true)]);
    // What changes nothing at all is decided whatever order does to others.
    assert_eq!(decided(links * 1.01, "draws = 24").1, [Some(false), Some(true)]);
    assert_eq!(decided(links * 0.99, "draws = 0").1, [None, None]);
    assert_eq!(decided(links * 1.01, "draws = 0").1, [Some(false), None]);
}

#[test]
fn a_change_of_the_machine_adds_its_own_doubt_and_no_other() {
    let width = |answer: &Answer, index: usize| {
        let difference = answer.points[index].difference.as_ref().expect("a difference");
        difference.high.expect("draws") - difference.low.expect("draws")
    };
    let answers = ["0.0", "0.15", "1.0", "2.0"].map(carrying);
    let widths = answers.each_ref().map(|answer| width(answer, 0));
    assert!(widths.is_sorted() && widths[0] < widths[1], "{widths:?}");
    let decided = answers.each_ref().map(|answer| answer.points[0].difference.as_ref().and_then(|d| d.decided));
    assert_eq!(
        decided,
        [Some(true), Some(true), Some(false), Some(false)],
        "twice the links help unless nothing carries"
    );
    assert!(answers.iter().all(|answer| width(answer, 2) == 0.0), "an equal machine has equal draws");
    let links = answers[2].points[0].difference.as_ref().expect("a difference");
    assert_eq!(
        links.decided_by[0].estimate,
        "profile.all-to-all.dispatch.scale-up-fraction on another gpu.scale-up.links"
    );
}

#[test]
fn bytes_depend_on_no_thread_shard_or_interruption() {
    let whole = bytes(&on_threads(1, || all(&Formula::new(), &InMemory::default())));
    assert_eq!(whole, bytes(&on_threads(2, || all(&Formula::new(), &InMemory::default()))));
    for of in [1, 3, 40] {
        let (tunnel, store) = (Formula::new(), InMemory::default());
        for index in (0..of).rev() {
            let shard = Shard { index, of };
            study::run(&manifest(&tunnel), &tunnel, &store, shard, true, &StudyProgress::default()).expect("a base");
        }
        assert_eq!(whole, bytes(&Answer::new(&manifest(&tunnel), &store).expect("all points")), "{of} shards");
    }
}

#[test]
fn what_is_finished_is_not_run_again() {
    let (tunnel, store) = (Formula::new(), InMemory::default());
    let manifest = manifest(&tunnel);
    let shard = Shard { index: 1, of: 3 };
    study::run(&manifest, &tunnel, &store, shard, false, &StudyProgress::default()).expect("a shard");
    let unfinished = Answer::new(&manifest, &store).expect_err("two shards are missing");
    assert!(matches!(unfinished, StudyError::Unfinished { n_points: 10, .. }), "{unfinished}");
    let before = tunnel.n_runs();
    study::run(&manifest, &tunnel, &store, Shard::WHOLE, true, &StudyProgress::default()).expect("the rest");
    let rest = tunnel.n_runs() - before;
    // `no-change` is the base. Base, two proposals and four points of the sweep have 24 draws, both proposals together none.
    assert_eq!(before + rest, 7 * 25 + 1 + 1, "huge ends at once, misspelt never begins");
    study::run(&manifest, &tunnel, &store, Shard::WHOLE, true, &StudyProgress::default()).expect("nothing");
    assert_eq!(tunnel.n_runs(), before + rest);
}

#[test]
fn proposals_together_add_up() {
    let answer = all(&Formula::new(), &InMemory::default());
    let together = answer.together.expect("an answer");
    let both = together.sets.last().expect("sets").worth.value;
    let shares: f64 = together.shares.iter().map(|share| share.shapley.value).sum();
    assert!((shares - both).abs() < 1e-12, "expectation {both}, actual {shares}");
    assert_eq!(together.pairs[0].kind, "independent", "links and SMs are terms of a sum");
    assert!(!together.sampled);
}

#[test]
fn manifests_and_points_come_back_from_files() {
    let (tunnel, store) = (Formula::new(), InMemory::default());
    let manifest = manifest(&tunnel);
    let text = manifest.to_toml().expect("TOML");
    let back = Manifest::from_toml("manifest.toml", &text).expect("a manifest");
    assert_eq!((back.to_toml().expect("TOML"), &back), (text, &manifest));
    let answer = bytes(&all(&tunnel, &store));
    let kept = InMemory::default();
    for entry in &manifest.points {
        let text = store.get(&entry.key).expect("kept").expect("finished").to_toml().expect("TOML");
        kept.put(&entry.key, &FinishedPoint::from_toml(&text).expect("a point")).expect("kept");
    }
    assert_eq!(answer, bytes(&Answer::new(&back, &kept).expect("all points")));
}

#[test]
fn the_table_has_a_column_for_every_knob_and_result() {
    let answer = all(&Formula::new(), &InMemory::default());
    let csv = String::from_utf8(ResultTable::of(&answer).csv().expect("CSV")).expect("text");
    let mut lines = csv.lines();
    let heading: Vec<&str> = lines.next().expect("a heading").split(',').collect();
    for column in ["name", "digest", "error", "gpu.sms", "gpu.scale-up.links", "binding", "step_seconds", "network.low"]
    {
        assert!(heading.contains(&column), "{column} is not in {heading:?}");
    }
    let place = heading.iter().position(|name| *name == "gpu.scale-up.links").expect("a column");
    let links: Vec<&str> = lines.map(|line| line.split(',').nth(place).expect("a cell")).collect();
    assert_eq!(&links[6..10], ["2", "4", "6", "10"]);
}

#[test]
fn a_base_that_cannot_be_is_no_study() {
    let tunnel = Formula::new();
    let text = "base = \"tiny-moe\"\npatch.gpu.smz = 3";
    let study = Study::read("a study", text, &nowhere).expect("a study");
    assert!(matches!(Manifest::new(&study, &tunnel, ""), Err(StudyError::Base(_))));
    let text = "base = \"tiny-moe\"\npatch.gpu.sms = 2000\ndraws = 0";
    let study = Study::read("a study", text, &nowhere).expect("a study");
    let manifest = Manifest::new(&study, &tunnel, "").expect("a plan");
    let run = study::run(&manifest, &tunnel, &InMemory::default(), Shard::WHOLE, false, &StudyProgress::default());
    assert!(matches!(run, Err(StudyError::BaseRun(_))), "{run:?}");
}

#[test]
fn mistakes_in_files_say_where_and_what_would_be_right() {
    let proposal = "\n[proposal.p]\nabout = \"a\"\nsource = \"a\"\nassumes = \"a\"\npatch.gpu.sms = 1\nhand-calculation = { text = \"a\", low = 0, high = 0 }";
    let twice = format!("base = \"b\"\nproposals = [\"p\", \"p\"]{proposal}");
    let idle = format!("base = \"b\"{proposal}");
    let wrong_way = twice.replace("low = 0", "low = 1").replace(", \"p\"", "");
    let alone = format!("base = \"b\"\nproposals = [\"p\"]\ntogether.proposals = [\"p\"]{proposal}");
    for (text, says) in [
        ("", "missing field `base`"),
        ("base = \"b\"\ndrawz = 3", "drawz"),
        ("base = \"b\"\ndraws = 3_000_000", "draws = 3000000"),
        ("base = \"b\"\n[sweep.s]\norder = \"grid\"\nknobs.a = 5", "no range"),
        ("base = \"b\"\nproposals = [\"p\"]", "there is no proposal `p`"),
        (&twice, "two points are called `p`"),
        (&idle, "is in no list"),
        (&wrong_way, "goes from low = 1 to high = 0"),
        (&alone, "names 1 different proposals"),
    ] {
        let error = Study::read("s.toml", text, &nowhere).expect_err(text);
        assert!(error.to_string().contains(says), "{text}: {error}");
    }
    let place = Study::read("s.toml", "base = \"b\"\ndrawz = 3", &nowhere).expect_err("a mistake").to_string();
    assert!(place.starts_with("s.toml:2:1: "), "{place}");
}

#[test]
fn elasticities_are_those_of_the_formula() {
    let tunnel = Formula::new();
    let found = study::sensitivity(&tunnel, &StudyProgress::default()).expect("a base");
    let elasticity = |key: &str| found.knobs.iter().find(|knob| knob.key == key).expect(key).elasticity.expect(key);
    let (sms, memory) = (elasticity("gpu.sms"), elasticity("profile.memory.peak-fraction"));
    assert!((sms - memory).abs() < 2e-3, "both are under the compute: {sms}, {memory}");
    let all = sms + elasticity("gpu.scale-up.links");
    assert!((all + 1.0).abs() < 5e-3, "twice of all is half the step: expectation -1, actual {all}");
    assert_eq!(elasticity("profile.kernel.latency"), 0.0);
    assert!(found.knobs.windows(2).all(|pair| {
        let size = |knob: &study::Knob| knob.elasticity.map_or(-1.0, f64::abs);
        size(&pair[0]) >= size(&pair[1])
    }));
}
