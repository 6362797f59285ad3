//! Proposals of precision: speed and arithmetic side by side.

use std::collections::BTreeMap;

use plan::Plan;
use scenario::{Library, Loaded, Mistakes};
use study::{
    Answer, Arithmetic, Criterion, InMemory, Manifest, Proposal, Refusal, ResultTable, Results, Shard, Study,
    StudyError, StudyProgress, Tunnel,
};

/// Every step takes a second: what is asked here is arithmetic.
struct Still(Library);

impl Tunnel for Still {
    fn load(&self, sets: &[String]) -> Result<Loaded, Mistakes> {
        scenario::load("tiny-moe", sets, &self.0)
    }

    fn run(&self, _: &Plan) -> Result<Results, Refusal> {
        let numbers = BTreeMap::from([("step_seconds".into(), 1.0)]);
        Ok(Results { criterion: Criterion::less("step_seconds"), numbers, words: BTreeMap::new() })
    }
}

fn nowhere(name: &str) -> Result<Proposal, StudyError> {
    Err(StudyError::Store(format!("there is no proposal `{name}`")))
}

/// A study of proposals by name, each a patch. Its model is narrow, so that this takes no time.
fn answer(proposals: &[(&str, &str)]) -> Answer {
    let names: Vec<&str> = proposals.iter().map(|(name, _)| *name).collect();
    let mut text = format!("base = \"tiny-moe\"\ndraws = 0\nproposals = {names:?}\n");
    text.push_str(
        "patch.model = { hidden = 1024, ffn = 2048, attention = { heads = 16 } }\npatch.job.sequence = 1024\n",
    );
    for (name, patch) in proposals {
        text.push_str(&format!(
            "[proposal.{name}]\nabout = \"a\"\nsource = \"a\"\nassumes = \"a\"\npatch.{patch}\n\
             hand-calculation = {{ text = \"a\", low = 0.0, high = 0.0 }}\n"
        ));
    }
    let study = Study::read("a study", &text, &nowhere).expect("a study");
    let (tunnel, store) = (Still(Library::built_in()), InMemory::default());
    let manifest = Manifest::new(&study, &tunnel, "").expect("a manifest");
    let again = Manifest::from_toml("manifest.toml", &manifest.to_toml().expect("TOML")).expect("a manifest");
    assert_eq!(again, manifest, "what is merged knows what was asked");
    study::run(&manifest, &tunnel, &store, Shard::WHOLE, false, &StudyProgress::default()).expect("a base");
    Answer::new(&again, &store).expect("finished")
}

fn worst(row: &Arithmetic) -> f64 {
    row.relative_error_worst.unwrap_or_else(|| panic!("{} has no error", row.name))
}

#[test]
fn only_proposals_that_add_otherwise_are_shown_beside_the_base() {
    let bits = "gpu.tensor.fp8.accumulate = 23";
    let same = ("more-sms", "gpu.sms = 144");
    let shown = answer(&[same, ("wide", bits)]);
    let names: Vec<&str> = shown.arithmetic.iter().map(|row| row.name.as_str()).collect();
    assert_eq!(names, ["base", "wide"]);
    assert!(answer(&[same]).arithmetic.is_empty());
    let table = |answer: &Answer| String::from_utf8(ResultTable::of(answer).csv().expect("CSV")).expect("text");
    assert!(table(&shown).lines().next().is_some_and(|head| head.contains("arithmetic.relative_error_worst")));
    assert!(!table(&answer(&[same])).contains("arithmetic"));
    assert_eq!(shown.json(), answer(&[same, ("wide", bits)]).json(), "equal questions, equal bytes");
}

#[test]
fn errors_fall_with_bits_and_promotion_keeps_them_at_every_length() {
    let bits = |bits: u32| format!("gpu.tensor.fp8.accumulate = {bits}");
    let patches = [10, 16, 33].map(bits);
    let shown = answer(&[("b10", &patches[0]), ("b16", &patches[1]), ("b33", &patches[2])]).arithmetic;
    let [base, b10, b16, b33] = shown.as_slice() else { panic!("{shown:?}") };
    assert!(worst(b10) > worst(base) && worst(base) > worst(b16) && worst(b16) > worst(b33));
    // Scales change every 128 products, so sums of 33 bits are rounded to FP32 as often, and to no less than half a place each time.
    assert!(worst(b33) < 2_f64.powi(-22), "{:e}", worst(b33));
    assert_eq!((base.promote, b10.promote, b33.promote), (Some(128), Some(128), None));
    let errors: Vec<f64> = base.gemms.iter().map(|gemm| gemm.relative_error).collect();
    let most = errors.iter().copied().fold(0.0, f64::max);
    let least = errors.iter().copied().fold(f64::INFINITY, f64::min);
    let lengths: Vec<u64> = base.gemms.iter().map(|gemm| gemm.k).collect();
    assert!(lengths.iter().max() > lengths.iter().min().map(|k| 4 * k).as_ref(), "{lengths:?}");
    assert!(most < 1.3 * least, "promoted every 128 at every length: {errors:?}");
}

#[test]
fn scales_inside_and_no_promotion_lose_more_the_longer_a_sum() {
    let shown = answer(&[
        ("inside", "gpu.tensor.fp8.block-scaling = \"native\""),
        ("never", "gpu = { tensor.fp8.block-scaling = \"native\" }\npatch.policy.promote = \"never\""),
        ("tensor", "job.precision = \"fp8-tensor\""),
        ("bf16", "job.precision = \"bf16\""),
        ("uneven", "policy.promote = 100"),
    ]);
    let row = |name: &str| shown.arithmetic.iter().find(|row| row.name == name).unwrap_or_else(|| panic!("no {name}"));
    let (inside, never) = (row("inside"), row("never"));
    assert!(worst(never) > 2.0 * worst(inside), "{:e} and {:e}", worst(never), worst(inside));
    let longest = never.gemms.iter().max_by_key(|gemm| gemm.k).expect("GEMMs");
    assert!(never.worst.as_ref().is_some_and(|worst| worst.ends_with(&format!("K = {}", longest.k))), "{never:?}");
    assert!(longest.leaves_every.is_none() && longest.bias < 0.0);
    assert!(row("tensor").gemms.iter().all(|gemm| gemm.leaves_every == Some(128)));
    let bf16 = row("bf16");
    assert!(bf16.gemms.is_empty() && bf16.relative_error_median.is_none() && bf16.error.is_none());
    assert!(row("uneven").error.as_ref().is_some_and(|error| error.contains("96 or 128")), "{:?}", row("uneven"));
}
