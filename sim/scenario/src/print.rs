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
const NEUTRAL: [(&str, &str); 1] = [("fabric.oversubscription", "1.0")];

/// The identity of a run: a digest of [`canonical_text`], as 64 hexadecimal digits.
#[must_use]
pub fn digest(loaded: &Loaded) -> String {
    blake3::hash(canonical_text(loaded).as_bytes()).to_hex().to_string()
}

/// The plan in one spelling: every value in base units at full precision, one per line, sorted, without what is only for
/// people or only says what `"auto"` means, and without keys at the neutral value that they came with. Two plans are equal, their labels
/// aside, exactly if these texts are.
#[must_use]
pub fn canonical_text(loaded: &Loaded) -> String {
    let interleaved = matches!(loaded.plan.policy.schedule, Schedule::Interleaved { .. });
    let decides = |leaf: &&Leaf| match leaf.key.as_str() {
        "policy.comm-sms-software" | "policy.promote-every" | "policy.promote-below" => false,
        "policy.virtual-stages" => interleaved,
        key => !leaf.is_label() && !NEUTRAL.contains(&(key, leaf.canonical.as_str())),
    };
    let lines = loaded.leaves.iter().filter(decides).map(|leaf| format!("{} = {}\n", leaf.key, leaf.canonical));
    let mut lines: Vec<String> = lines.collect();
    lines.sort();
    lines.concat()
}
