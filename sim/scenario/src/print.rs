//! The plan as text: with origins for people, without for a digest.

use std::fmt::Write;

use workloads::schedule::Schedule;

use crate::load::{Leaf, Loaded};

/// The whole plan as TOML: each value as it was decided, with its origin behind it. It is a scenario itself: loading it
/// gives the same plan. The same plan from the same files gives the same bytes.
#[must_use]
pub fn plan_toml(loaded: &Loaded) -> String {
    let mut text = String::from("# Every value of this run, and where it was written.\n");
    let _ = writeln!(text, "name = {}", toml::Value::String(loaded.plan.name.clone()));
    let mut table = "";
    for leaf in &loaded.leaves {
        if leaf.table() != table {
            table = leaf.table();
            let _ = writeln!(text, "\n[{table}]");
        }
        let _ = writeln!(text, "{}", line(leaf));
    }
    text
}

fn line(leaf: &Leaf) -> String {
    // A comment ends at the line; an argument may hold anything.
    let origin = leaf.origin.to_string().replace(char::is_control, " ");
    let line = format!("{} = {} # {origin}", leaf.name(), leaf.value);
    if leaf.value == leaf.written { line } else { format!("{line}, {}", leaf.written.replace(char::is_control, " ")) }
}

/// Keys that came later, with the value under which every plan is what it was before, in its canonical spelling: such a line is left
/// out of the text, so that a new key moves no identity. A key stays here for good.
const NEUTRAL: [(&str, &str); 1] = [("fabric.oversubscription", "1.0")];

/// The identity of a run: a digest of [`canonical_text`], as 64 hexadecimal digits.
#[must_use]
pub fn digest(loaded: &Loaded) -> String {
    blake3::hash(canonical_text(loaded).as_bytes()).to_hex().to_string()
}

/// The identity of a job that is no scenario: of the values of its site, and of whatever tells the job from another.
#[must_use]
pub fn digest_of(leaves: &[Leaf], job: &[u8]) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(canonical_lines(leaves, |_| true).as_bytes());
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
    canonical_lines(&loaded.leaves, |key| match key {
        "policy.comm-sms-software" | "policy.promote-every" | "policy.promote-below" => false,
        "policy.virtual-stages" => interleaved,
        _ => true,
    })
}

fn canonical_lines(leaves: &[Leaf], decides: impl Fn(&str) -> bool) -> String {
    let is_neutral = |leaf: &Leaf| NEUTRAL.contains(&(leaf.key.as_str(), leaf.canonical.as_str()));
    let counts = |leaf: &&Leaf| decides(&leaf.key) && !leaf.is_label() && !is_neutral(leaf);
    let lines = leaves.iter().filter(counts).map(|leaf| format!("{} = {}\n", leaf.key, leaf.canonical));
    let mut lines: Vec<String> = lines.collect();
    lines.sort();
    lines.concat()
}
