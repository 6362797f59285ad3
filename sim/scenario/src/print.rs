//! The plan as text: with origins for people, without for a digest.

use workloads::schedule::Schedule;

use crate::load::{Leaf, Loaded};
use crate::write::{self, TomlText};

/// The whole plan as TOML: each value as it was decided, with its origin behind it. It is a scenario itself: loading it
/// gives the same plan. The same plan from the same files gives the same bytes.
#[must_use]
pub fn plan_toml(loaded: &Loaded) -> String {
    let mut file = TomlText::default();
    file.comment("Every value of this run, and where it was written.");
    file.line("name", write::text(&loaded.plan.name));
    let mut table = "";
    for leaf in &loaded.leaves {
        if leaf.table() != table {
            table = leaf.table();
            file.table(table);
        }
        file.noted(leaf.name(), &leaf.value, &note(leaf));
    }
    file.finish()
}

/// Where a value was written, and what stood there if it was decided.
fn note(leaf: &Leaf) -> String {
    if leaf.value == leaf.written { leaf.origin.to_string() } else { format!("{}, {}", leaf.origin, leaf.written) }
}

/// Keys that came later, with the value under which every plan is what it was before, in its canonical spelling: such a line is left
/// out of the text, so that a new key moves no identity. A key stays here for good.
const NEUTRAL: [(&str, &str); 14] = [
    ("fabric.oversubscription", "1.0"),
    ("traffic.exponent", "0.7"),
    ("parallel.sharding", "\"zero-1\""),
    ("policy.dispatcher", "\"deepep\""),
    ("policy.context-parallel", "\"gather\""),
    ("policy.tensor-collectives", "\"waited\""),
    ("parallel.shard-ranks", "\"auto\""),
    ("policy.recompute.operations", "false"),
    ("job.documents", "\"auto\""),
    ("job.lora.rank", "0"),
    ("job.lora.targets", "\"all\""),
    ("framework.memory.logit-bytes", "6.0"),
    ("framework.memory.keeps-silu", "false"),
    ("framework.memory.frees-gradients", "false"),
];

/// The identity of a run: a digest of [`canonical_text`], as 64 hexadecimal digits.
#[must_use]
pub fn digest(loaded: &Loaded) -> String {
    blake3::hash(canonical_text(loaded).as_bytes()).to_hex().to_string()
}

/// The identity of a job that is no scenario: of the values of its site, and of whatever tells the job from another.
#[must_use]
pub fn digest_of(leaves: &[Leaf], job: &[u8]) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(canonical_lines(leaves, |key| !is_of_services(key)).as_bytes());
    hasher.update(job);
    hasher.finalize().to_hex().to_string()
}

/// The plan in one spelling: every value in base units at full precision, one per line, sorted, without what is only for
/// people or only says what `"auto"` means, and without keys at the neutral value that they came with. Two plans are equal, their labels
/// aside, exactly if these texts are.
#[must_use]
pub fn canonical_text(loaded: &Loaded) -> String {
    let schedule = loaded.plan.train().map(|plan| plan.job.policy.schedule);
    let interleaved = matches!(schedule, Ok(Schedule::Interleaved { .. }));
    let is_service = loaded.plan.serving().is_ok();
    canonical_lines(&loaded.leaves, |key| match key {
        "policy.comm-sms-software" | "policy.promote-every" | "policy.promote-below" => false,
        "framework.sharding" | "framework.dispatcher" => false,
        "policy.virtual-stages" => interleaved,
        _ if is_of_services(key) => is_service,
        _ => true,
    })
}

/// Whether services alone read an estimate.
fn is_of_services(key: &str) -> bool {
    key.starts_with("profile.decode-attention.")
}

fn canonical_lines(leaves: &[Leaf], decides: impl Fn(&str) -> bool) -> String {
    let is_neutral = |leaf: &Leaf| NEUTRAL.contains(&(leaf.key.as_str(), leaf.canonical.as_str()));
    let counts = |leaf: &&Leaf| decides(&leaf.key) && !leaf.is_label() && !is_neutral(leaf);
    let lines = leaves.iter().filter(counts).map(|leaf| format!("{} = {}\n", leaf.key, leaf.canonical));
    let mut lines: Vec<String> = lines.collect();
    lines.sort();
    lines.concat()
}
