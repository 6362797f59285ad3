//! Whatever a file or an argument holds, loading ends with a plan or with messages that can be shown, never a panic.

mod memory;

use calibrate::EstimateKey;
use memory::Memory;
use proptest::prelude::*;
use scenario::{Library, canonical_text, load, plan_toml};

/// A library in which one file is as given and the rest is compiled in.
fn with(path: &str, text: &str) -> Library {
    Memory::library(&["lib"], &[(&format!("lib/{path}"), text)])
}

fn survives(library: &Library, sets: &[String]) {
    match load("tiny-moe", sets, library) {
        Ok(loaded) => {
            assert!(!plan_toml(&loaded).is_empty());
            assert!(!canonical_text(&loaded).is_empty());
        }
        Err(mistakes) => {
            assert!(!mistakes.diagnostics().is_empty());
            assert!(!mistakes.render(false).is_empty());
            assert!(!mistakes.render(true).is_empty());
        }
    }
}

const FILES: [(&str, &str); 6] = [
    ("train/tiny-moe.toml", include_str!("../../../scenarios/train/tiny-moe.toml")),
    ("hardware/h800-sxm5.toml", include_str!("../../../scenarios/hardware/h800-sxm5.toml")),
    ("fabrics/mpft-8-plane.toml", include_str!("../../../scenarios/fabrics/mpft-8-plane.toml")),
    ("models/deepseek-v3.toml", include_str!("../../../scenarios/models/deepseek-v3.toml")),
    ("profiles/h800-published.toml", include_str!("../../../scenarios/profiles/h800-published.toml")),
    ("defaults/train.toml", include_str!("../../../scenarios/defaults/train.toml")),
];

/// The first character boundary at or behind a byte.
fn boundary(text: &str, byte: usize) -> usize {
    (byte..text.len()).find(|index| text.is_char_boundary(*index)).unwrap_or(text.len())
}

/// Pieces that break a file in the ways people and editors do.
fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        Just("\n".to_owned()),
        Just("\r\n".to_owned()),
        Just("\"".to_owned()),
        Just("[[".to_owned()),
        Just("]".to_owned()),
        Just(" = ".to_owned()),
        Just("{}".to_owned()),
        Just("99999999999999999999".to_owned()),
        Just("-1".to_owned()),
        Just("0".to_owned()),
        Just("nan".to_owned()),
        Just("4294967295".to_owned()),
        Just("\"auto\"".to_owned()),
        Just("é漢\u{1f600}\u{0}\u{feff}".to_owned()),
        any::<String>(),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_file_with_a_piece_replaced(which in 0..FILES.len(), at in 0.0..1.0, length in 0usize..30, piece in piece()) {
        let (path, text) = FILES[which];
        let start = boundary(text, (at * text.len() as f64) as usize);
        let end = boundary(text, start + length);
        survives(&with(path, &format!("{}{piece}{}", &text[..start], &text[end..])), &[]);
    }

    #[test]
    fn a_file_of_any_text(which in 0..FILES.len(), text in any::<String>()) {
        survives(&with(FILES[which].0, &text), &[]);
    }

    #[test]
    fn any_argument(argument in any::<String>(), key in 0usize..400, value in piece()) {
        let library = Library::built_in();
        let keys = load("tiny-moe", &[], &library).expect("the preset loads").leaves;
        let aimed = format!("{}={value}", keys[key % keys.len()].key);
        survives(&library, &[argument, aimed.clone()]);
        survives(&library, &[aimed]);
    }
}

#[test]
fn every_leaf_survives_every_kind_of_value() {
    let library = Library::built_in();
    let keys = load("tiny-moe", &[], &library).expect("the preset loads").leaves;
    let values = [
        "0",
        "1",
        "-1",
        "4294967295",
        "9223372036854775807",
        "1e308",
        "inf",
        "nan",
        "\"\"",
        "[]",
        "[1]",
        "{}",
        "true",
        "auto",
        "none",
        "0 B/s",
        "1e300 Hz",
    ];
    // Estimates of one dimension are read alike: the first stands for all.
    let first = |key: &EstimateKey| EstimateKey::ALL.iter().find(|other| other.dimension() == key.dimension());
    let stands = |key: &str| match key.strip_prefix("profile.").and_then(|rest| rest.rsplit_once('.')) {
        Some((name, _)) => EstimateKey::from_name(name).is_none_or(|key| first(&key) == Some(&key)),
        None => true,
    };
    for leaf in keys.iter().filter(|leaf| stands(&leaf.key)) {
        for value in values {
            survives(&library, &[format!("{}={value}", leaf.key)]);
        }
    }
}
