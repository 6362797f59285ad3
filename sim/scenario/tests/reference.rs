//! `scenarios/README.md` beside what the program asks for.
//! To write the table of estimates anew: `BLESS=1 cargo test -p scenario --test reference`, then read what changed.

use std::fs;
use std::path::{Path, PathBuf};

use calibrate::{Dimension, EstimateKey};
use scenario::{Library, load};

const HEADER: &str = "| key | value | meaning |\n|---|---|---|\n";

fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scenarios/README.md")
}

fn reference() -> String {
    fs::read_to_string(path()).expect("the reference")
}

fn row(key: EstimateKey) -> String {
    let value = match key.dimension() {
        Dimension::Fraction => "above 0, to 1",
        Dimension::Share => "0 to 1",
        Dimension::Count => "number",
        Dimension::CountAboveZero => "above 0",
        Dimension::CountFromOne => "1 or more",
        Dimension::Tile => "1 to 4096",
        Dimension::Seconds => "duration",
        Dimension::BytesPerSec => "rate",
    };
    format!("| `profile.{}` | {value} | {} |\n", key.name(), key.doc())
}

#[test]
fn it_has_every_estimate_and_what_it_means() {
    let text = reference();
    let section = text.find("## The estimates").expect("a section");
    let start = section + text[section..].find(HEADER).expect("a table") + HEADER.len();
    let end = text[start..].find("\n\n").map_or(text.len(), |at| start + at + 1);
    let rows: String = EstimateKey::ALL.iter().copied().map(row).collect();
    let expected = format!("{}{rows}{}", &text[..start], &text[end..]);
    if std::env::var_os("BLESS").is_some() {
        // At once: another test may be reading it.
        let partial = path().with_extension("partial");
        fs::write(&partial, expected).and_then(|()| fs::rename(&partial, path())).expect("the folder can be written");
    } else {
        let missing: Vec<&str> = rows.lines().filter(|row| !text[start..end].contains(row)).collect();
        assert!(
            text == expected,
            "the table of estimates is not that of the program; it lacks\n{}",
            missing.join("\n")
        );
    }
}

#[test]
fn it_has_every_other_key() {
    let reference = reference();
    for name in ["deepseek-v3-2048", "llama-3.1-405b-8192"] {
        let loaded = load(name, &[], &Library::built_in()).unwrap_or_else(|mistakes| panic!("{mistakes}"));
        for leaf in loaded.leaves.iter().filter(|leaf| !leaf.key.starts_with("profile.")) {
            assert!(reference.contains(&format!("`{}`", leaf.key)), "`{}` is not in scenarios/README.md", leaf.key);
        }
    }
}
